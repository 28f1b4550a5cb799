"""The commands that ask runs, update them and move them by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import ConflictError, InvalidError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine import actions, desk
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle

ADA, BOB = "person:ada", "person:bob"


class Sum(msgspec.Struct):
    """An amount for somebody."""

    payee: str
    amount: int


@action("till.check", effect=Effect.READ)
async def check(ctx: Any, value: Sum) -> int:
    """Check an amount; 13 is refused."""
    if value.amount == 13:
        raise InvalidError("unlucky", code="till.unlucky")
    return value.amount


@workflow("till", on_failure="wait")
async def till(ctx: Any, value: Sum) -> int:
    """Check, and be told."""
    seen = [await ctx.call("till.check", value)]

    @ctx.on_update("add")
    async def add(amount: int) -> int:
        seen.append(await ctx.call("till.check", Sum("x", amount)))
        return sum(seen)

    ctx.on_query("seen", lambda: seen)
    await ctx.signal("close")
    return sum(seen)


PLUGIN = Plugin(
    name="till",
    actions=(
        check,
        *desk.ACTIONS,
        actions.approve,
        actions.show,
        actions.list_runs,
        actions.signal,
    ),
    workflows=(till,),
)


async def begun(amount: int) -> tuple[TestSquad, str]:
    s = TestSquad(PLUGIN)
    run = await s.engine.start("till", Sum("ACME", amount), key="k")
    await settle()
    return s, run


async def do(s: TestSquad, verb: str, who: str = ADA, /, **given: Any) -> Any:
    return msgspec.to_builtins(await s.engine.invoke(verb, given, actor=Actor.parse(who)))


async def test_a_step_is_patched_by_two_commands_of_two_people() -> None:
    s, run = await begun(13)
    listed = await do(s, "runs.list", status="incident")
    assert [one["id"] for one in listed["items"]] == [run]
    asked = await do(
        s, "runs.patch", run=run[:8], step="1", input=["amount=20", "payee=BOLT"], reason="a slip"
    )
    assert (asked["action"], asked["step"]) == ("runs.patch", "1")
    await do(s, "approvals.approve", BOB, item=asked["item"], reason="seen")
    await settle()
    assert (await do(s, "runs.query", run=run, name="seen"))["answer"] == [20]
    shown = await do(s, "runs.show", run=run)
    names = {step["position"]: step["status"] for step in shown["steps"]}
    assert (names["1"], names["intervention.1"]) == ("done", "approved")
    events = await s.ledger.store.read_stream(f"run/{run}")
    (done,) = [e.payload for e in events if e.type == "step.completed"]
    assert done["input"] == {"payee": "BOLT", "amount": 20}


async def test_an_update_answers_on_the_command_line_and_by_its_key_again() -> None:
    s, run = await begun(1)
    for _ in range(2):
        said = await do(s, "runs.update", run=run, name="add", input="4", key="a")
        assert (said["status"], said["output"]) == ("completed", 5)
    taken = await do(s, "runs.update", run=run, name="add", input="2", key="b", wait=False)
    assert taken["status"] == "accepted"
    await settle()
    await do(s, "runs.signal", run=run, name="close", key="c")
    await settle()
    assert (await s.engine.wait(run)).output == 7


@pytest.mark.parametrize(
    ("name", "given", "kind"),
    [
        ("runs.patch", {"step": "1", "input": ["amount"]}, InvalidError),
        ("runs.patch", {"step": "1"}, InvalidError),
        ("runs.patch", {"step": "9", "input": ["amount=1"]}, ConflictError),
        ("runs.retry", {"step": "1", "reason": " "}, InvalidError),
        ("runs.skip", {"step": "1", "result": '"many"'}, InvalidError),
    ],
)
async def test_what_cannot_be_asked_says_so_and_asks_nothing(
    name: str, given: dict[str, Any], kind: type[Exception]
) -> None:
    s, run = await begun(13)
    before = await s.events(run)
    with pytest.raises(kind):
        await do(s, name, run=run, **{"reason": "a slip", **given})
    assert await s.events(run) == before


@pytest.mark.parametrize(("means", "given"), [("retry", {}), ("fail", {}), ("compensate", {})])
async def test_each_is_a_question_to_somebody_else(means: str, given: dict[str, Any]) -> None:
    s, run = await begun(13)
    step = {} if means == "compensate" else {"step": "1"}
    asked = await do(s, f"runs.{means}", run=run, reason="so it is", **step, **given)
    (item,) = [one for one in await s.engine.inbox() if one.kind == "intervention"]
    assert (item.id, item.action, item.because) == (asked["item"], f"runs.{means}", "so it is")
