"""What a crash left reserved is given back once nobody can settle it; a budget
that could never bind is refused."""

from __future__ import annotations

from typing import Any

import pytest

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import ConflictError, InvalidError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.money import Money
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.resilience.budget import Limit, Request
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.runtime.resilience.release import Released, ReleaseInput, release_budgets
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy

NOON = 1795435200000
HOUR = 3_600_000


class Desk:
    """A log in memory with two budgets and two runs, and who asks."""

    actor = Actor("person", "ada")

    def __init__(self) -> None:
        self.clock = ManualClock(NOON)
        self.store = open_ledger("memory:", self.clock, SeededEntropy()).store
        self.keeper = BudgetKeeper(self.store)

    def now_ms(self) -> int:
        return self.clock.now_ms()

    def port(self, role: Any) -> Any:
        return self.keeper if role is BudgetKeeper else self.store

    async def begin(self, run: str) -> None:
        await self.store.append([NewEvent(stream=f"run/{run}", type="run.started", payload={})])

    async def end(self, run: str) -> None:
        await self.store.append([NewEvent(stream=f"run/{run}", type="run.completed", payload={})])

    async def limit(self, scope: str) -> None:
        limit = Limit(scope=scope, currency="USD", micros=10_000_000)
        await self.keeper.set(limit, actor="person:ada")

    async def reserve(self, id: str, *scopes: str, micros: int | None = 4_000_000) -> None:
        await self.keeper.reserve(
            Request(id=id, currency="USD", micros=micros, scopes=scopes, at_ms=self.now_ms())
        )

    async def left(self) -> dict[str, tuple[int, int, int]]:
        lines = await BudgetKeeper(self.store).lines(self.now_ms())
        return {one.scope: (one.spent, one.reserved, one.open) for one in lines}

    async def release(self, **more: Any) -> Released:
        return await release_budgets(self, ReleaseInput(reason="the machine was lost", **more))


async def test_what_an_ended_run_left_reserved_is_given_back_at_once_in_every_scope() -> None:
    desk = Desk()
    await desk.begin("r1")
    await desk.begin("r2")
    for scope in ("run:r1", "run:r2", "tenant:default"):
        await desk.limit(scope)
    await desk.reserve("a", "run:r1", "tenant:default")
    await desk.reserve("b", "run:r2", "tenant:default")
    await desk.end("r1")
    done = await desk.release()
    assert [(one.id, one.scopes, one.reserved) for one in done.items] == [
        ("a", ("run:r1", "tenant:default"), "4.00")
    ]
    assert "run r1 has completed" in done.items[0].because
    assert done.open == 1
    assert await desk.left() == {
        "run:r1": (0, 0, 0),
        "run:r2": (0, 4_000_000, 1),
        "tenant:default": (0, 4_000_000, 1),
    }
    last = (await desk.store.read_stream("budget/run:r1"))[-1]
    assert last.type == "budget.released"
    assert "the machine was lost (person:ada" in last.payload["reason"]
    assert (await desk.release()).items == ()


async def test_a_call_that_may_still_work_keeps_what_it_reserved_until_it_is_old() -> None:
    desk = Desk()
    await desk.limit("tenant:default")
    await desk.reserve("a", "tenant:default")
    assert (await desk.release()).open == 1
    await desk.clock.advance(HOUR + 1)
    await desk.reserve("b", "tenant:default")
    done = await desk.release()
    assert [one.id for one in done.items] == ["a"]
    assert await desk.left() == {"tenant:default": (0, 4_000_000, 1)}


async def test_what_may_have_been_spent_can_be_counted_as_spent() -> None:
    desk = Desk()
    await desk.begin("r1")
    await desk.limit("run:r1")
    await desk.reserve("a", "run:r1")
    await desk.end("r1")
    await desk.release(spent=True)
    assert await desk.left() == {"run:r1": (4_000_000, 0, 0)}


async def test_what_was_settled_is_not_released() -> None:
    desk = Desk()
    await desk.begin("r1")
    await desk.limit("run:r1")
    await desk.reserve("a", "run:r1")
    await desk.keeper.settle("a", ["run:r1"], Money(1_000_000, "USD"))
    await desk.end("r1")
    assert (await desk.release()).items == ()
    assert await desk.left() == {"run:r1": (1_000_000, 0, 0)}


async def test_a_budget_of_an_ended_run_is_refused_and_its_removal_is_not() -> None:
    desk = Desk()
    await desk.begin("r1")
    await desk.limit("run:r1")
    await desk.end("r1")
    with pytest.raises(ConflictError, match="run r1 has completed") as caught:
        await desk.limit("run:r1")
    assert caught.value.code == "budget.run_ended"
    limit = Limit(scope="run:r1", currency="USD", micros=0)
    await desk.keeper.set(limit, actor="person:ada", remove=True)
    assert await desk.left() == {}


@pytest.mark.parametrize(
    ("scope", "hint"),
    [("run:kaak", "did you mean run:kaakmppc4j?"), ("run:kaakmppc4j/child", "run:kaakmppc4j")],
)
async def test_a_budget_that_could_never_bind_is_refused(scope: str, hint: str) -> None:
    desk = Desk()
    await desk.begin("kaakmppc4j")
    with pytest.raises(InvalidError) as caught:
        await desk.limit(scope)
    assert hint in str(caught.value.hint)


async def test_a_budget_may_be_set_before_its_run_begins() -> None:
    desk = Desk()
    await desk.limit("run:later")
    assert await desk.left() == {"run:later": (0, 0, 0)}
