"""Reads the engine's syntax tree: what rules there are, and what they call.

Catches at load what the engine would only notice when a rule is reached:
unknown functions, functions of time and chance, and parts of another shape than
the decision rules expect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agentsquad.kernel.registry import nearest
from agentsquad.runtime.policy.contract import PackageInfo, Problem, RuleInfo
from agentsquad.runtime.policy.mount import PARTS

Node = Mapping[str, Any]

IMPURE = {
    "http.send": "pass what the rule needs in the question's facts",
    "net.lookup_ip_addr": "pass the address in the question's facts",
    "opa.runtime": "put settings into a data file",
    "rand.intn": "pass the number in the question's facts",
    "time.now_ns": "pass the time in the question's facts, e.g. input.facts.now_ns",
    "uuid.rfc4122": "pass the id in the question's facts",
}
"""Functions whose answer is not determined by the question."""


class Module:
    """One parsed file."""

    def __init__(self, tree: Node) -> None:
        self.file: str = tree["source"]["file"]
        body = tree["ast"]
        self.package = ".".join(path_of(body["package"]["refr"]))
        self.package_line: int = body["package"]["span"]["line"]
        self.imports: dict[str, str] = {}
        for line in body["imports"] or []:
            path = path_of(line["refr"])
            if path[0] != "rego":
                self.imports[_alias(line, tree["source"]["contents"]) or path[-1]] = ".".join(path)
        self._rules: list[Node] = body["rules"]
        self.rules = tuple(self._rule(rule) for rule in self._rules)

    def _rule(self, rule: Node) -> RuleInfo:
        (form, content), *_ = rule.items()
        if form == "Default":
            head, kind = content, "default"
        else:
            (shape, head), *_ = content["head"].items()
            kind = {"Set": "set", "Func": "function"}.get(shape, "value")
            if shape == "Compr" and "RefBrack" in head["refr"]:
                kind = "object"
        return RuleInfo(
            package=self.package,
            name=".".join(path_of(head["refr"])),
            kind=kind,
            file=self.file,
            line=content["span"]["line"],
            clauses=tuple(sorted(set(_clauses(content)))),
        )

    def calls(self) -> Iterator[tuple[str, int, int]]:
        """Yield the full name and place of every function called."""
        own = {rule.name for rule in self.rules}
        for rule in self._rules:
            for call in _find(rule, "Call"):
                path = path_of(call["fcn"])
                name = ".".join(path)
                if name in own:
                    name = f"data.{self.package}.{name}"
                elif path[0] in self.imports:
                    name = ".".join((self.imports[path[0]], *path[1:]))
                yield name, call["span"]["line"], call["span"]["col"]


def path_of(node: Node) -> list[str]:
    """Return the parts of a reference; a computed part ends it."""
    (form, content), *_ = node.items()
    if form == "Var":
        return [content["value"]]
    if form == "RefDot":
        return [*path_of(content["refr"]), content["field"][1]]
    if form == "RefBrack":
        (index_form, index), *_ = content["index"].items()
        prefix = path_of(content["refr"])
        return [*prefix, index["value"]] if index_form == "String" else prefix
    return []


def _alias(line: Node, source: str) -> str | None:
    span = line.get("as")
    if not span:
        return None
    return source.encode()[span["start"] : span["end"]].decode()


def _find(node: Any, form: str) -> Iterator[Node]:
    """Yield every part of one form, as they stand in the source."""
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if isinstance(at, dict):
            inner = at.get(form)
            if isinstance(inner, dict):
                yield inner
            at = list(at.values())
        waiting += [one for one in reversed(at) if isinstance(one, dict | list)]


def _clauses(node: Any) -> Iterator[str]:
    for found in _find(node, "Object"):
        for field in found["fields"]:
            key, value = field[-2], field[-1]
            if key.get("String", {}).get("value") == "clause" and "String" in value:
                yield value["String"]["value"]


def check_calls(modules: tuple[Module, ...], known: frozenset[str]) -> Iterator[Problem]:
    """Yield a problem for each call of an unknown or undetermined function."""
    own = {f"data.{rule.package}.{rule.name}" for module in modules for rule in module.rules}
    for module in modules:
        for name, line, column in module.calls():
            if name in IMPURE:
                message, hint = f"{name} is not allowed in a policy", IMPURE[name]
            elif name in known or name in own:
                continue
            else:
                message = f"unknown function {name}"
                hint = nearest(name, known | own) or "there is no such function"
            yield Problem(file=module.file, line=line, column=column, message=message, hint=hint)


def check_parts(modules: tuple[Module, ...]) -> Iterator[Problem]:
    """Yield a problem for each part of a package that is no set."""
    for module in modules:
        for rule in module.rules:
            part = rule.name.partition(".")[0]
            if part in PARTS and (rule.kind != "set" or rule.name != part):
                yield Problem(
                    file=rule.file,
                    line=rule.line,
                    column=1,
                    message=f"`{part}` must be a set of objects that name their clause",
                    hint=f'write `{part} contains {{"clause": "{module.package}.…", '
                    '"reason": "…"} if { … }`',
                )


def packages_of(
    modules: tuple[Module, ...], evaluate: Callable[[str], Any]
) -> tuple[list[PackageInfo], list[Problem]]:
    """Return the packages that take part in decisions, and what is wrong.

    `evaluate` answers a rule path; it is asked for each package's `actions`.
    """
    found: list[PackageInfo] = []
    problems: list[Problem] = []
    for name in sorted({module.package for module in modules}):
        rules = [rule for module in modules if module.package == name for rule in module.rules]
        parts = tuple(part for part in PARTS if any(rule.name == part for rule in rules))
        if not parts:
            continue
        actions = None
        naming = next((rule for rule in rules if rule.name == "actions"), None)
        if naming is not None:
            value = evaluate(f"data.{name}.actions")
            if not _is_names(value):
                problems.append(_actions_problem(naming, "must be a constant set of action names"))
                continue
            actions = tuple(sorted(value))
        elif "allow" in parts:
            granting = next(rule for rule in rules if rule.name == "allow")
            problems.append(_actions_problem(granting, f"{name} allows but names no `actions`"))
            continue
        found.append(PackageInfo(name=name, actions=actions, parts=parts))
    return found, problems


def _is_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(name, str) and "*" not in name[:-1] and name for name in value)
    )


def _actions_problem(rule: RuleInfo, message: str) -> Problem:
    return Problem(
        file=rule.file,
        line=rule.line,
        column=1,
        message=message,
        hint='write `actions := {"payments.send", "p2p.*"}`: names, or prefixes ending in *',
    )
