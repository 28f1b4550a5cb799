"""Schedules: due times in their zone, each once, the last of many missed
ones."""

from __future__ import annotations

import asyncio
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.control.schedule import Plan, Schedule, next_due, plan
from agentsquad.runtime.control.schedules import (
    BackfillInput,
    TurnInput,
    WatchInput,
    backfill,
    continue_schedule,
    list_schedules,
    pause_schedule,
    run_schedules,
)
from agentsquad.runtime.engine.contract import Cron, workflow
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


def hourly(**policy) -> Schedule:
    return Schedule(workflow="w", cron="0 * * * *", **policy)


FROM, UNTIL = ms("2026-01-01T00:30:00Z"), ms("2026-01-01T05:30:00Z")


def test_of_missed_due_times_only_the_last_is_run():
    (one,) = plan(hourly(), FROM, UNTIL, busy=False).starts
    assert (one.at, one.skipped) == ("2026-01-01T05:00:00Z", 4)
    assert plan(hourly(), ms("2026-01-01T05:00:00Z"), UNTIL, busy=False) == Plan()


def test_all_missed_due_times_are_run_if_wanted_but_none_too_old():
    starts = plan(hourly(missed="all"), FROM, UNTIL, busy=False).starts
    assert [one.at[11:13] for one in starts] == ["01", "02", "03", "04", "05"]
    recent = hourly(missed="all", within_ms=2 * 3_600_000)
    starts = plan(recent, FROM, UNTIL, busy=False).starts
    assert [one.at[11:13] for one in starts] == ["04", "05"]


def test_missed_due_times_are_left_out_if_wanted_but_one_of_just_now_is_run():
    left = plan(hourly(missed="skip"), FROM, UNTIL, busy=False)
    assert (left.starts, left.left_out, left.seen_ms) == ((), 5, ms("2026-01-01T05:00:00Z"))
    (one,) = plan(hourly(missed="skip"), FROM, ms("2026-01-01T05:00:30Z"), busy=False).starts
    assert (one.at, one.skipped) == ("2026-01-01T05:00:00Z", 4)


def test_while_the_run_before_is_open_the_next_begins_or_is_left_out_or_waits_or_replaces_it():
    assert len(plan(hourly(overlap="allow"), FROM, UNTIL, busy=True).starts) == 1
    left = plan(hourly(overlap="skip"), FROM, UNTIL, busy=True)
    assert (left.starts, left.because) == ((), "overlap")
    assert plan(hourly(overlap="queue", missed="all"), FROM, UNTIL, busy=True) == Plan()
    (one,) = plan(hourly(overlap="queue", missed="all"), FROM, UNTIL, busy=False).starts
    assert one.at == "2026-01-01T01:00:00Z"
    (one,) = plan(hourly(overlap="cancel"), FROM, UNTIL, busy=True).starts
    assert one.at == "2026-01-01T05:00:00Z"


@given(
    st.integers(0, 10**9),
    st.integers(0, 3 * 86_400_000),
    st.sampled_from(["last", "all", "skip"]),
    st.sampled_from(["allow", "skip", "queue", "cancel"]),
    st.booleans(),
)
def test_whatever_the_policy_no_due_time_is_run_twice_nor_ahead_of_time(
    seen, later, missed, overlap, busy
):
    schedule, now = hourly(missed=missed, overlap=overlap), seen + later
    done = set()
    for _ in range(100):
        planned = plan(schedule, seen, now, busy=busy)
        for one in planned.starts:
            assert seen < one.at_ms <= now and one.key not in done
            done.add(one.key)
        seen = max([seen, planned.seen_ms or 0, *(one.at_ms for one in planned.starts)])
        if not planned.starts and planned.seen_ms is None:
            break
    else:
        raise AssertionError("it never comes to rest")


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


@workflow("slow-tick", schedule=Cron("* * * * *", overlap="cancel"))
async def slow_tick(ctx, value: dict) -> dict:
    await ctx.sleep(600_000)
    return value


ADA = Actor("person", "ada")


def squad(*workflows) -> TestSquad:
    actions = (list_schedules, run_schedules, pause_schedule, continue_schedule, backfill)
    return TestSquad(Plugin(name="t", actions=actions, workflows=workflows))


async def watch(s: TestSquad, seconds: int, since: int | None = None) -> list:
    """Watch for so long, of virtual time."""
    call = s.engine.invoke("schedules.run", WatchInput(seconds=seconds, since=since), actor=ADA)
    task = asyncio.ensure_future(call)
    for _ in range(seconds + 2):
        await s.clock.advance(1000)
    return (await task).items


async def test_watching_starts_each_due_time_once():
    s = squad(tick)
    first = await watch(s, 100, since=120)
    assert [one.skipped for one in first] == [1, 0]
    assert await watch(s, 1) == []
    outcomes = [await s.engine.outcome(one.run) for one in first]
    assert {one.status for one in outcomes} == {"completed"}


async def test_what_became_due_while_nobody_watched_is_made_up_for_by_the_next_watcher():
    s = squad(tick)
    await watch(s, 61)
    await s.restart()
    await s.clock.advance(10 * 60_000)
    (one,) = await watch(s, 1)
    assert one.skipped >= 8


async def test_a_run_that_is_still_open_makes_place_if_wanted():
    s = squad(slow_tick)
    first = await watch(s, 130)
    statuses = [(await s.engine.outcome(one.run)).status for one in first]
    assert statuses == ["cancelled"] * (len(first) - 1) + ["waiting"]


async def test_a_paused_schedule_starts_nothing_and_what_was_missed_can_be_filled_in():
    s = squad(tick)
    await watch(s, 1)
    turn = TurnInput(workflow="tick", reason="audit week")
    assert (await s.engine.invoke("schedules.pause", turn, actor=ADA)).paused
    began = s.clock.now_ms()
    assert await watch(s, 180) == []
    (line,) = (await s.engine.invoke("schedules.list", {}, actor=ADA)).items
    assert line.paused == "audit week"
    assert not (await s.engine.invoke("schedules.continue", turn, actor=ADA)).paused
    since = datetime.datetime.fromtimestamp(began / 1000, datetime.UTC).isoformat()
    span = BackfillInput(workflow="tick", since=since)
    filled = (await s.engine.invoke("schedules.backfill", span, actor=ADA)).items
    again = (await s.engine.invoke("schedules.backfill", span, actor=ADA)).items
    assert len(filled) == 3 and [one.run for one in filled] == [one.run for one in again]


async def test_a_schedule_that_is_not_there_is_named_with_the_nearest():
    s = squad(tick)
    with pytest.raises(MissingError, match="'tock' has a schedule") as caught:
        turn = TurnInput(workflow="tock", reason="r")
        await s.engine.invoke("schedules.pause", turn, actor=ADA)
    assert "tick" in (caught.value.hint or "")
