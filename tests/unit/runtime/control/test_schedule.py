"""Schedules: due times in their zone, each once, the last of many missed
ones."""

from __future__ import annotations

import asyncio
import datetime

import pytest

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.control.schedule import Schedule, due, next_due
from agentsquad.runtime.control.schedules import WatchInput, list_schedules, run_schedules
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad


def ms(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp() * 1000)


def test_six_hourly_is_due_at_the_next_sixth_hour():
    found = next_due(Schedule(workflow="w", cron="0 */6 * * *"), ms("2026-01-01T05:59:59Z"))
    assert found.key == "w@2026-01-01T06:00:00Z"


def test_a_zone_moves_with_its_summer_time():
    berlin = Schedule(workflow="w", cron="0 8 * * *", timezone="Europe/Berlin")
    assert next_due(berlin, ms("2026-01-10T00:00:00Z")).at == "2026-01-10T07:00:00Z"
    assert next_due(berlin, ms("2026-07-10T00:00:00Z")).at == "2026-07-10T06:00:00Z"


def test_of_missed_due_times_only_the_last_is_run():
    hourly = Schedule(workflow="w", cron="0 * * * *")
    (one,) = due([hourly], ms("2026-01-01T00:30:00Z"), ms("2026-01-01T05:30:00Z"))
    assert (one.at, one.skipped) == ("2026-01-01T05:00:00Z", 4)
    assert due([hourly], ms("2026-01-01T05:00:00Z"), ms("2026-01-01T05:30:00Z")) == []


@pytest.mark.parametrize(
    ("cron", "zone", "code"),
    [("every day", "UTC", "schedule.cron"), ("0 0 * * *", "Mars/Base", "schedule.timezone")],
)
def test_what_cannot_be_read_is_refused(cron, zone, code):
    with pytest.raises(InvalidError) as caught:
        next_due(Schedule(workflow="w", cron=cron, timezone=zone), 0)
    assert caught.value.code == code


@workflow("tick", schedule="* * * * *")
async def tick(ctx, value: dict) -> dict:
    return value


async def test_watching_starts_each_due_time_once():
    s = TestSquad(Plugin(name="t", actions=(list_schedules, run_schedules), workflows=(tick,)))

    async def watch(seconds: int) -> list:
        call = s.engine.invoke(
            "schedules.run", WatchInput(seconds=seconds, since=120), actor=Actor("person", "ada")
        )
        task = asyncio.ensure_future(call)
        await s.clock.advance(1000 * seconds + 2000)
        return (await task).items

    first = await watch(100)
    again = await watch(1)
    assert [one.skipped for one in first] == [1, 0]
    assert again[0].run == first[-1].run
    runs = {one.run for one in first}
    outcomes = [await s.engine.outcome(run) for run in runs]
    assert {one.status for one in outcomes} == {"completed"}
