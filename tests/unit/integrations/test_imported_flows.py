"""Flows of other languages: what has an equivalent runs as the original would,
what has none is named with its place."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.integrations.formats.flows import bpmn, serverless
from agentsquad.integrations.formats.flows.actions import mapping
from agentsquad.integrations.formats.flows.contract import FlowFileError, UntranslatableError
from agentsquad.integrations.formats.flows.structure import END, Box, Edge, Structure, merged
from agentsquad.integrations.formats.flows.terms import feel, jq
from agentsquad.integrations.formats.flows.words import Names, duration
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.registry import Plugin
from agentsquad.kernel.schema import problems
from agentsquad.runtime.control.interpret import NAME
from agentsquad.runtime.control.plugin import plugin as control
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle

HEAD = "document: {dsl: '1.0.1', namespace: test, name: Test Flow, version: '1.0.0'}\n"


def squad() -> TestSquad:
    return TestSquad(Plugin(name="none"), control)


def checked(s: TestSquad, resource: dict[str, Any]) -> dict[str, Any]:
    """The spec of a resource that this kind accepts."""
    kind = s.registry.kinds["AgentWorkflow"]
    assert kind.check is not None
    assert list(problems(kind.schema, resource["spec"])) == []
    assert kind.check(resource["spec"]) == []
    return resource["spec"]


async def start(s: TestSquad, found: Any, value: Any = None) -> str:
    spec = checked(s, found.resource)
    return await s.engine.start(NAME, {"name": "t", "spec": spec, "input": value or {}})


async def run(text: str, value: Any = None) -> Any:
    """What a Serverless Workflow gives."""
    s = squad()
    found = serverless.imported(yaml.safe_load(HEAD + text), {})
    assert found.complete, found.not_taken
    outcome = await s.engine.wait(await start(s, found, value), timeout_ms=5000)
    assert outcome.status == "completed", outcome.error
    return outcome.output


SWITCH = """
do:
  - choose:
      switch:
        - red: {when: '.color == "red"', then: first}
        - none: {when: '.color == null', then: end}
        - rest: {then: second}
  - first: {set: {way: first, was: '${ .color }'}, then: last}
  - second: {set: {way: second}}
  - last: {set: {way: '${ .way + "!" }'}}
"""


@pytest.mark.parametrize(
    ("color", "way"), [("red", {"way": "first!"}), ("blue", {"way": "second!"})]
)
async def test_a_switch_goes_the_way_it_says_and_data_flows_on(color, way):
    assert await run(SWITCH, {"color": color}) == way


async def test_a_switch_that_ends_gives_what_it_was_given():
    assert await run(SWITCH, {"other": 1}) == {"other": 1}


async def test_cases_that_fall_into_one_another_need_no_blocks():
    text = """
do:
  - choose:
      switch:
        - two: {when: .n == 2, then: b}
        - three: {when: .n == 3, then: c}
  - a: {set: {n: '${ .n }', seen: '${ .seen + ["a"] }'}}
  - b: {set: {n: '${ .n }', seen: '${ .seen + ["b"] }'}}
  - c: {set: {seen: '${ .seen + ["c"] }'}}
"""
    assert [(await run(text, {"n": n}))["seen"] for n in (1, 2, 3)] == [
        ["a", "b", "c"], ["b", "c"], ["c"],
    ]  # fmt: skip


async def test_tasks_are_done_in_the_order_they_name():
    text = """
do:
  - a: {set: {seen: '${ .seen + ["a"] }'}, then: c}
  - b: {set: {seen: '${ .seen + ["b"] }'}, then: end}
  - c: {set: {seen: '${ .seen + ["c"] }'}, then: b}
"""
    assert await run(text) == {"seen": ["a", "c", "b"]}


async def test_a_loop_hands_on_what_each_round_gives():
    text = """
do:
  - each:
      for: {each: item, in: .numbers, at: at}
      do:
        - add: {set: {numbers: '${ .numbers }', seen: '${ .seen + [ $item * 10 + $at ] }'}}
"""
    assert (await run(text, {"numbers": [5, 6]}))["seen"] == [50, 61]
    assert await run(text, {"numbers": []}) == {"numbers": []}


async def test_branches_are_done_side_by_side():
    text = """
do:
  - both:
      fork:
        branches:
          - one: {set: {n: 1}}
          - two: {do: [{x: {set: {n: 2}}}]}
"""
    assert await run(text) == [{"n": 1}, {"n": 2}]


async def test_a_failure_is_caught_and_named():
    text = """
do:
  - risky:
      try:
        - boom: {raise: {error: {type: https://example.org/errors/timeout, title: too late}}}
      catch:
        errors: {with: {type: https://example.org/errors/timeout}}
        as: error
        do: [{say: {set: {code: '${ $error.code }', text: '${ $error.message }'}}}]
  - done: {set: {ok: true}}
"""
    assert await run(text) == {"ok": True}
    s = squad()
    found = serverless.imported(yaml.safe_load(HEAD + text.replace("timeout}}\n", "other}}\n")), {})
    outcome = await s.engine.wait(await start(s, found), timeout_ms=5000)
    assert outcome.error["code"] == "flow.timeout"


async def test_events_are_signals_and_messages_and_waits_are_times():
    text = """
do:
  - pause: {wait: PT1H}
  - hear: {listen: {to: {one: {with: {type: order.accepted}}}}}
  - tell: {emit: {event: {with: {type: order.shipped, source: a, data: {id: 7}}}}}
"""
    s = squad()
    found = serverless.imported(yaml.safe_load(HEAD + text), {})
    nodes = found.resource["spec"]["graph"]["nodes"]
    assert nodes[0]["sleep"] == "1h" and nodes[1]["signal"] == "order.accepted"
    assert nodes[2]["with"] == {"topic": "order.shipped", "payload": {"id": 7}}
    identifier = await start(s, found)
    await settle()
    await s.clock.advance(3_600_000)
    await s.engine.signal(identifier, "order.accepted", {}, actor="person:ada")
    assert (await s.engine.wait(identifier, timeout_ms=5000)).status == "completed"


def test_what_has_no_equivalent_is_named_and_a_call_can_be_mapped():
    text = """
do:
  - pay: {call: http, with: {method: post, endpoint: 'https://bank.example/pay'}}
  - build: {run: {container: {image: alpine}}}
  - clean: {set: '${ .items | map(.name) }'}
"""
    document = yaml.safe_load(HEAD + text)
    found = serverless.imported(document, {})
    assert not found.complete
    assert [(one.at, one.construct) for one in found.not_taken] == [
        ("/do/0/pay", "call: http"),
        ("/do/1/build", "run: container"),
        ("/do/2/clean/set", "${ .items | map(.name) }"),
    ]
    mapped = serverless.imported(document, {"pay": "payments.send", "build": "images.build"})
    assert [one.construct for one in mapped.not_taken] == ["${ .items | map(.name) }"]
    assert mapped.resource["spec"]["graph"]["nodes"][0]["action"] == "payments.send"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"id": "old", "states": []}, "'document' and 'do'"),
        ({"document": {"dsl": "0.8", "name": "x"}, "do": []}, "0.8"),
        ({"document": {"dsl": "1.0.0", "name": "x"}, "do": [{"a": {}, "b": {}}]}, "/do/0"),
        ({"document": {"dsl": "1.0.0", "name": "x"}, "do": ["a"]}, "/do/0"),
    ],
)
def test_what_is_no_flow_is_refused_with_its_place(document, words):
    with pytest.raises(FlowFileError, match=words):
        serverless.imported(document, {})


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (".a.b", "input.a.b"),
        (".a == 1 and (.b | not)", "(has(input.a) && input.a == 1) && (!(input.b))"),
        (".a - (.b - 1)", "input.a - (input.b - 1)"),
        (".a == null", "(!(has(input.a)) || input.a == null)"),
        ('{ x: .a, "y": [1, 2] }', '{"x": input.a, "y": [1, 2]}'),
        ("$item.name", "item.name"),
        (".list | length", "size(input.list)"),
    ],
)
def test_plain_jq_is_cel(theirs, ours):
    assert jq(theirs, "input", {"$item": "item"}) == ours


@pytest.mark.parametrize(
    "theirs", [".a[]", "map(.x)", ".a | test(1)", "$secret.x", ".a.", '"\\(.a)"']
)
def test_other_jq_is_refused(theirs):
    with pytest.raises(UntranslatableError):
        jq(theirs, "input", {})


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("= amount > 100", "(has(input.amount) && input.amount > 100)"),
        ("${approved eq true and not(late)}",
         "(has(input.approved) && input.approved == true) && !(input.late)"),
        ("order.kind = 'rush'",
         '(has(input.order) && has(input.order.kind) && input.order.kind == "rush")'),
    ],
)  # fmt: skip
def test_conditions_of_bpmn_are_cel(theirs, ours):
    assert feel(theirs, lambda name: f"input.{name}") == ours


@given(st.text(max_size=40))
def test_no_expression_and_no_document_crashes_a_reader(text):
    for reader in (lambda: jq(text, "input", {}), lambda: feel(text, str)):
        with suppress(UntranslatableError):
            reader()
    with suppress(FlowFileError):
        bpmn.imported(text.encode(), "x.bpmn", {})


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("PT1H30M", "1h30m"), ("P2W", "2w"), ("PT0.5S", "0s500ms"), ({"minutes": 5}, "5m"),
     ("P1M", None), ("R3/PT1H", None), ({"years": 1}, None)],
)  # fmt: skip
def test_lengths_of_time(theirs, ours):
    assert duration(theirs) == ours


# --- BPMN

XML = (
    '<?xml version="1.0"?><b:definitions xmlns:b="http://www.omg.org/spec/BPMN/20100524/MODEL" '
    'xmlns:camunda="http://camunda.org/schema/1.0/bpmn">'
    '<b:message id="m" name="paid"/><b:error id="e" errorCode="no-stock"/>'
    "<b:process id='p' name='Order' isExecutable='true'>%s</b:process></b:definitions>"
)


def flows(*pairs: str) -> str:
    """Sequence flows, as "a>b" or "a>b?condition"."""
    text = ""
    for pair in pairs:
        ends, _, when = pair.partition("?")
        source, _, target = ends.partition(">")
        inner = f"<b:conditionExpression>{when.replace('>', '&gt;')}</b:conditionExpression>"
        text += (
            f"<b:sequenceFlow id='{source}-{target}' sourceRef='{source}' targetRef='{target}'>"
            f"{inner if when else ''}</b:sequenceFlow>"
        )
    return text


def process(elements: str, *pairs: str, **actions: str) -> Any:
    (found,) = bpmn.imported((XML % (elements + flows(*pairs))).encode(), "o.bpmn", actions)
    checked(squad(), found.resource)
    return found


def nodes_of(found: Any) -> list[dict[str, Any]]:
    return found.resource["spec"]["graph"]["nodes"]


def test_tasks_of_every_kind_become_nodes():
    found = process(
        "<b:startEvent id='s'/><b:userTask id='ask' camunda:candidateGroups='boss, head'/>"
        "<b:serviceTask id='pay' camunda:topic='payments.send'/>"
        "<b:receiveTask id='r' messageRef='m'/>"
        "<b:intermediateCatchEvent id='t'><b:timerEventDefinition><b:timeDuration>PT5M"
        "</b:timeDuration></b:timerEventDefinition></b:intermediateCatchEvent>"
        "<b:callActivity id='c' calledElement='Ship_Goods'/><b:endEvent id='z'/>",
        "s>ask", "ask>pay", "pay>r", "r>t", "t>c", "c>z",
    )  # fmt: skip
    ask, pay, wait, pause, call = nodes_of(found)
    assert ask["approval"]["roles"] == ["boss", "head"] and pay["action"] == "payments.send"
    assert wait["signal"] == "paid" and pause["sleep"] == "5m" and call["workflow"] == "ship-goods"
    assert call["dependsOn"] == [pause["id"]] and found.complete


def test_gateways_become_choices_parallel_groups_and_races():
    found = process(
        "<b:startEvent id='s'/><b:exclusiveGateway id='x' default='x-b'/><b:manualTask id='a'/>"
        "<b:manualTask id='b'/><b:exclusiveGateway id='j'/><b:parallelGateway id='f'/>"
        "<b:manualTask id='l'/><b:manualTask id='r'/><b:parallelGateway id='g'/>",
        "s>x", "x>a?=n > 3", "x>b", "a>j", "b>j", "j>f", "f>l", "f>r", "l>g", "r>g",
    )  # fmt: skip
    choice, group = nodes_of(found)
    assert choice["branch"][0]["when"] == "(has(input.n) && input.n > 3)"
    assert [c["nodes"][0]["id"] for c in choice["branch"]] == ["a", "b"]
    assert [node["id"] for node in group["nodes"]] == ["l", "r"]
    assert all("dependsOn" not in node for node in group["nodes"])


def test_arrows_back_become_loops():
    found = process(
        "<b:startEvent id='s'/><b:exclusiveGateway id='m'/><b:manualTask id='try'/>"
        "<b:exclusiveGateway id='d'/><b:endEvent id='z'/>",
        "s>m", "m>try", "try>d", "d>m?=again", "d>z",
    )  # fmt: skip
    (loop,) = nodes_of(found)
    assert loop["loop"]["while"] == "index == 0 || (input.again)"
    assert [node["id"] for node in loop["nodes"]] == ["try"]


def test_boundary_events_limit_and_catch():
    found = process(
        "<b:startEvent id='s'/><b:serviceTask id='pay' camunda:topic='payments.send'/>"
        "<b:boundaryEvent id='late' attachedToRef='pay'><b:timerEventDefinition>"
        "<b:timeDuration>PT1H</b:timeDuration></b:timerEventDefinition></b:boundaryEvent>"
        "<b:manualTask id='call'/>"
        "<b:boundaryEvent id='no' attachedToRef='pay'><b:errorEventDefinition errorRef='e'/>"
        "</b:boundaryEvent><b:manualTask id='other'/>",
        "s>pay", "late>call", "no>other",
    )  # fmt: skip
    (pay,) = nodes_of(found)
    assert pay["timeout"] == "1h"
    assert pay["catch"]["codes"] == ["flow.no_stock"]
    assert [node["id"] for node in pay["catch"]["nodes"]] == ["other"]


def test_what_bpmn_has_and_graphs_have_not_is_named_with_its_line():
    found = process(
        "<b:startEvent id='s'/><b:scriptTask id='calc'/>\n<b:complexGateway id='g'/>\n"
        "<b:subProcess id='ev' triggeredByEvent='true'/>",
        "s>calc", "calc>g",
    )  # fmt: skip
    named = [(one.at.split(",")[0], one.construct) for one in found.not_taken]
    assert named == [
        ("line 1", "scriptTask"), ("line 2", "complexGateway"), ("line 3", "event sub-process"),
    ]  # fmt: skip
    assert not found.complete
    assert process("<b:startEvent id='s'/><b:scriptTask id='calc'/>", "s>calc", calc="a.b").complete


@pytest.mark.parametrize(
    "text",
    ["<a/>", "<b:definitions xmlns:b='x'/>", "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "<a"],
)
def test_xml_that_is_no_process_is_refused(text):
    with pytest.raises(FlowFileError):
        bpmn.imported(text.encode(), "x.bpmn", {})


EDGES = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.booleans()), max_size=14, unique=True
)


@given(EDGES, st.lists(st.sampled_from(["step", "xor", "and", "or"]), min_size=7, max_size=7))
def test_any_drawing_becomes_a_valid_graph_or_says_why_not(edges, splits):
    boxes = {
        f"b{n}": Box(id=f"b{n}", node={"id": f"b{n}", "value": n}, split=splits[n])
        for n in range(7)
    }
    for source, target, otherwise in edges:
        when = None if otherwise else f"input.x{source}{target} == 1"
        boxes[f"b{source}"].out.append(Edge(to=f"b{target}", when=when))
    for box in boxes.values():
        if box.split == "step":
            box.out = box.out[:1]
    told: list[Any] = []
    names = Names()
    for n in range(7):
        names.unique(f"b{n}")
    nodes = Structure(boxes, told.append, names.unique).nodes("b0")
    jumps = [one for one in told if one.construct == "jump"]
    assert nodes or jumps
    if not jumps:
        resource = {"spec": {"graph": {"nodes": nodes}}}
        checked(squad(), resource)


def test_ways_to_one_place_are_one_way():
    edges = [Edge(to="a", when="p"), Edge(to="b", when="q"), Edge(to="a", when="r"), Edge(to=END)]
    assert merged(edges) == [
        Edge(to="a", when="((p)) || (!(q) && (r))"),
        Edge(to="b", when="(!(p) && (q))"),
        Edge(to=END),
    ]


def test_a_mapping_that_is_none_is_refused():
    assert mapping(("a=b.c", "x=y=z.w")) == {"a": "b.c", "x=y": "z.w"}
    with pytest.raises(InvalidError, match="is no mapping"):
        mapping(("a.b",))
