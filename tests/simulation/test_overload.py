"""A loaded engine under virtual time: the real engine and log, a disk that
takes its time, and clients who give up.

The disk serves one append after the other. Clients come whether or not the
others were served (an open system, as callers over a network are), wait as long
as they have patience, and count as served only within it.
"""

from __future__ import annotations

import asyncio
import heapq
import statistics
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import LimitError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import Clock, Entropy, EventStore
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.determinism.rehearsal.clock import idle
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.door import Ports, World
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.resilience.admission import Admission
from agentsquad.runtime.resilience.concurrency import Tuning
from agentsquad.runtime.resilience.contract import OverloadedError
from agentsquad.testing import AllowAll, ManualClock, SeededEntropy

T = TypeVar("T")
APPEND_MS = 20.0
PATIENCE_MS = 5_000.0
UNLIMITED = Tuning(at_once_min=10**9, at_once_first=10**9, at_once_max=10**9)


class VirtualClock(ManualClock):
    """A clock that says when the next sleeper is due."""

    def next_due(self) -> float | None:
        """Return it, or None if nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None


class SlowStore:
    """A store whose disk writes one append after the other."""

    def __init__(self, inner: Any, clock: VirtualClock) -> None:
        self._inner = inner
        self._clock = clock
        self._free_ms = 0.0
        for name in ("read", "read_stream", "streams", "size"):
            setattr(self, name, getattr(inner, name))

    async def append(
        self, events: Sequence[NewEvent], *, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        """Append when the disk has got to it."""
        now = self._clock.monotonic_ms()
        self._free_ms = max(now, self._free_ms) + APPEND_MS
        await self._clock.sleep_ms(self._free_ms - now)
        stored: list[Event] = await self._inner.append(events, expect=expect)
        return stored


@action("load.step", effect=Effect.READ)
async def step(ctx: Any, value: int) -> int:
    """Count on."""
    return value + 1


@workflow("load")
async def load(ctx: Any, value: int) -> int:
    """Two steps: four events."""
    return int(await ctx.call("load.step", await ctx.call("load.step", value)))


@workflow("parent")
async def parent(ctx: Any, value: int) -> int:
    """One child."""
    return int(await ctx.run("load", value))


@workflow("waiter")
async def waiter(ctx: Any, value: int) -> Any:
    """Wait for a word from outside."""
    return await ctx.signal("go")


@dataclass
class Call:
    """What became of one client's start."""

    key: str
    actor: str
    came_ms: float
    accepted: str | None = None
    refused: list[LimitError] = field(default_factory=list)
    served_ms: float | None = None


class LoadedEngine:
    """An engine, its disk, and the clients that come to it."""

    def __init__(self, tuning: Tuning | None = None, *, seed: str = "load") -> None:
        self.clock = VirtualClock()
        entropy = SeededEntropy(seed)
        self.ledger: Ledger = open_ledger("memory:", self.clock, entropy)
        ports = Ports(
            {
                EventStore: SlowStore(self.ledger.store, self.clock),
                PolicyEngine: AllowAll(),
                Clock: self.clock,
                Entropy: entropy,
                Admission: Admission(self.clock, entropy, tuning),
            }
        )
        plugin = Plugin(name="load", actions=(step,), workflows=(load, parent, waiter))
        self.engine = EmbeddedEngine(World(Registry.of(plugin), ports))
        self.calls: list[Call] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self._deadlines: list[tuple[float, int, asyncio.Task[None]]] = []

    @property
    def now_ms(self) -> float:
        """The virtual time."""
        return self.clock.monotonic_ms()

    def spawn(
        self, actor: str = "service:a", *, again: bool = False, patience_ms: float = PATIENCE_MS
    ) -> Call:
        """Let a client come; `again` if it comes back when it was told to."""
        call = Call(f"{len(self.calls)}", actor, self.now_ms)
        self.calls.append(call)
        task = self.task(self._client(call, again=again))
        heapq.heappush(self._deadlines, (self.now_ms + patience_ms, len(self.calls), task))
        return call

    def task(self, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do something beside the clients."""
        task = asyncio.get_running_loop().create_task(coro)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def do(self, coro: Coroutine[Any, Any, T]) -> T:
        """Do something and let a second pass."""
        task = self.task(coro)
        await self.pass_until(self.now_ms + 1_000)
        return task.result()

    async def invoke(self, name: str, value: Any) -> Any:
        """Call an action from outside, as a surface does."""
        return await self.do(self.engine.invoke(name, value, actor=Actor.parse("person:ada")))

    async def _client(self, call: Call, *, again: bool) -> None:
        while True:
            try:
                run = await self.engine.start("load", 0, key=call.key, actor=call.actor)
            except LimitError as error:
                call.refused.append(error)
                if not again:
                    return
                await self.clock.sleep_ms(error.retry_after_ms or 0)
            else:
                break
        call.accepted = run
        outcome = await self.engine.wait(run)
        assert outcome.output == 2
        call.served_ms = self.now_ms

    async def offer(
        self, rate_s: float, duration_ms: float, come: Callable[[], Any] | None = None
    ) -> list[Call]:
        """Let clients come at an even rate; return those of this time."""
        first, end = len(self.calls), self.now_ms + duration_ms
        due, gap = self.now_ms, 1000.0 / rate_s
        while due < end:
            await self.pass_until(due)
            (come or self.spawn)()
            due += gap
        await self.pass_until(end)
        return self.calls[first:]

    async def pass_until(self, end_ms: float) -> None:
        """Let time pass; clients whose patience is over go away."""
        await idle()
        while True:
            deadline = self._deadlines[0][0] if self._deadlines else end_ms + 1
            upcoming = min(self.clock.next_due() or end_ms + 1, deadline)
            if upcoming > end_ms:
                break
            self.clock.jump(upcoming)
            while self._deadlines and self._deadlines[0][0] <= upcoming:
                heapq.heappop(self._deadlines)[2].cancel()
            await idle()
        self.clock.jump(end_ms)
        await idle()

    async def close(self) -> None:
        """End it."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.engine.close()
        self.ledger.close()


async def rated(seconds: float = 5.0) -> float:
    """Return how many runs a second the engine does at its best: clients who
    come again as soon as they are served."""
    world = LoadedEngine()
    served = 0

    async def client(number: int) -> None:
        nonlocal served
        while True:
            run = await world.engine.start("load", 0)
            await world.engine.wait(run)
            served += 1

    for number in range(20):
        world.tasks.add(asyncio.get_running_loop().create_task(client(number)))
    await world.pass_until(world.now_ms + 1000 * seconds)
    await world.close()
    return served / seconds


CALM_S, STORM_S, RECOVERY_S = 10, 60, 30


def served(calls: list[Call]) -> list[float]:
    """Return how long each of those took that were served."""
    return [c.served_ms - c.came_ms for c in calls if c.served_ms is not None]


def goodput(world: LoadedEngine, since_ms: float) -> float:
    """Return how many clients a second were served since a moment."""
    done = [c for c in world.calls if c.served_ms is not None and c.served_ms >= since_ms]
    return len(done) * 1000 / (world.now_ms - since_ms)


@pytest.mark.slow
async def test_ten_times_the_rated_load_leaves_goodput_loses_nothing_and_is_over_soon() -> None:
    """Rated by clients who come again as soon as they are served, then ten
    times that for a minute, then half of it."""
    rate = await rated()
    world = LoadedEngine()
    calm = served(await world.offer(rate / 2, 1000 * CALM_S))
    since = world.now_ms

    storm = await world.offer(10 * rate, 1000 * STORM_S)
    reached = goodput(world, since)
    await world.offer(rate / 2, 1000 * (RECOVERY_S - CALM_S))
    after = await world.offer(rate / 2, 1000 * CALM_S)
    await world.pass_until(world.now_ms + PATIENCE_MS)

    assert reached >= 0.7 * rate
    refusals = [error for call in storm for error in call.refused]
    assert len(refusals) > 5 * rate * STORM_S
    assert all(isinstance(e, OverloadedError) and (e.retry_after_ms or 0) > 0 for e in refusals)
    assert not [call for call in after if call.refused]
    assert len(served(after)) == len(after)
    assert statistics.median(served(after)) <= 1.5 * statistics.median(calm)
    assert max(served(after)) <= 3 * max(calm)
    await all_that_began_ends(world)
    await world.close()


async def all_that_began_ends(world: LoadedEngine) -> None:
    """Whatever was accepted is completed, and nothing refused was written."""
    await world.pass_until(world.now_ms + 10_000)
    accepted = {call.accepted for call in world.calls if call.accepted}
    streams = dict(await world.ledger.store.streams("run/"))
    begun = {name.removeprefix("run/") for name in streams}
    assert accepted <= begun
    for run in begun:
        events = await world.ledger.store.read_stream(f"run/{run}")
        assert END_EVENTS[events[-1].type] == "completed"
    for call in world.calls:
        if call.refused:
            assert call.accepted is None
    assert len(begun) <= len([c for c in world.calls if not c.refused])


@pytest.mark.slow
async def test_without_admission_the_same_load_leaves_nothing() -> None:
    rate = await rated()
    world = LoadedEngine(UNLIMITED)
    since = world.now_ms

    await world.offer(10 * rate, 1000 * STORM_S / 3)

    assert goodput(world, since) < 0.1 * rate
    await world.close()


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2, 5])
async def test_goodput_holds_at_any_load_in_between(times: int) -> None:
    rate = await rated()
    world = LoadedEngine()
    since = world.now_ms

    await world.offer(times * rate, 1000 * STORM_S / 3)

    assert goodput(world, since) >= 0.85 * rate
    await world.close()


@pytest.mark.slow
async def test_one_caller_who_floods_does_not_starve_another() -> None:
    rate = await rated()
    world = LoadedEngine()
    turn = 0

    def come() -> None:
        nonlocal turn
        turn += 1
        world.spawn("service:modest" if turn % 20 == 0 else "service:greedy")

    calls = await world.offer(5 * rate, 20_000, come)  # a quarter of the rate is modest
    await world.pass_until(world.now_ms + PATIENCE_MS)

    modest = [call for call in calls if call.actor == "service:modest"]
    assert len(modest) > 4 * rate
    assert not [call for call in modest if call.refused]
    assert len(served(modest)) == len(modest)
    await world.close()


@pytest.mark.slow
async def test_goodput_holds_when_every_start_comes_from_somebody_else() -> None:
    rate = await rated()
    world = LoadedEngine()
    since = world.now_ms

    await world.offer(10 * rate, 30_000, lambda: world.spawn(f"service:{len(world.calls)}"))

    assert goodput(world, since) >= 0.7 * rate
    await world.close()


async def test_a_thousand_starts_at_once_are_worked_off_and_none_is_refused() -> None:
    world = LoadedEngine()
    calls = [world.spawn(patience_ms=1e9) for _ in range(1000)]

    await world.pass_until(world.now_ms + 120_000)

    assert len(served(calls)) == 1000
    assert world.engine.admission.load().refused == 0
    await world.close()


async def storm(world: LoadedEngine) -> None:
    """Load an engine until it refuses."""
    await world.offer(200, 6_000)
    assert world.engine.admission.load().overloaded


async def test_what_is_begun_is_finished_under_any_load() -> None:
    """Children, answers and runs that are there already pass in a storm."""
    world = LoadedEngine()
    waits = await world.do(world.engine.start("waiter", 0))
    again = await world.do(world.engine.start("load", 0, key="mine"))
    parent = await world.do(world.engine.start("parent", 0))
    await storm(world)

    answered = world.task(world.engine.signal(waits, "go", 7, actor="person:ada"))
    continued = world.task(world.engine.start("load", 0, key="mine", actor="service:a"))
    await world.pass_until(world.now_ms + 2_000)

    assert answered.done()
    assert answered.exception() is None
    assert continued.result() == again
    await world.pass_until(world.now_ms + 5_000)
    assert (await world.engine.outcome(waits)).output == 7
    assert (await world.engine.outcome(parent)).output == 2
    await world.close()


async def test_calls_from_outside_are_refused_in_a_storm_but_not_those_that_help() -> None:
    world = LoadedEngine()
    assert await world.invoke("load.step", 1) == 2
    await storm(world)

    with pytest.raises(OverloadedError) as refused:
        await world.invoke("load.step", 1)

    assert (refused.value.retry_after_ms or 0) > 0
    world.engine.admission.consider("approvals.give")
    world.engine.admission.consider("runs.cancel")
    await world.close()


async def test_nothing_of_a_refused_start_is_written() -> None:
    world = LoadedEngine(Tuning(at_once_first=1, at_once_min=1, at_once_max=1, waiting_max=1))
    calls = [world.spawn() for _ in range(5)]

    await world.pass_until(world.now_ms + 1_000)

    refused = [call for call in calls if call.refused]
    assert len(refused) == 3
    assert len(await world.ledger.store.streams("run/")) == 2
    assert all(isinstance(error, LimitError) for call in refused for error in call.refused)
    await world.close()


async def test_who_gives_up_while_waiting_leaves_no_trace_and_keeps_no_place() -> None:
    world = LoadedEngine(Tuning(at_once_first=1, at_once_min=1, at_once_max=1))
    calls = [world.spawn(patience_ms=5) for _ in range(10)]
    await world.pass_until(world.now_ms + 1_000)

    later = world.spawn()
    await world.pass_until(world.now_ms + 1_000)

    assert len(served(calls)) == 0
    assert len(served([later])) == 1
    assert world.engine.admission.load().waiting == 0
    assert world.engine.admission.load().at_work == 0
    await world.close()


@pytest.mark.slow
async def test_clients_who_come_again_when_told_do_not_come_together() -> None:
    """A crowd refused in one instant is spread over the time it takes to work
    it off; told the same time it would come back as a crowd."""
    world = LoadedEngine(Tuning(waiting_max=50))
    await world.offer(20, 5_000)
    crowd = [world.spawn(again=True, patience_ms=1e9) for _ in range(300)]
    await world.pass_until(world.now_ms + 1)
    told = sorted(call.refused[0].retry_after_ms or 0 for call in crowd if call.refused)
    assert len(told) > 150

    tenth = (told[-1] - told[0]) / 10
    tenths = [
        sum(told[0] + n * tenth <= t < told[0] + (n + 1) * tenth for t in told) for n in range(10)
    ]
    await world.pass_until(world.now_ms + 120_000)

    assert max(tenths) <= 0.25 * len(told)
    assert told[-1] >= 2.5 * told[0]
    assert len(served(crowd)) == len(crowd)
    await world.close()


@pytest.mark.slow
async def test_goodput_holds_when_the_refused_come_again_as_they_were_told() -> None:
    """Retries are load too: each client comes up to some ten times."""
    rate = await rated()
    world = LoadedEngine()
    since = world.now_ms

    await world.offer(5 * rate, 30_000, lambda: world.spawn(again=True, patience_ms=60_000))

    assert goodput(world, since) >= 0.85 * rate
    again = [call for call in world.calls if len(call.refused) > 1]
    assert len(again) > rate
    await world.close()
