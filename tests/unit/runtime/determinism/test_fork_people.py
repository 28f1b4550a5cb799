"""What people are supposed to say reaches the questions of child runs too."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle


class Sum(msgspec.Struct, frozen=True):
    amount: int


@action("bank.pay", effect=Effect.WRITE)
def pay(ctx, value: Sum) -> Sum:
    """Pay."""
    return value


@workflow("asks-below")
async def asks(ctx, value: Sum) -> int:
    given = await ctx.approve("bank.pay", value, requester="agent:x")
    if not given.approved:
        return 0
    return (await ctx.call("bank.pay", value, approval=given)).amount


@workflow("asks-nobody")
async def quiet(ctx, value: Sum) -> int:
    return (await ctx.call("bank.pay", value)).amount


@workflow("parent-of-both")
async def parent(ctx, value: Sum) -> list[int]:
    return [await ctx.run("asks-below", value), await ctx.run("asks-nobody", value)]


PLUGIN = Plugin(name="bank", actions=(pay,), workflows=(asks, quiet, parent))


@pytest.mark.parametrize(("people", "output"), [("reject", [0, 7]), ("same", [7, 7])])
async def test_a_question_below_is_answered_as_supposed(people: str, output: list[int]) -> None:
    squad = TestSquad(PLUGIN)
    run = await squad.engine.start("parent-of-both", {"amount": 7}, key="k", actor="person:ada")
    while not (items := await squad.engine.inbox(run)):
        await settle()
    await squad.engine.answer(items[0].id, approve=True, approver="person:bo", reason="fine")
    await asyncio.wait_for(squad.engine.wait(run), 5)
    fork = await Forker(squad.world, people=people).fork(run, [])
    assert fork.output == output
    assert fork.reused >= 1, "what asks nobody is as it was"
