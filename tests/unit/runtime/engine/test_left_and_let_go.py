"""What has left must be found out about, and what was let go of is not taken
up where it was."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.door import EffectState, Step
from agentsquad.runtime.engine.interceptors import admit, guard, place
from agentsquad.runtime.engine.interceptors.admit import scopes
from agentsquad.runtime.resilience.budget import Limit, Request
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.runtime.resilience.bulkhead import BulkheadRule
from agentsquad.runtime.resilience.contract import (
    Appraiser,
    BudgetExceededError,
    BulkheadFullError,
    Quote,
)
from agentsquad.runtime.resilience.guard import GuardRule, Guards
from agentsquad.runtime.resilience.places import Node, PlacesRule
from agentsquad.runtime.resilience.pools import PoolRule, Pools
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle


@action("bank.pay", effect=Effect.WRITE)
async def pay(ctx: Any, value: int) -> int:
    """Pay."""
    return value


@workflow("waits")
async def waits(ctx: Any, value: int) -> Any:
    """Wait."""
    return await ctx.signal("go")


class Narrow:
    """One place for each, and nobody may wait."""

    async def guards(self) -> list[GuardRule]:
        rule = BulkheadRule(limit=1, waiting=0, patience_ms=0)
        return [GuardRule(name="g", match=("*",), bulkhead=rule)]

    async def pools(self) -> list[PoolRule]:
        one = PlacesRule(nodes=(Node(name="n", slots=1),))
        return [PoolRule(name="p", match=("*",), places=one)]

    async def needs(self) -> dict[str, Any]:
        return {}


class Dear:
    """Whatever is called costs all there is."""

    def appraise(self, action: str, value: Any) -> Quote:
        return Quote("USD", 100)


def a_step(status: str | None) -> Step:
    step = Step(pay, 1, actor=Actor.parse("service:squad"))
    step.run, step.position, step.workflow = "r", "1", "w"
    if status is not None:
        step.effect = EffectState(key="k", action="bank.pay", input=1)
        step.effect.status = status
    return step


@pytest.mark.parametrize("through", [guard, place])
async def test_no_full_house_says_of_what_has_left_that_it_did_not_happen(through: Any) -> None:
    s = TestSquad(Plugin(name="t", actions=(pay,)))
    world, narrow = s.engine.world, Narrow()
    world.ports.put(Guards, Guards(narrow, s.ledger.store, s.clock))
    world.ports.put(Pools, Pools(narrow, s.clock))
    going = asyncio.Event()

    async def long(step: Step) -> str:
        await going.wait()
        return "done"

    async def asked(step: Step) -> str:
        return "found out"

    first = asyncio.ensure_future(through(world, a_step(None), long))
    await settle()
    for status in (None, "planned"):
        waits = asyncio.ensure_future(through(world, a_step(status), asked))
        await settle()
        full = waits.done() and isinstance(waits.exception(), BulkheadFullError)
        assert full or not waits.done()  # refused, or it waits for a place
        waits.cancel()
    for status in ("sent", "ambiguous"):
        assert await through(world, a_step(status), asked) == "found out"
    going.set()
    assert await first == "done"


async def test_no_budget_says_of_what_has_left_that_it_did_not_happen() -> None:
    s = TestSquad(Plugin(name="t", actions=(pay,)))
    world, keeper = s.engine.world, BudgetKeeper(s.ledger.store)
    world.ports.put(BudgetKeeper, keeper)
    world.ports.put(Appraiser, Dear())
    await keeper.set(Limit(scope="step:bank.pay", currency="USD", micros=100), actor="person:ada")
    before = a_step("sent")
    held = Request(
        id=before.idempotency_key, currency="USD", micros=100, scopes=scopes(before), at_ms=0
    )
    await keeper.reserve(held)  # and the process ended

    async def asked(step: Step) -> str:
        return "found out"

    for status in ("sent", "ambiguous"):
        assert await admit(world, a_step(status), asked) == "found out"
    for status in (None, "planned"):
        with pytest.raises(BudgetExceededError):
            await admit(world, a_step(status), asked)
    (line,) = await keeper.lines(0)
    assert (line.spent, line.reserved) == (100, 0)


async def test_a_run_that_was_let_go_of_and_ended_since_is_not_ended_again() -> None:
    s = TestSquad(Plugin(name="t", workflows=(waits,)))
    run = await s.engine.start("waits", 1)
    await settle()
    router = s.engine.router
    old = await router.load(run)
    assert old is not None
    del router.drives[run]
    await s.engine.cancel(run, actor="person:ada", reason="enough")
    await settle()
    journal = await s.ledger.store.read_stream(f"run/{run}")
    router.accept(old, [e for e in journal if e.type == "run.cancel_requested"])
    await settle()
    assert (await s.events(run)).count("run.cancelled") == 1
    assert run not in router.drives
