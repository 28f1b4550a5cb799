"""What of a call's arguments a server wants repeated in headers, by its schema.
Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

MARK = "x-mcp-header"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_BEGIN, _END = "=?base64?", "?="
_DEPTH_MAX = 16


def mirrored(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the headers for a call; None where the schema marks what it may
    not, so that the tool must not be used."""
    found: dict[str, str] = {}
    names: set[str] = set()
    marked = 0
    for name, kind, value in _marked(schema, arguments, 0):
        marked += 1
        if not isinstance(name, str) or not _TOKEN.fullmatch(name) or name.lower() in names:
            return None
        if kind not in ("string", "integer", "boolean"):
            return None
        names.add(name.lower())
        if isinstance(value, bool):
            found[f"Mcp-Param-{name}"] = "true" if value else "false"
        elif isinstance(value, str | int):
            found[f"Mcp-Param-{name}"] = encoded(str(value))
    return found if marked == _count(schema) else None


def _marked(schema: Mapping[str, Any], value: Any, depth: int) -> Iterator[tuple[Any, Any, Any]]:
    """Return (name, type, value) of each mark that is reached by properties
    alone."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or depth > _DEPTH_MAX:
        return
    for name, inner in properties.items():
        if not isinstance(inner, Mapping):
            continue
        given = value.get(name) if isinstance(value, Mapping) else None
        if MARK in inner:
            yield inner[MARK], inner.get("type"), given
        yield from _marked(inner, given, depth + 1)


def _count(value: Any) -> int:
    """Return how many marks there are anywhere."""
    if isinstance(value, Mapping):
        return (MARK in value) + sum(_count(one) for one in value.values())
    return sum(_count(one) for one in value) if isinstance(value, list) else 0


def encoded(value: str) -> str:
    """Return a value fit for a header."""
    plain = (
        value.isascii()
        and value.isprintable()
        and value == value.strip()
        and not (value.startswith(_BEGIN) and value.endswith(_END))
    )
    return value if plain else _BEGIN + base64.b64encode(value.encode()).decode() + _END
