"""Status: how much the engine of a store has to do, seen from any process.

Apart from the other actions because it asks nothing of the log: it must answer
while the log is what everybody waits for.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.runtime.resilience.admission import Admission
from agentsquad.runtime.resilience.contract import Board


class StatusInput(msgspec.Struct, kw_only=True):
    """Nothing to ask."""


class EngineStatus(msgspec.Struct, kw_only=True):
    """How the engine of this store stands.

    `running` says whether a process drives its runs now. `limit` is how many
    runs may be at work at once, as learned from `delay_ms`, the shortest time
    a new run last waited for the log. `waiting` starts wait for their turn,
    `starts_s` are begun in a second, `refused` were told to come again.
    `overloaded` means that more come than can be begun.
    """

    running: bool
    at_work: int = 0
    limit: int = 0
    waiting: int = 0
    delay_ms: float = 0.0
    starts_s: float = 0.0
    admitted: int = 0
    refused: int = 0
    overloaded: bool = False
    seen: str | None = None


@action(
    "engine.status",
    effect=Effect.READ,
    cli=("engine", "status"),
    examples=("squad engine status",),
)
async def status(ctx: Context, value: StatusInput) -> EngineStatus:
    """Show how much the engine has to do, and how many starts it refused."""
    admission: Admission = ctx.port(Admission)
    load = admission.load() if admission.bound else ctx.port(Board).read()  # type: ignore[type-abstract]
    if load is None:
        return EngineStatus(running=False)
    seen = datetime.fromtimestamp(load.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return EngineStatus(
        running=True,
        at_work=load.at_work,
        limit=load.limit,
        waiting=load.waiting,
        delay_ms=load.delay_ms,
        starts_s=load.starts_s,
        admitted=load.admitted,
        refused=load.refused,
        overloaded=load.overloaded,
        seen=seen,
    )
