"""Tools: operations as MCP offers them, and what a call of one comes to.

Names, schemas and hints come from the specs; an error is a result that the
model can read and mend, as the protocol wants it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.registry import Registry
from agentsquad.surfaces.gateway.contract import Answer, Caller
from agentsquad.surfaces.gateway.operation import Operation
from agentsquad.surfaces.gateway.shapes import schema_of
from agentsquad.surfaces.mcp.contract import ERROR_KEY

PEOPLE = "approvals."  # actions that are a person's answer
BLOBS = "squad://blobs/"

_CONTENT: dict[str, Any] = {
    "anyOf": [
        {
            "type": "object",
            "properties": {"name": {"type": "string"}, "text": {"type": "string"}},
            "required": ["name", "text"],
        },
        {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "base64": {"type": "string", "contentEncoding": "base64"},
            },
            "required": ["name", "base64"],
        },
        {
            "type": "object",
            "properties": {"$blob": {"type": "string"}},
            "required": ["$blob"],
        },
    ]
}
_FOLDER = {
    "type": "object",
    "properties": {"folder": {"type": "array", "items": _CONTENT}},
    "required": ["folder"],
}


def is_answer(action: str) -> bool:
    """Whether an action is a person's answer, never a model's."""
    return action.startswith(PEOPLE)


def offered(operation: Operation, caller: Caller) -> bool:
    """Whether an operation is a tool for a caller at all; what they may do is
    decided when it is called."""
    return not (is_answer(operation.action) and caller.principal.actor.kind == "agent")


class Toolbox:
    """Operations as tools; each is made once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._made: dict[str, dict[str, Any]] = {}

    def tool(self, operation: Operation) -> dict[str, Any]:
        """Return one operation as a tool."""
        made = self._made.get(operation.action)
        if made is None:
            made = self._made[operation.action] = self._tool(operation)
        return made

    def _tool(self, operation: Operation) -> dict[str, Any]:
        shape = schema_of(self._registry.action(operation.action))
        made: dict[str, Any] = {
            "name": operation.action,
            "title": operation.summary.rstrip("."),
            "description": described(operation),
            "inputSchema": taken(operation, shape.input),
            "annotations": hints(operation.effect),
        }
        if shape.output.get("type") == "object":
            made["outputSchema"] = dict(shape.output)
        return made

    def structured(self, operation: Operation) -> bool:
        """Whether its output has a shape that is told."""
        return "outputSchema" in self.tool(operation)


def described(operation: Operation) -> str:
    """Return what a model is told of an operation."""
    return f"{operation.summary}\n\n{operation.description}".strip()


def hints(effect: str) -> dict[str, Any]:
    """Return the hints that follow from an effect."""
    outward = effect in ("write", "irreversible")
    return {
        "readOnlyHint": not outward,
        "destructiveHint": effect == "irreversible",
        "idempotentHint": not outward,
        "openWorldHint": outward,
    }


def taken(operation: Operation, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an input, with content in the place of paths."""
    found = {"type": "object", **schema}
    properties = dict(found.get("properties", {}))
    for field in operation.fields:
        if field.file == "in":
            was = properties[field.name]
            words = {key: was[key] for key in ("description", "default") if key in was}
            properties[field.name] = {**words, "anyOf": _file_shapes(was)}
        elif field.file == "out":
            words = {key: v for key, v in properties[field.name].items() if key != "examples"}
            properties[field.name] = words
    if properties:
        found["properties"] = properties
    else:
        found.pop("properties", None)
    found["additionalProperties"] = False
    return found


def _file_shapes(was: Mapping[str, Any]) -> list[dict[str, Any]]:
    whole = [*_CONTENT["anyOf"], _FOLDER, {"type": "string"}]
    if was.get("type") == "array":
        return [{"type": "array", "items": {"anyOf": whole}}]
    return [*whole, {"type": "null"}]


def came(answer: Answer, links: list[dict[str, Any]], *, structured: bool) -> dict[str, Any]:
    """Return an answer as the result of a tool."""
    text = msgspec.json.encode(answer.value).decode()
    body: dict[str, Any] = {
        "content": [{"type": "text", "text": text}, *links],
        "isError": False,
    }
    if structured:
        body["structuredContent"] = answer.value
    return body


def went_wrong(error: SquadError) -> dict[str, Any]:
    """Return an error as the result of a tool."""
    text = f"{error.code}: {error.message}"
    if error.hint:
        text += f"\nHow to mend it: {error.hint}"
    if error.retry_after_ms is not None:
        text += f"\nTry again after {error.retry_after_ms} ms."
    return {
        "content": [{"type": "text", "text": text}],
        "isError": True,
        "_meta": {ERROR_KEY: error.to_dict()},
    }


def link(kept: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a link to a file that was kept as a blob."""
    found = {
        "type": "resource_link",
        "uri": BLOBS + str(kept["$blob"]),
        "name": name,
        "mimeType": kept.get("media_type", "application/octet-stream"),
    }
    return {**found, "size": kept["size"]} if "size" in kept else found
