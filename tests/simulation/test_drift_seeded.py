"""Drift over whole worlds with one known change: engine, agents, tools and
policy are real, the change is from a seed.

`bench/drift.py --full` counts the same over fifty worlds a kind and a thousand
populations; here a few of each keep the promises honest.
"""

from __future__ import annotations

import msgspec
import pytest

from agentsquad.insight.drift.comparison import look
from agentsquad.insight.drift.contract import DriftBaselineError, DriftUnknownError
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import LimitError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.runtime.resilience.contract import Appraiser, Quote
from agentsquad.testing import TestSquad, seeded_drift
from agentsquad.testing.drift_population import SIZES, Drawn
from agentsquad.testing.seeded_drift import KINDS, SeededDrift

ADA = Actor.parse("person:ada")


class Sum(msgspec.Struct):
    a: int
    b: int


@action("math.add", effect=Effect.PURE)
def add(ctx, value: Sum) -> int:
    """Add."""
    return value.a + value.b


async def changed(kind: str, seed: int = 1, before: int = 120, after: int = 120) -> SeededDrift:
    world = SeededDrift(seed, kind)  # type: ignore[arg-type]
    await world.before(before)
    await world.after(after)
    return world


@pytest.mark.slow
@pytest.mark.parametrize("seed", [5])
@pytest.mark.parametrize("kind", [*KINDS, "inputs"])
async def test_the_alarm_names_the_change_that_was_made(kind: str, seed: int):
    world = await changed(kind, seed)
    report = await world.report(window=120)
    assert report.alarm and report.exit_code == 1
    assert report.culprit is not None
    assert report.culprit.verdict == kind
    assert report.culprit.control == report.culprit.sample == 40
    assert report.culprit.skipped == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_versions_that_change_nothing_raise_no_alarm(seed: int):
    world = await changed("none", seed)
    report = await world.report(window=120)
    assert not report.alarm and report.exit_code == 0
    assert report.culprit is None
    assert report.answer.startswith("no drift")


async def test_two_changes_share_what_they_do():
    world = SeededDrift(1, "policy")
    world.now = msgspec.structs.replace(world.now, model="judge-4", limit=60)
    await world.before(120)
    await world.after(120)
    report = await world.report(window=120)
    assert report.culprit is not None
    assert report.culprit.feature == "outcome/paid"
    share = {one.factor: one.share for one in report.culprit.shares}
    assert share["model"] > 0.1 and share["policy"] > 0.1
    assert sum(share.values()) == pytest.approx(1)
    assert {one.factor for one in report.changes} >= {"model", "policy"}


async def test_driving_again_pays_nobody_and_writes_nothing(monkeypatch):
    world = await changed("policy")
    size = await world.squad.ledger.store.size()

    def refuse(ctx, value):
        raise AssertionError("an effect left")

    monkeypatch.setattr(seeded_drift.pay, "fn", refuse)
    report = await world.report(window=120)
    assert report.culprit is not None and report.culprit.verdict == "policy"
    assert await world.squad.ledger.store.size() == size


async def test_a_recorded_alarm_is_an_event_without_values_that_may_name_people():
    world = await changed("policy")
    report = await world.report(window=120, record=True)
    (event,) = await world.squad.ledger.store.read_stream("drift/claims")
    assert (event.type, event.seq) == ("drift.alarmed", report.recorded)
    assert event.payload["culprit"]["verdict"] == "policy"
    assert {"kind", "name", "corrected"} == set(event.payload["features"][0])
    assert event.actor == "person:ada"


async def test_without_an_alarm_nothing_is_recorded():
    world = await changed("none")
    report = await world.report(window=120, record=True)
    assert report.recorded is None
    assert await world.squad.ledger.store.read_stream("drift/claims") == []


async def test_a_pinned_baseline_is_read_again_from_the_log_and_must_be_the_same():
    world = SeededDrift(1, "policy")
    await world.before(60)
    told = await world.squad.engine.invoke("drift.baseline", {"workflow": "claims"}, actor=ADA)
    await world.after(60)
    report = await world.report()
    assert report.baseline.digest == told.baseline.digest
    assert (report.baseline.runs, report.method) == (60, "looks")
    assert report.looks[0].runs == 25
    again = await world.report()
    assert msgspec.to_builtins(again) == msgspec.to_builtins(report)


async def test_a_pinned_baseline_that_the_log_no_longer_gives_is_refused():
    world = SeededDrift(1, "none")
    await world.before(60)
    await world.squad.engine.invoke("drift.baseline", {"workflow": "claims"}, actor=ADA)
    store = world.squad.ledger.store
    (event,) = await store.read_stream("drift/claims")
    told = {**event.payload, "digest": "sha256:other"}
    await store.append([NewEvent(stream=event.stream, type=event.type, payload=told)])
    with pytest.raises(DriftBaselineError) as caught:
        await world.report()
    assert "pin it again" in caught.value.hint


async def test_an_agent_is_compared_by_its_name():
    world = await changed("prompt", seed=2)
    report = await world.report(workflow="judge", window=120)
    assert report.alarm
    assert report.culprit is not None and report.culprit.verdict == "prompt"


async def test_an_unknown_name_is_answered_with_the_nearest():
    world = SeededDrift(1, "none")
    await world.before(1)
    with pytest.raises(DriftUnknownError) as caught:
        await world.report(workflow="claim")
    assert "'claims'" in caught.value.hint


class Priced:
    """Every model costs a cent."""

    def appraise(self, action, value):
        return Quote("USD", 10_000)


async def test_models_that_cost_money_are_asked_again_only_when_somebody_says_so():
    world = await changed("policy")
    ports = world.squad.world.ports
    ports.put(Appraiser, Priced())
    ports.put(BudgetKeeper, BudgetKeeper(world.squad.ledger.store))
    asked = []
    model = world.squad.world.ports.get(seeded_drift.ModelCatalogue)
    answer = model.complete

    async def complete(request, **options):
        asked.append(request)
        return await answer(request, **options)

    model.complete = complete
    report = await world.report(window=120)
    assert report.culprit is not None and report.culprit.verdict == "policy"
    assert asked == []
    assert any("cost money" in note for note in report.culprit.notes)
    report = await world.report(window=120, re_run=10)
    assert asked
    assert report.culprit is not None and report.culprit.sample == 10


async def test_re_run_0_only_compares():
    world = await changed("policy")
    report = await world.report(window=120, re_run=0)
    assert report.alarm and report.culprit is None


async def test_a_model_that_cannot_be_asked_leaves_its_runs_out_and_says_so():
    world = await changed("policy")
    model = world.squad.world.ports.get(seeded_drift.ModelCatalogue)

    async def complete(request, **options):
        raise LimitError("too many", code="model.limit")

    model.complete = complete
    report = await world.report(window=120)
    assert report.alarm and report.culprit is not None
    failed = next(one for one in report.culprit.shares if one.factor == "model")
    assert failed.forward != 0  # what a model cannot answer now is a difference, and shown


async def test_old_rules_that_are_at_hand_decide_exactly():
    world = await changed("policy")
    assert (
        world.squad.world.ports.get(PolicyEngine).revision != seeded_drift.Limit(world.was).revision
    )
    report = await world.report(window=120)
    assert report.culprit is not None
    assert any("are not kept" in note for note in report.culprit.notes)


@pytest.mark.slow
def test_populations_without_change_alarm_seldom():
    alarms = 0
    for seed in range(30):
        drawn = Drawn(f"ci/{seed}")
        looks, _ = look(drawn.runs(150), drawn.runs(100), 0.05)
        alarms += looks[-1].drifted > 0
    assert alarms <= 5  # more has a chance of 0.3 % where 5 % is kept


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(SIZES))
def test_seeded_drifts_are_found_within_two_hundred_decisions(kind: str):
    found = 0
    for seed in range(3):
        drawn = Drawn(f"ci/{kind}/{seed}")
        _, findings = look(drawn.runs(300), drawn.runs(200, SIZES[kind]), 0.05)
        found += any(one.drifted and one.kind == kind for one in findings)
    assert found >= 2


async def test_code_that_changed_is_found_by_driving_old_runs_under_it(monkeypatch):
    @workflow("claims", uses=())
    async def strict(ctx, value: seeded_drift.Claim) -> seeded_drift.Settled:
        """Hold what is large before anybody judges it."""
        if value.amount > 50:
            return seeded_drift.Settled(outcome="held", risk=0)
        return await seeded_drift.claims.fn(ctx, value)

    world = SeededDrift(1, "none")
    await world.before(80)
    monkeypatch.setattr(seeded_drift, "claims_of_now", strict)
    await world.after(80)
    report = await world.report(window=80)
    assert report.culprit is not None and report.culprit.verdict == "definition"
    assert report.culprit.control < report.culprit.sample  # old runs come out otherwise under it


async def test_a_manifest_that_was_applied_anew_is_the_culprit_too():
    from agentsquad.insight.drift.plugin import plugin as drift
    from agentsquad.runtime.control.plugin import plugin as control

    def manifest(more: int) -> dict:
        sums = {"id": "sum", "action": "math.add", "with": {"a": "${input.n}", "b": more}}
        return {"graph": {"nodes": [sums]}, "result": {"sum": "${nodes.sum}"}}

    squad = TestSquad(drift, control, Plugin(name="math", actions=(add,)))
    for limit in (1, 4):
        spec = manifest(limit)
        for n in range(60):
            value = {"name": "adder", "spec": spec, "digest": str(limit), "input": {"n": n * 7 % 5}}
            outcome = await squad.run("agent-workflow", value)
            assert outcome.status == "completed", outcome.error
    asked = {"workflow": "adder", "window": 60}
    report = await squad.engine.invoke("drift.show", asked, actor=ADA)
    assert report.alarm
    assert report.culprit is not None and report.culprit.verdict == "definition"
    assert [(one.factor, one.old, one.new) for one in report.changes] == [("definition", "1", "4")]
