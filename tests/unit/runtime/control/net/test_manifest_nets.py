"""Every form of a manifest as a net: what can happen, and what never does."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from agentsquad.runtime.control.adapters.cel import CelExpressions
from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.contract import NetVerdict
from agentsquad.runtime.control.net.coroutine import python_flows
from agentsquad.runtime.control.net.flow import judge_flow
from agentsquad.runtime.control.net.gate import wrong
from agentsquad.runtime.control.net.judge import Judge
from agentsquad.runtime.control.net.manifest import constant_by, manifest_flow
from agentsquad.runtime.control.net.petri import Net
from agentsquad.runtime.control.net.simulate import Model, simulate

constant = constant_by(CelExpressions().evaluate)


def spec_of(text: str) -> Any:
    found = yaml.safe_load(text)
    return found if isinstance(found, dict) else {"graph": {"nodes": found}}


def bounds() -> Bounds:
    ticks = iter(range(10**9))
    return Bounds(lambda: next(ticks), 60, 50_000)


def judged(text: str) -> NetVerdict:
    return judge_flow(manifest_flow("w", spec_of(text), constant), bounds())


def net_of(text: str) -> Net:
    return manifest_flow("w", spec_of(text), constant).net


def reached(text: str) -> set[str]:
    """Return the names of everything that can happen in the net."""
    net = net_of(text)
    judge = Judge(net, bounds())
    judge.judge()
    assert judge.complete, "small enough to be looked at as a whole"
    return {net.transitions[number].name for number in judge.alive}


RACE = """
- id: first
  race:
    - {name: answer, nodes: [{id: asked, signal: answered}]}
    - {name: nobody, nodes: [{id: late, sleep: 1h}]}
- {id: then, dependsOn: [first], action: x.then}
"""
PIPELINE = """
- id: line
  pipeline:
    over: ${input.orders}
    stages:
      - {id: read, action: x.read}
      - {id: check, when: "${item.ok}", agent: checker, dependsOn: [read]}
- {id: then, dependsOn: [line], value: "${size(nodes.line)}"}
"""
CATCH = """
- id: ask
  action: x.ask
  compensate: {action: x.unask}
  catch:
    codes: [x.busy]
    nodes: [{id: later, sleep: 5m}, {id: instead, value: "${error.code}", dependsOn: [later]}]
- {id: then, dependsOn: [ask], action: x.then}
"""
FAIL = """
- id: check
  branch:
    - when: ${input.total < 0}
      nodes: [{id: refuse, fail: {message: no, code: order.negative}}]
    - nodes: [{id: fine, value: 1}]
- {id: then, dependsOn: [check], action: x.then}
"""
UPDATES = """
graph:
  nodes: [{id: wait, signal: go}, {id: then, action: x.then, dependsOn: [wait]}]
updates:
  more: {when: update > 0, nodes: [{id: add, action: x.add, compensate: {action: x.take}}]}
  less: {nodes: [{id: cut, value: "${update}"}], result: "${nodes.cut}"}
"""
AGAIN = """
graph: {nodes: [{id: poll, action: x.poll, compensate: {action: x.back}}]}
continueAsNew: {when: "${nodes.poll.more}", input: "${nodes.poll}"}
"""


@pytest.mark.parametrize("text", [RACE, PIPELINE, CATCH, FAIL, UPDATES, AGAIN])
def test_nothing_is_found_in_what_is_sound(text: str) -> None:
    verdict = judged(text)
    assert verdict.wrong is False and verdict.findings == [] and verdict.reasons == {}
    assert wrong(manifest_flow("w", spec_of(text), constant)) == ()


@pytest.mark.parametrize("text", [RACE, PIPELINE, CATCH, FAIL, UPDATES, AGAIN])
def test_no_place_holds_more_than_there_are_branches(text: str) -> None:
    """That nets of workflows are bounded is said by construction; here it is
    looked at."""
    verdict = Judge(net_of(text), bounds()).judge()
    assert verdict.complete and verdict.unbounded == [] and verdict.bounds is not None
    assert max(verdict.bounds.values()) <= 2  # two nodes in the longest list


def test_a_race_is_won_by_each_and_lost_when_all_have_failed() -> None:
    happens = reached(RACE)
    assert {"first by 1", "first by 2", "first is lost", "then answered"} <= happens
    one_fails = RACE.replace("sleep: 1h", "fail: {message: no}")
    happens = reached(one_fails)
    assert {"first by 1", "first without 2", "first is lost"} <= happens
    assert "first by 2" not in happens


def test_what_waits_for_a_race_that_all_lose_never_runs() -> None:
    both = RACE.replace("sleep: 1h", "fail: {message: no}")
    both = both.replace("signal: answered", "fail: {message: no}")
    verdict = judged(both)
    assert verdict.deadlock is False and verdict.dead == ["then"]


def test_a_race_in_a_loop_leaves_nothing_behind() -> None:
    inner = RACE.replace("\n", "\n    ").rstrip()
    text = f"""
- id: turns
  loop: {{while: "${{last.open}}", max: 3}}
  nodes: {inner}
"""
    verdict = Judge(net_of(text), bounds()).judge()
    assert verdict.complete and verdict.unbounded == []
    assert judged(text).findings == []


def test_an_alternative_that_waits_for_ever_may_be_outrun() -> None:
    stuck = "[{id: a, action: x.a, dependsOn: [b]}, {id: b, action: x.b, dependsOn: [a]}]"
    one = judged(RACE.replace("[{id: asked, signal: answered}]", stuck))
    assert one.deadlock is None and "'answer' can wait for ever" in one.reasons["deadlock"]
    assert one.dead == ["a", "b"] and one.wrong
    other = stuck.replace("id: a", "id: c").replace("[a]", "[c]")
    other = other.replace("id: b", "id: d").replace("[b]", "[d]")
    both = RACE.replace("[{id: asked, signal: answered}]", stuck)
    both = both.replace("[{id: late, sleep: 1h}]", other)
    assert judged(both).deadlock is True


def test_the_stages_of_a_pipeline_over_nothing_never_run() -> None:
    verdict = judged(PIPELINE.replace("${input.orders}", "${[]}"))
    assert verdict.deadlock is False and verdict.dead == ["read", "check"]
    assert "always empty" in verdict.dead_because["read"]


def test_a_stage_that_always_fails_keeps_what_is_behind_from_running() -> None:
    verdict = judged(PIPELINE.replace("action: x.read", "fail: {message: no}"))
    assert verdict.dead is not None and "check" in verdict.dead
    assert "then" not in verdict.dead, "the list may be empty"


def test_what_is_done_instead_runs_only_when_the_step_itself_can_fail() -> None:
    assert {"later", "instead", "ask is not caught", "then answered"} <= reached(CATCH)
    skipped = CATCH.replace("action: x.ask", "action: x.ask\n  when: ${false}")
    dead = judged(skipped).dead
    assert dead is not None and {"ask", "later", "instead"} <= set(dead)
    assert "then" not in dead


def test_a_step_that_fails_on_purpose_goes_on_only_when_that_is_caught() -> None:
    plain = "[{id: stop, fail: {message: no}}, {id: then, value: 1, dependsOn: [stop]}]"
    verdict = judged(plain)
    assert verdict.dead == ["then"] and verdict.deadlock is False
    caught = "fail: {message: no}, catch: {nodes: [{id: mend, value: 2}]}"
    assert judged(plain.replace("fail: {message: no}", caught)).findings == []
    again = plain.replace("value: 1, dependsOn: [stop]", "value: 1")
    assert judged(again).findings == [], "failing in the end is no defect"


def test_a_value_may_fail_and_is_no_wait() -> None:
    text = "[{id: sum, value: '${input.a + 1}', catch: {nodes: [{id: none, value: 0}]}}]"
    assert {"sum answered", "sum fails", "none answered"} <= reached(text)


def test_an_update_does_not_hide_that_the_run_waits_for_ever() -> None:
    ring = "{id: wait, action: x.wait, dependsOn: [then]}"
    verdict = judged(UPDATES.replace("{id: wait, signal: go}", ring))
    assert verdict.deadlock is True and verdict.dead == ["wait", "then"]
    assert any("'wait' waits for 'then'" in one.message for one in verdict.findings)


def test_the_end_of_a_run_waits_for_updates_that_have_begun() -> None:
    nodes = "[{id: p, value: 1, dependsOn: [q]}, {id: q, value: 1, dependsOn: [p]}]"
    verdict = judged(UPDATES.replace('[{id: cut, value: "${update}"}]', nodes))
    assert verdict.deadlock is True and verdict.witness is not None
    assert any(one == "update less from outside" for one in verdict.witness.firing)


def test_what_an_update_did_is_undone_when_the_run_fails() -> None:
    assert {"update more from outside", "add is remembered", "undo add"} <= reached(UPDATES)


def test_going_on_as_a_new_run_can_be_refused_and_then_all_is_undone() -> None:
    assert {"complete", "result refused", "undo poll"} <= reached(AGAIN)


def test_a_simulated_case_ends_without_an_update_and_whatever_steps_are_called() -> None:
    text = UPDATES.replace("signal: go", "action: x.wait").replace("wait", "update-stock")
    found = simulate(manifest_flow("w", spec_of(text), constant), Model(every_seconds=9), 200, 1)
    assert found.completed == found.cases == 200
    assert {one.step for one in found.steps if one.per_case} == {"update-stock", "then"}


HANDLED = """
@workflow("w")
async def w(ctx, value):
    done = ctx.latch()
    @ctx.on_update("more")
    async def more(x):
        BODY
    await done
"""


@pytest.mark.parametrize(
    ("body", "deadlock"),
    [
        ("await ctx.call('x.more', x)", True),
        ("done.open()", False),
        ("if x.last: done.open()", None),
    ],
)
def test_an_update_of_a_python_workflow_hides_no_wait_for_ever(
    body: str, deadlock: bool | None
) -> None:
    (flow,) = python_flows(HANDLED.replace("BODY", body), "w.py")
    verdict = judge_flow(flow, bounds())
    assert verdict.deadlock is deadlock and verdict.dead == []
    assert ("deadlock" in verdict.reasons) == (deadlock is None)


def test_an_update_that_never_answers_is_no_proven_end() -> None:
    text = HANDLED.replace("    await done\n", "").replace("BODY", "await done")
    (flow,) = python_flows(text, "w.py")
    assert judge_flow(flow, bounds()).deadlock is None


def test_a_time_limit_of_the_whole_run_is_noted() -> None:
    text = "{timeout: 5m, graph: {nodes: [{id: a, action: x.a}]}}"
    (said,) = [one for one in judged(text).notes if "5m" in one]
    assert said.startswith("a run is ended after 5m, undone and failed")
    assert not any("ended after" in one for one in judged("- {id: a, action: x.a}").notes)
