"""What others may know of the MCP surface: the revisions it speaks, what a
request is made of, and its errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from agentsquad.kernel.errors import DeniedError, MissingError
from agentsquad.kernel.jsonrpc import Id, RpcError
from agentsquad.surfaces.gateway.contract import Caller

CURRENT = "2026-07-28"
BEFORE = ("2025-11-25", "2025-06-18")  # with sessions; the newest first
VERSIONS = (CURRENT, *BEFORE)
ASSUMED = "2025-03-26"  # of a client in a session that names it, or names none
SURFACE = "mcp"

# What the current revision keeps in `_meta` of every request and result.
META = "io.modelcontextprotocol/"
VERSION_KEY = META + "protocolVersion"
CAPABILITIES_KEY = META + "clientCapabilities"
LEVEL_KEY = META + "logLevel"
SUBSCRIPTION_KEY = META + "subscriptionId"
SERVER_KEY = META + "serverInfo"
ERROR_KEY = "agentsquad.dev/error"  # an error of ours, whole

HEADER_MISMATCH = -32020
CAPABILITY_MISSING = -32021
VERSION_UNSUPPORTED = -32022
RESOURCE_MISSING_BEFORE = -32002  # what a missing resource was in revisions before the current

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

Notify = Callable[[str, Mapping[str, Any]], Awaitable[None]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Elicit = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]  # asks the person


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the server sees it, whichever way it came.

    `can` is what the client says it can do; `level` from which level on it
    wants to hear log messages, None for none; `notify` tells it something
    before the answer; `elicit` asks its person, None where that is done by the
    answer itself.
    """

    id: Id
    method: str
    params: Mapping[str, Any]
    caller: Caller
    version: str
    notify: Notify
    can: Mapping[str, Any] = {}
    level: str | None = None
    elicit: Elicit | None = None

    @property
    def current(self) -> bool:
        """Whether it came by the current revision."""
        return self.version == CURRENT


class VersionError(RpcError):
    """That revision of the protocol is not spoken here."""

    code = "mcp.version"

    def __init__(self, requested: str, *, id: Id | None = None) -> None:
        super().__init__(
            f"revision {requested!r} is not spoken here",
            number=VERSION_UNSUPPORTED,
            id=id,
            data={"supported": list(VERSIONS), "requested": requested},
        )


class HeaderError(RpcError):
    """A header is missing or says otherwise than the body."""

    code = "mcp.header"

    def __init__(self, message: str, *, id: Id | None = None) -> None:
        super().__init__(f"Header mismatch: {message}", number=HEADER_MISMATCH, id=id)


class CapabilityError(RpcError):
    """The client cannot do what is needed for that."""

    code = "mcp.capability"

    def __init__(self, message: str, needed: Mapping[str, Any], *, id: Id | None = None) -> None:
        super().__init__(
            message, number=CAPABILITY_MISSING, id=id, data={"requiredCapabilities": needed}
        )


class PeopleOnlyError(DeniedError):
    """Only a person may answer that, and it has to be asked: a model can never
    approve."""

    code = "mcp.people_only"


class SessionMissingError(MissingError):
    """There is no such session: begin a new one with `initialize`."""

    code = "mcp.session"


class OriginError(DeniedError):
    """A page of another site may not speak to this server."""

    code = "mcp.origin"
