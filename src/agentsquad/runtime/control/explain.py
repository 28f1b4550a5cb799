"""Explain: a kind's schema as documentation, one level at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.registry import nearest
from agentsquad.kernel.resource import Kind
from agentsquad.kernel.schema import resolve
from agentsquad.runtime.control.contract import Explanation, Field


def explain(kind: Kind, path: tuple[str, ...]) -> Explanation:
    """Return the documentation of a kind, or of a field inside its spec.

    Steps name fields; lists are looked through. A leading `spec` is allowed.
    """
    steps = path[1:] if path[:1] == ("spec",) else path
    current: Mapping[str, Any] = resolve(kind.schema, kind.schema)
    walked: list[str] = []
    for step in steps:
        properties = _properties(kind.schema, current)
        if step not in properties:
            raise MissingError(
                f"{'.'.join([kind.name, *walked])} has no field {step!r}",
                code="field.missing",
                hint=nearest(step, properties),
            )
        walked.append(step)
        current = resolve(kind.schema, properties[step])
    inside = _inside(kind.schema, current)
    required = set(inside.get("required") or ())
    return Explanation(
        path=".".join([kind.name, *walked]),
        type=type_text(kind.schema, current),
        description=str(current.get("description") or "") if walked else kind.summary,
        fields=tuple(
            _field(kind.schema, name, resolve(kind.schema, rule), name in required)
            for name, rule in _properties(kind.schema, current).items()
        ),
    )


def type_text(schema: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    """Return a type in words: "string", "list of object", "one of a, b"."""
    rule = resolve(schema, rule)
    if "enum" in rule:
        return "one of " + ", ".join(str(option) for option in rule["enum"])
    types = rule.get("type")
    if isinstance(types, list):
        return " or ".join(types)
    if types == "array":
        return f"list of {type_text(schema, rule.get('items') or {})}"
    return str(types or "any")


def _field(schema: Mapping[str, Any], name: str, rule: Mapping[str, Any], required: bool) -> Field:
    return Field(
        name=name,
        type=type_text(schema, rule),
        required=required,
        description=str(rule.get("description") or ""),
        values=tuple(rule.get("enum") or ()),
        examples=tuple(rule.get("examples") or ()),
    )


def _inside(schema: Mapping[str, Any], rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of the objects in a rule, looking through lists."""
    while "items" in rule:
        rule = resolve(schema, rule["items"])
    return rule


def _properties(schema: Mapping[str, Any], rule: Mapping[str, Any]) -> Mapping[str, Any]:
    return _inside(schema, rule).get("properties") or {}
