"""The hub beside a log in memory: what it does not read, not keep, and how it
ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentsquad.kernel.errors import UnavailableError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.ledger.adapters.memory import MemoryKeyRing, MemoryVolume
from agentsquad.runtime.ledger.contract import ClosedError, UnreachableError
from agentsquad.runtime.ledger.log import EventLog
from agentsquad.surfaces.gateway.contract import Following
from agentsquad.surfaces.gateway.hub import Hub
from agentsquad.surfaces.gateway.subscribers import Subscribers, wanted
from agentsquad.testing.clock import ManualClock, settle
from agentsquad.testing.entropy import SeededEntropy


class CountingLog(EventLog):
    """A log that counts what is read of it and can be unreachable."""

    def __init__(self, volume: MemoryVolume, clock: ManualClock) -> None:
        super().__init__(volume, clock, SeededEntropy(), MemoryKeyRing(SeededEntropy()))
        self.reads = 0
        self.failing: UnavailableError | None = None

    async def read(self, **options: Any) -> list[Event]:  # type: ignore[override]
        self.reads += 1
        if self.failing is not None:
            raise self.failing
        return await super().read(**options)


def new_log() -> CountingLog:
    return CountingLog(MemoryVolume(), ManualClock())


async def put(log: EventLog, stream: str, kind: str = "step.completed") -> int:
    [event] = await log.append([NewEvent(stream=stream, type=kind, payload={})])
    return event.seq


async def take(events: AsyncIterator[Event], count: int) -> list[int]:
    return [(await anext(events)).seq for _ in range(count)]


async def test_what_was_and_what_comes_arrives_once_and_in_order() -> None:
    log = new_log()
    for number in range(5):
        await put(log, f"run/{number}")
    hub = Hub(log, page=2)
    events = hub.follow(Following(after=1))
    assert await take(events, 4) == [2, 3, 4, 5]
    await put(log, "run/x")
    assert await take(events, 1) == [6]
    await events.aclose()
    assert hub.followers == 0


async def test_an_event_is_read_once_however_many_follow() -> None:
    log = new_log()
    hub = Hub(log)
    followers = [hub.follow(Following(streams=(f"topic/{n}/",))) for n in range(200)]
    waiting = [asyncio.ensure_future(anext(one)) for one in followers]
    await settle()
    before = log.reads
    await put(log, "topic/7/x")
    await settle()
    assert log.reads == before + 1
    assert [n for n, one in enumerate(waiting) if one.done()] == [7]
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_the_past_is_read_once_for_many_who_ask_for_it() -> None:
    log = new_log()
    for number in range(64):
        await put(log, f"topic/{number % 4}/x")
    hub = Hub(log, page=8)
    for number in range(20):
        events = hub.follow(Following(streams=(f"topic/{number % 4}/",)))
        if number == 0:  # stays, so that pages are kept
            first = events
        assert len(await take(events, 16)) == 16
    assert log.reads == 8
    await first.aclose()


async def test_a_slow_one_holds_no_more_than_its_queue_and_misses_nothing() -> None:
    log = new_log()
    hub = Hub(log, queue_max=4, page=8)
    events = hub.follow(Following())
    first = asyncio.ensure_future(anext(events))
    await settle()
    for number in range(100):
        await put(log, f"run/{number}")
        await settle(3)
        assert hub.waiting <= 4
    assert (await first).seq == 1
    assert await take(events, 99) == list(range(2, 101))
    await put(log, "run/x")
    assert await take(events, 1) == [101]
    await events.aclose()


async def test_nobody_reads_the_log_when_nobody_follows() -> None:
    log = new_log()
    hub = Hub(log)
    events = hub.follow(Following())
    await put(log, "run/1")
    await take(events, 1)
    await events.aclose()
    await settle()
    reads = log.reads
    await put(log, "run/2")
    await settle()
    assert log.reads == reads


async def test_a_log_out_of_reach_ends_those_who_follow_and_serves_those_who_come_back() -> None:
    log = new_log()
    hub = Hub(log)
    events = hub.follow(Following())
    waiting = asyncio.ensure_future(anext(events))
    await settle()
    log.failing = UnreachableError("the server is away")
    await put(log, "run/1")
    with pytest.raises(UnreachableError):
        await waiting
    log.failing = None
    again = hub.follow(Following())
    assert await take(again, 1) == [1]
    await put(log, "run/2")
    assert await take(again, 1) == [2]
    await again.aclose()


async def test_closing_ends_every_following() -> None:
    log = new_log()
    hub = Hub(log)
    events = hub.follow(Following())
    waiting = asyncio.ensure_future(anext(events))
    await settle()
    await hub.close()
    with pytest.raises(ClosedError):
        await waiting
    with pytest.raises(ClosedError):
        await anext(hub.follow(Following()))


async def test_what_another_process_appends_arrives_after_a_look() -> None:
    volume, clock = MemoryVolume(), ManualClock()
    ours, theirs = CountingLog(volume, clock), CountingLog(volume, clock)
    hub = Hub(ours)
    events = hub.follow(Following(types=("run.*",)))
    waiting = asyncio.ensure_future(anext(events))
    await settle()
    await put(theirs, "run/1", "run.started")
    await settle()
    assert not waiting.done()
    await clock.advance(60)
    assert (await waiting).seq == 1
    await events.aclose()


async def test_pages_kept_for_others_go_when_a_person_is_erased() -> None:
    log = new_log()
    for number in range(8):
        await put(log, f"run/{number}")
    hub = Hub(log, page=4)
    events = hub.follow(Following())
    await take(events, 8)
    reads = log.reads
    await take(hub.follow(Following()), 4)
    assert log.reads == reads
    await put(log, "subject/person:1", "subject.erased")
    await take(events, 1)
    await take(hub.follow(Following()), 4)
    assert log.reads > reads + 1
    await events.aclose()


def test_members_are_found_by_stream_and_type_and_only_once() -> None:
    index: Subscribers[str] = Subscribers()
    index.add("all", Following())
    index.add("runs", Following(types=("run.*", "run.started"), streams=("run/", "run/a")))
    index.add("ends", Following(types=("run.completed",)))
    assert list(index.of("run/a", "run.started")) == ["all", "runs"]
    assert set(index.of("run/a", "run.completed")) == {"all", "runs", "ends"}
    assert set(index.of("budget/x", "run.completed")) == {"all", "ends"}
    index.remove("runs")
    index.remove("runs")
    assert set(index.of("run/a", "run.completed")) == {"all", "ends"}
    assert wanted(Following(types=("run.*",)), "x", "run.started")
    assert not wanted(Following(types=("run.",)), "x", "run.started")
