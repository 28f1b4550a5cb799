"""Laws of forks: nothing changed gives the same; what is changed is all that
differs; no effect ever leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.contract import Change
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle

SENT: list[int] = []


class N(msgspec.Struct):
    n: int


@action("math.add", effect=Effect.PURE)
def add(ctx, value: N) -> N:
    """Add one."""
    return N(value.n + 1)


@action("bank.pay", effect=Effect.IRREVERSIBLE, preview="math.add")
async def pay(ctx, value: N) -> N:
    """Pay."""
    SENT.append(value.n)
    return N(value.n + 1)


@workflow("chain")
async def chain(ctx, value: dict) -> list[int]:
    found = []
    n = value["n"]
    for _ in range(value["steps"]):
        n = (await ctx.call("math.add", N(n))).n
        found.append(n)
    if n > value["limit"]:
        n = (await ctx.call("bank.pay", N(n))).n
        found.append(n)
    return found


@workflow("ears")
async def ears(ctx, value: dict) -> list[Any]:
    async def hear(limit: int | None) -> Any:
        try:
            return await ctx.signal("word", timeout_ms=limit)
        except SquadError as error:
            return error.code

    heard = []
    for limit in value["limits"]:
        heard.append(await hear(limit))
    return heard


PLUGIN = Plugin(name="forks", actions=(add, pay), workflows=(chain, ears))


@given(st.integers(0, 20), st.integers(1, 6), st.integers(0, 30), st.data(), st.integers(-50, 50))
def test_changing_one_output_changes_exactly_what_follows_from_it(
    n: int, steps: int, limit: int, data: Any, other: int
):
    async def check() -> None:
        s = TestSquad(PLUGIN)
        outcome = await s.run("chain", {"n": n, "steps": steps, "limit": limit})
        sent = list(SENT)
        at = data.draw(st.integers(1, steps))
        found = await Forker(s.world).fork(outcome.run, [Change(path=f"{at}/n", value=other)])
        expected = list(outcome.output[: at - 1])
        last = other
        expected.append(last)
        for _ in range(at, steps):
            last += 1
            expected.append(last)
        if last > limit:
            expected.append(last + 1)
        assert found.output == expected
        assert found.output_changed == (expected != outcome.output)
        assert sent == SENT
        if other == outcome.output[at - 1]:
            assert found.rerun == 0
        else:
            assert found.rerun == steps - at
            assert {d.position for d in found.differences} >= {str(at)}

    asyncio.run(check())


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5)), min_size=1, max_size=5))
def test_signals_and_time_outs_keep_their_order_in_a_fork(plan: list[tuple[bool, int]]):
    # True: a signal comes while the wait is open; False: its time runs out.
    async def check() -> None:
        s = TestSquad(PLUGIN)
        run = await s.engine.start("ears", {"limits": [1000 * size for _, size in plan]})
        for number, (comes, size) in enumerate(plan):
            await settle()
            if comes:
                await s.engine.signal(run, "word", number, actor="person:ada")
                await settle()
            else:
                await s.clock.advance(1000 * size)
        outcome = await s.engine.wait(run, timeout_ms=5000)
        assert outcome.output == [
            number if comes else "step.deadline" for number, (comes, _) in enumerate(plan)
        ]
        found = await Forker(s.world).fork(run, [])
        assert found.output == outcome.output
        assert not found.output_changed

    asyncio.run(check())


@workflow("timed", timeout_ms=60_000)
async def timed(ctx, value: dict) -> list[int]:
    return await chain.fn(ctx, value)


@workflow("endless")
async def endless(ctx, value: dict) -> None:
    await ctx.call("math.add", N(value["n"]))
    await ctx.sleep(1_000_000)


async def test_a_time_limit_does_not_end_a_fork_whose_steps_are_new():
    s = TestSquad(Plugin(name="forks", actions=(add, pay), workflows=(timed,)))
    run = await s.engine.start("timed", {"n": 1, "steps": 1, "limit": 99})
    outcome = await s.engine.wait(run, timeout_ms=5000)
    assert outcome.output == [2]
    found = await Forker(s.world).fork(run, [Change(path="input/steps", value=3)])
    assert (found.status, found.output) == ("completed", [2, 3, 4])


async def test_a_fork_of_a_cancelled_run_is_cancelled_as_it_was():
    s = TestSquad(Plugin(name="forks", actions=(add, pay), workflows=(endless,)))
    run = await s.engine.start("endless", {"n": 1})
    await settle()
    await s.engine.cancel(run, actor="person:ada", reason="enough")
    await s.engine.wait(run, timeout_ms=5000)
    found = await Forker(s.world).fork(run, [])
    assert (found.status, found.rerun) == ("cancelled", 0)
