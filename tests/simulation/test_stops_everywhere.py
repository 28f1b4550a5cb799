"""Stopping a run at every event boundary: what was done is undone, and the run
ends.

The stop comes right after the n-th append is durable and before the engine
hears of it, for every n: so it meets steps that are being asked for, under way,
done but not yet told, and waiting. A run must never get stuck, never end with
an effect that is neither confirmed nor undone, and its journal must replay
identically.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import ConflictError, SquadError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.ids import keyed_id
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
from agentsquad.testing.clock import settle

_spec = importlib.util.spec_from_file_location(
    "simulation_crashing", Path(__file__).with_name("crashing.py")
)
assert _spec is not None and _spec.loader is not None
crashing = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(crashing)
CrashSquad, Fuse, play = crashing.CrashSquad, crashing.Fuse, crashing.play


class N(msgspec.Struct):
    n: int


DONE: list[tuple[str, str, int]] = []


@pytest.fixture(autouse=True)
def nothing_done():
    DONE.clear()


@action("stock.reserve", effect=Effect.WRITE, compensate="stock.release", reconcile="stock.known")
async def reserve(ctx, value: N) -> N:
    """Reserve; arrives at once, answers late."""
    DONE.append((ctx.idempotency_key, "reserve", value.n))
    for _ in range(5):
        await asyncio.sleep(0)
    return value


@action("stock.release", effect=Effect.WRITE, reconcile="stock.known")
async def release(ctx, value: dict) -> N:
    """Release."""
    DONE.append((ctx.idempotency_key, "release", value["input"]["n"]))
    await asyncio.sleep(0)
    return N(value["input"]["n"])


@action("stock.known", effect=Effect.READ)
def known(ctx, value: Reconcile) -> Reconciled:
    """Say whether a key arrived."""
    for key, _, n in DONE:
        if key == value.key:
            return Reconciled(found=True, output={"n": n})
    return Reconciled(found=False)


@action("net.look", effect=Effect.READ)
async def look(ctx, value: N) -> N:
    """Look."""
    await asyncio.sleep(0)
    return value


@workflow("below")
async def below(ctx, value: N) -> N:
    s = ctx.saga()
    await s.call("stock.reserve", value)
    await ctx.sleep(1000)
    await s.call("stock.reserve", N(value.n + 1))
    if value.n == 30:
        await ctx.sleep(1000)
    return value


async def body(ctx) -> str:
    s = ctx.saga()
    await s.call("stock.reserve", N(1))

    async def one(n: int) -> None:
        await s.call("stock.reserve", N(n))
        await ctx.call("net.look", N(n))
        await ctx.sleep(100 * n)

    await ctx.map(one, range(2, 6), limit=2)
    await ctx.run("below", N(30))
    await ctx.sleep(1000)
    return "done"


@workflow("order")
async def order(ctx, value: dict) -> str:
    return await body(ctx)


@workflow("stubborn")
async def stubborn(ctx, value: dict) -> str:
    # Catches every error, as an agent's turn does with its tools, and goes on.
    s = ctx.saga()
    for n in range(1, 8):
        try:
            await s.call("stock.reserve", N(n))
            await ctx.sleep(1000)
        except SquadError:
            pass
    return "done"


@workflow("race")
async def race(ctx, value: dict) -> str:
    try:
        return await ctx.signal("go", timeout_ms=1000)
    except SquadError as error:
        return error.code


@workflow("limited", timeout_ms=1500)
async def limited(ctx, value: dict) -> str:
    return await body(ctx)


@workflow("limited-stubborn", timeout_ms=1500)
async def limited_stubborn(ctx, value: dict) -> str:
    return await stubborn.fn(ctx, value)


PLUGIN = Plugin(
    name="test",
    actions=(reserve, release, known, look),
    workflows=(below, order, stubborn, race, limited, limited_stubborn),
)


def undone() -> bool:
    """Whether everything reserved by runs that were stopped is released, once.

    30 and 31 belong to the child run, which is undone unless it had completed.
    """
    keys = [key for key, _, _ in DONE]
    assert len(keys) == len(set(keys))
    balance: dict[int, int] = {}
    for _, what, n in DONE:
        balance[n] = balance.get(n, 0) + (1 if what == "reserve" else -1)
    below = [balance.pop(30, 0), balance.pop(31, 0)]
    return below in ([0, 0], [1, 1]) and not any(balance.values())


async def stopped_at(flow: str, n: int, fuses: Any = (), *, again: bool = False) -> Any:
    s = CrashSquad(PLUGIN, fuses=fuses)
    run = keyed_id(flow, crashing.KEY)
    tasks = []

    async def stop() -> None:
        for _ in range(1 + again):
            with contextlib.suppress(ConflictError):  # it had ended
                await s.engine.cancel(run, actor="person:ada", reason="enough")

    s.fused.at[n] = lambda: tasks.append(asyncio.ensure_future(stop()))
    story = await play(s, flow, {}, step_ms=100)
    for task in tasks:
        task.cancel()  # it may have asked an engine that is dead
    await asyncio.gather(*tasks, return_exceptions=True)
    open_runs = await s.engine.open_runs()
    return story, open_runs


async def appends_of(flow: str) -> int:
    story = await play(CrashSquad(PLUGIN), flow, {}, step_ms=100)
    return story.appends


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("flow", ["order", "stubborn"])
async def test_a_run_cancelled_at_any_event_ends_and_is_undone(flow: str, again: bool):
    count = await appends_of(flow)
    for n in range(1, count):
        DONE.clear()
        story, still_open = await stopped_at(flow, n, again=again)
        where = f"cancelled after append {n} of {count}: {story.status} {DONE}"
        if n < count - 5:  # later, the code may have come to its end before
            assert story.status == "cancelled", where
        assert story.status == "completed" or undone(), where
        assert story.verdict == "identical", where
        assert still_open == [], where


@pytest.mark.slow
@pytest.mark.parametrize("flow", ["limited", "limited-stubborn"])
async def test_a_run_that_takes_too_long_fails_and_is_undone(flow: str):
    story = await play(CrashSquad(PLUGIN), flow, {}, step_ms=100)
    assert (story.status, story.error["code"]) == ("failed", "run.deadline")
    assert undone(), DONE
    assert story.verdict == "identical"
    for n in range(1, story.appends + 1):
        for durable in (False, True):
            DONE.clear()
            s = CrashSquad(PLUGIN, fuses=[Fuse(n, durable)])
            again = await play(s, flow, {}, step_ms=100)
            where = f"crash at append {n} ({durable}): {again.status} {DONE}"
            assert (again.status, again.error["code"]) == ("failed", "run.deadline"), where
            assert undone(), where
            assert again.verdict == "identical", where
            assert await s.engine.open_runs() == [], where


@pytest.mark.slow
@pytest.mark.parametrize("durable", [False, True], ids=["before", "after"])
async def test_a_crash_while_a_cancelled_run_is_undone_loses_nothing(durable: bool):
    for at in (4, 9, 14, 20):
        count = (await stopped_at("order", at))[0].appends
        for n in range(at + 1, count + 1):
            DONE.clear()
            story, still_open = await stopped_at("order", at, [Fuse(n, durable)])
            where = f"cancelled after {at}, crash at {n}: {story.status} {DONE}"
            # A crash right behind the request may have lost the request.
            assert story.status in ("cancelled", "completed"), where
            assert story.status == "completed" or undone(), where
            assert story.verdict == "identical", where
            assert still_open == [], where


@pytest.mark.parametrize("late", range(8))
async def test_a_signal_and_its_timeout_at_the_same_moment_are_not_a_contradiction(late: int):
    s = CrashSquad(PLUGIN)
    run = await s.engine.start("race", {})
    await settle()
    advancing = asyncio.ensure_future(s.clock.advance(1000))
    for _ in range(late):
        await asyncio.sleep(0)
    with contextlib.suppress(ConflictError):  # it had ended
        await s.engine.signal(run, "go", "went", actor="person:ada")
    await advancing
    outcome = await s.engine.wait(run, timeout_ms=5000)
    assert outcome.output in ("went", "step.deadline")
    assert (await crashing.tell(s, run)).verdict == "identical"


async def test_both_at_once_whichever_is_first_in_the_log_counts():
    s = CrashSquad(PLUGIN)
    run = await s.engine.start("race", {})
    await settle()
    await asyncio.gather(
        s.engine.signal(run, "go", "went", actor="person:ada"),
        s.engine.parking.fire(run, "1"),
    )
    assert (await s.engine.wait(run, timeout_ms=5000)).output == "went"
    assert (await crashing.tell(s, run)).verdict == "identical"


async def test_a_timer_that_cannot_be_delivered_does_not_stop_the_others():
    s = CrashSquad(PLUGIN)
    fire = s.engine.parking.fire
    first = await s.engine.start("race", {}, key="first")

    async def broken(run: str, position: str) -> None:
        if run == first:
            raise ConflictError("its definition changed", code="run.definition_changed")
        await fire(run, position)

    s.engine.timers._fire = broken
    other = await s.engine.start("race", {}, key="other")
    await s.clock.advance(1001)
    assert (await s.engine.wait(other, timeout_ms=5000)).output == "step.deadline"
