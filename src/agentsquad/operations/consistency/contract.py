"""What others may know of consistency checks: operations, what shows that a
verdict is right, ports and errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Protocol

import msgspec

from agentsquad.kernel.errors import InvalidError, MissingError

ModelName = Literal["register", "kv"]
Scalar = int | str


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One call from its beginning to what is known of its end.

    `value` is what was written, `[from, to]` of a `cas`, or what a read
    returned. `begin` and `end` are places in the history, counted in events
    from 0; `end` is None when nobody knows whether it took effect (`info`, or
    the history stops before it returned). `line` and `line_end` are lines of
    the file, 0 when there is none.
    """

    process: Scalar
    f: str
    key: Scalar | None
    value: Any
    begin: int
    end: int | None
    line: int = 0
    line_end: int = 0


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a file says, in the order in which it began.

    Operations that certainly had no effect (`fail`) say nothing and are only
    counted.
    """

    model: ModelName
    operations: list[Operation]
    events: int
    failed: int

    @property
    def unknown(self) -> int:
        """How many operations may or may not have taken effect."""
        return sum(one.end is None for one in self.operations)


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """One operation in an order, and the value after it."""

    line: int
    process: Scalar
    f: str
    value: Any
    after: Any


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order in which the operations on a key can have taken effect.

    Operations nobody knows the end of are in it only where they are needed.
    """

    key: Scalar | None
    operations: list[Placed]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a key is not linearizable.

    Everything that returned before `operation` can be put in order (`placed`
    operations), and with it nothing can. `possible` are the values it could
    have met, an example where `possible_all` is false; `concurrent` is what was
    going on at the same time, `before` the end of one order without it. Not
    `exact`: bounds were reached, and an earlier operation may be the first.
    """

    key: Scalar | None
    because: str
    operation: Operation
    placed: int
    possible: list[Any]
    possible_all: bool
    concurrent: list[Operation]
    before: list[Placed]
    exact: bool


class Witness(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What shows that a verdict is right.

    When linearizable: an order for each key, `shown` of `placed` operations.
    When not: `failure`. When not known: the `undecided` keys.
    """

    orders: list[Order] = []
    placed: int = 0
    shown: int = 0
    failure: Explanation | None = None
    undecided: list[Scalar | None] = []


class HistoryFile(Protocol):
    """Gives the lines of a file the user names."""

    def lines(self, path: str) -> Iterator[tuple[bytes, int]]:
        """Yield each line, and how many percent of the file have been read.

        Raises HistoryUnreadableError if it is not there or not readable.
        """
        ...


class HistoryUnreadableError(MissingError):
    """The history cannot be read."""

    code = "consistency.file"


class HistoryJsonError(InvalidError):
    """A line of the history is not JSON."""

    code = "consistency.json"


class HistoryEventError(InvalidError):
    """A line of the history is not an event of an operation."""

    code = "consistency.event"


class HistoryOrderError(InvalidError):
    """The events of the history cannot have happened in this order."""

    code = "consistency.order"


class HistoryModelError(InvalidError):
    """An operation does not belong to the model it is checked against."""

    code = "consistency.model"


class HistoryEmptyError(InvalidError):
    """The history has no events."""

    code = "consistency.empty"
