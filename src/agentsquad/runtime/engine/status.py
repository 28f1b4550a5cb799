"""Status: how much the engine of a store has to do, seen from any process, and
serving a store until told to end.

Apart from the other actions because status asks nothing of the log: it must
answer while the log is what everybody waits for.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.ids import rfc3339
from agentsquad.kernel.ports import Clock
from agentsquad.runtime.engine.contract import Engine, Several, Stopping
from agentsquad.runtime.engine.shared import SharedEngine
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.tenure import Tenure
from agentsquad.runtime.resilience.admission import Admission
from agentsquad.runtime.resilience.contract import Board


class StatusInput(msgspec.Struct, kw_only=True):
    """Nothing to ask."""


class Process(msgspec.Struct, kw_only=True):
    """A process that serves the store; `seen_s` ago it last said so."""

    host: str
    pid: int
    drives: bool
    since: str
    seen_s: float


class EngineStatus(msgspec.Struct, kw_only=True):
    """How the engine of this store stands.

    `running` says whether a process drives its runs now. `limit` is how many
    runs may be at work at once, as learned from `delay_ms`, the shortest time
    a new run last waited for the log. `waiting` starts wait for their turn,
    `starts_s` are begun in a second, `refused` were told to come again.
    `overloaded` means that more come than can be begun. Of a store that several
    processes serve, `processes` tells who drives and who stands by, and `token`
    how often that changed hands.
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
    token: int | None = None
    processes: list[Process] = []


@action(
    "engine.status",
    effect=Effect.READ,
    cli=("engine", "status"),
    examples=("squad engine status",),
)
async def status(ctx: Context, value: StatusInput) -> EngineStatus:
    """Show how much the engine has to do, and how many starts it refused."""
    admission: Admission = ctx.port(Admission)
    token, processes = _serving(ctx)
    load = admission.load() if admission.bound else ctx.port(Board).read()  # type: ignore[type-abstract]
    if load is None:
        running = any(process.drives for process in processes)
        return EngineStatus(running=running, token=token, processes=processes)
    known = msgspec.structs.asdict(load)
    known.pop("pools", None)  # `squad pools` tells of them
    at_ms = known.pop("at_ms")
    return EngineStatus(
        running=True,
        seen=rfc3339(at_ms),
        token=token,
        processes=processes,
        **known,
    )


def _serving(ctx: Context) -> tuple[int | None, list[Process]]:
    """Return the token and the processes of a store that several may serve."""
    if not ctx.port(Several):
        return None, []
    tenure: Tenure = ctx.port(Ledger).tenure
    found = [
        Process(
            host=one.host,
            pid=one.pid,
            drives=one.leads,
            since=one.since,
            seen_s=round(one.seen_ms / 1000, 1),
        )
        for one in tenure.members()
    ]
    return tenure.standing().token, found


class ServeInput(msgspec.Struct, kw_only=True):
    """How long to serve."""

    seconds: Annotated[
        int | None, Meta(description="end after this time; default: when told to")
    ] = None
    drain_ms: Annotated[
        int, Meta(description="how long calls under way may take to end before it leaves", ge=0)
    ] = 10_000


class Served(msgspec.Struct, kw_only=True):
    """How serving ended: `why` names the signal, or `time`."""

    why: str
    drove: bool
    steps_down: int


@action(
    "engine.run",
    effect=Effect.WRITE,
    cli=("engine", "run"),
    examples=("squad engine run", "squad engine run --seconds 60"),
    local="it serves the store of this machine until told to end; a server does so already",
)
async def serve(ctx: Context, value: ServeInput) -> Served:
    """Drive the store's runs until told to end; stand by while another process
    does.

    Several may serve a store in PostgreSQL: one drives, the others take over
    when it ends or is lost. SIGTERM and SIGINT end it: calls under way may end,
    then the next process takes over.
    """
    engine: Any = ctx.port(Engine)  # type: ignore[type-abstract]
    clock = ctx.port(Clock)  # type: ignore[type-abstract]
    if isinstance(engine, SharedEngine):
        engine.say = ctx.progress
    told = asyncio.ensure_future(ctx.port(Stopping).told())  # type: ignore[type-abstract]
    await asyncio.sleep(0)
    await engine.recover(wait=False)
    shared = isinstance(engine, SharedEngine)
    if shared and not engine.driving:
        ctx.progress("standing by")
    until: set[asyncio.Future[Any]] = {told}
    if value.seconds is not None:
        until.add(asyncio.ensure_future(clock.sleep_ms(value.seconds * 1000)))
    try:
        await asyncio.wait(until, return_when=asyncio.FIRST_COMPLETED)
        why = told.result() if told.done() else "time"
    finally:
        for one in until:
            one.cancel()
    if shared:
        ctx.progress("ending: calls under way may end first")
        await engine.drain(value.drain_ms)
    drove = engine.driving if shared else True
    return Served(why=why, drove=drove, steps_down=engine.steps_down if shared else 0)
