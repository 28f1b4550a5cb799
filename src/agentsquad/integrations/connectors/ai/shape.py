"""Shape: JSON that models write and are asked for.

Reading their arguments, and telling whether a schema is of the closed kind that
providers can enforce.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.integrations.connectors.ai.contract import ModelRefusedError, ModelReplyError


def decode(text: str | bytes, what: str) -> Any:
    """Return the JSON value; ModelReplyError names `what` was not JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelReplyError(
            f"{what} is not JSON", hint="the same request may succeed when sent again"
        ) from error


def decode_object(text: str | bytes, what: str) -> dict[str, Any]:
    """Return a JSON object; nothing at all reads as an empty one."""
    if not text:
        return {}
    value = decode(text, what)
    if not isinstance(value, dict):
        raise ModelReplyError(f"{what} is not a JSON object")
    return value


def closed(schema: Mapping[str, Any]) -> bool:
    """Say whether every object in the schema names all its properties and
    requires them.

    Only then may a provider be told to enforce it strictly.
    """
    if "$ref" in schema and "$defs" in schema:
        schema = rooted(schema)
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, Mapping):
        names = set(properties or ())
        if schema.get("additionalProperties") is not False:
            return False
        if set(schema.get("required", ())) != names:
            return False
    inner: list[Any] = list((properties or {}).values())
    for key in ("items", "not"):
        inner.append(schema.get(key))
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        inner.extend(schema.get(key, ()))
    inner.extend(schema.get("$defs", {}).values())
    return all(closed(child) for child in inner if isinstance(child, Mapping))


def rooted(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with an object at its root, as providers insist on.

    Generated schemas often begin with a reference to one of their own
    definitions.
    """
    root = _target(schema, schema)
    definitions = schema.get("$defs")
    if root is schema or not definitions:
        return dict(root)
    return {**root, "$defs": definitions}


def inlined(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema without references, so that it can be put into another
    one.

    Raises ModelRefusedError for a schema that contains itself: no grammar of
    finite size says that.
    """

    def walk(node: Any, within: tuple[str, ...]) -> Any:
        if isinstance(node, Mapping):
            name = node.get("$ref")
            if isinstance(name, str):
                if name in within:
                    raise ModelRefusedError(
                        f"the schema refers to itself at {name}",
                        hint="local models need a schema without recursion",
                    )
                return walk(_target(node, schema), (*within, name))
            return {key: walk(value, within) for key, value in node.items() if key != "$defs"}
        if isinstance(node, list | tuple):
            return [walk(item, within) for item in node]
        return node

    walked: dict[str, Any] = walk(schema, ())
    return walked


def _target(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = node.get("$ref")
    if not isinstance(name, str):
        return node
    prefix = "#/$defs/"
    found = schema.get("$defs", {}).get(name.removeprefix(prefix))
    if not name.startswith(prefix) or not isinstance(found, Mapping):
        raise ModelRefusedError(
            f"the schema refers to {name}, which it does not define",
            hint="references look like #/$defs/NAME",
        )
    return found
