"""A run may ask for any number of steps at once; so many are under way, and the
others have their turn when places come free, however those came free."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine import tasks
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle

WIDE = 4
STEPS = 30


class N(msgspec.Struct):
    n: int


class Gate:
    """Counts the steps under way, and holds them until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.under_way = self.most = self.begun = 0


gate: Gate


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let four steps be many."""
    global gate
    gate = Gate()
    monkeypatch.setattr(tasks, "WIDE", WIDE)


@action("wide.read", effect=Effect.READ)
async def read(ctx: Any, value: N) -> N:
    """Read, once the gate is open."""
    gate.begun += 1
    gate.under_way += 1
    gate.most = max(gate.most, gate.under_way)
    try:
        await gate.open.wait()
    finally:
        gate.under_way -= 1
    return value


@workflow("wide")
async def wide(ctx: Any, value: N) -> Any:
    found = await ctx.parallel(*(ctx.call("wide.read", N(n)) for n in range(value.n)))
    return [one.n for one in found]


@workflow("asks-many")
async def asks_many(ctx: Any, value: N) -> Any:
    return await ctx.parallel(*(ctx.signal(f"s{n}") for n in range(value.n)))


PLUGIN = Plugin(name="wide", actions=(read,), workflows=(wide, asks_many))


async def test_no_more_than_so_many_steps_of_a_run_are_under_way_and_all_are_done():
    s = TestSquad(PLUGIN)
    run = await s.engine.start("wide", N(STEPS))
    await settle()
    assert (gate.under_way, gate.begun) == (WIDE, WIDE)
    gate.open.set()
    assert (await s.engine.wait(run, timeout_ms=5000)).output == list(range(STEPS))
    assert (gate.most, gate.begun) == (WIDE, STEPS)


async def test_steps_that_wait_for_a_place_are_not_begun_once_their_run_is_stopped():
    s = TestSquad(PLUGIN)
    run = await s.engine.start("wide", N(STEPS))
    await settle()
    await s.engine.cancel(run, actor="person:ada", reason="enough")
    assert (await s.engine.wait(run, timeout_ms=5000)).status == "cancelled"
    await settle()
    assert (gate.under_way, gate.begun) == (0, WIDE)


async def test_a_wide_run_goes_on_after_its_engine_began_again():
    s = TestSquad(PLUGIN)
    run = await s.engine.start("wide", N(STEPS))
    await settle()
    await s.restart()
    await settle()
    gate.open.set()
    assert (await s.engine.wait(run, timeout_ms=5000)).output == list(range(STEPS))
    assert gate.most <= 2 * WIDE


async def test_any_number_of_waits_is_written_down_and_takes_no_place():
    s = TestSquad(PLUGIN)
    run = await s.engine.start("asks-many", N(STEPS))
    await settle()
    assert (await s.events(run)).count("signal.waiting") == STEPS
    assert s.engine.drives == {}
    for n in reversed(range(STEPS)):
        await s.engine.signal(run, f"s{n}", n, actor="person:ada")
    assert (await s.engine.wait(run, timeout_ms=5000)).output == list(range(STEPS))
