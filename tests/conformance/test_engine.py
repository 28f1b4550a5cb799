"""One suite over every engine: the same programs end the same, do the same
outside and leave the same journals, whoever drives them."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import ConflictError, DeniedError, InvalidError, SquadError
from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.engine.ids import keyed_id
from agentsquad.runtime.resilience.budget import Limit
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.runtime.resilience.contract import Appraiser

_spec = importlib.util.spec_from_file_location(
    "squad_engine_kit", Path(__file__).with_name("engine_kit.py")
)
assert _spec and _spec.loader
kit = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
if not hasattr(kit, "opened"):
    _spec.loader.exec_module(kit)
world = kit.load(Path(__file__).with_name("engine_programs.py"))
N, PLUGIN = world.N, world.PLUGIN

pytestmark = pytest.mark.slow


@pytest.fixture(params=kit.ENGINES)
async def room(request):
    world.afresh()
    async with kit.opened(request.param, PLUGIN) as made:
        yield made


# --- the same journals

PROGRAMS = [
    ("steps", 3, True),
    ("failing", 1, True),
    ("retried", 77, True),
    ("sleeper", 30, True),
    ("listener", 30, True),
    ("approved", 4, True),
    ("approved", 4, False),
    ("expiring", 40, False),
    ("child", 2, True),
    ("parent", 1, True),
    ("wide", 9, True),
    ("wide", 14, True),
    ("saga", 1, True),
    ("saga", 13, True),
    ("limited", 1, True),
    ("slow-step", 1, True),
    ("decided", 1, True),
    ("crowd", 5, True),
    ("endless", 25, True),
    ("scoped", 60, True),
]


async def lived(kind: str, workflow: str, n: int, approve: bool) -> dict[str, Any]:
    """One life of a program: everything that must be the same in each."""
    side = world.afresh()
    async with kit.opened(kind, PLUGIN) as room:
        key = f"{n}-{approve}"  # the same in both, and of nobody else in Temporal
        run = await room.engine.start(workflow, N(n), key=key, actor="person:eve")
        if workflow == "expiring":
            outcome = await room.engine.wait(run, timeout_ms=kit.LONG_MS)
        else:
            outcome = await room.play(run, approve=approve)
        return {
            "outcome": (outcome.run, outcome.status, outcome.output, outcome.error),
            "journal": await kit.journal(room, run),
            "verdicts": await kit.verdicts(room, run),
            "outside": sorted(side.received),
        }


@pytest.mark.parametrize(
    ("workflow", "n", "approve"), PROGRAMS, ids=lambda value: str(value).lower()
)
async def test_engines_leave_the_same_journal(workflow: str, n: int, approve: bool):
    ours = await lived("embedded", workflow, n, approve)
    theirs = await lived("temporal", workflow, n, approve)
    assert ours["verdicts"] == {"identical"}
    assert theirs == ours


# --- what each must do


async def test_every_kind_of_step_is_done_once(room):
    outcome = await room.run("steps", N(3))
    assert outcome.status == "completed"
    assert outcome.output[:4] == [6, 106, 106, 106]
    assert [n for _, n in world.SIDE.received] == [106, 106]


async def test_a_lost_answer_is_reconciled_and_never_sent_again(room):
    outcome = await room.run("child", N(5))
    assert (outcome.status, outcome.output) == ("completed", 10)
    assert [n for _, n in world.SIDE.received] == [5]
    assert "effect.ambiguous" in await room.types(outcome.run)


async def test_an_effect_that_nobody_can_look_up_waits_for_a_person(room):
    run = await room.engine.start("approved", N(7))
    await room.until(run, "approval.requested")
    (item,) = await room.engine.inbox(run)
    await room.engine.answer(item.id, approve=True, approver="person:ada", reason="ok")
    await room.until(run, "effect.ambiguous")
    await asyncio.sleep(0.1)
    assert world.SIDE.received[1:] == []
    (asked,) = [e for e in await room.store.read_stream(f"run/{run}") if e.type == "effect.sent"]
    # As another process would, which knows of no engine: straight into the log.
    body = {
        "position": asked.payload["position"],
        "key": asked.payload["key"],
        "resolved_by": "person:ada",
        "reason": "the provider shows it",
        "output": {"n": 7},
    }
    stream = f"run/{run}"
    await room.store.append([NewEvent(stream=stream, type="effect.confirmed", payload=body)])
    await room.hear()
    outcome = await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    assert (outcome.status, outcome.output) == ("completed", "person:ada 7")


async def test_nobody_approves_what_he_asked_for_and_no_agent_approves(room):
    run = await room.engine.start("approved", N(4))
    await room.until(run, "approval.requested")
    (item,) = await room.engine.inbox(run)
    for approver in ("agent:a", "service:squad"):
        with pytest.raises(DeniedError):
            await room.engine.answer(item.id, approve=True, approver=approver, reason="me")
    assert (await room.engine.outcome(run)).status == "waiting"
    await room.engine.answer(item.id, approve=True, approver="person:ada", reason="ok")
    assert (await room.engine.wait(run, timeout_ms=kit.LONG_MS)).output == "person:ada 4"


async def test_signals_count_before_and_after_they_are_waited_for(room):
    run = await room.engine.start("listener", N(30))
    for name in ("go", "go"):
        await room.engine.signal(run, name, {"of": name}, actor="person:ada")
    outcome = await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    assert outcome.output == [{"of": "go"}, {"of": "go"}, "step.deadline"]


async def test_a_key_names_one_run_for_ever(room):
    first = await room.run("child", N(1), key="k")
    again = await room.engine.start("child", N(1), key="k")
    assert again == first.run == keyed_id("child", "k")
    assert (await room.engine.wait(again, timeout_ms=kit.LONG_MS)) == first
    assert len(world.SIDE.received) == 1


async def test_a_cancelled_run_stops_its_children_and_undoes_what_it_did(room):
    world.SIDE.hold = asyncio.Event()  # a read that would never answer is dropped
    run = await room.engine.start("stopped", N(1))
    await room.until(f"{run}/2.0.1", "signal.waiting")
    await asyncio.wait_for(world.SIDE.staring.wait(), 20)
    await room.until(run, "timer.set", "signal.waiting")
    await room.engine.cancel(run, actor="person:ada", reason="enough")
    outcome = await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    assert outcome.status == "cancelled"
    assert (await room.engine.outcome(f"{run}/2.0.1")).status == "cancelled"
    assert sorted(n for _, n in world.SIDE.received) == [-4, -1, 1, 4]
    assert await kit.verdicts(room, run) == {"identical"}
    with pytest.raises(ConflictError):
        await room.engine.cancel(run, actor="person:ada", reason="again")


async def test_a_run_waits_where_its_engine_left_it(room):
    run = await room.engine.start("listener", N(30))
    await room.until(run, "signal.waiting")
    await room.restart()
    assert (await room.engine.outcome(run)).status == "waiting"
    await room.engine.signal(run, "go", 1, actor="person:ada")
    await room.restart()
    await room.engine.signal(run, "go", 2, actor="person:ada")
    assert (await room.engine.wait(run, timeout_ms=kit.LONG_MS)).output == [1, 2, "step.deadline"]


async def test_what_happened_while_nobody_worked_is_caught_up_with(room):
    run = await room.engine.start("listener", N(30))
    await room.until(run, "signal.waiting")
    await room.close()
    told = {"name": "go", "payload": 1}
    stream = f"run/{run}"
    for _ in range(2):
        await room.store.append([NewEvent(stream=stream, type="signal.received", payload=told)])
    await room.open()
    assert (await room.engine.wait(run, timeout_ms=kit.LONG_MS)).output == [1, 1, "step.deadline"]


async def test_a_budget_is_never_overspent(room):
    room.engine.world.ports.put(Appraiser, world.Prices())
    if room.worker is not None:
        room.worker.world.ports.put(Appraiser, world.Prices())
    run = keyed_id("spender", "k")
    keeper: BudgetKeeper = room.ports[BudgetKeeper]
    limit = Limit(scope=f"run:{run}", currency="USD", micros=350)
    await keeper.set(limit, actor="person:ada")
    outcome = await room.run("spender", N(4), key="k")
    assert outcome.output == [0, 1, 2, "budget.exceeded"]
    (line,) = await keeper.lines(0)
    assert (line.spent, line.reserved) == (300, 0)


async def test_a_run_answers_queries_and_takes_updates(room):
    run = await room.engine.start("asked", N(1))
    await room.until(run, "signal.waiting")
    assert await room.engine.query(run, "total") == 1
    answer = await room.engine.update(run, "add", {"n": 2}, actor="person:ada", key="u")
    assert (answer.status, answer.output) == ("completed", 5)
    again = await room.engine.update(run, "add", {"n": 2}, actor="person:ada", key="u")
    assert again == answer
    with pytest.raises(SquadError):
        await room.engine.update(run, "add", {"n": -1}, actor="person:ada")
    assert await room.engine.query(run, "total") == 5
    await room.engine.signal(run, "go", None, actor="person:ada")
    assert (await room.engine.wait(run, timeout_ms=kit.LONG_MS)).output == 5
    assert await kit.verdicts(room, run) == {"identical"}


async def test_a_question_is_talked_about_and_handed_on_before_it_is_answered(room):
    run = await room.engine.start("unanswered", N(60_000))
    await room.until(run, "approval.requested")
    (item,) = await room.engine.inbox(run)
    ada = Actor.parse("person:ada", item.roles)
    bob = Actor.parse("person:bob")
    asked = await room.engine.discuss(item.id, "which order?", actor=bob)
    (said,) = asked.said
    assert (said.by, said.text, said.to) == ("person:bob", "which order?", None)
    for who, to, error in (
        (ada, "person:ada", InvalidError),
        (ada, item.requester, DeniedError),
        (ada, "agent:matcher", DeniedError),
        (Actor.parse("agent:matcher", item.roles), "person:bob", DeniedError),
    ):
        with pytest.raises(error):
            await room.engine.discuss(item.id, "away", actor=who, to=to)
    handed = await room.engine.discuss(item.id, "away", actor=ada, to="person:bob")
    assert [(one.to, one.roles) for one in handed.said] == [(None, ()), ("person:bob", item.roles)]
    assert (await room.engine.inbox(run)) == [handed]
    await room.engine.answer(item.id, approve=True, approver="person:bob", reason="seen")
    journal = await room.store.read_stream(f"run/{run}")
    given = next(event.payload for event in journal if event.type == "approval.given")
    assert (given["approver"], given["delegated_by"]) == ("person:bob", "person:ada")
    with pytest.raises(ConflictError):
        await room.engine.discuss(item.id, "too late", actor=bob)
    assert (await room.engine.wait(run, timeout_ms=kit.LONG_MS)).output == "answered"
    assert await kit.verdicts(room, run) == {"identical"}


async def test_a_question_of_a_scope_that_was_left_is_withdrawn(room):
    run = await room.engine.start("unanswered", N(400))
    await room.until(run, "approval.requested")
    (item,) = await room.engine.inbox(run)
    await room.until(run, "question.withdrawn", "signal.waiting")
    assert await room.engine.inbox(run) == []
    for text in (item.id, item.id[:6]):
        with pytest.raises(ConflictError, match="goes on without it"):
            await room.engine.answer(text, approve=True, approver="person:ada", reason="late")
    await room.engine.signal(run, "go", None, actor="person:ada")
    outcome = await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    assert (outcome.status, outcome.output) == ("completed", "scope.deadline")
    assert (await room.types(run)).count("question.withdrawn") == 1
    assert await kit.verdicts(room, run) == {"identical"}


async def test_what_loses_a_race_is_stopped_and_asks_nobody_any_more(room):
    run = await room.engine.start("raced", N(1))
    await room.until(run, "question.withdrawn", "signal.waiting")
    assert await room.engine.inbox(run) == []
    for _ in range(500):  # a worker hears of it with its next sign of life
        if not world.SIDE.now:
            break
        await asyncio.sleep(0.01)
    assert (world.SIDE.most, world.SIDE.now) == (1, 0)
    await room.engine.signal(run, "go", None, actor="person:ada")
    outcome = await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    assert outcome.output == [101, 102]
    assert await kit.verdicts(room, run) == {"identical"}


async def test_a_read_in_a_scope_that_was_left_is_stopped(room):
    run = await room.engine.start("scoped", N(300))
    await asyncio.wait_for(world.SIDE.staring.wait(), 20)
    outcome = await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    assert outcome.output == ["scope.deadline", 1]
    for _ in range(500):
        if not world.SIDE.now:
            break
        await asyncio.sleep(0.01)
    assert world.SIDE.now == 0
    assert await kit.verdicts(room, run) == {"identical"}


async def test_the_kill_switch_stops_effects(room):
    body = {"reason": "stop"}
    halted = NewEvent(stream="control/switch", type="control.halted", payload=body)
    from agentsquad.runtime.engine.gate import STREAM

    await room.store.append([NewEvent(stream=STREAM, type=halted.type, payload=body)])
    outcome = await room.run("child", N(1))
    assert (outcome.status, outcome.error["code"]) == ("failed", "control.halted")
    assert world.SIDE.received == []


async def test_many_runs_at_once_each_end_as_they_should(room):
    runs = [await room.engine.start("child", N(n)) for n in (1, 2, 3, 6, 8, 9, 11, 12)]
    outcomes = [await room.engine.wait(run, timeout_ms=kit.LONG_MS) for run in runs]
    assert [one.output for one in outcomes] == [2, 4, 6, 12, 16, 18, 22, 24]
    keys = [key for key, _ in world.SIDE.received]
    assert len(keys) == len(set(keys)) == 8


async def test_what_does_not_exist_is_said(room):
    with pytest.raises(SquadError, match="no workflow named 'nothing'"):
        await room.engine.start("nothing", {})
    with pytest.raises(SquadError, match="no run 'x'"):
        await room.engine.wait("x", timeout_ms=100)
    with pytest.raises(SquadError, match="input of child"):
        await room.engine.start("child", {"n": "text"})
