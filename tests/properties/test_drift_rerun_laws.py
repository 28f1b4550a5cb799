"""Law of driving again: with nothing swapped a run comes out as recorded,
whatever it waited for, asked, or was stopped by."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.insight.drift.population import Census, Observation
from agentsquad.insight.drift.rerun import Arm, Asker, Memory, Rerunner
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import InvalidError, SquadError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.past import load
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle


class N(msgspec.Struct, frozen=True):
    n: int


@action("sums.add", effect=Effect.PURE)
def add(ctx, value: N) -> N:
    """Add one."""
    if value.n == 7:
        raise InvalidError("seven", code="sums.seven")
    return N(value.n + 1)


@action("sums.send", effect=Effect.WRITE, preview="sums.add")
async def send(ctx, value: N) -> N:
    """Send."""
    return N(value.n + 1)


@workflow("small", timeout_ms=60_000)
async def small(ctx, value: dict) -> int:
    n = value["n"]
    for at, step in enumerate(value["steps"], start=1):
        if step == "add":
            n = (await ctx.call("sums.add", {"n": n})).n
        elif step == "send":
            n = (await ctx.call("sums.send", {"n": n})).n
        elif step == "sleep":
            await ctx.sleep(1000)
        elif step == "hear":
            try:
                n += await ctx.signal("word", timeout_ms=5000)
            except SquadError:
                n -= 1
        elif step == "ask":
            answer = await ctx.approve("sums.send", {"n": n}, because="large", roles=("any",))
            n += 10 if answer.approved else 20
        elif step == "both":
            pair = [ctx.call("sums.add", {"n": n}), ctx.sleep(500)]
            n = (await ctx.parallel(*pair))[0].n
        elif step == "child":
            n = await ctx.run("small", {"n": n, "steps": ["add", "sleep"]})
        elif step == "row":
            n = await ctx.run("small", {"n": n, "steps": ["add", "on", "send", "on", "sleep"]})
        elif step == "on":
            raise ctx.continue_as_new({"n": n, "steps": value["steps"][at:]})
        else:
            await ctx.sleep(100_000)  # longer than a run may take
    return n


STEPS = st.lists(
    st.sampled_from(["add", "add", "send", "sleep", "hear", "ask", "both", "child", "row", "late"]),
    max_size=6,
)


def plain(one: Observation) -> Any:
    numbers = {k: v for k, v in one.numbers.items() if k[0] not in ("latency", "waiting")}
    return numbers, one.words


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 9), STEPS, st.booleans(), st.booleans())
def test_with_nothing_swapped_a_run_comes_out_as_recorded(
    n: int, steps: list[str], speak: bool, approve: bool
):
    async def check() -> None:
        squad = TestSquad(Plugin(name="sums", actions=(add, send), workflows=(small,)))
        run = await squad.engine.start("small", {"n": n, "steps": steps})
        for _ in range(len(steps) + 2):
            await settle()
            if speak and (await squad.engine.outcome(run)).status not in ("completed", "failed"):
                try:
                    await squad.engine.signal(run, "word", 5, actor="person:ada")
                except SquadError:
                    break
            for item in await squad.engine.inbox(run):
                await squad.engine.answer(
                    item.id, approve=approve, approver="person:eve", reason="seen"
                )
            await squad.clock.advance(6000)
        await squad.clock.advance(200_000)
        await squad.engine.wait(run, timeout_ms=5000)
        store = squad.ledger.store
        recorded = Census("small")
        for event in await store.read():
            if event.stream.startswith("run/"):
                recorded.add(event)
        past = await load(store, run)
        assert past is not None
        memory = Memory()
        arm = Arm(new=frozenset(), policy=squad.policy)
        rerunner = Rerunner(Asker(squad.world), arm, memory, memory)
        again = Census("small")
        for event in await rerunner.again(past):
            again.add(event)
        assert {k: plain(v) for k, v in again.found.items()} == {
            k: plain(v) for k, v in recorded.found.items()
        }

    asyncio.run(check())
