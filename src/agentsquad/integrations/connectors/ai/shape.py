"""Shape: JSON that models write and are asked for.

Reading their arguments, and telling whether a schema is of the closed kind that
providers can enforce.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.integrations.connectors.ai.contract import ModelReplyError


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
