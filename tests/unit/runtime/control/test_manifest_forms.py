"""Races, pipelines, values, failures and what is done about them, queries,
updates, ladders and endless runs, as manifests say them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import UnavailableError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.control.interpret import NAME
from agentsquad.runtime.control.plugin import plugin as control
from agentsquad.runtime.determinism.replay import replay
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle

CALLS: list[Any] = []


class Number(msgspec.Struct):
    n: int = 0


@action("num.twice", effect=Effect.READ)
async def twice(ctx, value: Number) -> int:
    """Double."""
    CALLS.append(value.n)
    if value.n == 13:
        raise UnavailableError("unlucky")
    return value.n * 2


@action("num.write", effect=Effect.WRITE)
async def write(ctx, value: Number) -> int:
    """Write."""
    CALLS.append(("write", value.n))
    return value.n


def squad() -> TestSquad:
    CALLS.clear()
    return TestSquad(Plugin(name="num", actions=(twice, write)), control)


async def start(s: TestSquad, text: str, value: Any = None) -> str:
    spec = yaml.safe_load(text)
    kind = s.registry.kinds["AgentWorkflow"]
    assert kind.check is not None and kind.check(spec) == []
    return await s.engine.start(NAME, {"name": "test", "spec": spec, "input": value})


async def ended(s: TestSquad, run: str) -> Any:
    outcome = await s.engine.wait(run, timeout_ms=5000)
    if outcome.status != "failed":
        assert (await replay(s.ledger.store, s.registry, run)).verdict == "identical"
    return outcome


RACE = """
graph:
  nodes:
    - id: first
      race:
        - {name: answer, nodes: [{id: asked, signal: answered}]}
        - {name: nobody, nodes: [{id: late, sleep: 1h}]}
    - id: then
      dependsOn: [first]
      branch:
        - when: nodes.first.won == "nobody"
          nodes: [{id: gave_up, value: nobody answered}]
        - nodes: [{id: said, value: "${nodes.asked}"}]
"""


@pytest.mark.parametrize("answers", [True, False])
async def test_the_first_alternative_that_is_done_wins(answers):
    s = squad()
    run = await start(s, RACE)
    await settle()
    if answers:
        await s.engine.signal(run, "answered", "yes", actor="person:ada")
    else:
        await s.clock.advance(3_600_000)
    output = (await ended(s, run)).output["then"]
    assert output == ({"said": "yes"} if answers else {"gave_up": "nobody answered"})


async def test_no_alternative_of_a_race_can_change_the_world():
    s = squad()
    text = """
graph:
  nodes:
    - id: first
      race:
        - {name: a, nodes: [{id: x, action: num.write, with: {n: 1}}]}
        - {name: b, nodes: [{id: y, action: num.write, with: {n: 2}}]}
"""
    outcome = await ended(s, await start(s, text))
    assert outcome.status == "failed" and CALLS == []


async def test_the_elements_of_a_list_go_through_stages():
    s = squad()
    text = """
graph:
  nodes:
    - id: line
      pipeline:
        over: ${input}
        limit: 2
        stages:
          - {id: one, action: num.twice, with: {n: "${item}"}}
          - {id: two, when: "${item > 2}", action: num.twice, with: {n: "${item}"}}
          - {id: three, value: "${item == null ? 0 : item}"}
result: ${nodes.line}
"""
    outcome = await ended(s, await start(s, text, [1, 2, 3]))
    assert outcome.output == [0, 8, 12]


async def test_a_step_that_failed_for_good_is_answered_otherwise_if_its_error_is_named():
    text = """
graph:
  nodes:
    - id: ask
      action: num.twice
      with: {n: 13}
      catch:
        codes: [CODE]
        nodes: [{id: instead, value: "${error.code}: ${error.message}"}]
    - {id: after, dependsOn: [ask], value: "${nodes.ask.nodes.instead}"}
"""
    s = squad()
    outcome = await ended(s, await start(s, text.replace("CODE", "unavailable")))
    assert outcome.output == {"after": "unavailable: unlucky"}
    outcome = await ended(s, await start(s, text.replace("CODE", "other.code")))
    assert outcome.status == "failed" and outcome.error["code"] == "unavailable"


async def test_a_manifest_can_fail_on_purpose_with_a_code_of_its_own():
    s = squad()
    text = """
graph:
  nodes:
    - id: check
      branch:
        - when: ${input < 0}
          nodes: [{id: no, fail: {code: order.negative, message: "not ${input}"}}]
"""
    outcome = await ended(s, await start(s, text, -4))
    assert (outcome.error["code"], outcome.error["message"]) == ("order.negative", "not -4")
    assert (await ended(s, await start(s, text, 4))).status == "completed"


async def test_a_loop_that_gets_nowhere_is_stopped():
    s = squad()
    text = """
graph:
  nodes:
    - id: poll
      action: num.twice
      with: {n: 4}
      loop: {while: "true", max: 100, stall: 3}
"""
    outcome = await ended(s, await start(s, text))
    assert outcome.error["code"] == "workflow.stalled" and len(CALLS) == 4


TALK = """
graph:
  nodes:
    - {id: sum, value: "${input.n}"}
    - {id: wait, dependsOn: [sum], signal: done}
queries:
  sum: "${nodes.sum + (update == null ? 0 : update)}"
updates:
  add:
    when: update > 0
    nodes: [{id: added, action: num.twice, with: {n: "${update}"}}]
    result: ${nodes.added}
"""


async def test_a_run_answers_queries_and_takes_updates():
    s = squad()
    run = await start(s, TALK, {"n": 5})
    await settle()
    assert await s.engine.query(run, "sum") == 5
    assert await s.engine.query(run, "sum", 2) == 7
    answer = await s.engine.update(run, "add", 4, actor="person:ada", key="k")
    again = await s.engine.update(run, "add", 4, actor="person:ada", key="k")
    assert msgspec.to_builtins(answer)["output"] == 8 == msgspec.to_builtins(again)["output"]
    assert CALLS == [4]
    with pytest.raises(Exception, match="does not hold"):
        await s.engine.update(run, "add", -1, actor="person:ada")
    await s.engine.signal(run, "done", None, actor="person:ada")
    assert (await ended(s, run)).status == "completed"


async def test_a_question_nobody_answers_goes_up_the_ladder():
    s = squad()
    text = """
graph:
  nodes:
    - id: ask
      approval:
        roles: [clerk]
        because: it is large
        expires: 3d
        escalate:
          - {after: 1d, roles: [head], because: nobody answered, keep: false}
"""
    run = await start(s, text)
    await settle()
    assert (await s.engine.inbox(run))[0].roles == ("clerk",)
    await s.clock.advance(86_400_000)
    assert (await s.engine.inbox(run))[0].roles == ("head",)


async def test_an_endless_run_goes_on_as_a_new_one():
    s = squad()
    text = """
graph:
  nodes: [{id: step, value: "${input + 1}"}]
continueAsNew: {when: "${nodes.step < 4}", input: "${nodes.step}"}
result: ${nodes.step}
"""
    run = await start(s, text, 1)
    outcome = await s.engine.wait(run, timeout_ms=5000)
    assert outcome.output == 4 and outcome.run != run


@pytest.mark.parametrize(
    ("node", "at"),
    [
        ({"race": [{"name": "a", "nodes": [{"id": "x", "dependsOn": ["y"], "sleep": "1s"}]}]},
         "/graph/nodes/0/race/0/nodes/0/dependsOn/0"),
        ({"pipeline": {"over": "${a +}", "stages": [{"id": "s", "value": 1}]}},
         "/graph/nodes/0/pipeline/over"),
        ({"value": "${a +}"}, "/graph/nodes/0/value"),
        ({"signal": "a", "escalate": [{"after": "soon", "roles": ["x"]}]},
         "/graph/nodes/0/escalate/0/after"),
        ({"sleep": "1s", "onFailure": "wait"}, "/graph/nodes/0/onFailure"),
        ({"sleep": "1s", "catch": {"nodes": [{"id": "n"}]}}, "/graph/nodes/0/catch/nodes/0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_is(node, at):
    kind = squad().registry.kinds["AgentWorkflow"]
    assert kind.check is not None
    found = kind.check({"graph": {"nodes": [{"id": "n0", **node}]}})
    assert [one[0] for one in found] == [at]
