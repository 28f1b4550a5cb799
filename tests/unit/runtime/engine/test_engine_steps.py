"""Steps of the engine, over the real door and ledger, under virtual time."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from agentsquad.kernel.action import Effect, RetryPolicy, action
from agentsquad.kernel.errors import InvalidError, SquadError, UnavailableError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.policy import Decision
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.contract import (
    DefinitionChangedError,
    NonDeterministicError,
    workflow,
)
from agentsquad.runtime.engine.decider import DECIDE
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
from agentsquad.testing import AllowAll, TestSquad
from agentsquad.testing.clock import settle


class N(msgspec.Struct):
    n: int


class Bank:
    """The other side: counts what reaches it, and can break before or after
    acting."""

    def __init__(self) -> None:
        self.received: list[tuple[str, int]] = []
        self.fail_before = 0
        self.fail_after = 0
        self.hang: asyncio.Event | None = None


BANK = Bank()


@pytest.fixture(autouse=True)
def fresh_bank():
    BANK.__init__()


@action("math.double", effect=Effect.PURE)
def double(ctx, value: N) -> N:
    """Double a number."""
    return N(value.n * 2)


@action("net.flaky", effect=Effect.READ, retry=RetryPolicy(attempts=3, initial_ms=1000))
async def flaky(ctx, value: N) -> N:
    """Fail as often as told."""
    if BANK.fail_before:
        BANK.fail_before -= 1
        raise UnavailableError("the line is down")
    return value


@action("bank.pay", effect=Effect.IRREVERSIBLE, reconcile="bank.lookup")
async def pay(ctx, value: N) -> N:
    """Pay once."""
    if BANK.hang is not None:
        BANK.received.append((ctx.idempotency_key, value.n))
        await BANK.hang.wait()
        return value
    if BANK.fail_before:
        BANK.fail_before -= 1
        raise UnavailableError("no answer")
    BANK.received.append((ctx.idempotency_key, value.n))
    if BANK.fail_after:
        BANK.fail_after -= 1
        raise UnavailableError("the answer was lost")
    return value


@action("bank.lookup", effect=Effect.READ)
async def lookup(ctx, value: Reconcile) -> Reconciled:
    """Say whether a payment arrived."""
    for key, n in BANK.received:
        if key == value.key:
            return Reconciled(found=True, output={"n": n})
    return Reconciled(found=False)


@action("bank.blind", effect=Effect.IRREVERSIBLE)
async def blind(ctx, value: N) -> N:
    """Pay without a way to ask."""
    BANK.received.append((ctx.idempotency_key, value.n))
    raise UnavailableError("the answer was lost")


@action("stock.reserve", effect=Effect.WRITE, compensate="stock.release")
async def reserve(ctx, value: N) -> N:
    """Reserve."""
    BANK.received.append(("reserve", value.n))
    if value.n == 13:
        raise InvalidError("unlucky")
    return value


@action("stock.release", effect=Effect.WRITE)
async def release(ctx, value: dict) -> dict:
    """Release."""
    BANK.received.append(("release", value["input"]["n"]))
    return {}


@workflow("child")
async def child(ctx, value: N) -> N:
    return await ctx.call("math.double", value)


@workflow("everything")
async def everything(ctx, value: N) -> dict:
    first = await ctx.call("math.double", value)
    both = await ctx.parallel(ctx.call("math.double", N(2)), ctx.run("child", N(3)))

    async def one(n: int) -> int:
        return (await ctx.call("math.double", N(n))).n

    mapped = await ctx.map(one, range(5), limit=2)
    await ctx.sleep(60_000)
    answer = await ctx.approve(
        "bank.pay",
        N(9),
        evidence={"page": 1},
        roles=["controller"],
        because="big",
        requester="agent:matcher",
    )
    paid = await ctx.call("bank.pay", N(9), approval=answer)
    go = await ctx.signal("go")
    return {
        "first": first.n,
        "both": [both[0].n, both[1].n],
        "mapped": mapped,
        "paid": paid.n,
        "go": go,
    }


@workflow("saga")
async def saga(ctx, value: dict) -> None:
    s = ctx.saga()
    for n in value["reserve"]:
        await s.call("stock.reserve", N(n))
    if value.get("wait"):
        await ctx.signal("never")


@workflow("pay")
async def pay_flow(ctx, value: N) -> N:
    return await ctx.call("bank.pay", value)


@workflow("pay-blind")
async def pay_blind(ctx, value: N) -> N:
    return await ctx.call("bank.blind", value)


@workflow("flaky")
async def flaky_flow(ctx, value: N) -> N:
    return await ctx.call("net.flaky", value)


@workflow("patient")
async def patient(ctx, value: dict) -> str:
    try:
        return await ctx.signal("answer", timeout_ms=1000)
    except SquadError as error:
        return type(error).__name__


@workflow("foreign")
async def foreign(ctx, value: dict) -> None:
    await asyncio.sleep(0)


ACTIONS = (double, flaky, pay, lookup, blind, reserve, release)
FLOWS = (child, everything, saga, pay_flow, pay_blind, flaky_flow, patient, foreign)


def squad(**options) -> TestSquad:
    return TestSquad(Plugin(name="test", actions=ACTIONS, workflows=FLOWS), **options)


async def finish_everything(s: TestSquad, run: str) -> dict:
    await settle()
    await s.clock.advance(60_000)
    (question,) = await s.engine.inbox()
    await s.engine.answer(question.id, approve=True, approver="person:ada", reason="ok")
    await s.engine.signal(run, "go", 42, actor="person:ada")
    outcome = await s.engine.wait(run, timeout_ms=5000)
    assert outcome.status == "completed", outcome
    return outcome.output


EXPECTED = {"first": 2, "both": [4, 6], "mapped": [0, 2, 4, 6, 8], "paid": 9, "go": 42}


async def test_a_run_of_every_kind_of_step_completes_and_pays_once():
    s = squad()
    run = await s.engine.start("everything", N(1))
    assert await finish_everything(s, run) == EXPECTED
    assert [n for _, n in BANK.received] == [9]


async def test_a_run_restarted_after_every_event_ends_the_same_and_pays_once():
    s = squad()
    run = await s.engine.start("everything", N(1))
    for _ in range(12):
        await asyncio.sleep(0)
        await s.restart()
    assert await finish_everything(s, run) == EXPECTED
    assert [n for _, n in BANK.received] == [9]


async def test_a_waiting_run_is_not_in_memory():
    s = squad()
    await s.engine.start("everything", N(1))
    await settle()
    assert s.engine.drives == {}


async def test_a_key_names_one_run():
    s = squad()
    first = await s.engine.start("child", N(1), key="order-1")
    second = await s.engine.start("child", N(1), key="order-1")
    assert first == second
    outcome = await s.engine.wait(first)
    assert outcome.output == {"n": 2}


async def test_a_read_is_retried_with_back_off():
    s = squad()
    BANK.fail_before = 2
    run = await s.engine.start("flaky", N(5))
    await s.clock.advance(10_000)
    assert (await s.engine.wait(run)).output == {"n": 5}
    (step,) = [
        e for e in await s.ledger.store.read_stream(f"run/{run}") if e.type == "step.completed"
    ]
    assert step.payload["attempts"] == 3


async def test_a_lost_answer_is_reconciled_and_never_sent_again():
    s = squad()
    BANK.fail_after = 1
    outcome = await s.run("pay", N(7))
    assert outcome.output == {"n": 7}
    assert len(BANK.received) == 1
    assert "effect.ambiguous" in await s.events(outcome.run)


async def test_an_effect_that_certainly_never_arrived_is_sent_again():
    s = squad()
    BANK.fail_before = 1
    outcome = await s.run("pay", N(7))
    assert outcome.output == {"n": 7}
    assert len(BANK.received) == 1


async def test_an_effect_nobody_can_look_up_waits_for_a_person():
    s = squad()
    run = await s.engine.start("pay-blind", N(7))
    await settle()
    await s.restart()
    await settle()
    assert (await s.engine.outcome(run)).status in ("running", "waiting")
    assert len(BANK.received) == 1
    assert (await s.events(run)).count("effect.sent") == 1


async def test_a_crash_between_sent_and_confirmed_is_reconciled():
    s = squad()
    BANK.hang = asyncio.Event()
    run = await s.engine.start("pay", N(7))
    await settle()
    assert (await s.events(run))[-1] == "effect.sent"
    await s.restart()
    BANK.hang = None
    assert (await s.engine.wait(run, timeout_ms=5000)).output == {"n": 7}
    assert len(BANK.received) == 1


async def test_a_failed_saga_is_undone_in_reverse_order():
    s = squad()
    outcome = await s.run("saga", {"reserve": [1, 2, 13]})
    assert outcome.status == "failed"
    assert BANK.received[3:] == [("release", 2), ("release", 1)]
    assert (await s.events(outcome.run)).count("effect.compensated") == 2


async def test_a_cancelled_run_is_undone():
    s = squad()
    run = await s.engine.start("saga", {"reserve": [1], "wait": True})
    await settle()
    await s.engine.cancel(run, actor="person:ada", reason="changed my mind")
    outcome = await s.engine.wait(run, timeout_ms=5000)
    assert outcome.status == "cancelled"
    assert BANK.received == [("reserve", 1), ("release", 1)]


async def test_a_signal_that_comes_too_late_finds_the_timeout():
    s = squad()
    run = await s.engine.start("patient", {})
    await s.clock.advance(1001)
    assert (await s.engine.wait(run)).output == "StepDeadlineError"


async def test_an_early_signal_counts():
    s = squad()
    run = await s.engine.start("patient", {})
    await s.engine.signal(run, "answer", "yes", actor="person:ada")
    assert (await s.engine.wait(run)).output == "yes"


async def test_awaiting_anything_else_is_refused_with_advice():
    s = squad()
    outcome = await s.run("foreign", {})
    assert outcome.error["code"] == "run.foreign_await"


async def test_the_requester_cannot_approve_and_neither_can_an_agent():
    s = squad()
    await s.engine.start("everything", N(1))
    await settle()
    await s.clock.advance(60_000)
    (question,) = await s.engine.inbox()
    for approver in ("agent:matcher", "agent:other"):
        with pytest.raises(Exception) as caught:
            await s.engine.answer(question.id, approve=True, approver=approver, reason="me")
        assert caught.value.code in ("approval.person", "approval.segregation")


async def test_an_approval_is_stale_under_another_policy():
    policy = AllowAll()
    s = squad(policy=policy)
    run = await s.engine.start("everything", N(1))
    await settle()
    await s.clock.advance(60_000)
    (question,) = await s.engine.inbox()
    policy.revision = "sha256:another"
    await s.engine.answer(question.id, approve=True, approver="person:ada", reason="ok")
    outcome = await s.engine.wait(run, timeout_ms=5000)
    assert outcome.error["code"] == "approval-stale"
    assert outcome.error["details"]["field"] == "policy"
    assert BANK.received == []


class DenyPay(AllowAll):
    def decide(self, question):
        if question.action == "bank.pay":
            return Decision(
                allow=False, reason="too much", revision=self.revision, clauses=("limits.max",)
            )
        return super().decide(question)


async def test_a_denied_effect_is_never_planned():
    s = squad(policy=DenyPay())
    outcome = await s.run("pay", N(7))
    assert outcome.error["code"] == "policy.denied"
    assert outcome.error["details"]["clauses"] == ["limits.max"]
    assert "effect.planned" not in await s.events(outcome.run)


async def test_changed_code_is_refused_with_both_steps_named():
    calls = {"first": "math.double"}

    @workflow("moody")
    async def moody(ctx, value: dict) -> None:
        await ctx.call(calls["first"], N(1))
        await ctx.signal("never")

    plugin = Plugin(name="test", actions=ACTIONS, workflows=(moody,))
    s = TestSquad(plugin)
    run = await s.engine.start("moody", {})
    await settle()
    calls["first"] = "net.flaky"
    await s.restart()
    with pytest.raises(NonDeterministicError) as caught:
        await s.engine.wait(run)
    assert caught.value.details["expected"] == "call math.double"
    assert caught.value.details["came"] == "call net.flaky"


async def test_a_run_is_pinned_to_its_definition():
    s = squad()
    run = await s.engine.start("patient", {})
    await settle()
    newer = msgspec.structs.replace(patient, digest="sha256:newer")
    registry = Registry.of(Plugin(name="test", actions=ACTIONS, workflows=(newer,)))
    await s.restart(registry)
    with pytest.raises(DefinitionChangedError):
        await s.engine.wait(run)


async def test_policy_is_asked_in_a_step_and_its_decision_recorded():
    @workflow("asks")
    async def asks(ctx, value: dict) -> list:
        decision = await ctx.decide("bank.pay", N(1))
        answer = await ctx.query("data.x.y", {"a": 1})
        return [decision.allow, answer]

    s = TestSquad(Plugin(name="test", actions=ACTIONS, workflows=(asks,)))
    outcome = await s.run("asks", {})
    assert outcome.output == [True, {"path": "data.x.y", "input": {"a": 1}}]
    events = await s.ledger.store.read_stream(f"run/{outcome.run}")
    assert events[1].payload["action"] == DECIDE
    assert events[1].payload["output"]["clauses"] == ["test.allow"]


async def test_two_engines_on_one_log_never_both_send():
    s = squad()
    BANK.hang = asyncio.Event()
    run = await s.engine.start("pay", N(7))
    await settle()
    other = s._engine()
    assert (await s.events(run))[-1] == "effect.sent"
    await other.recover()
    await settle()
    BANK.hang.set()
    await settle()
    assert {key for key, _ in BANK.received} and len(BANK.received) == 1
    await other.close()


class Many(msgspec.Struct):
    items: tuple[N, ...]


@workflow("tuples")
async def tuples(ctx, value: Many) -> Many:
    inner = await ctx.run("tuples", Many(())) if value.items else value
    await ctx.signal("go")
    return Many((*value.items, *inner.items))


async def test_a_tuple_in_an_input_survives_a_restart():
    s = TestSquad(Plugin(name="test", actions=ACTIONS, workflows=(tuples,)))
    run = await s.engine.start("tuples", Many((N(1),)))
    await settle()
    await s.engine.signal(f"{run}/1", "go", None, actor="person:ada")
    await settle()
    await s.restart()
    await s.engine.signal(run, "go", None, actor="person:ada")
    assert (await s.engine.wait(run, timeout_ms=5000)).output == {"items": [{"n": 1}]}


class TwoPeople(AllowAll):
    """Asks for a clerk and a controller before money leaves."""

    def decide(self, question):
        if question.action != "bank.pay":
            return super().decide(question)
        duties = tuple(
            {"clause": f"limits.{role}", "approve": {"roles": [role]}}
            for role in ("clerk", "controller")
        )
        return Decision(allow=True, reason="two people", revision=self.revision, obligations=duties)


@pytest.mark.parametrize(
    ("people", "status"),
    [(("ada", "bob"), "completed"), (("ada", "ada"), "failed"), (("ada",), "failed")],
)
async def test_two_duties_need_two_people(people, status):
    @workflow("two")
    async def two(ctx, value: dict) -> int:
        given = []
        for role, _ in zip(("clerk", "controller"), value["people"], strict=False):
            given.append(await ctx.approve("bank.pay", N(9), roles=[role], requester="agent:x"))
        return (await ctx.call("bank.pay", N(9), approval=given, facts={"approvals": "forged"})).n

    s = TestSquad(Plugin(name="test", actions=ACTIONS, workflows=(two,)), policy=TwoPeople())
    run = await s.engine.start("two", {"people": people})
    for who in people:
        await settle()
        (question,) = await s.engine.inbox()
        await s.engine.answer(question.id, approve=True, approver=f"person:{who}", reason="ok")
    outcome = await s.engine.wait(run, timeout_ms=5000)
    assert outcome.status == status
    if status == "failed":
        assert outcome.error["code"] == "approval.required"
        assert BANK.received == []


async def test_the_kill_switch_stops_effects_and_can_be_lifted():
    from agentsquad.kernel.actor import Actor
    from agentsquad.runtime.engine.actions import halt, lift

    s = TestSquad(Plugin(name="test", actions=(*ACTIONS, halt, lift), workflows=FLOWS))
    ada = Actor("person", "ada")
    await s.engine.invoke("control.halt", {"reason": "stop"}, actor=ada)
    assert (await s.run("pay", N(7))).error["code"] == "control.halted"
    assert BANK.received == []
    await s.engine.invoke("control.lift", {"reason": "go on"}, actor=ada)
    assert (await s.run("pay", N(7))).output == {"n": 7}


async def test_questions_and_runs_go_by_the_beginning_of_their_ids():
    from agentsquad.kernel.errors import ConflictError, MissingError
    from agentsquad.runtime.engine import runs

    s = squad()
    run = await s.engine.start("everything", N(1))
    await settle()
    await s.clock.advance(60_000)
    (question,) = await s.engine.inbox()
    assert await runs.find(s.ledger.store, f"{run[:24]}/2.1") == f"{run}/2.1.1"
    await s.engine.answer(question.id[:6], approve=True, approver="person:ada", reason="ok")
    with pytest.raises(ConflictError, match="approved by person:ada"):
        await s.engine.answer(question.id, approve=True, approver="person:bob", reason="ok")
    with pytest.raises(MissingError):
        await s.engine.answer("zzz", approve=True, approver="person:bob", reason="ok")


async def test_an_answer_from_another_process_is_seen_behind_events_of_our_own():
    s = squad()
    run = await s.engine.start("everything", N(1))
    await settle()
    await s.clock.advance(60_000)
    other = s._engine()
    await other.own()
    (question,) = await other.inbox()
    s.engine.drives.clear()
    s.engine.timers.close()
    s.engine = other
    told = {
        "position": question.position,
        "binding": question.binding,
        "approver": "person:ada",
        "reason": "ok",
        "expires_ms": None,
    }
    await s.ledger.store.append(
        [NewEvent(stream=f"run/{run}", type="approval.given", payload=told, actor="person:ada")]
    )
    assert (await s.run("child", N(4))).output == {"n": 8}  # events of our own come after
    await s.engine.poll()
    await settle()
    assert "effect.confirmed" in await s.events(run)
    await s.engine.close()
