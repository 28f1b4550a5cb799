"""Actions on schedules: what is due next, and watching so that it starts."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.ports import Clock, EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.control.manifests import KIND, StoredManifests
from agentsquad.runtime.control.resource import listed
from agentsquad.runtime.control.schedule import Due, Schedule, due, next_due
from agentsquad.runtime.engine.contract import Engine

LOOK_MS = 1000  # how often schedules are looked at


class ScheduleLine(msgspec.Struct, kw_only=True):
    """A schedule and when it is due next."""

    workflow: str
    cron: str
    timezone: str
    next: str | None


class ScheduleList(msgspec.Struct):
    """All schedules."""

    items: list[ScheduleLine]


class ListInput(msgspec.Struct):
    """Nothing to say."""


@action("schedules.list", effect=Effect.READ, cli=("schedule", "list"))
async def list_schedules(ctx: Context, value: ListInput) -> ScheduleList:
    """List workflows that start by themselves and when each is due next."""
    lines = []
    for schedule in await schedules(ctx):
        following = next_due(schedule, ctx.now_ms())
        lines.append(
            ScheduleLine(
                workflow=schedule.workflow,
                cron=schedule.cron,
                timezone=schedule.timezone,
                next=following.at if following else None,
            )
        )
    return ScheduleList(lines)


class WatchInput(msgspec.Struct, kw_only=True):
    """How long to watch."""

    seconds: Annotated[
        int | None, Meta(description="stop after this many seconds; without it never")
    ] = None
    since: Annotated[
        int | None,
        Meta(description="also run what became due in the seconds before now", examples=[3600]),
    ] = None


class Started(msgspec.Struct, kw_only=True):
    """One run that a schedule started."""

    workflow: str
    due: str
    run: str
    skipped: int


class Watched(msgspec.Struct):
    """What was started while watching."""

    items: list[Started]


@action(
    "schedules.run",
    effect=Effect.WRITE,
    cli=("schedule", "run"),
    examples=("squad schedule run", "squad schedule run --seconds 60"),
)
async def run_schedules(ctx: Context, value: WatchInput) -> Watched:
    """Start workflows when they are due, and drive open runs meanwhile.

    A due time starts one run, also after a crash and beside other processes.
    """
    clock = ctx.port(Clock)  # type: ignore[type-abstract]
    engine = ctx.port(Engine)  # type: ignore[type-abstract]
    await engine.recover(wait=False)
    begun = clock.monotonic_ms()
    seen = ctx.now_ms() - 1000 * (value.since or 0)
    started: list[Started] = []
    while True:
        now = ctx.now_ms()
        for one in due(await schedules(ctx), seen, now):
            started.append(await start_due(ctx, engine, one))
            ctx.progress(f"started {one.key}")
        seen = max(seen, now)
        if value.seconds is not None and clock.monotonic_ms() - begun >= value.seconds * 1000:
            return Watched(started)
        await clock.sleep_ms(LOOK_MS)


async def start_due(ctx: Context, engine: Engine, one: Due) -> Started:
    """Start the run of one due time; the same due time gives the same run."""
    value = {"scheduled": one.at}
    name = one.workflow
    if name not in ctx.port(Registry).workflows:
        wrapped = await StoredManifests(ctx.port(EventStore)).wrap(name, value)  # type: ignore[type-abstract]
        if wrapped is not None:
            name, value = wrapped
    run = await engine.start(name, value, key=one.key, actor=f"schedule:{one.workflow}")
    return Started(workflow=one.workflow, due=one.at, run=run, skipped=one.skipped)


async def schedules(ctx: Context) -> list[Schedule]:
    """Return the schedules of installed workflows and of applied manifests."""
    found = [
        Schedule(workflow=name, cron=installed.schedule)
        for name, installed in ctx.port(Registry).workflows.items()
        if installed.schedule
    ]
    for resource in await listed(ctx.port(EventStore), KIND):  # type: ignore[type-abstract]
        spec = resource["spec"]
        if spec.get("schedule"):
            found.append(
                Schedule(
                    workflow=resource["metadata"]["name"],
                    cron=spec["schedule"],
                    timezone=spec.get("timezone", "UTC"),
                )
            )
    return found
