"""Actions on schedules: what is due next, watching so that it starts, and what
people do to a schedule by hand."""

from __future__ import annotations

import datetime
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import ConflictError, InvalidError, MissingError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.ports import Clock, EventStore
from agentsquad.kernel.registry import nearest
from agentsquad.runtime.control.manifests import KIND, StoredManifests
from agentsquad.runtime.control.messages import Desk
from agentsquad.runtime.control.quantity import duration_ms
from agentsquad.runtime.control.resource import listed
from agentsquad.runtime.control.schedule import (
    STREAM,
    Due,
    Past,
    Plan,
    Schedule,
    between,
    fold,
    next_due,
    plan,
)
from agentsquad.runtime.engine.contract import Cron, Engine
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.state import ENDED
from agentsquad.runtime.engine.versions import versions_of

LOOK_MS = 1000  # how often schedules are looked at
BACKFILL_MAX = 10_000
Name = Annotated[str, Meta(description="a workflow with a schedule", examples=["check-files"])]
Reason = Annotated[str, Meta(description="why, for the log", examples=["audit week"])]


class ScheduleLine(msgspec.Struct, kw_only=True):
    """A schedule, when it is due next and which due time it last started."""

    workflow: str
    cron: str
    timezone: str
    next: str | None
    last: str = ""
    run: str = ""
    missed: str = "last"
    overlap: str = "allow"
    paused: str = ""


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
        past = await Book(ctx).past(schedule.workflow)
        lines.append(
            ScheduleLine(
                workflow=schedule.workflow,
                cron=schedule.cron,
                timezone=schedule.timezone,
                next=following.at if following else None,
                last=past.due,
                run=past.run,
                missed=schedule.missed,
                overlap=schedule.overlap,
                paused=past.reason or "yes" if past.paused else "",
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
        Meta(
            description="of schedules that nobody ever watched, also run what became due in the "
            "seconds before now",
            examples=[3600],
        ),
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
    local="it watches schedules until told to end; a server does so already",
)
async def run_schedules(ctx: Context, value: WatchInput) -> Watched:
    """Start workflows when they are due or a message starts them, and drive
    open runs meanwhile.

    A due time starts one run, also after a crash and beside other processes.
    What became due while nobody watched is made up for as the schedule says.
    """
    clock = ctx.port(Clock)  # type: ignore[type-abstract]
    engine = ctx.port(Engine)  # type: ignore[type-abstract]
    await engine.recover(wait=False)
    begun, book, desk = clock.monotonic_ms(), Book(ctx), Desk(ctx)
    first = ctx.now_ms() - 1000 * (value.since or 0)
    started: list[Started] = []
    while True:
        for schedule in await schedules(ctx):
            for one in await look(ctx, engine, book, schedule, first):
                started.append(one)
                ctx.progress(f"started {one.workflow}@{one.due}")
        await desk.deliver()
        if value.seconds is not None and clock.monotonic_ms() - begun >= value.seconds * 1000:
            return Watched(started)
        await clock.sleep_ms(LOOK_MS)


async def look(
    ctx: Context, engine: Any, book: Book, schedule: Schedule, first_ms: int
) -> list[Started]:
    """Do what is due about one schedule now."""
    name = schedule.workflow
    past = await book.past(name)
    if past.seen_ms is None:
        past = await book.write(name, past, "schedule.watched", {"seen_ms": first_ms})
    if past.paused or past.seen_ms is None:
        return []
    busy = past.run != "" and await is_open(engine, past.run)
    planned: Plan = plan(schedule, past.seen_ms, ctx.now_ms(), busy=busy)
    if planned.seen_ms is not None:
        body = {
            "seen_ms": planned.seen_ms, "count": planned.left_out, "because": planned.because
        }  # fmt: skip
        past = await book.write(name, past, "schedule.skipped", body)
    if planned.starts and busy and schedule.overlap == "cancel":
        why = f"{planned.starts[-1].key} is due"
        with suppress(ConflictError, MissingError):  # it has ended meanwhile
            await engine.cancel(past.run, actor=f"schedule:{name}", reason=why)
    started = []
    for one in planned.starts:
        run = await start_due(ctx, engine, one)
        started.append(run)
        body = {"seen_ms": one.at_ms, "due": one.at, "run": run.run, "skipped": one.skipped}
        past = await book.write(name, past, "schedule.started", body)
    return started


async def is_open(engine: Any, run: str) -> bool:
    """Whether a run has not ended."""
    try:
        return (await engine.outcome(run)).status not in ENDED
    except MissingError:
        return False


async def start_due(ctx: Context, engine: Any, one: Due) -> Started:
    """Start the run of one due time; the same due time gives the same run."""
    value: Any = {"scheduled": one.at}
    name = one.workflow
    if not versions_of(ctx.port(World)).offers(name):
        wrapped = await StoredManifests(ctx.port(EventStore)).wrap(name, value)  # type: ignore[type-abstract]
        if wrapped is not None:
            name, value = wrapped
    run = await engine.start(name, value, key=one.key, actor=f"schedule:{one.workflow}")
    return Started(workflow=one.workflow, due=one.at, run=run, skipped=one.skipped)


class Book:
    """What is known of schedules, kept up with their streams."""

    def __init__(self, ctx: Context) -> None:
        self._store = ctx.port(EventStore)  # type: ignore[type-abstract]
        self._actor = str(ctx.actor)
        self._known: dict[str, Past] = {}

    async def past(self, workflow: str) -> Past:
        """Return what is known of a schedule."""
        past = self._known.get(workflow, Past())
        events = await self._store.read_stream(STREAM + workflow, after=past.version)
        self._known[workflow] = past = fold(past, events)
        return past

    async def write(self, workflow: str, past: Past, kind: str, body: dict[str, Any]) -> Past:
        """Write what was done; if somebody wrote first, that counts."""
        stream = STREAM + workflow
        event = NewEvent(
            stream=stream, type=kind, payload={"workflow": workflow, **body}, actor=self._actor
        )
        with suppress(ConflictError):  # another watches too, and started the same run
            await self._store.append([event], expect={stream: past.version})
        return await self.past(workflow)


# --- by hand


class TurnInput(msgspec.Struct, kw_only=True):
    """Which schedule, and why."""

    workflow: Name
    reason: Reason


class Turned(msgspec.Struct, kw_only=True):
    """How the schedule stands now."""

    workflow: str
    paused: bool
    reason: str = ""


@action(
    "schedules.pause",
    effect=Effect.WRITE,
    cli=("schedule", "pause"),
    positional=("workflow",),
    examples=("squad schedule pause check-files --reason 'audit week'",),
)
async def pause_schedule(ctx: Context, value: TurnInput) -> Turned:
    """Start nothing by this schedule until it is continued."""
    await one_of(ctx, value.workflow)
    book = Book(ctx)
    past = await book.past(value.workflow)
    past = await book.write(value.workflow, past, "schedule.paused", {"reason": value.reason})
    return Turned(workflow=value.workflow, paused=past.paused, reason=past.reason)


@action(
    "schedules.continue",
    effect=Effect.WRITE,
    cli=("schedule", "continue"),
    positional=("workflow",),
    examples=("squad schedule continue check-files --reason 'audit is over'",),
)
async def continue_schedule(ctx: Context, value: TurnInput) -> Turned:
    """Let a paused schedule start runs again, from now on.

    What became due in the pause is not made up for; `squad schedule backfill`
    does that.
    """
    await one_of(ctx, value.workflow)
    book = Book(ctx)
    past = await book.past(value.workflow)
    body = {"reason": value.reason, "seen_ms": ctx.now_ms()}
    past = await book.write(value.workflow, past, "schedule.continued", body)
    return Turned(workflow=value.workflow, paused=past.paused, reason=past.reason)


class BackfillInput(msgspec.Struct, kw_only=True):
    """Which due times of which schedule."""

    workflow: Name
    since: Annotated[
        str, Meta(description="the first moment, UTC", examples=["2026-01-01T00:00:00Z"])
    ]
    until: Annotated[str | None, Meta(description="the last moment, UTC; now if absent")] = None


@action(
    "schedules.backfill",
    effect=Effect.WRITE,
    cli=("schedule", "backfill"),
    positional=("workflow",),
    examples=("squad schedule backfill check-files --since 2026-01-01T00:00:00Z",),
)
async def backfill(ctx: Context, value: BackfillInput) -> Watched:
    """Start a run for each due time of a past span that has none yet.

    A due time that had its run keeps that one: nothing is done twice.
    """
    schedule = await one_of(ctx, value.workflow)
    since = instant(value.since)
    until = ctx.now_ms() if value.until is None else instant(value.until)
    times = []
    for one in between(schedule, since - 1, min(until, ctx.now_ms())):
        times.append(one)
        if len(times) > BACKFILL_MAX:
            raise InvalidError(
                f"more than {BACKFILL_MAX} due times in this span",
                code="schedule.backfill",
                hint="choose a shorter one",
            )
    engine = ctx.port(Engine)  # type: ignore[type-abstract]
    started = []
    for number, one in enumerate(times, start=1):
        started.append(await start_due(ctx, engine, one))
        ctx.progress(f"started {one.key}", done=number, total=len(times))
    return Watched(started)


def instant(text: str) -> int:
    """Return milliseconds of an ISO 8601 moment; UTC if it names no zone."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidError(
            f"{text!r} is not a moment", code="schedule.moment", hint="e.g. 2026-01-01T06:00:00Z"
        ) from error
    if found.tzinfo is None:
        found = found.replace(tzinfo=datetime.UTC)
    return int(found.timestamp() * 1000)


async def one_of(ctx: Context, name: str) -> Schedule:
    """Return the schedule of a workflow; MissingError names the nearest."""
    known = {one.workflow: one for one in await schedules(ctx)}
    if name not in known:
        raise MissingError(
            f"no workflow named {name!r} has a schedule",
            code="schedule.missing",
            hint=nearest(name, list(known)) or "squad schedule list",
        )
    return known[name]


async def schedules(ctx: Context) -> list[Schedule]:
    """Return the schedules of installed and deployed workflows, and of applied
    manifests."""
    found = [
        _installed(name, installed.schedule)
        for name, installed in (await versions_of(ctx.port(World)).workflows()).items()
        if installed.schedule
    ]
    for resource in await listed(ctx.port(EventStore), KIND):  # type: ignore[type-abstract]
        spec = resource["spec"]
        if spec.get("schedule"):
            policy = spec.get("schedulePolicy") or {}
            found.append(
                Schedule(
                    workflow=resource["metadata"]["name"],
                    cron=spec["schedule"],
                    timezone=spec.get("timezone", "UTC"),
                    missed=policy.get("missed", "last"),
                    within_ms=duration_ms(policy.get("within", "1d")),
                    overlap=policy.get("overlap", "allow"),
                )
            )
    return found


def _installed(name: str, cron: str | Cron) -> Schedule:
    if isinstance(cron, str):
        return Schedule(workflow=name, cron=cron)
    return Schedule(
        workflow=name,
        cron=cron.cron,
        timezone=cron.timezone,
        missed=cron.missed,
        within_ms=cron.within_ms,
        overlap=cron.overlap,
    )
