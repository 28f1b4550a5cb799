"""Queries look and leave no trace; updates are validated, recorded, carried out
as branches of the run, and answered once for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import ConflictError, DeadlineError, InvalidError, MissingError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle

ASKER = "person:ada"


class Item(msgspec.Struct):
    """What is put into a basket."""

    name: str
    count: int = 1


class Put(msgspec.Struct):
    """A basket after something was put in."""

    total: int


@action("shop.price", effect=Effect.READ)
async def price(ctx: Any, value: Item) -> int:
    """Return a price."""
    if value.name == "dragon":
        raise MissingError("no dragons", code="shop.none")
    return 10 * value.count


@workflow("basket")
async def basket(ctx: Any, value: dict[str, Any]) -> dict[str, Any]:
    """Fill a basket until it is paid."""
    items: list[str] = []
    total = [0]

    @ctx.on_query("total")
    def look() -> int:
        return total[0]

    @ctx.on_query("has")
    def has(name: str) -> bool:
        return name in items

    @ctx.on_query("sly")
    def sly() -> int:
        items.append("stolen")
        return 1

    @ctx.on_query("steps")
    def steps() -> Any:
        return ctx.call("shop.price", Item("x"))

    @ctx.on_query("random")
    def draws() -> float:
        return float(ctx.random())

    def small(item: Item) -> bool:
        if item.name == "bomb":
            raise InvalidError("no bombs", code="basket.bomb")
        return item.count < 100

    @ctx.on_update("put", validator=small)
    async def put(item: Item) -> Put:
        amount = await ctx.call("shop.price", item)
        items.append(item.name)
        total[0] += amount
        return Put(total[0])

    @ctx.on_update("slow")
    async def slow() -> str:
        await ctx.sleep(60_000)
        return "done"

    await ctx.signal("pay")
    return {"items": items, "total": total[0]}


def squad() -> TestSquad:
    return TestSquad(Plugin(name="shop", actions=(price,), workflows=(basket,)))


async def begun(s: TestSquad) -> str:
    run = await s.engine.start("basket", {})
    await settle()
    return run


async def test_an_update_answers_and_changes_the_run() -> None:
    s = squad()
    run = await begun(s)
    answer = await s.engine.update(run, "put", {"name": "egg", "count": 3}, actor=ASKER)
    assert (answer.status, answer.output) == ("completed", {"total": 30})
    assert await s.engine.query(run, "total") == 30
    assert await s.engine.query(run, "has", "egg") is True
    await s.engine.signal(run, "pay", None, actor=ASKER)
    assert (await s.engine.wait(run)).output == {"items": ["egg"], "total": 30}
    assert await s.engine.query(run, "total") == 30  # an ended run answers too
    found = await replay(s.ledger.store, s.registry, run)
    assert found.verdict == "identical"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("put", {"name": "bomb"}, "basket.bomb"),
        ("put", {"name": "egg", "count": 100}, "update.refused"),
        ("put", {"count": 1}, "handler.input"),
        ("pot", {"name": "egg"}, "update.missing"),
    ],
)
async def test_a_refused_update_writes_nothing(name: str, value: Any, code: str) -> None:
    s = squad()
    run = await begun(s)
    before = await s.events(run)
    with pytest.raises((InvalidError, MissingError)) as caught:
        await s.engine.update(run, name, value, actor=ASKER)
    assert caught.value.code == code
    assert await s.events(run) == before


async def test_a_failing_handler_is_an_answer_and_the_run_goes_on() -> None:
    s = squad()
    run = await begun(s)
    answer = await s.engine.update(run, "put", {"name": "dragon"}, actor=ASKER)
    assert answer.status == "failed"
    assert answer.error is not None
    assert answer.error["code"] == "shop.none"
    assert (await s.engine.query(run, "total")) == 0


async def test_the_same_key_gives_the_same_answer_after_a_crash_and_after_the_end() -> None:
    s = squad()
    run = await begun(s)
    egg = {"name": "egg"}
    first = await s.engine.update(run, "put", egg, actor=ASKER, key="k")
    await s.restart()
    assert await s.engine.update(run, "put", egg, actor=ASKER, key="k") == first
    await s.engine.signal(run, "pay", None, actor=ASKER)
    assert (await s.engine.wait(run)).output == {"items": ["egg"], "total": 10}
    assert await s.engine.update(run, "put", egg, actor=ASKER, key="k") == first
    with pytest.raises(ConflictError, match="another input"):
        await s.engine.update(run, "put", {"name": "ham"}, actor=ASKER, key="k")
    with pytest.raises(ConflictError, match="already completed"):
        await s.engine.update(run, "put", egg, actor=ASKER, key="other")


async def test_a_run_ends_only_when_its_updates_are_answered() -> None:
    s = squad()
    run = await begun(s)
    asking = asyncio.ensure_future(s.engine.update(run, "slow", actor=ASKER))
    await settle()
    await s.engine.signal(run, "pay", None, actor=ASKER)
    await settle()
    assert (await s.engine.outcome(run)).status == "waiting"
    with pytest.raises(ConflictError) as caught:
        await s.engine.update(run, "put", {"name": "egg"}, actor=ASKER)
    assert caught.value.code == "run.ending"
    await s.restart()
    await s.clock.advance(60_000)
    await settle()
    assert (await s.engine.outcome(run)).status == "completed"
    kinds = await s.events(run)
    assert kinds.index("update.completed") < kinds.index("run.completed")
    asking.cancel()


async def test_a_cancelled_run_answers_what_it_took() -> None:
    s = squad()
    run = await begun(s)
    taken = await s.engine.update(run, "slow", actor=ASKER, key="k", timeout_ms=0)
    assert taken.status == "accepted"
    await s.engine.cancel(run, actor=ASKER, reason="enough")
    assert (await s.engine.wait(run)).status == "cancelled"
    answer = await s.engine.update(run, "slow", actor=ASKER, key="k")
    assert answer.error is not None
    assert answer.error["code"] == "run.stopped"
    assert (await replay(s.ledger.store, s.registry, run)).verdict == "identical"


async def test_who_does_not_wait_long_enough_asks_again_with_the_key() -> None:
    s = squad()
    run = await begun(s)
    asking = asyncio.ensure_future(
        s.engine.update(run, "slow", actor=ASKER, key="k", timeout_ms=1_000)
    )
    await settle()
    await s.clock.advance(1_500)
    with pytest.raises(DeadlineError, match="has not answered yet"):
        await asking
    again = asyncio.ensure_future(s.engine.update(run, "slow", actor=ASKER, key="k"))
    await settle()
    await s.clock.advance(60_000)
    assert (await again).output == "done"


@pytest.mark.parametrize("name", ["sly", "steps", "random"])
async def test_a_query_that_changes_anything_is_refused(name: str) -> None:
    s = squad()
    run = await begun(s)
    before = await s.events(run)
    with pytest.raises(InvalidError) as caught:
        await s.engine.query(run, name)
    assert caught.value.code == "query.mutates"
    assert await s.events(run) == before
    assert await s.engine.query(run, "has", "stolen") is False


async def test_every_run_answers_how_it_stands() -> None:
    s = squad()
    run = await begun(s)
    standing = await s.engine.query(run, "status")
    assert (standing["workflow"], standing["status"]) == ("basket", "open")
    (wait,) = await s.engine.query(run, "waiting")
    assert (wait["kind"], wait["name"], wait["position"]) == ("signal", "pay", "1")
    (branch,) = await s.engine.query(run, "stack")
    assert branch["at"] == "1"
    assert branch["frames"][0]["function"] == "basket"
    offers = await s.engine.query(run, "handlers")
    assert offers["updates"] == ["put", "slow"]
    with pytest.raises(MissingError) as caught:
        await s.engine.query(run, "totel")
    assert "total" in str(caught.value.hint)
