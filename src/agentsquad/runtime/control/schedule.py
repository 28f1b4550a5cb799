"""Schedules: when a workflow with a cron expression is due.

Pure. A due time names its run ("workflow@2026-01-01T06:00:00Z" is the run's
key), so a due time starts one run, however often and in how many processes it
is seen. Of several due times that were missed while nobody watched, only the
last is run.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from zoneinfo import ZoneInfo

import msgspec

from agentsquad.kernel.errors import InvalidError


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow, its cron expression and the zone the expression is in."""

    workflow: str
    cron: str
    timezone: str = "UTC"


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


def next_due(schedule: Schedule, after_ms: int) -> Due | None:
    """Return the first due time after an instant; None if there never is
    one."""
    from cronsim import CronSim, CronSimError

    zone = _zone(schedule.timezone)
    start = datetime.datetime.fromtimestamp(after_ms / 1000, zone)
    try:
        found = next(CronSim(schedule.cron, start))
    except StopIteration:
        return None
    except CronSimError as error:
        raise InvalidError(
            f"{schedule.cron!r} is not a cron expression",
            code="schedule.cron",
            hint='five fields, e.g. "0 */6 * * *"',
        ) from error
    at = found.astimezone(datetime.UTC)
    return Due(
        workflow=schedule.workflow,
        at=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        at_ms=int(at.timestamp() * 1000),
    )


def due(schedules: Iterable[Schedule], after_ms: int, now_ms: int) -> list[Due]:
    """Return what became due in (after, now], one a schedule, oldest first."""
    found = []
    for schedule in schedules:
        last: Due | None = None
        skipped = -1
        following = next_due(schedule, after_ms)
        while following is not None and following.at_ms <= now_ms:
            last, skipped = following, skipped + 1
            following = next_due(schedule, following.at_ms)
        if last is not None:
            found.append(msgspec.structs.replace(last, skipped=skipped))
    return sorted(found, key=lambda one: (one.at_ms, one.workflow))


def _zone(name: str) -> datetime.tzinfo:
    if name == "UTC":
        return datetime.UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidError(
            f"no time zone {name!r}", code="schedule.timezone", hint="e.g. Europe/Berlin"
        ) from error
