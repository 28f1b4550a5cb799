"""Who is asked when nobody answers; what comes in by signal, once and of the
declared type; and which runs know of a change."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import ConflictError, InvalidError, MissingError, SquadError
from agentsquad.kernel.policy import Decision, Question
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.asking import decide, query
from agentsquad.runtime.engine.contract import Approval, workflow
from agentsquad.runtime.engine.inbound.contract import ChangeRetiredError, Escalation
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle
from agentsquad.testing.world import AllowAll

HOUR = 3_600_000
LADDER = (
    Escalation(after_ms=HOUR, roles=("manager",), because="nobody answered for an hour"),
    Escalation(after_ms=3 * HOUR, roles=("cfo",), keep=False),
)


class Delivery(msgspec.Struct):
    """What arrived."""

    pallets: int


@action("pay.send", effect=Effect.WRITE)
async def send(ctx: Any, value: int) -> int:
    """Pay."""
    return value


@workflow("asking")
async def asking(ctx: Any, value: dict[str, Any]) -> Any:
    """Ask, up a ladder."""
    answer: Approval = await ctx.approve(
        "pay.send",
        5,
        roles=["clerk"],
        because="big",
        expires_ms=10 * HOUR,
        escalate=LADDER,
        **value,
    )
    if not answer.approved:
        return "no"
    return await ctx.call("pay.send", 5, approval=answer)


@workflow("expecting", signals={"delivered": Delivery, "note": Any})
async def expecting(ctx: Any, value: dict[str, Any]) -> Any:
    """Wait for a delivery."""
    came = await ctx.signal("delivered", escalate=LADDER, timeout_ms=5 * HOUR, **value)
    return came.pallets if isinstance(came, Delivery) else came


@workflow("counting", signals={"tick": int})
async def counting(ctx: Any, value: int) -> list[int]:
    """Take signals until none comes."""
    return [tick async for tick in ctx.signals("tick", timeout_ms=value)]


@workflow("steep")
async def steep(ctx: Any, value: int) -> Any:
    """Ask with a ladder that ends too late."""
    return await ctx.approve("pay.send", 5, expires_ms=HOUR, escalate=LADDER)


def squad(**options: Any) -> TestSquad:
    flows = (asking, expecting, counting, steep)
    return TestSquad(Plugin(name="ladders", actions=(send,), workflows=flows), **options)


async def begun(s: TestSquad, flow: str, value: Any) -> str:
    run = await s.engine.start(flow, value, actor="agent:buyer")
    await settle()
    return run


async def identical(s: TestSquad, run: str) -> bool:
    return (await replay(s.ledger.store, s.registry, run)).verdict == "identical"


class Roles(AllowAll):
    """People are what they are called; who may answer is in the roles asked."""

    def decide(self, question: Question) -> Decision:
        said = super().decide(question)
        if question.action == "approvals.give":
            may = question.actor.partition(":")[2] in question.facts["roles"]
            return msgspec.structs.replace(said, allow=may)
        if question.action == "pay.send":
            duty = {"approve": {"roles": ["clerk", "manager", "cfo"]}}
            return msgspec.structs.replace(said, obligations=(duty,))
        return said


@pytest.mark.parametrize("crash", [False, True])
async def test_a_question_climbs_its_ladder(crash: bool) -> None:
    s = squad(policy=Roles())
    run = await begun(s, "asking", {})
    seen = []
    for hours in (0, 1, 2):
        if crash:
            await s.restart()
        await s.clock.advance(hours * HOUR)
        await settle()
        (item,) = await s.engine.inbox()
        seen.append((item.level, item.roles, item.because))
    assert seen == [
        (0, ("clerk",), "big"),
        (1, ("clerk", "manager"), "nobody answered for an hour"),
        (2, ("cfo",), "big"),
    ]
    assert item.since is not None
    assert item.since > item.asked
    with pytest.raises(SquadError, match="may not answer"):
        await s.engine.answer(item.id, approve=True, approver="person:clerk", reason="late")
    await s.engine.answer(item.id, approve=True, approver="person:cfo", reason="seen")
    assert (await s.engine.wait(run)).output == 5
    events = await s.ledger.store.read_stream(f"run/{run}")
    (given,) = [e.payload for e in events if e.type == "approval.given"]
    assert (given["level"], given["roles"]) == (2, ["cfo"])
    assert await identical(s, run)


async def test_who_was_asked_first_may_still_answer_where_the_rung_keeps_them() -> None:
    s = squad(policy=Roles())
    run = await begun(s, "asking", {})
    await s.clock.advance(HOUR)
    (item,) = await s.engine.inbox()
    await s.engine.answer(item.id, approve=True, approver="person:clerk", reason="seen")
    assert (await s.engine.wait(run)).output == 5


@pytest.mark.parametrize(("on_expiry", "status"), [("fail", "failed"), ("refuse", "completed")])
async def test_at_the_end_of_the_ladder_nobody_is_an_error_or_a_no(
    on_expiry: str, status: str
) -> None:
    s = squad()
    run = await begun(s, "asking", {"on_expiry": on_expiry})
    for _ in range(10):
        await s.clock.advance(HOUR)
        await settle()
    outcome = await s.engine.wait(run)
    assert outcome.status == status
    if status == "failed":
        assert outcome.error is not None
        assert outcome.error["code"] == "approval.expired"
    else:
        assert outcome.output == "no"
    assert (await s.events(run)).count("wait.escalated") == 2
    assert await identical(s, run)


async def test_a_signal_that_does_not_come_is_told_to_people_and_falls_back() -> None:
    s = squad()
    run = await begun(s, "expecting", {"fallback": "nothing came"})
    assert await s.engine.inbox() == []
    await s.clock.advance(HOUR)
    (item,) = await s.engine.inbox()
    assert (item.kind, item.action, item.roles, item.level) == (
        "signal",
        "delivered",
        ("manager",),
        1,
    )
    with pytest.raises(InvalidError, match="waits for the signal"):
        await s.engine.answer(item.id, approve=True, approver="person:x", reason="y")
    for _ in range(5):
        await s.clock.advance(HOUR)
        await settle()
    assert (await s.engine.wait(run)).output == "nothing came"
    assert await s.engine.inbox() == []
    assert await identical(s, run)


async def test_a_signal_that_comes_late_leaves_the_inbox() -> None:
    s = squad()
    run = await begun(s, "expecting", {})
    await s.clock.advance(HOUR)
    assert len(await s.engine.inbox()) == 1
    await s.engine.signal(run, "delivered", {"pallets": 4}, actor="person:ada")
    assert (await s.engine.wait(run)).output == 4
    assert await s.engine.inbox() == []


@pytest.mark.parametrize(
    ("name", "payload", "code"),
    [
        ("delivered", {"pallets": "many"}, "signal.payload"),
        ("deliverd", {"pallets": 4}, "signal.unknown"),
    ],
)
async def test_a_signal_the_workflow_does_not_declare_is_refused(
    name: str, payload: Any, code: str
) -> None:
    s = squad()
    run = await begun(s, "expecting", {})
    before = await s.events(run)
    for key in (None, "k"):
        with pytest.raises((InvalidError, MissingError)) as caught:
            await s.engine.signal(run, name, payload, actor="person:ada", key=key)
        assert caught.value.code == code
    assert await s.events(run) == before


async def test_a_signal_with_a_key_comes_once() -> None:
    s = squad()
    run = await begun(s, "counting", 1_000)
    said = []
    for key in ("a", "a", "b", "a"):
        said.append(await s.engine.signal(run, "tick", 1, actor="person:ada", key=key))
        await s.restart()
    await s.clock.advance(5_000)
    assert (await s.engine.wait(run)).output == [1, 1]
    assert said == [True, False, True, False]
    assert await s.engine.signal(run, "tick", 1, actor="person:ada", key="b") is False
    with pytest.raises(ConflictError, match="already completed"):
        await s.engine.signal(run, "tick", 1, actor="person:ada", key="c")
    assert await identical(s, run)


async def test_a_ladder_must_end_before_its_question_does() -> None:
    s = squad()
    outcome = await s.run("steep", 1)
    assert outcome.error["code"] == "escalation.ladder"


# --- changes


@workflow("changing", version="1")
async def changing(ctx: Any, value: int) -> str:
    """Wait, then go the old way."""
    await ctx.signal("go")
    return "old"


def changed(**options: Any) -> Registry:
    @workflow("changing", version="2", changes=("new-way",), **options)
    async def later(ctx: Any, value: int) -> str:
        await ctx.signal("go")
        return "new" if ctx.patched("new-way") else "old"

    actions = (decide, query)
    return Registry.of(Plugin(name="later", actions=actions, workflows=(later,)))


async def adopt(s: TestSquad, run: str) -> None:
    definition = s.registry.workflow("changing").digest
    await s.engine.tell(run, "run.adopted", {"definition": definition, "reason": "new"}, "person:a")


async def test_a_run_begun_before_a_change_goes_the_old_way_and_one_after_it_the_new() -> None:
    s = TestSquad(Plugin(name="first", workflows=(changing,)))
    before = await begun(s, "changing", 1)
    await s.restart(changed())
    after = await begun(s, "changing", 1)
    await adopt(s, before)
    await s.restart()
    for run in (before, after):
        await s.engine.signal(run, "go", None, actor="person:ada")
    assert (await s.engine.wait(before)).output == "old"
    assert (await s.engine.wait(after)).output == "new"
    events = await s.ledger.store.read_stream(f"run/{after}")
    assert events[0].payload["changes"] == ["new-way"]
    assert (await replay(s.ledger.store, s.registry, before)).verdict == "compatible"
    assert await identical(s, after)


async def test_a_run_whose_old_path_is_gone_says_so() -> None:
    s = TestSquad(Plugin(name="first", workflows=(changing,)))
    run = await begun(s, "changing", 1)
    await s.restart(changed(retired=("new-way",)))
    with pytest.raises(ChangeRetiredError, match="new-way"):
        await adopt(s, run)
    await s.restart()
    with pytest.raises(ChangeRetiredError, match="new-way"):
        await s.engine.wait(run)


async def test_a_change_nobody_declared_is_a_slip() -> None:
    @workflow("slipping")
    async def slipping(ctx: Any, value: int) -> bool:
        return bool(ctx.patched("nwe-way"))

    s = TestSquad(Plugin(name="slip", workflows=(slipping,)))
    assert (await s.run("slipping", 1)).error["code"] == "change.unknown"
