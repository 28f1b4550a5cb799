"""Shapes: the JSON Schemas of what actions take and return, from their types.

Apart from operations, which are written down in an index: schemas are only
needed by surfaces that publish a description of themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from agentsquad.kernel.action import Action

COMPONENT = "#/components/schemas/"
COMPONENTS = COMPONENT + "{name}"
DEFS = "#/$defs/{name}"


Schema = Mapping[str, Any]
UNTOLD = ("actions", "contract", "agentsquad", "plugin")  # modules that say nothing of a type


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What one action takes and returns, as JSON Schema (2020-12)."""

    input: Mapping[str, Any]
    output: Mapping[str, Any]


def shapes_of(
    actions: Iterable[Action], *, template: str = COMPONENTS
) -> tuple[dict[str, Shape], dict[str, Any]]:
    """Return the shapes of actions by name, and the schemas they refer to.

    All at once, so that two types of one name get two names.
    """
    wanted = sorted(actions, key=lambda one: one.spec.name)
    types = [shape for one in wanted for shape in (one.spec.input, one.spec.output)]
    found, components = msgspec.json.schema_components(types, ref_template=template)
    pairs = zip(found[::2], found[1::2], strict=True)
    shapes = {
        one.spec.name: Shape(input=taken, output=given)
        for one, (taken, given) in zip(wanted, pairs, strict=True)
    }
    return shapes, components


def schema_of(action: Action) -> Shape:
    """Return the shape of one action, each schema complete by itself."""
    return Shape(input=_whole(action.spec.input), output=_whole(action.spec.output))


def component_of(reference: str) -> str:
    """Return the name of the component that a schema refers to."""
    return reference.removeprefix(COMPONENT)


def telling(component: str) -> list[str]:
    """Return the words of a component's name that say something: its type, and
    before it the modules, where two types have one name."""
    return [one for one in component.split(".") if one not in UNTOLD]


def without_null(schema: Schema) -> tuple[Schema, bool]:
    """Return a schema without its null, and whether it had one.

    One of several types is no schema at all for surfaces that have no unions.
    """
    options = schema.get("anyOf")
    if options is None:
        return schema, False
    inner = [one for one in options if one.get("type") != "null"]
    return (inner[0] if len(inner) == 1 else {}), len(inner) < len(options)


def _whole(shape: Any) -> dict[str, Any]:
    """Return a schema with what it refers to inside it."""
    [schema], components = msgspec.json.schema_components([shape], ref_template=DEFS)
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:  # the type itself at the top, unless something inside refers to it too
        schema = components[name]
        if DEFS.format(name=name).encode() not in msgspec.json.encode(components):
            components = {key: one for key, one in components.items() if key != name}
    return {**schema, "$defs": components} if components else dict(schema)
