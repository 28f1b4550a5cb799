"""The actions on budgets, over a log in memory."""

from __future__ import annotations

from typing import Any

import pytest

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.policy import Question
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.policy.plugin import load_policy
from agentsquad.runtime.resilience.actions import SetInput, ShowInput, set_budget, show_budgets
from agentsquad.runtime.resilience.budget import Request
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.runtime.resilience.plugin import plugin
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy

NOON = 1795435200000


class LogContext:
    actor = Actor("person", "ada")

    def __init__(self) -> None:
        self.store = open_ledger("memory:", ManualClock(NOON), SeededEntropy()).store

    def now_ms(self) -> int:
        return NOON

    def port(self, role: Any) -> Any:
        return self.store


async def test_a_budget_is_set_shown_and_removed() -> None:
    ctx = LogContext()
    given = SetInput(scope="tenant:acme", amount="250.00", currency="USD", period="month")
    (line,) = (await set_budget(ctx, given)).items
    assert (line.scope, line.window, line.limit, line.left) == (
        "tenant:acme", "2026-11", "250.00", "250.00",
    )  # fmt: skip
    keeper = BudgetKeeper(ctx.store)
    request = Request(
        id="s1", currency="USD", micros=1_500_000, scopes=("tenant:acme",), at_ms=NOON
    )
    await keeper.reserve(request)
    (line,) = (await show_budgets(ctx, ShowInput())).items
    assert (line.reserved, line.left, line.open) == ("1.50", "248.50", 1)
    assert (await show_budgets(ctx, ShowInput(scope="run:"))).items == ()
    gone = SetInput(scope="tenant:acme", amount="none", currency="USD", period="month")
    assert (await set_budget(ctx, gone)).items == ()
    assert [event.actor for event in await ctx.store.read_stream("budget/tenant:acme")] == [
        "person:ada", "service:squad", "person:ada",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        SetInput(scope="acme", amount="1", currency="USD"),
        SetInput(scope="run:1", amount="1,000", currency="USD"),
        SetInput(scope="run:1", amount="1", currency="usd"),
        SetInput(scope="run:1", amount="1", currency="USD", period="week"),
    ],
)
async def test_a_wrong_budget_is_answered_with_a_hint(given: SetInput) -> None:
    ctx = LogContext()
    with pytest.raises(InvalidError) as caught:
        await set_budget(ctx, given)
    assert caught.value.hint
    assert await ctx.store.size() == 0


def test_people_set_budgets_and_agents_do_not() -> None:
    policy = load_policy([plugin])
    for actor, allowed in (("person:ada", True), ("agent:matcher", False), ("service:x", False)):
        question = Question(actor=actor, action="budget.set", effect="write", input={})
        assert policy.decide(question).allow is allowed
