"""JSON Schemas of actions as GraphQL types.

A schema that GraphQL cannot say (open objects, unions of several types, tuples)
becomes the scalar JSON, so that nothing is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLFloat,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLString,
)

from agentsquad.surfaces.gateway.shapes import Schema, component_of, without_null
from agentsquad.surfaces.graphql.naming import enum_name, field_name, type_name, type_names
from agentsquad.surfaces.graphql.scalar import JSON, LONG

SAYING = {"anyOf", "type", "$ref", "enum"}  # without any of them a value may be anything
SIMPLE = {
    "string": GraphQLString,
    "integer": LONG,
    "number": GraphQLFloat,
    "boolean": GraphQLBoolean,
}
FILE = GraphQLInputObjectType(
    "FileInput",
    description="The content of a file, in one of these ways.",
    fields={
        "name": GraphQLInputField(GraphQLString),
        "text": GraphQLInputField(GraphQLString),
        "base64": GraphQLInputField(GraphQLString),
        "blob": GraphQLInputField(GraphQLString, description="sha256:… of a blob that is kept"),
    },
)


class Shapes:
    """The types of one GraphQL schema, each made once."""

    def __init__(self, components: Mapping[str, Schema], reserved: Iterable[str]) -> None:
        self._components = components
        self._names = type_names(components, reserved)
        self._outputs: dict[str, Any] = {}
        self._inputs: dict[str, Any] = {}
        self._enums: dict[tuple[str, ...], GraphQLEnumType] = {}
        self._enum_names: set[str] = set()

    # --- what comes out

    def output(self, schema: Schema, hint: str = "") -> Any:
        """Return the type of a value that comes out, which may be null."""
        schema, _ = without_null(schema)
        if "$ref" in schema:
            return self._object(component_of(schema["$ref"]))
        if "enum" in schema:
            return self._enum(schema, hint) or GraphQLString
        if schema.get("type") == "array" and "items" in schema and "prefixItems" not in schema:
            items = schema["items"]
            inner = self.output(items, hint) if isinstance(items, Mapping) else JSON
            return GraphQLList(inner if _nullable(items) else GraphQLNonNull(inner))
        return _simple(schema)

    def _object(self, component: str) -> Any:
        found = self._outputs.get(component)
        if found is None:
            schema = self._components[component]
            properties = schema.get("properties")
            if not properties:
                found = self.output(schema, component) if "$ref" not in schema else JSON
            else:
                found = GraphQLObjectType(
                    self._names[component],
                    lambda: self._fields(component, schema),
                    description=_words(schema),
                )
            self._outputs[component] = found
        return found

    def _fields(self, component: str, schema: Schema) -> dict[str, GraphQLField]:
        fields = {}
        for name, inner in schema["properties"].items():
            made = self.output(inner, f"{self._names[component]}.{name}")
            certain = name in schema.get("required", ()) and not _nullable(inner)
            fields[field_name(name)] = GraphQLField(
                GraphQLNonNull(made) if certain else made,
                resolve=_member(name),
                description=_words(inner),
            )
        return fields

    # --- what goes in

    def input(self, schema: Schema, hint: str = "") -> Any:
        """Return the type of a value that goes in, which may be null."""
        schema, _ = without_null(schema)
        if "$ref" in schema:
            return self._input_object(component_of(schema["$ref"]))
        if "enum" in schema:
            return self._enum(schema, hint) or GraphQLString
        if schema.get("type") == "array" and "items" in schema and "prefixItems" not in schema:
            inner = self.input(schema["items"], hint)
            return GraphQLList(inner if _nullable(schema["items"]) else GraphQLNonNull(inner))
        return _simple(schema)

    def _input_object(self, component: str) -> Any:
        found = self._inputs.get(component)
        if found is None:
            schema = self._components[component]
            if not schema.get("properties"):
                found = self.input(schema, component) if "$ref" not in schema else JSON
            else:
                name = self._names[component]
                found = GraphQLInputObjectType(
                    name if name.endswith("Input") else f"{name}Input",
                    lambda: {
                        field_name(key): GraphQLInputField(made, out_name=key, description=words)
                        for key, made, words in self.arguments(schema)
                    },
                    description=_words(schema),
                )
            self._inputs[component] = found
        return found

    def arguments(self, schema: Schema) -> list[tuple[str, Any, str | None]]:
        """Return (name, type, words) of each property of an input."""
        if "$ref" in schema:
            return self.arguments(self._components[component_of(schema["$ref"])])
        found = []
        for name, inner in schema.get("properties", {}).items():
            made = self.input(inner, name)
            needed = name in schema.get("required", ())
            found.append((name, GraphQLNonNull(made) if needed else made, _words(inner)))
        return found

    # --- enumerations

    def _enum(self, schema: Schema, hint: str) -> GraphQLEnumType | None:
        values = schema["enum"]
        if not all(isinstance(one, str) for one in values):
            return None
        spelled = {enum_name(one): one for one in values}
        if None in spelled or len(spelled) != len(values):
            return None
        key = tuple(sorted(values))
        found = self._enums.get(key)
        if found is None:
            name = base = type_name(hint or "Choice") + "Choice"
            number = 2
            while name in self._enum_names:
                name, number = f"{base}{number}", number + 1
            self._enum_names.add(name)
            members = {str(k): GraphQLEnumValue(v) for k, v in spelled.items()}
            found = self._enums[key] = GraphQLEnumType(name, members)
        return found


def _simple(schema: Schema) -> Any:
    return SIMPLE.get(str(schema.get("type")), JSON)


def _nullable(schema: Any) -> bool:
    if not isinstance(schema, Mapping) or not SAYING & schema.keys():
        return True
    return without_null(schema)[1] or schema.get("type") == "null"


def _words(schema: Schema) -> str | None:
    return schema.get("description")


def _member(name: str) -> Any:
    def resolve(source: Any, info: Any) -> Any:
        return source.get(name) if isinstance(source, Mapping) else None

    return resolve
