"""Serverless Workflow (DSL 1.0, CNCF) as an AgentWorkflow.

Tasks become nodes; `then` and `switch` become nested choices; what "." stands
for is followed from task to task, since each task is given what the one before
gave. Calls of HTTP, gRPC, OpenAPI and AsyncAPI, scripts and containers have no
equivalent: an action has to be named for each (`--map`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentsquad.integrations.formats.flows.contract import (
    FlowFileError,
    Imported,
    NotTaken,
    UntranslatableError,
)
from agentsquad.integrations.formats.flows.structure import (
    END,
    Box,
    Edge,
    Node,
    Structure,
    chained,
    of,
)
from agentsquad.integrations.formats.flows.tasks import BODIES, Data
from agentsquad.integrations.formats.flows.terms import jq
from agentsquad.integrations.formats.flows.words import Names, duration, label

API = "agentsquad.dev/v1"
KINDS = (
    "for", "call", "do", "emit", "fork", "listen", "raise", "run", "set", "switch", "try", "wait",
)  # fmt: skip
LEAVING = ("end", "exit")
NO_OUTPUT = ("wait", "emit", "switch")  # give on what they were given


def imported(document: Any, actions: Mapping[str, str]) -> Imported:
    """Return a document as a resource; `actions` maps what it calls to our
    actions."""
    if not isinstance(document, Mapping) or "document" not in document or "do" not in document:
        raise FlowFileError(
            "this is no Serverless Workflow: 'document' and 'do' are expected",
            hint="version 1.0 of the DSL is read; older ones are converted by their own tools",
        )
    head = document["document"]
    if not isinstance(head, Mapping) or not str(head.get("dsl", "")).startswith("1."):
        raise FlowFileError(
            f"DSL version {head.get('dsl') if isinstance(head, Mapping) else head!r} is not read",
            hint="version 1.x is",
        )
    return _Reader(document, actions).resource()


class _Reader:
    """Reads one document."""

    def __init__(self, document: Mapping[str, Any], actions: Mapping[str, str]) -> None:
        self._document = document
        self._actions = actions
        self._names = Names()
        self.not_taken: list[NotTaken] = []
        self.results: dict[
            str, str
        ] = {}  # node -> CEL for what it gives, if that is not its own output

    def tell(self, at: str, construct: str, why: str, *, severe: bool = True) -> None:
        """Note what is not taken over."""
        self.not_taken.append(NotTaken(at=at, construct=construct, why=why, severe=severe))

    def resource(self) -> Imported:
        """Return the resource."""
        head = self._document["document"]
        data = Data("input", {"$workflow": '{"input": input}', "$input": "input"})
        nodes, last = self.tasks(self._document["do"], "/do", data)
        spec: Node = {
            "description": str(head.get("summary") or head.get("title") or head["name"]),
            "graph": {"nodes": nodes or [{"id": "nothing", "value": None}]},
        }
        self._around(spec)
        output = self._document.get("output") or {}
        spec["result"] = "${" + last.dot + "}"
        if "as" in output:
            spec["result"] = self.filled(output["as"], "/output/as", last)
        name = label(str(head["name"]))
        return Imported(
            language="serverless-workflow",
            name=name,
            resource={
                "apiVersion": API,
                "kind": "AgentWorkflow",
                "metadata": {"name": name},
                "spec": spec,
            },
            not_taken=tuple(self.not_taken),
        )

    def _around(self, spec: Node) -> None:
        """Take over schedule, timeout and the schema of the input."""
        schedule = self._document.get("schedule") or {}
        if "cron" in schedule:
            spec["schedule"] = schedule["cron"]
        for name in sorted(schedule.keys() - {"cron"}):
            self.tell(f"/schedule/{name}", name, "only cron schedules start a workflow here")
        limit = (
            (self._document.get("timeout") or {})
            if isinstance(self._document.get("timeout"), Mapping)
            else {}
        )
        after = duration(limit["after"]) if "after" in limit else None
        if after:
            spec["timeout"] = after
        schema = ((self._document.get("input") or {}).get("schema") or {}).get("document")
        if isinstance(schema, Mapping):
            spec["input"] = dict(schema)
        if (self._document.get("input") or {}).get("from") is not None:
            self.tell("/input/from", "input.from", "the input is taken as it comes")
        for name in ("authentications", "catalogs", "extensions", "secrets"):
            if (self._document.get("use") or {}).get(name):
                self.tell(f"/use/{name}", name, "is set up with the actions instead", severe=False)

    # --- lists of tasks

    def tasks(self, listed: Any, at: str, data: Data) -> tuple[list[Node], Data]:
        """Return the nodes of a list of tasks, and what "." is after it."""
        tasks = list(self._listed(listed, at))
        plain = all("then" not in task and "switch" not in task for _, task, _ in tasks)
        if plain:
            nodes: list[Node] = []
            for name, task, place in tasks:
                node, data = self.task(name, task, place, data)
                nodes += [node] if node is not None else []
            return chained(nodes), data
        return self._jumping(tasks, at, data)

    def _jumping(
        self, tasks: Sequence[tuple[str, Mapping[str, Any], str]], at: str, data: Data
    ) -> tuple[list[Node], Data]:
        """Return the nodes of tasks that name which comes next."""
        known = [name for name, _, _ in tasks]
        by_name = {name: (task, place) for name, task, place in tasks}
        after_it = dict(zip(known, [*known[1:], "end"], strict=True))
        boxes: dict[str, Box] = {}
        given: dict[str, list[Data]] = {known[0]: [data]}
        ends: list[Data] = []
        for name in _in_flow(by_name, after_it, known[0]):
            task, place = by_name[name]
            following = after_it[name]
            before = _merged(given.get(name, [data]))
            if "switch" in task:
                box, after = self._switch(name, task, place, before, following), before
            else:
                node, after = self.task(name, task, place, before)
                box = Box(id=name, node=node, out=[Edge(to=str(task.get("then", following)))])
                box.at = place
            edges = []
            for edge in box.out:
                to = following if edge.to == "continue" else edge.to
                if to in LEAVING or to not in known:
                    if to not in LEAVING:
                        self.tell(place, f"then: {to}", "no such task")
                    ends.append(after)
                    edges.append(Edge(to=END, when=edge.when))
                else:
                    given.setdefault(to, []).append(after)
                    edges.append(Edge(to=to, when=edge.when))
            box.out = edges
            boxes[name] = box
        structure = Structure(boxes, self.not_taken.append, self._names.unique)
        return structure.nodes(known[0]), _merged(ends or [data])

    def _switch(
        self, name: str, task: Mapping[str, Any], place: str, data: Data, following: str
    ) -> Box:
        edges, open_ = [], True
        for number, (case, body, _) in enumerate(self._listed(task["switch"], f"{place}/switch")):
            to = str(body.get("then", "continue"))
            when = None
            if "when" in body:
                when = self.cel(body["when"], f"{place}/switch/{number}/{case}/when", data)
                when = "false" if when is None else when
            edges.append(Edge(to=to, when=when))
            open_ = open_ and when is not None
        if open_:
            edges.append(Edge(to=str(task.get("then", following))))
        return Box(id=name, split="xor", out=edges, at=place)

    def _listed(self, listed: Any, at: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
        if not isinstance(listed, Sequence) or isinstance(listed, str):
            raise FlowFileError(f"{at}: a list of tasks is expected")
        for index, entry in enumerate(listed):
            if not isinstance(entry, Mapping) or len(entry) != 1:
                raise FlowFileError(
                    f"{at}/{index}: one task, as 'name: …', is expected",
                    hint="each entry of the list has exactly one key",
                )
            ((name, body),) = entry.items()
            if not isinstance(body, Mapping):
                raise FlowFileError(f"{at}/{index}/{name}: a task is expected")
            yield str(name), body, f"{at}/{index}/{name}"

    # --- one task

    def task(
        self, name: str, task: Mapping[str, Any], at: str, data: Data
    ) -> tuple[Node | None, Data]:
        """Return the node of a task and what "." is after it."""
        kind = next((one for one in KINDS if one in task), None)
        own = self._names.unique(name)
        node: Node = {"id": own}
        seen = data
        if (task.get("input") or {}).get("from") is not None:
            source = self.cel(task["input"]["from"], f"{at}/input/from", data)
            seen = data if source is None else Data(f"({source})", data.variables)
        if "if" in task:
            condition = self.cel(task["if"], f"{at}/if", data)
            node["when"] = condition if condition is not None else "false"
        if kind is None or kind not in BODIES:
            self.tell(at, kind or "task", "this kind of task is not known here")
            node["fail"] = {"message": f"{name}: a task of unknown kind"}
        else:
            BODIES[kind](self, node, task, at, seen)
        limit = (task.get("timeout") or {}) if isinstance(task.get("timeout"), Mapping) else {}
        after = duration(limit["after"]) if "after" in limit else None
        if after and {"action", "agent", "workflow", "signal"} & node.keys():
            node["timeout"] = after
        elif limit:
            self.tell(f"{at}/timeout", "timeout", "only steps and signals have one here")
        gives = self.results.get(own, of(own))
        following = data if kind in NO_OUTPUT else Data(gives, data.variables)
        if "if" in task and following is not data:
            asked = known(following.dot) if told(following.dot) else f"{following.dot} != null"
            following = Data(f"({asked} ? {following.dot} : {data.dot})", data.variables)
        following = self._exported(task, at, following)
        return node, following

    def _exported(self, task: Mapping[str, Any], at: str, after: Data) -> Data:
        """Follow `output.as` and `export.as`."""
        if (task.get("output") or {}).get("as") is not None:
            said = task["output"]["as"]
            found = self.cel(said, f"{at}/output/as", after)
            after = after if found is None else Data(f"({found})", after.variables)
        if (task.get("export") or {}).get("as") is not None:
            found = self.cel(task["export"]["as"], f"{at}/export/as", after)
            if found is not None:
                after = Data(after.dot, {**after.variables, "$context": f"({found})"})
        return after

    # --- expressions

    def cel(self, said: Any, at: str, data: Data) -> str | None:
        """Return the CEL of an expression, or of a value that holds some; None
        when it has none, which is told."""
        try:
            return self._cel(said, data)
        except UntranslatableError as error:
            self.tell(at, _short(said), error.message)
            return None

    def _cel(self, said: Any, data: Data) -> str:
        from agentsquad.kernel import canonical

        if isinstance(said, Mapping):
            parts = [
                f"{canonical.dumps(k).decode()}: {self._value(v, data)}" for k, v in said.items()
            ]
            return "{" + ", ".join(parts) + "}"
        text = str(said).strip()
        if text.startswith("${") and text.endswith("}"):
            text = text[2:-1]
        return jq(text, data.dot, data.variables)

    def _value(self, said: Any, data: Data) -> str:
        from agentsquad.kernel import canonical

        if isinstance(said, Mapping):
            return self._cel(said, data)
        if isinstance(said, list):
            return "[" + ", ".join(self._value(one, data) for one in said) + "]"
        if isinstance(said, str) and said.strip().startswith("${"):
            return self._cel(said, data)
        return canonical.dumps(said).decode()

    def filled(self, said: Any, at: str, data: Data) -> Any:
        """Return a value in which expressions are ours."""
        if isinstance(said, Mapping):
            return {str(k): self.filled(v, f"{at}/{k}", data) for k, v in said.items()}
        if isinstance(said, list):
            return [self.filled(one, f"{at}/{n}", data) for n, one in enumerate(said)]
        if isinstance(said, str) and said.strip().startswith("${"):
            found = self.cel(said, at, data)
            return None if found is None else "${" + found + "}"
        if isinstance(said, str):
            return said.replace("${", "$${")
        return said

    @property
    def actions(self) -> Mapping[str, str]:
        """What calls are mapped to."""
        return self._actions

    @property
    def functions(self) -> Mapping[str, Any]:
        """The functions the document defines."""
        return (self._document.get("use") or {}).get("functions") or {}

    @property
    def retries(self) -> Mapping[str, Any]:
        """The retry policies the document defines."""
        return (self._document.get("use") or {}).get("retries") or {}

    @property
    def errors(self) -> Mapping[str, Any]:
        """The errors the document defines."""
        return (self._document.get("use") or {}).get("errors") or {}

    def unique(self, wanted: str) -> str:
        """Return a node's name."""
        return self._names.unique(wanted)


def _short(said: Any) -> str:
    text = str(said)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _in_flow(
    tasks: Mapping[str, tuple[Mapping[str, Any], str]], after: Mapping[str, str], start: str
) -> list[str]:
    """Return the tasks that are ever reached, each after those that lead to it
    wherever no jump goes back."""
    done: list[str] = []
    open_: list[tuple[str, Iterator[str]]] = []
    seen: set[str] = set()

    def enter(name: str) -> None:
        seen.add(name)
        open_.append((name, iter(_next(tasks[name][0], after[name]))))

    enter(start)
    while open_:
        name, rest = open_[-1]
        following = next((to for to in rest if to in tasks and to not in seen), None)
        if following is None:
            done.append(name)
            open_.pop()
        else:
            enter(following)
    return done[::-1]


def _next(task: Mapping[str, Any], following: str) -> list[str]:
    """Return where a task may lead."""
    said = [str(task.get("then", following))]
    for case in task.get("switch") or ():
        if isinstance(case, Mapping):
            said += [str((body or {}).get("then", "continue")) for body in case.values()]
    return [following if to == "continue" else to for to in said]


def told(cel: str) -> bool:
    """Whether it is the output of one node."""
    return bool(re.fullmatch(r"nodes\.\w+|nodes\[\"[^\"]+\"\]", cel))


def known(cel: str) -> str:
    """Return the CEL that asks whether a node was done."""
    name = cel.removeprefix("nodes").strip('.[]"')
    return f'("{name}" in nodes && {cel} != null)'


def _merged(ways: Sequence[Data]) -> Data:
    """Return what "." is where several ways meet: that of the way taken."""
    distinct = list(dict.fromkeys(way.dot for way in ways))
    dot = distinct[-1]
    for other in reversed(distinct[:-1]):
        if told(other):
            dot = f"({known(other)} ? {other} : {dot})"
        elif told(dot):
            dot = f"({known(dot)} ? {dot} : {other})"
    return Data(dot, ways[0].variables)
