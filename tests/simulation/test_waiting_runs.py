"""An engine that begins again loads the runs that have something to do, and no
others; those wake by what they wait for.

Each kind of run is left in the middle by throwing its engine away, and an
engine that knows only the reading of waiting runs must end it like one that
loads every open run.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.contract import DefinitionChangedError, workflow
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle

_spec = importlib.util.spec_from_file_location(
    "simulation_crash_everywhere", Path(__file__).with_name("test_crash_everywhere.py")
)
assert _spec is not None and _spec.loader is not None
everywhere: Any = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(everywhere)


class N(msgspec.Struct):
    n: int


@action("net.read", effect=Effect.READ)
async def read(ctx: Any, value: N) -> N:
    """Read."""
    return N(value.n + 1)


@workflow("asks")
async def asks(ctx: Any, value: N) -> Any:
    return await ctx.signal("go")


@workflow("sleeps")
async def sleeps(ctx: Any, value: N) -> Any:
    await ctx.sleep(60_000)
    return (await ctx.call("net.read", value)).n


@workflow("limited")
async def limited(ctx: Any, value: N) -> Any:
    ctx.deadline(90_000)
    await ctx.call("net.read", value)
    return await ctx.signal("never")


@workflow("above")
async def above(ctx: Any, value: N) -> Any:
    await ctx.call("net.read", value)
    return await ctx.run("sleeps", value)


@workflow("branches")
async def branches(ctx: Any, value: N) -> Any:
    return await ctx.parallel(ctx.signal("go"), ctx.signal("on"))


@workflow("naps")
async def naps(ctx: Any, value: N) -> Any:
    return await ctx.parallel(ctx.sleep(60_000), ctx.sleep(10_000))


GATES: list[asyncio.Future[None]] = []


@action("net.slow", effect=Effect.READ)
async def slow(ctx: Any, value: N) -> N:
    """Read, when it may."""
    for gate in GATES:
        await gate
    return N(value.n + 1)


@workflow("beside")
async def beside(ctx: Any, value: N) -> Any:
    return await ctx.parallel(ctx.signal("go"), ctx.call("net.slow", value))


@workflow("question")
async def question(ctx: Any, value: N) -> Any:
    answer = await ctx.approve("net.read", value, roles=["boss"], because="b", requester="agent:x")
    return answer.approved


FLOWS = (asks, sleeps, limited, above, branches, naps, beside, question)
PLUGIN = Plugin(name="waits", actions=(read, slow), workflows=FLOWS)


async def left(s: TestSquad, flow: str) -> str:
    """Start a run, let it come to its wait, and begin again."""
    run = await s.engine.start(flow, N(1))
    await settle()
    assert s.engine.drives == {}
    await s.restart()
    return run


async def test_a_run_that_waits_for_a_signal_is_not_loaded_until_it_comes():
    s = TestSquad(PLUGIN)
    run = await left(s, "asks")
    await settle()
    assert (s.engine.drives, s.engine.timers.next_due_ms) == ({}, None)
    await s.engine.signal(run, "go", 7, actor="person:ada")
    assert (await s.engine.wait(run, timeout_ms=1000)).output == 7


async def test_a_run_that_sleeps_is_loaded_when_its_time_has_come():
    s = TestSquad(PLUGIN)
    run = await left(s, "sleeps")
    assert s.engine.drives == {}
    assert s.engine.timers.next_due_ms == s.clock.now_ms() + 60_000
    await s.clock.advance(60_000)
    assert (await s.engine.outcome(run)).output == 2


async def test_the_time_limit_of_a_run_holds_while_it_is_not_loaded():
    s = TestSquad(PLUGIN)
    run = await left(s, "limited")
    assert s.engine.drives == {}
    await s.clock.advance(90_000)
    outcome = await s.engine.outcome(run)
    assert (outcome.status, outcome.error["code"]) == ("failed", "run.deadline")


async def test_a_parent_is_not_loaded_while_its_child_waits():
    s = TestSquad(PLUGIN)
    run = await left(s, "above")
    assert s.engine.drives == {}
    await s.clock.advance(60_000)
    assert (await s.engine.outcome(run)).output == 2


async def test_a_question_is_answered_though_its_run_is_not_loaded():
    s = TestSquad(PLUGIN)
    run = await left(s, "question")
    assert s.engine.drives == {}
    (item,) = await s.engine.inbox(run)
    await s.engine.answer(item.id, approve=True, approver="person:boss", reason="fine")
    assert (await s.engine.wait(run, timeout_ms=1000)).output is True


async def test_a_run_that_waits_in_all_its_branches_is_not_loaded():
    s = TestSquad(PLUGIN)
    run = await left(s, "branches")
    assert s.engine.drives == {}
    await s.engine.signal(run, "on", 2, actor="person:ada")
    await s.restart()
    await s.engine.signal(run, "go", 1, actor="person:ada")
    assert (await s.engine.wait(run, timeout_ms=1000)).output == [1, 2]


async def test_every_branch_that_sleeps_wakes_at_its_own_time_though_its_run_is_not_loaded():
    s = TestSquad(PLUGIN)
    run = await left(s, "naps")
    assert s.engine.drives == {}
    assert s.engine.timers.next_due_ms == s.clock.now_ms() + 10_000
    await s.clock.advance(10_000)
    await s.restart()
    await s.clock.advance(50_000)
    assert (await s.engine.outcome(run)).output == [None, None]


async def test_a_run_that_reads_in_one_branch_while_it_waits_in_another_is_loaded():
    s = TestSquad(PLUGIN)
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    GATES.append(gate)
    run = await s.engine.start("beside", N(1))
    await settle()
    await s.restart()
    GATES.clear()
    assert list(s.engine.drives) == [run]
    await s.engine.signal(run, "go", 1, actor="person:ada")
    assert (await s.engine.wait(run, timeout_ms=1000)).output == [1, {"n": 2}]


async def test_a_waiting_run_whose_definition_changed_is_reported_at_once():
    s = TestSquad(PLUGIN)
    run = await s.engine.start("asks", N(1))
    await settle()
    changed = msgspec.structs.replace(asks, digest="sha256:other")
    others = tuple(flow for flow in FLOWS if flow is not asks)
    plugin = Plugin(name="waits", actions=(read,), workflows=(changed, *others))
    await s.restart(TestSquad(plugin).registry)
    assert isinstance(s.engine.stuck[run], DefinitionChangedError)


async def test_ended_runs_leave_the_reading_and_it_is_built_again_alike():
    s = TestSquad(PLUGIN)
    done = await left(s, "asks")
    await s.engine.signal(done, "go", 1, actor="person:ada")
    open_run = await left(s, "sleeps")
    rows = await s.ledger.readings.rows("waiting")
    assert [(row["run"], row["busy"]) for row in rows] == [(open_run, 0)]
    followed = await s.ledger.readings.check("waiting")
    assert followed == await s.ledger.readings.rebuild("waiting")


@pytest.mark.slow
@pytest.mark.parametrize("name", everywhere.CASES)
async def test_what_is_called_idle_asks_for_nothing_when_it_is_loaded(name: str):
    """At every commit of every kind of run: kill, look at the reading, load."""
    flow, value = everywhere.CASES[name]
    calm = await everywhere.play(
        everywhere.squad(everywhere.Conversation(), commits=True), flow, value
    )
    seen = 0
    for n in range(1, calm.appends + 1):
        fuse = everywhere.Fuse(n, durable=True)
        s = everywhere.squad(everywhere.Conversation(), [fuse], commits=True)

        async def rise(s: Any = s) -> None:
            nonlocal seen
            s.crashes += 1
            await s.engine.close()
            s.engine = s._engine()
            rows = await s.ledger.readings.rows("waiting")
            idle = {row["run"] for row in rows if not row["busy"]}
            seen += len(idle)
            now = s.clock.now_ms()
            timers = await s.ledger.readings.rows("waiting", "timers")
            due = {row["run"] for row in timers if row["due_ms"] <= now}
            moving = due | {row["run"] for row in rows if row["busy"]}
            # To load a parent loads its child.
            idle = {run for run in idle if not any(f"{m}/".startswith(f"{run}/") for m in moving)}
            size = await s.ledger.store.size()
            for run in idle:
                drive = await s.engine.router.load(run)
                assert drive is not None
            await settle(30)
            assert await s.ledger.store.size() == size, f"{idle} had something to do"
            await s.engine.recover()

        s.rise = rise
        story = await everywhere.play(s, flow, value)
        assert story.crashes == 1
        assert (story.status, story.output) == (calm.status, calm.output)
    # A manifest runs in branches; the two others come to no wait of their own.
    assert seen > 0 or name in ("saga that fails", "agent turn", "manifest")
