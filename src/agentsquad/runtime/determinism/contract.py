"""What others may know of replay and fork: verdicts, reports and what may be
changed."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import msgspec

from agentsquad.kernel.errors import ConflictError, DeniedError, InvalidError

Verdict = Literal["identical", "compatible", "diverged", "not_replayable"]


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found.

    `identical`: same definition, same commands, same results. `compatible`: the
    definition changed, the commands and results did not. `diverged`: at
    `event`, in `field`. `not_replayable`: the recording lacks something.
    `digest` covers the verdict and the head of what was replayed; `signature`
    is over it when the store has a key.
    """

    run: str
    verdict: Verdict
    events: int
    event: int | None = None
    field: str | None = None
    was: Any = None
    now: Any = None
    reason: str | None = None
    position: str | None = None
    children: list[Replay] = []
    recomputed: int = 0
    definition: str = ""
    recorded_definition: str = ""

    @property
    def exit_code(self) -> int:
        """0 when nothing differs, 1 otherwise."""
        return 0 if self.verdict in ("identical", "compatible") else 1


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a fork does differently.

    `path` is "input/…" for the run's input, "POSITION/…" for the output of a
    step, as a JSON Pointer without the leading slash. `text` is how the value
    was typed.
    """

    path: str
    value: Any
    text: str | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One step that came out differently, or was only in one of the two."""

    run: str
    position: str
    name: str
    what: Literal["output", "new", "gone", "input", "suppressed", "approval", "assumed"]
    field: str | None = None
    was: Any = None
    now: Any = None


class Fork(msgspec.Struct, frozen=True, kw_only=True):
    """What would have happened."""

    run: str
    changes: list[Change]
    status: str
    was_status: str
    output: Any
    was_output: Any
    output_changed: bool
    reused: int
    rerun: int
    suppressed: list[Difference]
    differences: list[Difference]
    decisions: list[Difference]
    money: dict[str, dict[str, str]]
    error: Any = None


class ForkStuckError(ConflictError):
    """The fork came to a step whose result cannot be known without doing it."""

    code = "fork.stuck"


class ChangeInvalidError(InvalidError):
    """The change names nothing in this run."""

    code = "fork.change"


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """The test that was made of a run.

    `personal` says what became of values about people: none, stand-ins or
    included. `decides` whether it also asks policy again. `out` is the file it
    was written to.
    """

    run: str
    workflow: str
    events: int
    verdict: str
    personal: str
    decides: bool
    text: str
    out: str | None = None


class ExportedFiles(Protocol):
    """Where exported tests are written."""

    def write(self, path: str, text: str) -> None:
        """Write a file whole, over the one that is there."""
        ...


class ExportPersonalError(DeniedError):
    """The run cannot be exported without values about people."""

    code = "export.personal"


class ExportIncompleteError(ConflictError):
    """The recording lacks something, so that a test made of it would fail."""

    code = "export.incomplete"
