"""AgentWorkflow manifests run as the engine's own: every kind of node."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import InvalidError, UnavailableError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.control.interpret import NAME
from agentsquad.runtime.control.plugin import plugin as control
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle

CALLS: list[Any] = []


class Add(msgspec.Struct):
    a: int
    b: int = 1


@action("math.add", effect=Effect.PURE)
def add(ctx, value: Add) -> int:
    """Add."""
    return value.a + value.b


@action("stock.reserve", effect=Effect.WRITE)
async def reserve(ctx, value: dict) -> dict:
    """Reserve."""
    CALLS.append(("reserve", value["n"]))
    if value["n"] == 13:
        raise InvalidError("unlucky")
    return {"id": f"r{value['n']}"}


@action("stock.release", effect=Effect.WRITE)
async def release(ctx, value: dict) -> dict:
    """Release."""
    CALLS.append(("release", value["id"]))
    return {}


@action("net.flaky", effect=Effect.READ)
async def flaky(ctx, value: dict) -> int:
    """Fail twice."""
    CALLS.append("flaky")
    if CALLS.count("flaky") < 3:
        raise UnavailableError("down")
    return 7


@workflow("agent-turn")
async def turn(ctx, value: dict) -> dict:
    return {"by": value["agent"], "got": value["input"], "task": value["task"]}


@workflow("installed")
async def installed(ctx, value: dict) -> dict:
    return {"twice": value["n"] * 2}


def squad() -> TestSquad:
    CALLS.clear()
    mine = Plugin(name="test", actions=(add, reserve, release, flaky), workflows=(turn, installed))
    return TestSquad(mine, control)


async def start(s: TestSquad, text: str, value: Any = None) -> str:
    spec = yaml.safe_load(text)
    return await s.engine.start(NAME, {"name": "test", "spec": spec, "input": value})


async def run(s: TestSquad, text: str, value: Any = None) -> Any:
    outcome = await s.engine.wait(await start(s, text, value), timeout_ms=5000)
    assert outcome.status == "completed", outcome.error
    return outcome.output


DOCUMENT = """
graph:
  nodes:
    - id: "data-extraction"
      agent: "gpt-4-agent:v1.2.3"
      parallelism: 5
    - id: "data-processing"
      agent: "claude-agent:v2.1.0"
      dependsOn: ["data-extraction"]
schedule: "0 */6 * * *"  # Cron expression
retryPolicy:
  maxRetries: 3
  backoffStrategy: "exponential"
timeout: "2h"
"""


async def test_the_documents_own_example_runs():
    s = squad()
    output = await run(s, DOCUMENT, {"day": 1})
    assert list(output) == ["data-processing"]
    processing = output["data-processing"]
    assert processing["by"] == "claude-agent"
    assert processing["got"]["nodes"]["data-extraction"]["by"] == "gpt-4-agent"


async def test_expressions_foreach_branch_group_and_result():
    s = squad()
    output = await run(
        s,
        """
graph:
  nodes:
    - id: sums
      action: math.add
      foreach: ${input.numbers}
      with: {a: "${item}", b: "${index}"}
      limit: 2
    - id: pick
      dependsOn: [sums]
      branch:
        - when: ${nodes.sums[2] > 100}
          nodes: [{id: big, action: math.add, with: {a: 1000}}]
        - nodes: [{id: small, action: math.add, with: {a: 5}}]
    - id: never
      when: "false"
      action: math.add
      with: {a: 1}
    - id: group
      nodes:
        - {id: one, workflow: installed, with: {n: 4}}
        - {id: two, dependsOn: [one], action: math.add, with: {a: "${nodes.one.twice}"}}
result:
  sums: ${nodes.sums}
  small: ${nodes.small}
  two: ${nodes.two}
  text: "n is ${nodes.two}"
""",
        {"numbers": [1, 2, 3]},
    )
    assert output == {"sums": [1, 3, 5], "small": 6, "two": 9, "text": "n is 9"}


async def test_a_loop_repeats_while_its_condition_holds():
    s = squad()
    text = """
graph:
  nodes:
    - id: count
      action: math.add
      with: {a: "${last == null ? 0 : last}", b: 2}
      loop: {while: "${last == null || last < 7}", max: 10}
"""
    assert await run(s, text) == {"count": 8}
    outcome = await s.engine.wait(await start(s, text.replace("max: 10", "max: 2")))
    assert outcome.error["code"] == "workflow.node"


async def test_a_failed_graph_is_undone_in_reverse_order():
    s = squad()
    outcome = await s.engine.wait(
        await start(
            s,
            """
graph:
  nodes:
    - id: first
      action: stock.reserve
      with: {n: 1}
      compensate: {action: stock.release, with: {id: "${nodes.first.id}"}}
    - id: second
      dependsOn: [first]
      action: stock.reserve
      with: {n: 2}
      compensate: {action: stock.release, with: {id: "${nodes.second.id}"}}
    - {id: third, dependsOn: [second], action: stock.reserve, with: {n: 13}}
    - {id: fourth, dependsOn: [third], action: stock.reserve, with: {n: 4}}
""",
        ),
        timeout_ms=5000,
    )
    assert outcome.status == "failed"
    assert CALLS == [
        ("reserve", 1),
        ("reserve", 2),
        ("reserve", 13),
        ("release", "r2"),
        ("release", "r1"),
    ]


async def test_waits_approvals_and_signals():
    s = squad()
    run_id = await start(
        s,
        """
graph:
  nodes:
    - {id: pause, sleep: 15m}
    - id: ask
      dependsOn: [pause]
      approval: {roles: [controller], because: "amount ${input.amount}", expires: 3d}
    - {id: goods, dependsOn: [ask], signal: goods-received}
""",
        {"amount": 5},
    )
    await settle()
    await s.clock.advance(15 * 60_000)
    (question,) = await s.engine.inbox()
    assert question.because == "amount 5"
    await s.engine.answer(question.id, approve=True, approver="person:ada", reason="fine")
    await s.restart()
    await s.engine.signal(run_id, "goods-received", {"n": 3}, actor="person:ada")
    outcome = await s.engine.wait(run_id, timeout_ms=5000)
    assert outcome.output == {"goods": {"n": 3}}
    assert (await replay(s.ledger.store, s.registry, run_id)).verdict == "identical"


async def test_a_refusal_fails_the_node():
    s = squad()
    run_id = await start(
        s,
        """
graph:
  nodes: [{id: ask, approval: {roles: [c], because: why}}]
""",
    )
    await settle()
    (question,) = await s.engine.inbox()
    await s.engine.answer(question.id, approve=False, approver="person:ada", reason="no")
    outcome = await s.engine.wait(run_id, timeout_ms=5000)
    assert outcome.error["code"] == "workflow.refused"


async def test_retries_follow_the_manifest():
    s = squad()
    run_id = await start(
        s,
        """
graph:
  nodes: [{id: call, action: net.flaky}]
retryPolicy: {maxRetries: 3, backoffStrategy: fixed, initialDelay: 1s}
""",
    )
    await s.clock.advance(10_000)
    assert (await s.engine.wait(run_id, timeout_ms=5000)).output == {"call": 7}


async def test_a_manifest_has_a_time_limit():
    s = squad()
    run_id = await start(
        s,
        """
graph:
  nodes: [{id: wait, signal: never}]
timeout: 2h
""",
    )
    await settle()
    await s.clock.advance(2 * 3_600_000 + 1)
    outcome = await s.engine.wait(run_id, timeout_ms=5000)
    assert outcome.error["code"] == "run.deadline"


async def test_input_is_checked_against_the_manifests_schema():
    s = squad()
    outcome = await s.engine.wait(
        await start(
            s,
            """
graph:
  nodes: [{id: call, action: math.add, with: {a: 1}}]
input: {type: object, required: [order]}
""",
            {},
        )
    )
    assert outcome.error["code"] == "workflow.input"
