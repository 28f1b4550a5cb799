from __future__ import annotations

import copy
from typing import Any

import pytest

from agentsquad.kernel.manifest import check_spec, path_text
from agentsquad.runtime.control import graph
from agentsquad.runtime.control.adapters.cel import CelExpressions
from agentsquad.runtime.control.kinds import agent_workflow

KIND = agent_workflow(CelExpressions())

FULL: dict[str, Any] = {
    "description": "Everything a workflow may say.",
    "input": {"type": "object"},
    "output": {"type": "object"},
    "schedule": "0 */6 * * *",
    "timezone": "Europe/Berlin",
    "retryPolicy": {
        "maxRetries": 3,
        "backoffStrategy": "exponential",
        "initialDelay": "200ms",
        "maxDelay": "30s",
        "jitter": 0.2,
        "retryOn": ["model.limit"],
    },
    "timeout": "2h",
    "graph": {
        "nodes": [
            {
                "id": "read",
                "action": "edi.check",
                "with": {"files": "${input.files}"},
                "timeout": "30s",
                "retryPolicy": {"maxRetries": 1},
            },
            {
                "id": "match",
                "agent": "matcher:v1.0.0",
                "task": "Match order ${item.number}",
                "foreach": "${nodes.read.orders}",
                "limit": 8,
                "dependsOn": ["read"],
            },
            {
                "id": "route",
                "dependsOn": ["match"],
                "branch": [
                    {
                        "when": "${nodes.match.exists(m, m.open > 0)}",
                        "nodes": [
                            {
                                "id": "ask",
                                "approval": {
                                    "roles": ["controller"],
                                    "because": "Open lines: ${nodes.match.size()}",
                                    "expires": "3d",
                                },
                            }
                        ],
                    },
                    {"nodes": [{"id": "skip", "sleep": "1s"}]},
                ],
            },
            {
                "id": "settle",
                "dependsOn": ["route"],
                "when": "nodes.route != null",
                "loop": {"while": "last.left > 0", "max": 10},
                "nodes": [
                    {
                        "id": "pay",
                        "action": "payments.send",
                        "compensate": {
                            "action": "payments.recall",
                            "with": {"id": "${nodes.pay.id}"},
                        },
                    },
                    {"id": "posted", "signal": "posted", "dependsOn": ["pay"], "timeout": "1d"},
                ],
            },
            {"id": "report", "workflow": "daily-report", "dependsOn": ["settle"]},
        ]
    },
    "result": {"report": "${nodes.report}"},
}


def wrong(spec: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(path_text(p.at), p.expected, p.fix) for p in check_spec(KIND, spec)]


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    spec = copy.deepcopy(FULL)
    place: Any = spec
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return spec


def node(**fields: Any) -> dict[str, Any]:
    return {"graph": {"nodes": [{"id": "one", **fields}]}}


def test_a_workflow_that_says_everything_is_valid() -> None:
    assert wrong(FULL) == []


def test_a_misspelt_field_deep_inside_is_named_with_the_right_one() -> None:
    spec = changed(["graph", "nodes", 2, "branch", 0, "nodes", 0, "dependOn"], [])
    assert wrong(spec) == [
        (
            "graph.nodes[2].branch[0].nodes[0].dependOn",
            wrong(spec)[0][1],
            "did you mean 'dependsOn'?",
        )
    ]


def test_an_unknown_dependency_is_answered_with_the_nearest_id() -> None:
    spec = changed(["graph", "nodes", 1, "dependsOn"], ["raed"])
    assert wrong(spec) == [
        ("graph.nodes[1].dependsOn[0]", "the id of a node beside it", "did you mean 'read'?")
    ]


def test_a_node_of_another_list_is_no_dependency() -> None:
    spec = changed(["graph", "nodes", 4, "dependsOn"], ["pay"])
    assert wrong(spec)[0][0] == "graph.nodes[4].dependsOn[0]"


def test_a_cycle_is_named() -> None:
    spec = {
        "graph": {
            "nodes": [
                {"id": "z", "sleep": "1s"},
                {"id": "a", "sleep": "1s", "dependsOn": ["c", "z"]},
                {"id": "b", "sleep": "1s", "dependsOn": ["a"]},
                {"id": "c", "sleep": "1s", "dependsOn": ["b"]},
            ]
        }
    }
    assert wrong(spec)[0][:2] == ("graph.nodes[1].dependsOn", "no cycle, but a → c → b → a")
    assert graph.cycle([{"id": "a", "dependsOn": ["a"]}]) == ["a", "a"]


def test_an_id_used_twice_is_found_across_groups() -> None:
    spec = changed(["graph", "nodes", 3, "nodes", 0, "id"], "read")
    assert ("graph.nodes[3].nodes[0].id", "rename one of them") in {
        (path, fix) for path, _, fix in wrong(spec)
    }


@pytest.mark.parametrize(
    ("spec", "path", "expected"),
    [
        (node(), "graph.nodes[0]", "exactly one of agent, action"),
        (node(agent="a", sleep="1s"), "graph.nodes[0]", "exactly one of"),
        (node(sleep="1s", foreach="${input.x}"), "graph.nodes[0].foreach", "no 'foreach'"),
        (node(action="a.b", task="x"), "graph.nodes[0].task", "no 'task' beside 'action'"),
        (node(agent="a", limit=2), "graph.nodes[0].limit", "only beside 'foreach'"),
        (
            node(agent="a", foreach="${x}", loop={"while": "x", "max": 1}),
            "graph.nodes[0].loop",
            "either",
        ),
        (node(sleep="soon"), "graph.nodes[0].sleep", "a duration"),
        (node(agent="not a name"), "graph.nodes[0].agent", "an agent's name"),
        (node(action="edicheck"), "graph.nodes[0].action", "subsystem.verb"),
        (node(agent="a", when="a >"), "graph.nodes[0].when", "a CEL expression (column"),
        (node(agent="a", when="${a} ${b}"), "graph.nodes[0].when", "not one expression"),
        (node(action="a.b", **{"with": {"x": ["${1 +}"]}}), "graph.nodes[0].with.x[0]", "CEL"),
        (node(action="a.b", **{"with": {"x": "${1"}}), "graph.nodes[0].with", "never ends"),
        (
            node(branch=[{"nodes": [{"id": "x", "sleep": "1s"}]}] * 2),
            "graph.nodes[0].branch[0]",
            "a 'when'",
        ),
        ({**node(sleep="1s"), "schedule": "61 * * * *"}, "schedule", "(bad minute)"),
        ({**node(sleep="1s"), "timezone": "Europe/Berln"}, "timezone", "an IANA time zone"),
        ({**node(sleep="1s"), "timeout": "2 hours"}, "timeout", "a duration"),
        (
            {**node(sleep="1s"), "retryPolicy": {"initialDelay": "1m", "maxDelay": "1s"}},
            "retryPolicy.maxDelay",
            "at least initialDelay",
        ),
        (
            {**node(sleep="1s"), "retryPolicy": {"backoffStrategy": "exponentail"}},
            "retryPolicy.backoffStrategy",
            'one of "exponential"',
        ),
        ({**node(sleep="1s"), "result": "${"}, "result", "never ends"),
        ({"graph": {"nodes": []}}, "graph.nodes", "[]"),
        ({}, "", "the property 'graph'"),
    ],
)
def test_what_contradicts_itself_is_told(spec: Any, path: str, expected: str) -> None:
    told = [(at, text) for at, text, _ in wrong(spec)]
    assert any(at == path and expected in text for at, text in told), told


def test_nodes_are_ordered_after_what_they_depend_on() -> None:
    nodes = [
        {"id": "c", "dependsOn": ["b"]},
        {"id": "x"},
        {"id": "b", "dependsOn": ["a", "x"]},
        {"id": "a"},
    ]
    assert graph.cycle(nodes) is None
    assert graph.order(nodes) == ["x", "a", "b", "c"]


def test_a_sleep_may_be_an_expression() -> None:
    assert wrong(node(sleep="${input.wait}")) == []
