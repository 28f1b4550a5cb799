"""What a run leaves in memory when it has ended, or only waits: nothing."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import Clock, Entropy, EventStore
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.decider import Instance
from agentsquad.runtime.engine.door import CallPath, Ports, Step, World
from agentsquad.runtime.engine.interceptors import STANDARD
from agentsquad.runtime.engine.scheduler import Scheduler
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.resilience.pools import Pools
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.testing.world import AllowAll


@action("memory.look", effect=Effect.READ)
def look(ctx: Any, value: int) -> int:
    """Count on."""
    return value + 1


@workflow("steps")
async def steps(ctx: Any, value: int) -> int:
    for _ in range(3):
        value = await ctx.call("memory.look", value)
    return value


@workflow("waits")
async def waits(ctx: Any, value: int) -> Any:
    saga = ctx.saga()
    async with ctx.scope():
        found = await ctx.parallel(ctx.call("memory.look", value), ctx.signal("go"))
    return [found, len(saga.entries)]


def world() -> World:
    clock, entropy = ManualClock(), SeededEntropy()
    ledger = open_ledger("memory:", clock, entropy)
    ports = {
        EventStore: ledger.store,
        Ledger: ledger,
        PolicyEngine: AllowAll(),
        Clock: clock,
        Entropy: entropy,
    }
    plugin = Plugin(name="memory", actions=(look,), workflows=(steps, waits))
    return World(Registry.of(plugin), Ports(ports))


@pytest.fixture
def circles() -> Any:
    """What only the collector would have found."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield lambda: [one for one in gc.garbage if isinstance(one, (Instance, Scheduler))]
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


async def test_a_run_that_has_ended_is_gone_without_the_collector(circles: Any) -> None:
    squad = EmbeddedEngine(world())
    for number in range(5):
        assert (await squad.wait(await squad.start("steps", number))).output == number + 3
    gc.collect()
    assert circles() == []
    await squad.close()


async def test_a_run_that_waits_is_gone_without_the_collector_and_comes_back(circles: Any) -> None:
    squad = EmbeddedEngine(world())
    runs = [await squad.start("waits", number) for number in range(5)]
    while squad.drives:
        await squad.world.clock.sleep_ms(1)
    gc.collect()
    assert circles() == []
    for number, run in enumerate(runs):
        await squad.signal(run, "go", "x", actor="person:ada")
        assert (await squad.wait(run)).output == [[number + 1, "x"], 0]
    await squad.close()


async def test_what_is_mounted_later_is_passed_by_the_steps_that_follow() -> None:
    made = world()
    path = CallPath(made, STANDARD)
    asked: list[str] = []

    class Seen:
        def none(self) -> bool:
            asked.append("none")
            return True

    def step() -> Step:
        return Step(look, 1, run="r", position="1")

    assert await path.run(step()) == 2 and asked == []
    made.ports.put(Pools, Seen())
    assert await path.run(step()) == 2 and asked == ["none"]
