"""Of many timers only the soonest are in memory, and each fires at its time
all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from agentsquad.kernel.errors import UnavailableError
from agentsquad.runtime.engine import timers as module
from agentsquad.runtime.engine.timers import AT_ONCE, Due, Timers
from agentsquad.testing.clock import ManualClock, settle

KEPT = 200


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold few, so that little is much."""
    monkeypatch.setattr(module, "KEPT", KEPT)


class Reading:
    """Timers as a reading of the log holds them."""

    def __init__(self) -> None:
        self.rows: set[Due] = set()
        self.asked = 0
        self.broken = False

    async def due(self, after: Due | None, limit: int) -> Sequence[Due]:
        self.asked += 1
        if self.broken:
            raise UnavailableError("the disk is not there", code="ledger.read")
        return sorted(one for one in self.rows if after is None or one > after)[:limit]


class World:
    """Timers over a reading, and what fired when."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.start = self.clock.now_ms()
        self.reading = Reading()
        self.fired: list[tuple[int, str]] = []
        self.most = 0
        self.at_once = 0
        self.held: set[str] = set()
        self.due: dict[str, int] = {}
        self.timers = Timers(self.clock, self.fire, self.held.__contains__)

    async def fire(self, run: str, position: str) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        self.fired.append((self.clock.now_ms() - self.start, run))
        self.reading.rows.discard((self.due.get(run, 0), run, position))

    def set(self, after_ms: int, run: str) -> None:
        """Set a timer as a run does that is let go of then."""
        self.due[run] = self.start + after_ms
        self.reading.rows.add((self.start + after_ms, run, "1"))
        self.timers.add(self.start + after_ms, run, "1")


async def test_only_the_soonest_timers_are_held_and_all_fire_once_in_time():
    w = World()
    await w.timers.read(w.reading.due)
    count = 5 * KEPT
    for n in range(count):
        w.set(1000 + (n * 7919) % count, f"r{n}")
        assert len(w.timers) <= 2 * KEPT
    for step in range(0, count + 2000, 1000):
        await w.clock.advance(1000)
        late = [at for at, _ in w.fired if at > step + 1000]
        assert late == []
    await settle(50)
    assert len(w.fired) == len({run for _, run in w.fired}) == count
    assert [at for at, _ in w.fired] == sorted(at for at, _ in w.fired)
    assert w.reading.rows == set()


async def test_timers_of_runs_in_memory_are_held_however_late_they_are():
    w = World()
    await w.timers.read(w.reading.due)
    w.held.add("mine")
    w.timers.add(w.start + 10**6, "mine", "1")  # not in the reading yet
    for n in range(3 * KEPT):
        w.set(10_000 + n, f"r{n}")
    w.reading.rows.clear()
    await w.clock.advance(10**6)
    await settle(50)
    assert "mine" in {run for _, run in w.fired}


async def test_timers_due_together_fire_in_portions():
    w = World()
    await w.timers.read(w.reading.due)
    for n in range(3 * AT_ONCE):
        w.set(5000, f"r{n}")
    await w.clock.advance(5000)
    await settle(50)
    assert len(w.fired) == 3 * AT_ONCE
    assert 1 < w.most <= AT_ONCE


async def test_a_reading_that_cannot_be_read_is_asked_again():
    w = World()
    await w.timers.read(w.reading.due)
    for n in range(3 * KEPT):
        w.set(1000 + n, f"r{n}")
    w.reading.broken = True
    await w.clock.advance(3 * KEPT)
    await settle(50)
    assert len(w.fired) < 3 * KEPT
    w.reading.broken = False
    for _ in range(20):
        await w.clock.advance(1000)
        await settle(20)
    assert len(w.fired) == 3 * KEPT


async def test_a_forgotten_timer_does_not_fire_and_can_be_set_again():
    w = World()
    w.timers.add(w.start + 100, "a", "1")
    w.timers.forget("a", "1")
    assert w.timers.next_due_ms is None
    w.timers.add(w.start + 300, "a", "1")
    await w.clock.advance(200)
    assert w.fired == []
    await w.clock.advance(100)
    assert w.fired == [(300, "a")]
