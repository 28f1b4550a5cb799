"""The action of consistency checks.

The search is imported when the action runs, so that listing actions stays
quick.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.ports import Clock
from agentsquad.operations.consistency.contract import HistoryFile, ModelName, Witness

EXIT_CODES = {True: 0, False: 1, None: 10}


class CheckInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which history to check, against what, and how long."""

    history: Annotated[
        str,
        Meta(
            description="path of a file with one event a line",
            min_length=1,
            examples=["history.jsonl"],
        ),
    ]
    model: Annotated[
        ModelName,
        Meta(
            description="register: read, write and cas of a value that begins as null; "
            'kv: get, put and append of texts that begin as ""'
        ),
    ] = "register"
    timeout_ms: Annotated[
        int, Meta(description="give up after so many milliseconds of search", ge=1)
    ] = 60_000
    steps: Annotated[
        int, Meta(description="give up after so many steps of search; 0 for no such bound", ge=0)
    ] = 0
    witness: Annotated[
        int, Meta(description="how many operations of the order found to print at most", ge=0)
    ] = 1_000


class CheckOutput(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there is an order of the operations that explains what each of
    them returned.

    `linearizable` is null when a bound was reached first (`bound`). `witness`
    shows that the answer is right: for true one order for each key, cut at the
    number asked for; for false the first operation that cannot be placed, the
    values it could have met, and why; for null the keys not decided.
    """

    linearizable: bool | None
    witness: Witness
    model: str
    events: int
    operations: int
    failed: int
    unknown: int
    keys: int
    steps: int
    elapsed_ms: float
    bound: str | None = None

    @property
    def exit_code(self) -> int:
        """0 when linearizable, 1 when not, 10 when a bound was reached."""
        return EXIT_CODES[self.linearizable]


@action(
    "consistency.check",
    effect=Effect.READ,
    cli=("consistency", "check"),
    positional=("history",),
    examples=(
        "squad consistency check history.jsonl",
        "squad consistency check history.jsonl --model kv -o json",
    ),
    files={"history": "in"},
)
def check(ctx: Context, value: CheckInput) -> CheckOutput:
    """Check whether a recorded history is linearizable.

    Linearizable means: as if there were one copy of the data, and each
    operation happened at one moment between its call and its return. Each line
    of the file is an event {"process", "type", "f", "key", "value", "time"}:
    `type` is invoke, ok, fail (it had no effect) or info (it may take effect
    at any later time, or never); `f` is read, write, cas ([from, to]), or get,
    put, append; an ok read carries the value it returned. Keys are checked
    apart. The exit code is 0 when linearizable, 1 when not, 10 when a bound
    was reached before it was known, 2 when the file is not a history.
    """
    from agentsquad.operations.consistency.history import Recorder
    from agentsquad.operations.consistency.verdict import Bounds, judge

    recorder = Recorder(value.history, value.model)
    told = 0
    reader = ctx.port(HistoryFile)  # type: ignore[type-abstract]
    for line, percent in reader.lines(value.history):
        recorder.take(line)
        if percent >= told + 5:
            told = percent
            ctx.progress("reading", done=percent, total=100)
    history = recorder.history()
    clock = ctx.port(Clock)  # type: ignore[type-abstract]
    bounds = Bounds(clock.monotonic_ms, value.timeout_ms, value.steps)
    found = judge(
        history,
        bounds,
        lambda done, total: ctx.progress("checking keys", done=done, total=total),
    )
    return CheckOutput(
        linearizable=found.linearizable,
        witness=found.witness(value.witness),
        model=value.model,
        events=history.events,
        operations=len(history.operations),
        failed=history.failed,
        unknown=history.unknown,
        keys=found.keys,
        steps=found.steps,
        elapsed_ms=round(bounds.elapsed_ms, 3),
        bound=found.bound,
    )
