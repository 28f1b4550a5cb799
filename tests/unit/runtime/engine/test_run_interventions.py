"""A step that failed for good stands still instead of failing its run, and goes
on by hand: asked by one person, approved by another, and exactly that."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import (
    ConflictError,
    DeniedError,
    InvalidError,
    MissingError,
    UnavailableError,
)
from agentsquad.kernel.policy import Decision, Question
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.contract import Change
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.determinism.past import load
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import InboxItem, workflow
from agentsquad.runtime.engine.intervening import Wish
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle
from agentsquad.testing.world import AllowAll
from agentsquad.workforce.explain.why import Inquiry

ADA, BOB = "person:ada", "person:bob"


class N(msgspec.Struct):
    """A number."""

    n: int


class Side:
    """The other side."""

    def __init__(self) -> None:
        self.refuses = {13}
        self.paid: list[tuple[str, int]] = []


SIDE = Side()


@action("side.look", effect=Effect.READ)
async def look(ctx: Any, value: N) -> N:
    """Look."""
    if value.n in SIDE.refuses:
        raise InvalidError("unlucky", code="side.unlucky")
    return N(value.n + 1)


@action("side.pay", effect=Effect.WRITE, compensate="side.back")
async def pay(ctx: Any, value: N) -> N:
    """Pay."""
    if value.n in SIDE.refuses:
        raise InvalidError("unlucky", code="side.unlucky")
    SIDE.paid.append((ctx.idempotency_key, value.n))
    return value


@action("side.back", effect=Effect.WRITE)
async def back(ctx: Any, value: dict[str, Any]) -> int:
    """Take back."""
    SIDE.paid.append((ctx.idempotency_key, -value["input"]["n"]))
    return 0


@action("side.lost", effect=Effect.IRREVERSIBLE)
async def lost(ctx: Any, value: N) -> N:
    """Send, and lose the answer."""
    raise UnavailableError("the answer was lost")


@workflow("looking", on_failure="wait")
async def looking(ctx: Any, value: N) -> int:
    """Look and pay."""
    found = await ctx.call("side.look", value)
    return (await ctx.call("side.pay", found)).n


@workflow("paying", on_failure="wait")
async def paying(ctx: Any, value: N) -> int:
    """Pay twice, undoing if the second fails."""
    saga = ctx.saga()
    await saga.call("side.pay", N(1))
    await saga.call("side.pay", N(2))
    return (await saga.call("side.pay", value)).n


@workflow("either")
async def either(ctx: Any, value: N) -> str:
    """Fail at once, or wait where it says so."""
    try:
        await ctx.call("side.look", value)
    except InvalidError as error:
        first = error.code
    return first + str((await ctx.call("side.look", value, on_failure="wait")).n)


@workflow("parent", on_failure="wait")
async def parent(ctx: Any, value: N) -> Any:
    """Let a child look."""
    return await ctx.run("plain", value)


@workflow("plain")
async def plain_(ctx: Any, value: N) -> int:
    """Look."""
    return (await ctx.call("side.look", value)).n


@workflow("idle")
async def idle(ctx: Any, value: N) -> list[Any]:
    """Wait for a time and for a signal, and ask."""
    await ctx.sleep(1_000_000)
    came = await ctx.signal("go")
    answer = await ctx.approve("side.pay", value, roles=["boss"], because="?")
    return [came, answer.approved]


@workflow("losing", on_failure="wait")
async def losing(ctx: Any, value: N) -> int:
    """Lose an answer."""
    return (await ctx.call("side.lost", value)).n


FLOWS = (looking, paying, either, parent, plain_, idle, losing)


def squad(**options: Any) -> TestSquad:
    global SIDE
    SIDE = Side()
    return TestSquad(
        Plugin(name="side", actions=(look, pay, back, lost), workflows=FLOWS), **options
    )


async def begun(s: TestSquad, flow: str, n: int) -> str:
    run = await s.engine.start(flow, N(n))
    await settle()
    return run


async def ask(s: TestSquad, run: str, means: Any, position: str | None, **given: Any) -> InboxItem:
    wish = Wish(run=run, means=means, position=position, reason="because", given=given)
    return await s.engine.intervene(wish, actor=ADA)


async def do(s: TestSquad, run: str, means: Any, position: str | None, **given: Any) -> None:
    item = await ask(s, run, means, position, **given)
    await s.engine.answer(item.id, approve=True, approver=BOB, reason="seen")
    await settle()


async def identical(s: TestSquad, run: str) -> bool:
    return (await replay(s.ledger.store, s.registry, run)).verdict == "identical"


async def test_a_step_that_failed_for_good_waits_and_is_listed() -> None:
    s = squad()
    run = await begun(s, "looking", 13)
    assert (await s.engine.outcome(run)).status == "incident"
    assert run not in s.engine.drives  # it costs no memory
    (item,) = await s.engine.inbox()
    assert (item.kind, item.action, item.position) == ("incident", "side.look", "1")
    assert "side.unlucky" in item.because
    with pytest.raises(InvalidError, match="yes or no"):
        await s.engine.answer(item.id, approve=True, approver=BOB, reason="seen")


@pytest.mark.parametrize("crash", [False, True])
async def test_it_is_tried_again_when_two_people_agree(crash: bool) -> None:
    s = squad()
    run = await begun(s, "looking", 13)
    if crash:
        await s.restart()
    SIDE.refuses.clear()
    item = await ask(s, run, "retry", "1")
    assert (item.kind, item.action) == ("intervention", "runs.retry")
    with pytest.raises(DeniedError, match="may not approve"):
        await s.engine.answer(item.id, approve=True, approver=ADA, reason="me")
    assert "intervention.made" not in await s.events(run)
    if crash:
        await s.restart()
    await s.engine.answer(item.id, approve=True, approver=BOB, reason="seen")
    assert (await s.engine.wait(run)).output == 14
    assert await s.engine.inbox() == []
    assert await identical(s, run)


async def test_a_step_that_fails_again_waits_again() -> None:
    s = squad()
    run = await begun(s, "looking", 13)
    await do(s, run, "retry", "1")
    (item,) = await s.engine.inbox()
    assert item.kind == "incident"
    assert (await s.events(run)).count("incident.opened") == 2


@pytest.mark.parametrize("position", ["1", "2"])
async def test_a_patched_step_is_tried_and_replayed_with_its_patch(position: str) -> None:
    s = squad()
    if position == "2":
        SIDE.refuses = {14}
    run = await begun(s, "looking", 13)
    await do(s, run, "patch", position, input={"n": 20})
    outcome = await s.engine.wait(run)
    assert outcome.output == (21 if position == "1" else 20)
    assert len(SIDE.paid) == 1
    assert await identical(s, run)
    await s.restart()
    assert await identical(s, run)


async def test_a_patch_must_fit_the_step() -> None:
    s = squad()
    run = await begun(s, "looking", 13)
    with pytest.raises(InvalidError) as caught:
        await ask(s, run, "patch", "1", input={"n": "many"})
    assert caught.value.code == "intervention.input"


async def test_a_skipped_step_gives_what_the_person_says() -> None:
    s = squad()
    run = await begun(s, "looking", 13)
    await do(s, run, "skip", "1", output={"n": 40})
    assert (await s.engine.wait(run)).output == 40
    assert [n for _, n in SIDE.paid] == [40]
    assert await identical(s, run)
    events = await s.ledger.store.read_stream(f"run/{run}")
    (made,) = [e.payload for e in events if e.type == "intervention.made"]
    assert (made["means"], made["by"], made["approver"]) == ("skip", ADA, BOB)


async def test_a_step_that_is_given_up_fails_where_it_stands() -> None:
    s = squad()
    run = await begun(s, "paying", 13)
    await do(s, run, "fail", "3")
    outcome = await s.engine.wait(run)
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert outcome.error["code"] == "step.given_up"
    assert [n for _, n in SIDE.paid] == [1, 2, -2, -1]
    assert await identical(s, run)


async def test_only_what_is_named_is_undone() -> None:
    s = squad()
    run = await begun(s, "paying", 13)
    with pytest.raises(MissingError, match="nothing to undo"):
        await ask(s, run, "compensate", None, only=["9"])
    await do(s, run, "compensate", None, only=["2"])
    assert (await s.engine.wait(run)).status == "cancelled"
    assert [n for _, n in SIDE.paid] == [1, 2, -2]
    assert await identical(s, run)


async def test_what_a_patch_did_is_undone_and_not_what_was_asked_first() -> None:
    s = squad()
    SIDE.refuses = {1, 13}
    run = await begun(s, "paying", 13)
    await do(s, run, "patch", "1", input={"n": 9})
    await do(s, run, "fail", "3")
    assert [n for _, n in SIDE.paid] == [9, 2, -2, -9]
    assert await identical(s, run)


async def test_a_call_may_wait_where_its_workflow_does_not() -> None:
    s = squad()
    run = await begun(s, "either", 13)
    SIDE.refuses.clear()
    await do(s, run, "retry", "2")
    assert (await s.engine.wait(run)).output == "side.unlucky14"


async def test_a_child_that_failed_is_begun_anew() -> None:
    s = squad()
    run = await begun(s, "parent", 13)
    await do(s, run, "patch", "1", input={"n": 5})
    assert (await s.engine.wait(run)).output == 6
    assert [name for name, _ in await s.ledger.store.streams(f"run/{run}/")] == [
        f"run/{run}/1",
        f"run/{run}/1.again1",
    ]
    found = await replay(s.ledger.store, s.registry, run)
    assert (found.verdict, found.reason) == ("identical", None)


async def test_waits_are_passed_over_but_never_a_persons_answer() -> None:
    s = squad()
    run = await begun(s, "idle", 5)
    await do(s, run, "skip", "1", output=None)
    await do(s, run, "skip", "2", output="by hand")
    with pytest.raises(ConflictError, match="asks a person"):
        await ask(s, run, "skip", "3", output={"approved": True})
    await do(s, run, "fail", "3")
    assert (await s.engine.wait(run)).status == "failed"
    assert await identical(s, run)


async def test_what_may_have_happened_is_not_passed_over() -> None:
    s = squad()
    run = await begun(s, "losing", 5)
    for means, given in (("retry", {}), ("skip", {"output": {"n": 1}}), ("fail", {})):
        with pytest.raises(ConflictError, match="is not known") as caught:
            await ask(s, run, means, "1", **given)
        assert "effects resolve" in str(caught.value.hint)


async def test_an_approval_of_one_incident_does_nothing_to_the_next() -> None:
    s = squad()
    run = await begun(s, "looking", 13)
    old = await ask(s, run, "skip", "1", output={"n": 1})
    again = await ask(s, run, "retry", "1")
    await s.engine.answer(again.id, approve=True, approver=BOB, reason="seen")
    await settle()
    assert [one.kind for one in await s.engine.inbox()] == ["incident"]
    with pytest.raises(MissingError):
        await s.engine.answer(old.id, approve=True, approver=BOB, reason="seen")


class Strict(AllowAll):
    """Ada may ask for retries, which a controller approves."""

    def decide(self, question: Question) -> Decision:
        allow = question.action != "interventions.make" or question.input["means"] == "retry"
        return Decision(
            allow=allow,
            reason="strict",
            revision=self.revision,
            obligations=({"approve": {"roles": ["controller"]}},)
            if question.action == "interventions.make"
            else (),
        )


async def test_policy_says_who_may_ask_and_who_approves() -> None:
    s = squad(policy=Strict())
    run = await begun(s, "looking", 13)
    with pytest.raises(DeniedError) as caught:
        await ask(s, run, "skip", "1", output={"n": 1})
    assert caught.value.code == "intervention.denied"
    item = await ask(s, run, "retry", "1")
    assert item.roles == ("controller",)
    s.policy.revision = "sha256:other"  # type: ignore[misc]
    with pytest.raises(DeniedError, match="policy changed"):
        await s.engine.answer(item.id, approve=True, approver=BOB, reason="seen")


async def test_a_run_that_stands_still_can_be_cancelled() -> None:
    s = squad()
    run = await begun(s, "paying", 13)
    await s.engine.cancel(run, actor=ADA, reason="enough")
    assert (await s.engine.wait(run)).status == "cancelled"
    assert [n for _, n in SIDE.paid] == [1, 2, -2, -1]
    assert await s.engine.inbox() == []
    assert await identical(s, run)


async def test_what_is_refused_changes_nothing() -> None:
    s = squad()
    run = await begun(s, "looking", 13)
    item = await ask(s, run, "retry", "1")
    await s.engine.answer(item.id, approve=False, approver=BOB, reason="no")
    await settle()
    assert [one.kind for one in await s.engine.inbox()] == ["incident"]
    with pytest.raises(ConflictError):
        await s.engine.answer(item.id, approve=True, approver=BOB, reason="yes")


# --- what other readings make of it


async def test_a_fork_that_changes_nothing_goes_the_way_people_moved_it() -> None:
    s = squad()
    run = await begun(s, "looking", 13)
    await do(s, run, "patch", "1", input={"n": 20})
    forker = Forker(s.world)
    found = await forker.fork(run, [])
    assert (found.status, found.output) == ("completed", 21)
    assert (found.rerun, found.suppressed, found.differences) == (0, [], [])


async def test_a_fork_of_a_run_that_was_undone_in_part_is_the_same() -> None:
    s = squad()
    run = await begun(s, "paying", 13)
    await do(s, run, "compensate", None, only=["2"])
    await s.engine.wait(run)
    found = await Forker(s.world).fork(run, [])
    assert (found.status, found.differences) == ("cancelled", [])


async def test_a_fork_may_have_been_given_something_else() -> None:
    s = squad()
    run = await begun(s, "looking", 13)
    await do(s, run, "skip", "1", output={"n": 40})
    found = await Forker(s.world).fork(run, [Change(path="1/n", value=7)])
    (sent,) = found.suppressed  # what would have been paid with it
    assert (sent.name, sent.now) == ("side.pay", {"n": 7})


async def test_why_names_who_did_what_by_hand() -> None:
    s = squad()
    run = await begun(s, "looking", 13)
    await do(s, run, "skip", "1", output={"n": 40})
    past = await load(s.ledger.store, run)
    assert past is not None
    answer = await Inquiry(s.world, past, None).answer()
    assert "step 1 was passed over by hand (person:ada: because)" in answer.answer
    (hand,) = answer.by_hand
    assert (hand.step, hand.means, hand.by, hand.approver) == ("1", "skip", ADA, BOB)


async def test_of_a_run_that_has_ended_it_is_said_how_it_is_done_again() -> None:
    s = squad()
    run = await begun(s, "looking", 5)
    assert (await s.engine.outcome(run)).status == "completed"
    for means in ("retry", "skip", "fail", "patch"):
        with pytest.raises(ConflictError) as caught:
            await ask(s, run, means, "1")
        assert str(caught.value.hint).startswith(f"squad runs restart {run} --from 1 --reason")
    with pytest.raises(ConflictError) as caught:
        await ask(s, run, "compensate", None)
    assert "by a run of its own" in str(caught.value.hint)
