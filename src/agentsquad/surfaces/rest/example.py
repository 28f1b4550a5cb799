"""Examples: an input of an operation as somebody would send it, from its
fields."""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.gateway.contract import SAMPLES, Field, Operation

CONTENT = "what is in the file"


def example_of(operation: Operation) -> dict[str, Any]:
    """Return an input: every required field, by its first example."""
    return {one.name: sample(one) for one in operation.fields if one.required}


def sample(field: Field) -> Any:
    """Return a value of a field."""
    if field.file == "in":
        file = {"name": _name(field), "text": CONTENT}
        return [file] if field.kind == "list" else file
    if field.file == "out":
        return _name(field)
    if field.examples:
        return field.examples[0]
    if field.choices:
        return field.choices[0]
    kind = field.kind
    if kind == "integer":
        return int(SAMPLES.get(field.name, "1"))
    if kind == "number":
        return 1.0
    if kind == "flag":
        return True
    if kind == "list":
        return []
    return {} if kind == "json" else SAMPLES.get(field.name, field.name)


def _name(field: Field) -> str:
    first = field.examples[0] if field.examples else field.name
    text = str(first[0] if isinstance(first, list) and first else first)
    return text.rstrip("/").rpartition("/")[2] or field.name
