"""Graph: what a schema cannot say about the nodes of an AgentWorkflow.

Finds unknown and doubled ids, cycles, contradicting fields, and quantities,
schedules and expressions that cannot be read. Names of agents, actions and
workflows are not looked up: they may be applied later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.normal import time_zone
from agentsquad.kernel.pointer import join
from agentsquad.kernel.spelling import closest
from agentsquad.runtime.control.contract import ExpressionError
from agentsquad.runtime.control.expression import condition, expressions
from agentsquad.runtime.control.quantity import (
    Finding,
    agent_reference,
    duration_ms,
    findings,
)

Node = Mapping[str, Any]
Problem = Callable[[str], str | None]

BODIES = (
    *("agent", "action", "workflow", "nodes", "branch", "race", "pipeline"),
    *("sleep", "signal", "approval", "value", "fail"),
)
_CALLS = ("agent", "action", "workflow")


def graph_findings(spec: Mapping[str, Any], problem: Problem) -> list[Finding]:
    """Return (pointer, expected, fix) for everything wrong with a workflow.

    `problem` tells what is wrong with the syntax of an expression.
    """
    found = _timing(spec, "")
    if "schedule" in spec:
        found += _schedule(spec)
    if "timezone" in spec:
        try:
            time_zone(spec["timezone"])
        except InvalidError as error:
            found.append(("/timezone", "an IANA time zone", error.hint or ""))
    tops = [(spec["graph"]["nodes"], "/graph/nodes")]
    tops += [(one["nodes"], f"/updates/{name}/nodes") for name, one in _updates(spec)]
    listed = [pair for nodes, at in tops for pair in walk_nodes(nodes, at)]
    seen: dict[str, str] = {}
    for at, node in listed:
        if node["id"] in seen:
            found.append(
                (f"{at}/id", f"an id of its own (also at {seen[node['id']]})", "rename one of them")
            )
        seen.setdefault(node["id"], at)
        found += _node(at, node) + _expressions(at, node, problem)
    for top, place in tops:
        for at, nodes in _lists(top, place):
            found += _dependencies(at, nodes)
    for at, value in (
        ("/result", spec.get("result")),
        ("/queries", spec.get("queries")),
        ("/continueAsNew/input", spec.get("continueAsNew", {}).get("input")),
        *((f"/updates/{name}/result", one.get("result")) for name, one in _updates(spec)),
    ):
        found += _mapping(at, value, problem)
    for at, text in (
        ("/continueAsNew/when", spec.get("continueAsNew", {}).get("when")),
        *((f"/updates/{name}/when", one.get("when")) for name, one in _updates(spec)),
    ):
        found += _condition(at, text, problem)
    return found


def _updates(spec: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return list((spec.get("updates") or {}).items())


def order(nodes: Sequence[Node]) -> list[str]:
    """Return the ids of one list of nodes, each after all it depends on.

    Nodes that do not depend on each other keep the order they are written in.
    The list must have no cycle.
    """
    done: list[str] = []
    waiting = list(nodes)
    while waiting:
        node = next(node for node in waiting if set(node.get("dependsOn", ())) <= set(done))
        waiting.remove(node)
        done.append(node["id"])
    return done


def cycle(nodes: Sequence[Node]) -> list[str] | None:
    """Return the ids of one cycle, the first again at its end, or None."""
    needs = {node["id"]: list(node.get("dependsOn", ())) for node in nodes}
    finished: set[str] = set()
    for start in needs:
        path: list[str] = []
        stack: list[tuple[str, Iterator[str]]] = [(start, iter(needs[start]))]
        path.append(start)
        while stack:
            rest = stack[-1][1]
            following = next((one for one in rest if one in needs and one not in finished), None)
            if following is None:
                stack.pop()
                finished.add(path.pop())
            elif following in path:
                return [*path[path.index(following) :], following]
            else:
                path.append(following)
                stack.append((following, iter(needs[following])))
    return None


def _lists(nodes: Sequence[Node], at: str) -> Iterator[tuple[str, Sequence[Node]]]:
    """Yield every list of sibling nodes with its pointer, outermost first."""
    yield at, nodes
    for index, node in enumerate(nodes):
        if "nodes" in node:
            yield from _lists(node["nodes"], f"{at}/{index}/nodes")
        for body in ("branch", "race"):
            for choice, branch in enumerate(node.get(body, ())):
                yield from _lists(branch["nodes"], f"{at}/{index}/{body}/{choice}/nodes")
        if "catch" in node:
            yield from _lists(node["catch"]["nodes"], f"{at}/{index}/catch/nodes")
        if "pipeline" in node:
            yield from _lists(node["pipeline"]["stages"], f"{at}/{index}/pipeline/stages")


def walk_nodes(nodes: Sequence[Node], at: str) -> Iterator[tuple[str, Node]]:
    """Yield every node with its pointer, those inside others too."""
    for place, siblings in _lists(nodes, at):
        for index, node in enumerate(siblings):
            yield f"{place}/{index}", node


def _dependencies(at: str, nodes: Sequence[Node]) -> list[Finding]:
    known = [node["id"] for node in nodes]
    found = []
    for index, node in enumerate(nodes):
        for place, name in enumerate(node.get("dependsOn", ())):
            if name not in known:
                others = [other for other in known if other != node["id"]]
                meant = closest(name, others)
                fix = f"did you mean {meant!r}?" if meant else "name a node of the same list"
                found.append((f"{at}/{index}/dependsOn/{place}", "the id of a node beside it", fix))
    ring = cycle(nodes)
    if ring:
        index = known.index(ring[0])
        found.append(
            (
                f"{at}/{index}/dependsOn",
                f"no cycle, but {' → '.join(ring)}",
                f"remove {ring[1]!r} from what {ring[0]!r} depends on, or break it elsewhere",
            )
        )
    return found


def _node(at: str, node: Node) -> list[Finding]:
    found = _timing(node, at)
    bodies = [name for name in BODIES if name in node]
    if len(bodies) != 1:
        text = f"exactly one of {', '.join(BODIES)}"
        fix = f"keep one of {', '.join(bodies)}" if bodies else "say what the node does"
        found.append((at, text, fix))
        return found
    body = bodies[0]
    allowed = {
        "with": _CALLS,
        "task": ("agent",),
        "parallelism": _CALLS,
        "foreach": (*_CALLS, "nodes", "value"),
        "loop": (*_CALLS, "nodes", "value"),
        "escalate": ("signal",),
        "onFailure": ("action",),
        "compensate": ("action", "agent", "workflow"),
    }
    for field, bodies_allowed in allowed.items():
        if field in node and body not in bodies_allowed:
            fix = f"move it to a node with {' or '.join(bodies_allowed)}"
            found.append((at + join(field), f"no {field!r} beside {body!r}", fix))
    if "limit" in node and "foreach" not in node:
        found.append((f"{at}/limit", "'limit' only beside 'foreach'", "remove it or add foreach"))
    if "limit" in node and "parallelism" in node:
        found.append((f"{at}/limit", "either 'limit' or 'parallelism'", "keep one of them"))
    if "foreach" in node and "loop" in node:
        found.append((f"{at}/loop", "either 'foreach' or 'loop'", "put one into a group of nodes"))
    if body == "agent":
        found += [(at + p, e, f) for p, e, f in findings(node, {"/agent": agent_reference})]
    for index, choice in enumerate(node.get("branch", ())[:-1]):
        if "when" not in choice:
            place = f"{at}/branch/{index}"
            found.append((place, "a 'when', or to be the last", "add when or move it to the end"))
    return found


def _timing(part: Mapping[str, Any], at: str) -> list[Finding]:
    """Return unreadable durations, and a first delay above the longest."""
    readers = {
        "/timeout": duration_ms,
        "/schedulePolicy/within": duration_ms,
        "/retryPolicy/initialDelay": duration_ms,
        "/retryPolicy/maxDelay": duration_ms,
        "/approval/expires": duration_ms,
        **{f"/escalate/{n}/after": duration_ms for n in range(len(part.get("escalate", ())))},
        **{
            f"/approval/escalate/{n}/after": duration_ms
            for n in range(len(part.get("approval", {}).get("escalate", ())))
        },
    }
    if "${" not in str(part.get("sleep", "${")):
        readers["/sleep"] = duration_ms
    found = findings(part, readers)
    retry = part.get("retryPolicy", {})
    if not found and "initialDelay" in retry and "maxDelay" in retry:
        first, last = duration_ms(retry["initialDelay"]), duration_ms(retry["maxDelay"])
        if first > last:
            fix = f"raise maxDelay to {retry['initialDelay']} or more"
            found.append(("/retryPolicy/maxDelay", "at least initialDelay", fix))
    return [(at + place, expected, fix) for place, expected, fix in found]


def _schedule(spec: Mapping[str, Any]) -> list[Finding]:
    from datetime import datetime

    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(spec["schedule"], datetime(2024, 1, 1)))
    except CronSimError as error:
        expected = f"a cron expression ({str(error).lower()})"
        return [("/schedule", expected, 'write five fields, e.g. "0 */6 * * *"')]
    except StopIteration:
        return [("/schedule", "a cron expression that ever comes due", "choose an existing date")]
    return []


def _expressions(at: str, node: Node, problem: Problem) -> list[Finding]:
    found = []
    conditions = {
        "/when": node.get("when"),
        "/foreach": node.get("foreach"),
        "/loop/while": node.get("loop", {}).get("while"),
        "/pipeline/over": node.get("pipeline", {}).get("over"),
        **{f"/branch/{i}/when": b.get("when") for i, b in enumerate(node.get("branch", ()))},
    }
    for place, text in conditions.items():
        found += _condition(at + place, text, problem)
    for field in ("with", "task", "sleep", "approval", "compensate", "value", "fail"):
        found += _mapping(at + join(field), node.get(field), problem)
    return found


def _condition(at: str, text: Any, problem: Problem) -> list[Finding]:
    if not isinstance(text, str):
        return []
    try:
        wrong = problem(condition(text).text)
    except ExpressionError as error:
        wrong = error.message
    return [(at, f"a CEL expression ({wrong})", "correct the expression")] if wrong else []


def _mapping(at: str, value: Any, problem: Problem) -> list[Finding]:
    try:
        checked = [(place, problem(part.text)) for place, part in expressions(value)]
    except ExpressionError as error:
        return [(at, f"texts with whole expressions ({error.message})", error.hint or "")]
    return [
        (at + place, f"a CEL expression ({wrong})", "correct what stands between ${ and }")
        for place, wrong in checked
        if wrong
    ]
