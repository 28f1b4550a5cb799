"""Selectors: which resources are meant, by their labels, written as in
Kubernetes; and which fields of them are shown.

Pure. `env=prod,tier in (web, api),!beta` means all of it: equality (`=`, `==`,
`!=`), sets (`in`, `notin`), there (`gpu`) and not there (`!beta`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentsquad.runtime.control.contract import SelectorError

Labels = Mapping[str, str]
Requirement = Callable[[Labels], bool]

TERMS_MAX, VALUES_MAX, LENGTH_MAX = 32, 100, 4_096
HINT = "e.g. env=prod,tier in (web, api),team!=red,gpu,!beta"

_KEY = r"(?P<key>[A-Za-z0-9]([A-Za-z0-9_./-]{0,251}[A-Za-z0-9])?)"
_VALUE = r"[A-Za-z0-9_.:@-]{0,253}"
_EQUAL = re.compile(rf"{_KEY}\s*(?P<sign>==|=|!=)\s*(?P<value>{_VALUE})", re.ASCII)
_SET = re.compile(rf"{_KEY}\s+(?P<sign>in|notin)\s*\((?P<values>[^()]*)\)", re.ASCII)
_THERE = re.compile(rf"(?P<sign>!?)\s*{_KEY}", re.ASCII)
_ONE = re.compile(_VALUE, re.ASCII)


class Selector:
    """What a text selects; an empty one everything."""

    def __init__(self, text: str) -> None:
        if len(text) > LENGTH_MAX:
            raise SelectorError(f"a selector has at most {LENGTH_MAX} letters", hint=HINT)
        terms = _terms(text)
        if len(terms) > TERMS_MAX:
            raise SelectorError(f"a selector has at most {TERMS_MAX} terms", hint=HINT)
        self._requirements = [_requirement(term) for term in terms]

    def fits(self, resource: Mapping[str, Any]) -> bool:
        """Whether a resource is meant."""
        labels: Labels = resource["metadata"].get("labels") or {}
        return all(one(labels) for one in self._requirements)


def _terms(text: str) -> list[str]:
    """Return what stands between commas that are in no parentheses."""
    if not text.strip():
        return []
    terms, depth, begin = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            terms.append(text[begin:place].strip())
            begin = place + 1
    return [*terms, text[begin:].strip()]


def _requirement(term: str) -> Requirement:
    found = _EQUAL.fullmatch(term)
    if found is not None:
        key, value = found["key"], found["value"]
        if found["sign"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    found = _SET.fullmatch(term)
    if found is not None:
        key, values = found["key"], _values(term, found["values"])
        if found["sign"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    found = _THERE.fullmatch(term)
    if found is None:
        raise SelectorError(f"{term[:80]!r} is no term of a selector", hint=HINT)
    key = found["key"]
    if found["sign"]:
        return lambda labels: key not in labels
    return lambda labels: key in labels


def _values(term: str, text: str) -> frozenset[str]:
    values = [one.strip() for one in text.split(",")]
    if len(values) > VALUES_MAX or not all(map(_ONE.fullmatch, values)):
        raise SelectorError(f"{term[:80]!r} has no list of values", hint=HINT)
    return frozenset(values)


def shown(resource: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Return a resource with only these fields, named by dots
    (`spec.model`); what says which resource it is always stays."""
    if not fields:
        return dict(resource)
    kept: dict[str, Any] = {
        "apiVersion": resource["apiVersion"],
        "kind": resource["kind"],
        "metadata": {"name": resource["metadata"]["name"]},
    }
    for field in fields:
        at: Any = resource
        path = field.split(".")
        for key in path:
            at = at.get(key) if isinstance(at, Mapping) else None
        if at is not None:
            _put(kept, path, at)
    return kept


def _put(into: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *above, last = path
    for key in above:
        inner = into.get(key)
        into[key] = into = dict(inner) if isinstance(inner, Mapping) else {}
    into[last] = value
