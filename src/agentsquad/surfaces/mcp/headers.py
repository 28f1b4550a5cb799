"""Headers: what the current revision repeats of a request's body, held against
it, so that nothing on the way is led to believe otherwise."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from agentsquad.kernel.jsonrpc import Request
from agentsquad.surfaces.mcp.contract import VERSION_KEY, HeaderError

_BEGIN, _END = "=?base64?", "?="
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


def hold_against(headers: Mapping[str, str], message: Request) -> None:
    """Raise HeaderError where a header is missing or differs from the body."""
    meta = message.params.get("_meta")
    version = meta.get(VERSION_KEY) if isinstance(meta, dict) else None
    said = headers.get("mcp-protocol-version")
    if said is None:
        raise HeaderError("MCP-Protocol-Version is missing", id=message.id)
    if version is not None and said != version:
        raise HeaderError(
            f"MCP-Protocol-Version {said[:40]!r} does not match the body", id=message.id
        )
    if headers.get("mcp-method") != message.method:
        raise HeaderError("Mcp-Method is missing or does not match the body", id=message.id)
    field = _NAMED.get(message.method)
    if field is None:
        return
    value = message.params.get(field)
    name = headers.get("mcp-name")
    if isinstance(value, str) and (name is None or decoded(name, message) != value):
        raise HeaderError("Mcp-Name is missing or does not match the body", id=message.id)


def decoded(value: str, message: Request | None = None) -> str:
    """Return a header's value as it was before it was made fit for a header."""
    if not (value.startswith(_BEGIN) and value.endswith(_END)):
        return value
    try:
        return base64.b64decode(value[len(_BEGIN) : -len(_END)], validate=True).decode()
    except (binascii.Error, ValueError):
        id = None if message is None else message.id
        raise HeaderError("a header holds what is not base64 of UTF-8", id=id) from None


def encoded(value: str) -> str:
    """Return a value fit for a header."""
    plain = (
        value.isascii()
        and value.isprintable()
        and value == value.strip()
        and not (value.startswith(_BEGIN) and value.endswith(_END))
    )
    return value if plain else _BEGIN + base64.b64encode(value.encode()).decode() + _END
