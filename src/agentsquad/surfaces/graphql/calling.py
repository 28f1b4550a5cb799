"""Actions as fields: those that look under Query, those that change something
under Mutation."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLString,
)

from agentsquad.kernel.action import Action, Effect
from agentsquad.surfaces.gateway.contract import Call, File
from agentsquad.surfaces.gateway.operation import Operation
from agentsquad.surfaces.gateway.shapes import Shape
from agentsquad.surfaces.graphql.contract import Asked
from agentsquad.surfaces.graphql.naming import field_name, type_name
from agentsquad.surfaces.graphql.scalar import JSON
from agentsquad.surfaces.graphql.shape import FILE, Shapes

MADE = GraphQLObjectType(
    "File",
    description="A file that an action wrote.",
    fields={
        "name": GraphQLField(GraphQLNonNull(GraphQLString)),
        "mediaType": GraphQLField(GraphQLNonNull(GraphQLString)),
        "size": GraphQLField(GraphQLNonNull(GraphQLInt), description="bytes"),
        "base64": GraphQLField(GraphQLNonNull(GraphQLString)),
    },
)


def looks(action: Action) -> bool:
    """Whether an action only looks."""
    return action.spec.effect in (Effect.PURE, Effect.READ)


def action_field(
    operation: Operation, action: Action, shape: Shape, shapes: Shapes
) -> GraphQLField:
    """Return an action as a field."""
    files = action.spec.files
    arguments: dict[str, GraphQLArgument] = {}
    for name, kind, words in shapes.arguments(shape.input):
        arguments[field_name(name)] = GraphQLArgument(
            _taken(kind, files.get(name)), out_name=name, description=words
        )
    output = shapes.output(shape.output, operation.action)
    writes = "out" in files.values()
    if writes:
        output = GraphQLObjectType(
            f"{type_name(operation.action)}Answer",
            {
                "value": GraphQLField(output),
                "files": GraphQLField(GraphQLNonNull(GraphQLList(GraphQLNonNull(MADE)))),
            },
        )

    async def resolve(source: Any, info: GraphQLResolveInfo[Asked], **given: Any) -> Any:
        asked: Asked = info.context
        value = {
            name: _sent(one) if files.get(name) == "in" else one
            for name, one in given.items()
            if one is not None or name not in files
        }
        answer = await asked.gateway.call(
            Call(action=operation.action, value=value, caller=asked.caller, key=asked.key)
        )
        if not writes:
            return answer.value
        return {"value": answer.value, "files": [_made(file) for file in answer.files]}

    words = "\n\n".join(part for part in (operation.summary, operation.description) if part)
    return GraphQLField(output, arguments, resolve, description=words)


def _taken(kind: Any, way: str | None) -> Any:
    """Return the type of an argument: content, where an action takes a path,
    and JSON itself, where it takes JSON as text."""
    if way not in ("in", "json"):
        return kind
    needed = isinstance(kind, GraphQLNonNull)
    bare = kind.of_type if needed else kind
    made: Any = GraphQLList(GraphQLNonNull(FILE)) if isinstance(bare, GraphQLList) else FILE
    if way == "json":
        made = JSON
    return GraphQLNonNull(made) if needed else made


def _sent(given: Any) -> Any:
    if isinstance(given, list):
        return [_sent(one) for one in given]
    if isinstance(given, Mapping):
        named = {key: one for key, one in given.items() if one is not None and key != "blob"}
        return {**named, "$blob": given["blob"]} if given.get("blob") else named
    return given


def _made(file: File) -> dict[str, Any]:
    return {
        "name": file.name,
        "mediaType": file.media_type,
        "size": len(file.data),
        "base64": base64.b64encode(file.data).decode(),
    }
