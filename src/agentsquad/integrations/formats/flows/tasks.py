"""What each kind of Serverless Workflow task becomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from agentsquad.integrations.formats.flows.structure import Node, of
from agentsquad.integrations.formats.flows.words import duration, label

ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
ROUNDS_MAX = 100_000
PROTOCOLS = ("http", "grpc", "openapi", "asyncapi", "a2a", "mcp")
Task = Mapping[str, Any]


class Data(msgspec.Struct, frozen=True):
    """What "." is in CEL, and the variables that are known."""

    dot: str
    variables: Mapping[str, str] = {}


class Reader(Protocol):
    """What reads the document, as its tasks see it."""

    results: dict[str, str]

    @property
    def actions(self) -> Mapping[str, str]:
        """What calls are mapped to."""
        ...

    @property
    def retries(self) -> Mapping[str, Any]:
        """The retry policies the document defines."""
        ...

    @property
    def errors(self) -> Mapping[str, Any]:
        """The errors the document defines."""
        ...

    def tell(self, at: str, construct: str, why: str, *, severe: bool = True) -> None:
        """Note what is not taken over."""
        ...

    def unique(self, wanted: str) -> str:
        """Return a node's name."""
        ...

    def tasks(self, listed: Any, at: str, data: Data) -> tuple[list[Node], Data]:
        """Return the nodes of a list of tasks, and what "." is after it."""
        ...

    def cel(self, said: Any, at: str, data: Data) -> str | None:
        """Return the CEL of an expression, None when it has none."""
        ...

    def filled(self, said: Any, at: str, data: Data) -> Any:
        """Return a value in which expressions are ours."""
        ...


def call(one: Reader, node: Node, task: Task, at: str, data: Data) -> None:
    """An action, by the name of what is called or of the task."""
    wanted = str(task["call"])
    name = wanted
    mapped = one.actions.get(name) or one.actions.get(at.rpartition("/")[2])
    if mapped is None and ACTION.fullmatch(name) and name not in PROTOCOLS:
        mapped = name
    if mapped is None:
        where = at.rpartition("/")[2]
        one.tell(at, f"call: {wanted}", f"name an action for it: --map {where}=subsystem.verb")
        node["fail"] = {"message": f"{where}: no action stands for call {wanted}"}
        return
    node["action"] = mapped
    node["with"] = one.filled(task.get("with") or {}, f"{at}/with", data)


def do(one: Reader, node: Node, task: Task, at: str, data: Data) -> None:
    """A group; its output is that of its last task."""
    _group(one, node, task["do"], f"{at}/do", data)


def _group(one: Reader, node: Node, listed: Any, at: str, data: Data) -> None:
    nodes, after = one.tasks(listed, at, data)
    result = one.unique(f"{node['id']}-result")
    node["nodes"] = [*nodes, _result(result, nodes, after.dot)]
    one.results[node["id"]] = of(result)


def emit(one: Reader, node: Node, task: Task, at: str, data: Data) -> None:
    """A message."""
    event = (task["emit"].get("event") or {}).get("with") or {}
    topic = re.sub(r"[^a-z0-9_.-]+", "-", str(event.get("type", "event")).lower()).strip("-.")
    node["action"] = "messages.publish"
    node["with"] = {
        "topic": topic or "event",
        "payload": one.filled(event.get("data"), f"{at}/emit/event/with/data", data),
    }
    rest = sorted(event.keys() - {"type", "data", "source"})
    if rest:
        why = f"only type and data are published, not {', '.join(rest)}"
        one.tell(f"{at}/emit", "emit", why, severe=False)


def each(one: Reader, node: Node, task: Task, at: str, data: Data) -> None:
    """A loop over a list; each round is given what the one before gave."""
    asked = task["for"]
    name, index = str(asked.get("each", "item")), str(asked.get("at", "index"))
    items = one.cel(asked["in"], f"{at}/for/in", data) or "[]"
    result = one.unique(f"{node['id']}-result")
    given = f'(last == null ? {data.dot} : last["{result}"])'
    known = {**data.variables, f"${name}": f"{items}[index]", f"${index}": "index"}
    inner = Data(given, known)
    nodes, after = one.tasks(task["do"], f"{at}/do", inner)
    more = f"index < size({items})"
    if "while" in task:
        held = one.cel(task["while"], f"{at}/while", inner)
        more += f" && ({held})" if held is not None else ""
    node["loop"] = {"while": more, "max": ROUNDS_MAX}
    node["nodes"] = [*nodes, _result(result, nodes, after.dot)]
    one.results[node["id"]] = f'("{result}" in nodes ? nodes["{result}"] : {data.dot})'


def _result(name: str, nodes: list[Node], dot: str) -> Node:
    """Return the node that says what a group gives."""
    after = {"dependsOn": [nodes[-1]["id"]]} if nodes else {}
    return {"id": name, **after, "value": "${" + dot + "}"}


def fork(one: Reader, node: Node, task: Task, at: str, data: Data) -> None:
    """Branches side by side, or a race of them."""
    asked = task["fork"]
    ways = []
    for number, entry in enumerate(asked.get("branches") or ()):
        ((name, _),) = entry.items()
        nodes, after = one.tasks([entry], f"{at}/fork/branches/{number}", data)
        ways.append((str(name), nodes, after))
    if asked.get("compete"):
        node["race"] = [{"name": name, "nodes": nodes} for name, nodes, _ in ways]
        return
    node["nodes"] = [inner for _, nodes, _ in ways for inner in nodes]
    result: Node = {
        "id": one.unique(f"{node['id']}-result"),
        "dependsOn": [nodes[-1]["id"] for _, nodes, _ in ways if nodes],
        "value": ["${" + after.dot + "}" for _, _, after in ways],
    }
    node["nodes"].append(result)
    one.results[node["id"]] = of(result["id"])


def listen(one: Reader, node: Node, task: Task, at: str, data: Data) -> None:
    """A signal named after the type of the event."""
    to = task["listen"].get("to") or {}
    how = next((name for name in ("one", "any", "all") if name in to), None)
    if how is None:
        one.tell(at, "listen", "which event is meant is not said")
        node["fail"] = {"message": f"{node['id']}: an event that is not said"}
        return
    said = to[how]
    filters = [said] if isinstance(said, Mapping) else list(said or ())
    names = [str((f.get("with") or {}).get("type", node["id"])) for f in filters] or [node["id"]]
    for f in filters:
        rest = sorted((f.get("with") or {}).keys() - {"type"}) + (
            ["correlate"] if "correlate" in f else []
        )
        if rest:
            one.tell(f"{at}/listen", ", ".join(rest), "a signal is told apart by its name alone")
    for extra in sorted(({*to} - {how}) | ({*task} & {"foreach"})):
        one.tell(f"{at}/{extra}", extra, "one signal is waited for, once")
    if len(names) == 1:
        node["signal"] = names[0]
    elif how == "any":
        node["race"] = [
            {"name": name, "nodes": [{"id": one.unique(name), "signal": name}]} for name in names
        ]
    else:
        node["nodes"] = [{"id": one.unique(name), "signal": name} for name in names]


def fail(one: Reader, node: Node, task: Task, at: str, data: Data) -> None:
    """A failure on purpose."""
    error = task["raise"].get("error")
    if isinstance(error, str):
        error = one.errors.get(error) or {"title": error}
    title = error.get("detail") or error.get("title") or error.get("type") or "raised"
    node["fail"] = {
        "message": str(one.filled(str(title), f"{at}/raise", data)),
        "code": code(error),
    }


def code(error: Mapping[str, Any]) -> str:
    """Return a code of ours for one of their errors."""
    last = re.sub(r"[^a-z0-9]+", "_", str(error.get("type", "error")).rpartition("/")[2].lower())
    return f"flow.{last.strip('_') or 'error'}"


def run(one: Reader, node: Node, task: Task, at: str, data: Data) -> None:
    """Another workflow; anything else has no equivalent."""
    asked = task["run"]
    if "workflow" in asked:
        other = asked["workflow"]
        node["workflow"] = label(str(other["name"]))
        if "input" in other:
            node["with"] = one.filled(other["input"], f"{at}/run/workflow/input", data)
        if asked.get("await") is False:
            one.tell(f"{at}/run/await", "await: false", "it is waited for")
        return
    kind = next((name for name in ("container", "script", "shell") if name in asked), "process")
    where = at.rpartition("/")[2]
    mapped = one.actions.get(where)
    if mapped is not None:
        node["action"], node["with"] = mapped, one.filled(asked[kind], f"{at}/run/{kind}", data)
        return
    one.tell(at, f"run: {kind}", f"name an action for it: --map {where}=subsystem.verb")
    node["fail"] = {"message": f"{where}: no action stands for run {kind}"}


def put(one: Reader, node: Node, task: Task, at: str, data: Data) -> None:
    """A value."""
    node["value"] = one.filled(task["set"], f"{at}/set", data)


def attempt(one: Reader, node: Node, task: Task, at: str, data: Data) -> None:
    """A group that is tried again, and what is done when it failed."""
    _group(one, node, task["try"], f"{at}/try", data)
    rule = task.get("catch") or {}
    retry = rule.get("retry")
    if isinstance(retry, str):
        retry = one.retries.get(retry) or {}
    if retry is not None:
        node["retryPolicy"] = _retry(one, retry, f"{at}/catch/retry")
    wanted = (rule.get("errors") or {}).get("with") or {}
    caught: Node = {}
    if "type" in wanted:
        caught["codes"] = [code(wanted)]
        one.tell(
            f"{at}/catch/errors",
            str(wanted["type"]),
            "errors are told apart by our codes",
            severe=False,
        )
    for name in ("when", "exceptWhen"):
        if name in rule:
            one.tell(f"{at}/catch/{name}", name, "errors are chosen by their codes alone")
    if "do" in rule:
        known = Data(data.dot, {**data.variables, f"${rule.get('as', 'error')}": "error"})
        nodes, _ = one.tasks(rule["do"], f"{at}/catch/do", known)
        node["catch"] = {**caught, "nodes": nodes or [{"id": one.unique("caught"), "value": None}]}
    elif retry is None:
        node["catch"] = {
            **caught,
            "nodes": [{"id": one.unique(f"{node['id']}-caught"), "value": None}],
        }


def _retry(one: Reader, retry: Mapping[str, Any], at: str) -> Node:
    count = (((retry.get("limit") or {}).get("attempt") or {}).get("count")) or 3
    found: Node = {"maxRetries": int(count)}
    if "delay" in retry:
        delay = duration(retry["delay"])
        if delay:
            found["initialDelay"] = delay
    backoff = retry.get("backoff") or {}
    found["backoffStrategy"] = next(
        (
            ours
            for theirs, ours in (("exponential", "exponential"), ("linear", "linear"))
            if theirs in backoff
        ),
        "fixed",
    )
    for name in sorted(retry.keys() & {"when", "exceptWhen"}):
        one.tell(f"{at}/{name}", name, "what is retried is decided by the class of the error")
    return found


def wait(one: Reader, node: Node, task: Task, at: str, data: Data) -> None:
    """A time."""
    length = duration(task["wait"])
    if length is None:
        one.tell(at, "wait", "is no fixed length of time")
        length = "0ms"
    node["sleep"] = length


Body = Callable[[Reader, Node, Task, str, Data], None]
BODIES: Mapping[str, Body] = {
    "call": call,
    "do": do,
    "emit": emit,
    "for": each,
    "fork": fork,
    "listen": listen,
    "raise": fail,
    "run": run,
    "set": put,
    "try": attempt,
    "wait": wait,
}
