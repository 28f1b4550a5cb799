"""JSON Schemas of actions as protobuf messages.

What protobuf cannot say (open objects, unions, tuples, lists of lists) is a
`google.protobuf.Value`; members of enumerations are their own text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from agentsquad.surfaces.gateway.shapes import Schema, component_of, telling, without_null

VALUE = ".google.protobuf.Value"
SCALARS = {"string": "string", "integer": "int64", "number": "double", "boolean": "bool"}
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*\Z")


class Member(NamedTuple):
    """A field: `kind` is a scalar, or the full name of a message."""

    name: str
    kind: str
    repeated: bool = False
    optional: bool = False  # a scalar that may be absent


def camel(name: str) -> str:
    """Return `export_test` as `ExportTest`."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name) if part)


class Messages:
    """The messages of the schemas, each made when first referred to."""

    def __init__(
        self, components: Mapping[str, Schema], package: str, reserved: Iterable[str]
    ) -> None:
        """`reserved` are names that none of these messages may have."""
        self._components = components
        self._reserved = set(reserved)
        self._package = package
        self._names: dict[str, str] = {}
        self.made: dict[str, list[Member]] = {}

    def members(self, schema: Schema) -> list[Member]:
        """Return the fields of an object's schema."""
        schema = self._resolved(schema)
        needed = schema.get("required", ())
        found = []
        for name, inner in schema.get("properties", {}).items():
            if IDENTIFIER.match(name):
                found.append(self._member(name, inner, name in needed))
        return found

    def message(self, schema: Schema) -> str:
        """Return the full name of the message of a schema, or `Value`."""
        reference = schema.get("$ref", "")
        if not reference:
            return VALUE
        component = component_of(reference)
        inner = self._components[component]
        if "$ref" in inner:
            return self.message(inner)
        if not inner.get("properties") or not all(map(IDENTIFIER.match, inner["properties"])):
            return VALUE
        name = self._name(component)
        if name not in self.made:
            self.made[name] = []  # named before its fields are looked at: types may be recursive
            self.made[name] = self.members(inner)
        return f".{self._package}.{name}"

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self._components[component_of(schema["$ref"])]
        return schema

    def _name(self, component: str) -> str:
        found = self._names.get(component)
        if found is None:
            names = [camel(one) for one in telling(component)]
            found = "".join(names[1:]) if "." in component and len(names) > 1 else names[0]
            while found in self._names.values() or found in self._reserved:
                found += "Value"
            self._names[component] = found
        return found

    def _member(self, name: str, schema: Schema, needed: bool) -> Member:
        bare, nullable = without_null(schema)
        bare = bare if "enum" not in self._resolved(bare) else {"type": "string"}
        if "$ref" in bare:
            return Member(name, self.message(bare))
        kind = bare.get("type")
        if kind == "array" and "prefixItems" not in bare and isinstance(bare.get("items"), Mapping):
            inner, maybe = without_null(bare["items"])
            inner = inner if "enum" not in self._resolved(inner) else {"type": "string"}
            if "$ref" in inner and not maybe:
                return Member(name, self.message(inner), repeated=True)
            if inner.get("type") in SCALARS and not maybe and not nullable:
                return Member(name, SCALARS[inner["type"]], repeated=True)
            return Member(name, VALUE)
        if kind in SCALARS:
            return Member(name, SCALARS[kind], optional=nullable or not needed)
        return Member(name, VALUE)
