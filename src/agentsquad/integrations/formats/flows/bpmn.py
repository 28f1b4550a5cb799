"""BPMN 2.0 (ISO/IEC 19510) as AgentWorkflows: one for each executable process.

Tasks become nodes, gateways blocks, catching events waits. Only what a block
can hold is taken over; boundary events that catch errors or time become `catch`
and `timeout`. Drawings, lanes and data objects say nothing about what is done
and are left out. Names of attributes of Camunda and Zeebe are understood where
they say what a task does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from agentsquad.integrations.formats.flows.contract import (
    FlowFileError,
    Imported,
    NotTaken,
    UntranslatableError,
)
from agentsquad.integrations.formats.flows.serverless import API
from agentsquad.integrations.formats.flows.structure import (
    LOOP_MAX,
    Box,
    Edge,
    Node,
    Split,
    Structure,
)
from agentsquad.integrations.formats.flows.terms import feel
from agentsquad.integrations.formats.flows.words import Names, duration, label
from agentsquad.runtime.control.net.contract import NetFileError
from agentsquad.runtime.control.net.markup import Element, parse

ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
MODEL = "http://www.omg.org/spec/BPMN/20100524/MODEL"
TASKS = (
    "task", "userTask", "manualTask", "serviceTask", "scriptTask", "businessRuleTask", "sendTask",
    "receiveTask", "callActivity", "subProcess", "transaction", "adHocSubProcess",
)  # fmt: skip
EVENTS = ("startEvent", "endEvent", "intermediateCatchEvent", "intermediateThrowEvent")
GATEWAYS: Mapping[str, Split] = {
    "exclusiveGateway": "xor",
    "parallelGateway": "and",
    "inclusiveGateway": "or",
    "eventBasedGateway": "event",
}
SILENT = (
    "sequenceFlow", "laneSet", "dataObject", "dataObjectReference", "dataStoreReference",
    "textAnnotation", "association", "group", "documentation", "extensionElements",
    "ioSpecification", "property", "incoming", "outgoing", "boundaryEvent",
    "standardLoopCharacteristics", "multiInstanceLoopCharacteristics", "dataInput",
    "dataOutput", "dataInputAssociation", "dataOutputAssociation", "auditing", "monitoring",
    "category", "supportedInterfaceRef", "resourceRole", "performer", "humanPerformer",
    "potentialOwner", "correlationSubscription", "artifact",
)  # fmt: skip


def imported(data: bytes, file: str, actions: Mapping[str, str]) -> list[Imported]:
    """Return every process of a document as a resource."""
    try:
        root = parse(data, file)
    except NetFileError as error:
        raise FlowFileError(error.message, hint=error.hint, details=error.details) from error
    if root.name != "definitions":
        raise FlowFileError(f"{file}: this is no BPMN document: <definitions> is expected")
    found = [
        _Process(one, root, actions).resource()
        for one in root.all("process")
        if any(inner.name in (*TASKS, *EVENTS) for inner in one.children)
    ]
    if not found:
        raise FlowFileError(
            f"{file}: no process with any activity in it",
            hint="choreographies and bare collaborations have no equivalent",
        )
    return found


class _Process:
    """Reads one process."""

    def __init__(self, process: Element, root: Element, actions: Mapping[str, str]) -> None:
        self._process = process
        self._actions = actions
        self._names = Names()
        self._not_taken: list[NotTaken] = []
        self._said = {
            one.get("id") or "": one.get("name") or one.get("errorCode") or one.get("id") or ""
            for one in root.children
            if one.name in ("message", "signal", "error", "escalation")
        }

    def tell(self, element: Element, construct: str, why: str, *, severe: bool = True) -> None:
        """Note what is not taken over, with its line."""
        name = element.get("name") or element.get("id") or element.name
        at = f"line {element.line}, {element.name} {' '.join(name.split())!r}"
        self._not_taken.append(NotTaken(at=at, construct=construct, why=why, severe=severe))

    def resource(self) -> Imported:
        """Return the resource."""
        process = self._process
        name = label(process.get("name") or process.get("id") or "process")
        spec: Node = {"graph": {"nodes": self._nodes(process)}}
        words = " ".join((process.get("name") or "").split())
        if words:
            spec = {"description": words, **spec}
        return Imported(
            language="bpmn",
            name=name,
            resource={
                "apiVersion": API,
                "kind": "AgentWorkflow",
                "metadata": {"name": name},
                "spec": spec,
            },
            not_taken=tuple(self._not_taken),
        )

    # --- one level of the drawing

    def _nodes(self, level: Element) -> list[Node]:
        """Return the nodes of a process or sub-process."""
        boxes: dict[str, Box] = {}
        starts: list[str] = []
        bounds = self._boundaries(level)
        for one in level.children:
            box = self._box(one, bounds)
            if box is None:
                continue
            boxes[box.id] = box
            if one.name == "startEvent" and one.get("triggeredByEvent") != "true":
                starts.append(box.id)
        default = {one.get("default") for one in level.children if one.get("default")}
        into: set[str] = set()
        for flow in level.all("sequenceFlow"):
            source, target = flow.get("sourceRef") or "", flow.get("targetRef") or ""
            if source not in boxes or target not in boxes:
                continue
            when = None if flow.get("id") in default else self._condition(flow)
            boxes[source].out.append(Edge(to=target, when=when))
            into.add(target)
        for box in boxes.values():
            self._settle(box)
        starts = starts or [name for name in boxes if name not in into]
        if not starts:
            return [{"id": self._names.unique("nothing"), "value": None}]
        start = starts[0]
        if len(starts) > 1:
            start = "<start>"
            kind: Split = "xor" if all(name in into for name in starts) else "and"
            boxes = {
                start: Box(id="start", split=kind, out=[Edge(to=name) for name in starts]),
                **boxes,
            }
            boxes[start].id = start
            why = "all of them begin at once, in one run"
            self.tell(level, f"{len(starts)} starts", why, severe=False)
        reached = _reached(boxes, start)
        structure = Structure(
            {name: boxes[name] for name in boxes if name in reached},
            self._not_taken.append,
            self._names.unique,
        )
        nodes = structure.nodes(start)
        return nodes or [{"id": self._names.unique("nothing"), "value": None}]

    def _settle(self, box: Box) -> None:
        """Say what kind of split several ways out of a box are."""
        if box.split == "step" and len(box.out) > 1:
            box.split = "or" if any(edge.when for edge in box.out) else "and"
        if box.split in ("and", "event"):
            box.out = [Edge(to=edge.to) for edge in box.out]
        if box.split == "xor" and len(box.out) > 1 and all(edge.when is None for edge in box.out):
            self._not_taken.append(
                NotTaken(
                    at=box.at, construct="exclusiveGateway",
                    why="no way has a condition: the first is always taken",
                )
            )  # fmt: skip

    def _condition(self, flow: Element) -> str | None:
        said = flow.child("conditionExpression")
        if said is None or not said.text.strip():
            return None
        try:
            return feel(said.text, lambda name: f"input.{name}")
        except UntranslatableError as error:
            self.tell(flow, " ".join(said.text.split())[:60], error.message)
            return "false"

    def _box(self, one: Element, bounds: Mapping[str, list[Element]]) -> Box | None:
        name = one.get("id") or f"line-{one.line}"
        at = f"line {one.line}, {one.name} {(one.get('name') or name)!r}"
        if one.name in GATEWAYS:
            box = Box(id=name, at=at)
            box.split = GATEWAYS[one.name]
            return box
        if one.name == "complexGateway":
            self.tell(one, "complexGateway", "its rule has no equivalent; all ways are taken")
            return Box(id=name, split="and", at=at)
        if one.name in EVENTS:
            return Box(id=name, node=self._event(one), at=at)
        if one.name in TASKS:
            if one.get("triggeredByEvent") == "true":
                self.tell(one, "event sub-process", "nothing begins in the middle of a run here")
                return None
            return Box(id=name, node=self._task(one, bounds.get(name, [])), at=at)
        if one.name not in SILENT:
            self.tell(one, one.name, "has no equivalent")
        return None

    # --- events

    def _event(self, one: Element) -> Node | None:
        name = self._names.unique(one.get("name") or one.get("id") or one.name)
        definition = next((c for c in one.children if c.name.endswith("EventDefinition")), None)
        kind = "" if definition is None else definition.name.removesuffix("EventDefinition")
        if one.name == "startEvent":
            if kind in ("message", "signal"):
                why = "what starts a run is said by a Subscription or a schedule"
                self.tell(one, f"{kind} start", why, severe=False)
            elif kind == "timer":
                self.tell(
                    one, "timer start", "say it as the schedule of the workflow", severe=False
                )
            elif kind:
                self.tell(one, f"{kind} start", "has no equivalent")
            return None
        if definition is None or kind == "":
            return None
        topic = self._meant(definition) or one.get("name") or name
        if one.name in ("endEvent", "intermediateThrowEvent"):
            if kind in ("message", "signal"):
                published = {"topic": label(topic).replace("-", "_"), "payload": "${input}"}
                return {"id": name, "action": "messages.publish", "with": published}
            if kind == "error":
                code = re.sub(r"[^a-z0-9_]+", "_", topic.lower()).strip("_") or "error"
                return {"id": name, "fail": {"message": topic, "code": f"flow.{code}"}}
            if kind == "link":
                self.tell(one, "link event", "draw the flow through instead")
            elif kind in ("terminate", "cancel", "compensate", "escalation"):
                why = "ends the other branches or undoes them there; here they go on"
                self.tell(one, f"{kind} event", why)
            else:
                self.tell(one, f"{kind} event", "has no equivalent")
            return None
        if kind in ("message", "signal"):
            return {"id": name, "signal": topic}
        if kind == "timer":
            length = _timer(definition)
            if length is None:
                self.tell(one, "timer", "is no fixed length of time")
            return {"id": name, "sleep": length or "0ms"}
        self.tell(one, f"{kind} event", "has no equivalent")
        return {"id": name, "signal": topic}

    def _meant(self, definition: Element) -> str | None:
        """Return what a message, signal or error is called."""
        for attribute in ("messageRef", "signalRef", "errorRef", "escalationRef"):
            ref = definition.get(attribute)
            if ref is not None:
                return self._said.get(ref.rpartition(":")[2], ref) or None
        return None

    def _boundaries(self, level: Element) -> dict[str, list[Element]]:
        found: dict[str, list[Element]] = {}
        for one in level.all("boundaryEvent"):
            found.setdefault(one.get("attachedToRef") or "", []).append(one)
        return found

    def _bound(self, one: Element, node: Node) -> None:
        """Take over a boundary event, as far as a node can hold it."""
        definition = next((c for c in one.children if c.name.endswith("EventDefinition")), None)
        kind = "" if definition is None else definition.name.removesuffix("EventDefinition")
        if kind == "timer" and one.get("cancelActivity") != "false" and definition is not None:
            length = _timer(definition)
            if length is not None and {"action", "agent", "workflow", "signal"} & node.keys():
                node["timeout"] = length
                self._instead(one, node, ["step.deadline"])
                return
            if length is not None and "approval" in node:
                node["approval"]["expires"] = length
                self._instead(one, node, ["step.deadline"])
                return
        if kind == "error":
            topic = self._meant(definition) if definition is not None else None
            code = re.sub(r"[^a-z0-9_]+", "_", (topic or "").lower()).strip("_")
            self._instead(one, node, [f"flow.{code}"] if code else None)
            return
        self.tell(one, f"{kind or 'boundary'} boundary event", "has no equivalent at a step")

    def _instead(self, one: Element, node: Node, codes: list[str] | None) -> None:
        """Do what follows a boundary event when the step failed."""
        level = one.up
        flows = [] if level is None else list(level.all("sequenceFlow"))
        leaving = [f for f in flows if f.get("sourceRef") == one.get("id")]
        target = leaving[0].get("targetRef") if leaving else None
        nodes: list[Node] = []
        seen: set[str] = set()
        while target is not None and target not in seen and level is not None:
            seen.add(target)
            element = next((c for c in level.children if c.get("id") == target), None)
            ways = [f for f in level.all("sequenceFlow") if f.get("sourceRef") == target]
            inside = sum(f.get("targetRef") == target for f in level.all("sequenceFlow"))
            if element is None or inside > 1:
                self.tell(
                    one,
                    "boundary event",
                    "its way joins the flow again: it ends there",
                    severe=False,
                )
                break
            if element.name in TASKS:
                nodes.append(self._task(element, []))
            elif element.name in EVENTS:
                event = self._event(element)
                nodes += [event] if event is not None else []
            else:
                self.tell(one, "boundary event", "its way splits, which is not followed")
                break
            target = ways[0].get("targetRef") if len(ways) == 1 else None
        chained = [
            {**({"dependsOn": [nodes[n - 1]["id"]]} if n else {}), **step}
            for n, step in enumerate(nodes)
        ]
        nothing = {"id": self._names.unique(f"{node['id']}-otherwise"), "value": None}
        node["catch"] = {**({"codes": codes} if codes else {}), "nodes": chained or [nothing]}

    # --- tasks

    def _task(self, one: Element, bounds: list[Element]) -> Node:
        name = self._names.unique(one.get("name") or one.get("id") or one.name)
        node: Node = {"id": name}
        words = " ".join((one.get("name") or "").split())
        if words and words != name:
            node["description"] = words
        KINDS.get(one.name, _Process._called)(self, one, node)
        self._repeated(one, node)
        for bound in bounds:
            self._bound(bound, node)
        return node

    def _called(self, one: Element, node: Node) -> None:
        """An action, by what the task says it does or by its mapping."""
        said = [
            self._actions.get(one.get("id") or ""),
            self._actions.get(one.get("name") or ""),
            *(value for key, value in one.attributes.items() if key.rpartition(" ")[2] in (
                "topic", "implementation", "delegateExpression", "class", "operationRef"
            )),
            *(inner.get("type") for inner in one.inside() if inner.name == "taskDefinition"),
        ]  # fmt: skip
        meant = next((self._actions.get(text or "", text) for text in said if text), None)
        if meant is not None and ACTION.fullmatch(meant):
            node["action"] = meant
            node["with"] = {"input": "${input}"}
            return
        wanted = one.get("id") or one.get("name") or "task"
        why = f"which action it is is not said: --map {wanted}=subsystem.verb"
        self.tell(one, one.name if meant is None else f"{one.name} ({meant})", why)
        node["fail"] = {"message": f"{node['id']}: no action stands for it"}

    def _asked(self, one: Element, node: Node) -> None:
        """A person's task: a question to the roles that may do it."""
        performer = [
            " ".join(inner.text.split())
            for inner in one.inside()
            if inner.name in ("formalExpression", "resourceRef") and inner.text.strip()
        ]
        groups = [
            value for key, value in one.attributes.items()
            if key.rpartition(" ")[2] in ("candidateGroups", "assignee", "candidateUsers")
        ]  # fmt: skip
        roles = [part.strip() for text in groups for part in text.split(",") if part.strip()]
        if not roles:
            roles = performer or ["operator"]
            why = f"who may do it is not said: {', '.join(roles)}"
            self.tell(one, one.name, why, severe=False)
        node["approval"] = {"roles": sorted(set(roles)), "because": one.get("name") or node["id"]}

    def _sent(self, one: Element, node: Node) -> None:
        topic = self._meant(one) or one.get("name") or node["id"]
        node["action"] = "messages.publish"
        node["with"] = {"topic": label(topic).replace("-", "_"), "payload": "${input}"}

    def _received(self, one: Element, node: Node) -> None:
        node["signal"] = self._meant(one) or one.get("name") or node["id"]

    def _sub(self, one: Element, node: Node) -> None:
        if one.name != "subProcess":
            why = "is done like a plain sub-process, in the order that is drawn"
            self.tell(one, one.name, why)
        node["nodes"] = self._nodes(one)

    def _other(self, one: Element, node: Node) -> None:
        called = one.get("calledElement")
        if called is None:
            inner = next((e for e in one.inside() if e.name == "calledElement"), None)
            called = None if inner is None else inner.get("processId")
        if called is None:
            self.tell(one, "callActivity", "which process is called is not said")
        node["workflow"] = label((called or one.get("name") or "missing").rpartition(":")[2])
        node["with"] = {"input": "${input}"}

    def _plain(self, one: Element, node: Node) -> None:
        """A task of no kind: an action if one is named, else done by hand."""
        if self._actions.get(one.get("id") or "") or self._actions.get(one.get("name") or ""):
            self._called(one, node)
            return
        self._asked(one, node)

    def _repeated(self, one: Element, node: Node) -> None:
        """Loop and multi-instance markers."""
        loop = one.child("standardLoopCharacteristics")
        if loop is not None:
            said = loop.child("loopCondition")
            again = None
            if said is not None:
                try:
                    again = feel(said.text, lambda name: f"input.{name}")
                except UntranslatableError as error:
                    self.tell(one, "loopCondition", error.message)
            most = int(loop.get("loopMaximum") or LOOP_MAX)
            first = "" if loop.get("testBefore") == "true" else "index == 0 || "
            bounded = again or ("true" if loop.get("loopMaximum") else "false")
            self._around(
                node, {"loop": {"while": f"index < {most} && ({first}({bounded}))", "max": most}}
            )
        several = one.child("multiInstanceLoopCharacteristics")
        if several is not None:
            items = _collection(several)
            if items is None:
                self.tell(one, "multi-instance", "over which list is not said")
                items = "input.items"
            limit = {"limit": 1} if several.get("isSequential") == "true" else {}
            self._around(node, {"foreach": items, **limit})

    def _around(self, node: Node, how: Node) -> None:
        """Repeat a node; one that cannot be repeated is put into a group."""
        if not {"action", "agent", "workflow", "nodes", "value"} & node.keys():
            inner = {k: v for k, v in node.items() if k not in ("id", "description")}
            for key in inner:
                del node[key]
            node["nodes"] = [{"id": self._names.unique(f"{node['id']}-each"), **inner}]
        node |= how


Kind = Callable[[_Process, Element, Node], None]
KINDS: Mapping[str, Kind] = {
    "task": _Process._plain,
    "userTask": _Process._asked,
    "manualTask": _Process._asked,
    "sendTask": _Process._sent,
    "receiveTask": _Process._received,
    "callActivity": _Process._other,
    "subProcess": _Process._sub,
    "transaction": _Process._sub,
    "adHocSubProcess": _Process._sub,
}


def _timer(definition: Element) -> str | None:
    said = definition.child("timeDuration")
    return None if said is None else duration(" ".join(said.text.split()))


def _collection(several: Element) -> str | None:
    """Return the CEL of the list a multi-instance marker goes over."""
    said = [
        value
        for one in (several, *several.inside())
        for key, value in one.attributes.items()
        if key.rpartition(" ")[2] in ("collection", "inputCollection")
    ]
    said += [one.text for one in several.all("loopDataInputRef") if one.text.strip()]
    for text in said:
        try:
            return feel(text, lambda name: f"input.{name}")
        except UntranslatableError:
            continue
    return None


def _reached(boxes: Mapping[str, Box], start: str) -> set[str]:
    found: set[str] = set()
    open_: list[str] = [start]
    while open_:
        at = open_.pop()
        if at not in found and at in boxes:
            found.add(at)
            open_ += [edge.to for edge in boxes[at].out]
    return found
