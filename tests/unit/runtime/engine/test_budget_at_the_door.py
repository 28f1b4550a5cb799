"""Budgets at the door: reserved before a call, settled after, and never
overspent."""

from __future__ import annotations

import asyncio

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.ids import keyed_id
from agentsquad.runtime.resilience.budget import Limit
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.runtime.resilience.contract import Appraiser, Quote
from agentsquad.testing import TestSquad

PRICE = {"micros": 100, "unknown": False}


class Ask(msgspec.Struct):
    n: int


@action("model.ask", effect=Effect.READ)
async def ask(ctx, value: Ask) -> int:
    """Spend."""
    await asyncio.sleep(0)
    ctx.meter(model="m", cost_micros=PRICE["micros"], currency="USD")
    return value.n


class Prices:
    def appraise(self, action: str, value) -> Quote | None:
        if not isinstance(value, Ask):
            return None
        return Quote("USD", None if PRICE["unknown"] else 120)


@workflow("ask-many")
async def ask_many(ctx, value: dict) -> int:
    answers = await ctx.map(lambda n: one(ctx, n), range(value["n"]), limit=50)
    return sum(answers)


async def one(ctx, n: int) -> int:
    try:
        await ctx.call("model.ask", Ask(n))
    except SquadError as error:
        assert error.code.startswith("budget."), error
        return 0
    return 1


async def spend(n: int, limit: int | None) -> tuple[TestSquad, int, BudgetKeeper]:
    s = TestSquad(Plugin(name="t", actions=(ask,), workflows=(ask_many,)))
    keeper = BudgetKeeper(s.ledger.store)
    s.world.ports.put(BudgetKeeper, keeper)
    s.world.ports.put(Appraiser, Prices())
    run = keyed_id("ask-many", "k")
    if limit is not None:
        budget = Limit(scope=f"run:{run}", currency="USD", micros=limit)
        await keeper.set(budget, actor="person:ada")
    outcome = await s.run("ask-many", {"n": n}, key="k")
    assert outcome.status == "completed", outcome.error
    return s, outcome.output, keeper


async def test_many_callers_at_once_never_overspend():
    PRICE.update(unknown=False)
    _, answered, keeper = await spend(50, 1000)
    (line,) = await keeper.lines(0)
    assert line.spent == answered * 100 <= 1000
    assert line.reserved == 0
    assert answered >= 8


async def test_an_unknown_price_fails_closed():
    PRICE.update(unknown=True)
    _, answered, _ = await spend(3, 1000)
    PRICE.update(unknown=False)
    assert answered == 0


async def test_without_a_budget_nothing_is_refused():
    _, answered, _ = await spend(20, None)
    assert answered == 20
