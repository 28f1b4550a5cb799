"""What others may know of chaos: points, the report, its receipt, its ports and
its errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from agentsquad.kernel.errors import IntegrityError, InvalidError, MissingError

REPORTED = "chaos.reported"
"""The event that records a report, in the stream `chaos/<workflow>`."""


class Point(msgspec.Struct, frozen=True):
    """One fault at one boundary, written KIND@N."""

    kind: str
    at: int

    def __str__(self) -> str:
        return f"{self.kind}@{self.at}"


class Struck(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one point; `why` is empty when it was recovered."""

    point: str
    why: str = ""
    repeated: int = 0
    by_hand: tuple[str, ...] = ()


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A point that was not recovered: where it is, what came out otherwise, and
    the command that repeats just this one."""

    point: str
    boundary: str
    why: str
    repeated_effects: int
    repeat: str


class Tally(msgspec.Struct, kw_only=True):
    """The points of one kind."""

    points: int = 0
    recovered: int = 0


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The report's digest and the note that signs it.

    `event` is the number of the event that records the digest, None where
    nothing is kept; `key` the public half of the key that signed.
    """

    digest: str
    note: str
    key: str
    event: int | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a workflow withstood.

    `events` is the length of the undisturbed run, which ended `status`;
    `made_up` names reads that had to be answered from their schema, `by_hand`
    effects that a person had to see to because they cannot be asked about.
    """

    workflow: str
    definition: str
    input_digest: str
    run: str | None
    status: str
    events: int
    effects: int
    every_event: bool
    seed: str
    points: int
    recovered: int
    repeated_effects: int
    kinds: dict[str, Tally]
    failures: list[Failure]
    made_up: list[str]
    by_hand: list[str]
    policy: str
    registry: str
    receipt: Receipt | None = None

    @property
    def exit_code(self) -> int:
        """0 only when every point was recovered and nothing was repeated."""
        return 0 if self.recovered == self.points and not self.repeated_effects else 1


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt that holds: what it says, who signed it, where it is kept."""

    workflow: str
    points: int
    recovered: int
    repeated_effects: int
    digest: str
    key: str
    event: int | None
    recorded: bool


class Workers(Protocol):
    """Does pieces of work side by side."""

    def count(self) -> int:
        """Return how many can be done at once."""
        ...

    def each(
        self, work: Callable[[Any], Awaitable[bytes]], items: Sequence[Any], workers: int
    ) -> AsyncIterator[bytes]:
        """Yield the result of each piece of work as it comes, in no order."""
        ...


class NothingToDoError(MissingError):
    """There is neither a recorded run nor an input to rehearse."""

    code = "chaos.input"


class PointInvalidError(InvalidError):
    """There is no such point in this run."""

    code = "chaos.point"


class CalmFailedError(InvalidError):
    """The undisturbed run does not come to an end, or not twice to the same."""

    code = "chaos.calm"


class ReceiptError(IntegrityError):
    """The receipt does not fit the report, the signature or the log."""

    code = "chaos.receipt"
