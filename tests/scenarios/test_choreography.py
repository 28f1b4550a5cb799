"""Runs that know only each other's messages: a saga without a conductor."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import ConflictError
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.control.messages import (
    AgainInput,
    DeliverInput,
    PublishInput,
    deliver,
    publish,
    redeliver,
    said,
    subscriptions,
)
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad

ADA = Actor("person", "ada")
STOCK: dict[str, int] = {}


class Sku(msgspec.Struct):
    """How many of what."""

    sku: str
    count: int


@action("stock.change", effect=Effect.WRITE)
async def change(ctx: Any, value: Sku) -> int:
    """Add to the stock."""
    STOCK[value.sku] = STOCK.get(value.sku, 0) + value.count
    return STOCK[value.sku]


async def say(ctx: Any, topic: str, order: dict[str, Any]) -> None:
    """Publish what became of an order."""
    await ctx.call("messages.publish", {"topic": topic, "payload": order, "key": order["id"]})


@workflow("place-order")
async def place_order(ctx: Any, order: dict[str, Any]) -> None:
    """Somebody orders."""
    await say(ctx, "order.placed", order)


@workflow("reserve-goods", on="order.placed")
async def reserve(ctx: Any, order: dict[str, Any]) -> None:
    """Take the goods out of the stock."""
    await ctx.call("stock.change", {"sku": order["sku"], "count": -order["count"]})
    await say(ctx, "goods.reserved", order)


@workflow("take-payment", on="goods.reserved")
async def pay(ctx: Any, order: dict[str, Any]) -> None:
    """Take the money, if there is some."""
    await say(ctx, "payment.taken" if order["money"] else "payment.refused", order)


@workflow("release-goods", on="payment.refused")
async def release(ctx: Any, order: dict[str, Any]) -> None:
    """Put the goods back."""
    await ctx.call("stock.change", {"sku": order["sku"], "count": order["count"]})


def order(name: str, **more: Any) -> dict[str, Any]:
    """An order of two pens."""
    return {"id": name, "sku": "pen", "count": 2, "money": True, **more}


@pytest.fixture
def squad() -> TestSquad:
    """A squad whose processes listen to each other."""
    STOCK.clear()
    STOCK["pen"] = 10
    actions = (change, publish, said, deliver, redeliver, subscriptions)
    workflows = (place_order, reserve, pay, release)
    return TestSquad(Plugin(name="shop", actions=actions, workflows=workflows))


async def settle(squad: TestSquad) -> list[str]:
    """Wait for every run; return the workflows that ran, in order."""
    names = []
    for _ in range(8):
        await squad.clock.advance(10)
    for event in await squad.ledger.store.read(types=("run.started",), limit=500):
        names.append(event.payload["workflow"])
        outcome = await squad.engine.wait(event.stream.removeprefix("run/"), timeout_ms=5000)
        assert outcome.status == "completed", outcome
    return names


async def test_each_step_hears_of_the_one_before(squad):
    await squad.run("place-order", order("PO-1"))
    assert await settle(squad) == ["place-order", "reserve-goods", "take-payment"]
    assert STOCK["pen"] == 8


async def test_what_was_done_is_undone_when_a_later_step_says_that_it_failed(squad):
    await squad.run("place-order", order("PO-2", money=False))
    assert await settle(squad) == [
        "place-order", "reserve-goods", "take-payment", "release-goods",
    ]  # fmt: skip
    assert STOCK["pen"] == 10


async def test_the_same_message_twice_is_one_message(squad):
    for _ in range(2):
        await squad.run("place-order", order("PO-3"))
    names = await settle(squad)
    assert names.count("place-order") == 2 and names.count("reserve-goods") == 1
    assert STOCK["pen"] == 8


async def test_a_message_nobody_looked_at_starts_its_run_later_and_only_once(squad):
    real = squad.engine.start

    async def busy(name: str, *args: Any, **options: Any) -> str:
        if name == "reserve-goods":
            raise ConflictError("the process dies here")
        return await real(name, *args, **options)

    squad.engine.start = busy
    outcome = await squad.run("place-order", order("PO-4"))
    assert outcome.status in ("completed", "failed")
    await squad.restart()
    for _ in range(2):
        await squad.engine.invoke("messages.deliver", DeliverInput(), actor=ADA)
    names = await settle(squad)
    assert names.count("reserve-goods") == 1 and STOCK["pen"] == 8


async def test_a_crash_between_run_and_place_starts_nothing_twice(squad):
    real = squad.ledger.store.append

    async def failing(events: Any, **options: Any) -> Any:
        if any(one.type == "subscription.moved" for one in events) and 0 not in (
            options["expect"].values()
        ):
            raise ConflictError("somebody else was first")
        return await real(events, **options)

    squad.ledger.store.append = failing
    await squad.run("place-order", order("PO-5"))
    await settle(squad)
    squad.ledger.store.append = real
    await squad.restart()
    await squad.engine.invoke("messages.deliver", DeliverInput(), actor=ADA)
    assert (await settle(squad)).count("reserve-goods") == 1
    assert STOCK["pen"] == 8


async def test_a_message_that_fits_nowhere_is_put_aside_and_can_be_delivered_again(squad):
    @workflow("typed", on="order.placed")
    async def typed(ctx: Any, value: Sku) -> int:
        return value.count

    plugin = Plugin(name="typed", workflows=(typed,))
    squad = TestSquad(*squad.registry.plugins[:-1], plugin)
    STOCK["pen"] = 10
    for payload in ({"nothing": 1}, {"sku": "pen", "count": 3, "id": "a", "money": 1}):
        value = PublishInput(topic="order.placed", payload=payload, key=str(payload))
        await squad.engine.invoke("messages.publish", value, actor=ADA)
    lines = (await squad.engine.invoke("messages.subscriptions", {}, actor=ADA)).items
    line = next(one for one in lines if one.name == "typed")
    assert line.failed == 1 and line.why.startswith("run.input: ")
    again = AgainInput(name="typed")
    assert (await squad.engine.invoke("messages.redeliver", again, actor=ADA)).items == ()

    @workflow("typed", on="order.placed")
    async def lenient(ctx: Any, value: dict[str, Any]) -> int:
        return 0

    await squad.restart(
        Registry.of(*squad.registry.plugins[:1], Plugin(name="l", workflows=(lenient,)))
    )
    assert len((await squad.engine.invoke("messages.redeliver", again, actor=ADA)).items) == 1
    lines = (await squad.engine.invoke("messages.subscriptions", {}, actor=ADA)).items
    assert [one.failed for one in lines if one.name == "typed"] == [0]


async def test_who_listens_is_listed_and_hears_only_what_is_said_from_then_on(squad):
    for name in ("PO-6", "PO-7"):
        value = PublishInput(topic="order.placed", payload=order(name), key=name)
        said = await squad.engine.invoke("messages.publish", value, actor=ADA)
        assert [one.subscription for one in said.started] == ["reserve-goods"]
    lines = (await squad.engine.invoke("messages.subscriptions", {}, actor=ADA)).items
    assert [line.workflow for line in lines] == ["release-goods", "reserve-goods", "take-payment"]
    assert all(line.delivered for line in lines)


async def test_a_topic_that_is_none_is_refused(squad):
    with pytest.raises(Exception, match="is not a topic"):
        value = PublishInput(topic="Order Placed")
        await squad.engine.invoke("messages.publish", value, actor=ADA)
