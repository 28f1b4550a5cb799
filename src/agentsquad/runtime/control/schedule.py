"""Schedules: when a workflow with a cron expression is due, and what is done
about due times that were missed or come too early, as pure functions.

A due time names its run ("workflow@2026-01-01T06:00:00Z" is the run's key), so
a due time starts one run, however often and in how many processes it is seen.
What was done about due times is in the stream `schedule/<workflow>`, so that
whoever watches next knows which ones nobody has looked at yet.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.event import Event

STREAM = "schedule/"
GRACE_MS = 60_000  # later than this a due time counts as missed
CATCH_UP_MAX = 1_000  # due times that are made up for at once
DAY_MS = 86_400_000

Missed = Literal["last", "all", "skip"]
Overlap = Literal["allow", "skip", "queue", "cancel"]


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow, its cron expression and the zone the expression is in.

    `missed` says which due times are made up for that nobody saw, none older
    than `within_ms`; `overlap` what happens when the run before is still open.
    """

    workflow: str
    cron: str
    timezone: str = "UTC"
    missed: Missed = "last"
    within_ms: int = DAY_MS
    overlap: Overlap = "allow"


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """One due time; `skipped` due times before it were missed and are not
    run."""

    workflow: str
    at: str
    at_ms: int
    skipped: int = 0

    @property
    def key(self) -> str:
        """The key of the run it starts."""
        return f"{self.workflow}@{self.at}"


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a schedule: up to when due times were dealt with, the
    last run it started, and whether it is paused."""

    seen_ms: int | None = None
    run: str = ""
    due: str = ""
    paused: bool = False
    reason: str = ""
    version: int = 0


def fold(past: Past, events: Iterable[Event]) -> Past:
    """Return what is known after some events of the schedule's stream."""
    for event in events:
        body = event.payload or {}
        known: dict[str, object] = {"version": event.stream_seq}
        if event.type == "schedule.paused":
            known |= {"paused": True, "reason": body["reason"]}
        elif event.type == "schedule.continued":
            known |= {"paused": False, "reason": "", "seen_ms": body["seen_ms"]}
        else:
            known["seen_ms"] = max(past.seen_ms or 0, body["seen_ms"])
            if event.type == "schedule.started":
                known |= {"run": body["run"], "due": body["due"]}
        past = msgspec.structs.replace(past, **known)
    return past


def next_due(schedule: Schedule, after_ms: int) -> Due | None:
    """Return the first due time after an instant; None if there never is
    one."""
    return next(due_after(schedule, after_ms), None)


def due_after(schedule: Schedule, after_ms: int) -> Iterator[Due]:
    """Yield the due times after an instant, oldest first."""
    from cronsim import CronSim, CronSimError

    start = datetime.datetime.fromtimestamp(after_ms / 1000, _zone(schedule.timezone))
    try:
        times = CronSim(schedule.cron, start)
    except CronSimError as error:
        raise InvalidError(
            f"{schedule.cron!r} is not a cron expression",
            code="schedule.cron",
            hint='five fields, e.g. "0 */6 * * *"',
        ) from error
    for found in times:
        at = found.astimezone(datetime.UTC)
        yield Due(
            workflow=schedule.workflow,
            at=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            at_ms=int(at.timestamp() * 1000),
        )


def between(schedule: Schedule, after_ms: int, until_ms: int) -> Iterator[Due]:
    """Yield what became due in (after, until], oldest first."""
    for one in due_after(schedule, after_ms):
        if one.at_ms > until_ms:
            return
        yield one


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is done now: runs to start, oldest first, and up to when all other
    due times count as dealt with, if any were left out (`because`)."""

    starts: tuple[Due, ...] = ()
    left_out: int = 0
    because: str = ""
    seen_ms: int | None = None


def plan(schedule: Schedule, seen_ms: int, now_ms: int, *, busy: bool) -> Plan:
    """Say what is done about everything that became due in (seen, now]; `busy`
    while the run before is open."""
    horizon = max(seen_ms, now_ms - schedule.within_ms)
    waiting = list(islice(between(schedule, horizon, now_ms), CATCH_UP_MAX * 2))
    if not waiting:
        return Plan()
    last = waiting[-1].at_ms
    if schedule.missed == "skip":
        kept = [one for one in waiting if one.at_ms > now_ms - GRACE_MS]
        if not kept:
            return Plan(left_out=len(waiting), because="missed", seen_ms=last)
        waiting = [msgspec.structs.replace(kept[0], skipped=len(waiting) - len(kept)), *kept[1:]]
    elif schedule.missed == "last":
        waiting = [msgspec.structs.replace(waiting[-1], skipped=len(waiting) - 1)]
    if busy and schedule.overlap == "skip":
        return Plan(left_out=len(waiting), because="overlap", seen_ms=last)
    if schedule.overlap == "queue":
        return Plan() if busy else Plan(starts=(waiting[0],))
    if schedule.overlap in ("skip", "cancel"):
        return Plan(starts=(msgspec.structs.replace(waiting[-1], skipped=len(waiting) - 1),))
    return Plan(starts=tuple(waiting[:CATCH_UP_MAX]))


def _zone(name: str) -> datetime.tzinfo:
    if name == "UTC":
        return datetime.UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidError(
            f"no time zone {name!r}", code="schedule.timezone", hint="e.g. Europe/Berlin"
        ) from error
