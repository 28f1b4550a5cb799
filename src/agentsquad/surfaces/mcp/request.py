"""Request: what the current revision says of itself in every request."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.jsonrpc import PARAMS, Request, RpcError
from agentsquad.surfaces.gateway.contract import Caller
from agentsquad.surfaces.mcp.contract import (
    CAPABILITIES_KEY,
    CURRENT,
    LEVEL_KEY,
    LEVELS,
    VERSION_KEY,
    Asked,
    Notify,
    VersionError,
)


def asked_now(message: Request, caller: Caller, notify: Notify) -> Asked:
    """Read a request of the current revision; raises VersionError for another,
    RpcError where something required is missing."""
    meta = message.params.get("_meta")
    if not isinstance(meta, dict):
        raise RpcError("expected params._meta", number=PARAMS, id=message.id)
    version = meta.get(VERSION_KEY)
    if not isinstance(version, str):
        raise RpcError(f"expected {VERSION_KEY} in _meta", number=PARAMS, id=message.id)
    if version != CURRENT:
        raise VersionError(version[:40], id=message.id)
    can = meta.get(CAPABILITIES_KEY)
    if not isinstance(can, dict):
        raise RpcError(f"expected {CAPABILITIES_KEY} in _meta", number=PARAMS, id=message.id)
    return Asked(
        id=message.id,
        method=message.method,
        params=message.params,
        caller=caller,
        version=CURRENT,
        notify=notify,
        can=can,
        level=level_of(meta.get(LEVEL_KEY)),
    )


def level_of(value: Any) -> str | None:
    """Read a log level; None stays None."""
    if value is not None and value not in LEVELS:
        raise RpcError(f"expected a log level, one of {', '.join(LEVELS)}", number=PARAMS)
    return value  # type: ignore[no-any-return]
