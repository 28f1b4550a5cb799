"""The MCP client: both kinds of revisions over one way of sending messages.

The current one is tried first; a server that does not know it is spoken to in
the one before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from agentsquad.integrations.connectors.tools.contract import (
    Definition,
    Result,
    ToolFailedError,
    ToolUnreachableError,
)
from agentsquad.integrations.connectors.tools.mirrored import mirrored
from agentsquad.kernel import canonical
from agentsquad.kernel.errors import InvalidError, SquadError
from agentsquad.kernel.jsonrpc import Response

CURRENT, BEFORE = "2026-07-28", ("2025-11-25", "2025-06-18", "2025-03-26")
META = "io.modelcontextprotocol/"
CLIENT = {"name": "agentsquad", "version": "1"}
TOOLS_MAX = 2000
PROBE_S = 10.0
KEY = "agentsquad.dev/key"


class Wire(Protocol):
    """Sends messages to a server and brings the answers."""

    version: str

    async def ask(
        self, method: str, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Response:
        """Return the answer to a request; `headers` go along where there are
        such."""
        ...

    async def tell(self, method: str) -> None:
        """Tell something that is not answered."""
        ...

    async def close(self) -> None:
        """End."""
        ...


class McpPeer:
    """An MCP server that is connected (`Peer`)."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @property
    def broken(self) -> bool:
        """Whether the connection is of no more use."""
        return bool(getattr(self._wire, "broken", False))

    @property
    def current(self) -> bool:
        """Whether it speaks the current revision."""
        return self._wire.version == CURRENT

    async def begin(self) -> None:
        """Find out which revision the server speaks."""
        self._wire.version = CURRENT
        try:
            async with asyncio.timeout(PROBE_S):
                reply = await self._wire.ask("server/discover", self._params({}), {})
        except (TimeoutError, SquadError):
            reply = Response(id=None, error={"code": 0, "message": "no answer"})
        spoken: Any = ()
        if reply.error is None and isinstance(reply.result, dict):
            spoken = reply.result.get("supportedVersions", ())
        elif reply.error is not None and reply.error.get("code") == -32022:
            data = reply.error.get("data")
            spoken = data.get("supported", ()) if isinstance(data, dict) else ()
        if isinstance(spoken, list) and CURRENT in spoken:
            return
        await self._initialize()

    async def _initialize(self) -> None:
        self._wire.version = BEFORE[0]
        params = {"protocolVersion": BEFORE[0], "capabilities": {}, "clientInfo": CLIENT}
        found = _object(await self._wire.ask("initialize", params, {}), "initialize")
        version = found.get("protocolVersion")
        if version not in BEFORE:
            raise ToolUnreachableError(
                f"the server speaks MCP {str(version)[:40]!r}",
                hint=f"spoken here: {', '.join((CURRENT, *BEFORE))}",
            )
        self._wire.version = version
        await self._wire.tell("notifications/initialized")

    async def definitions(self) -> list[Definition]:
        """Return what the server offers now."""
        found: dict[str, Definition] = {}
        cursor: str | None = None
        while True:
            params = {} if cursor is None else {"cursor": cursor}
            reply = await self._wire.ask("tools/list", self._params(params), {})
            body = _object(reply, "tools/list")
            for tool in _list(body.get("tools")):
                one = _definition(tool)
                if one is not None:
                    found[one.name] = one
            cursor = body.get("nextCursor")
            if not isinstance(cursor, str) or len(found) > TOOLS_MAX:
                return [found[name] for name in sorted(found)]

    async def call(self, tool: Definition, arguments: Mapping[str, Any], key: str) -> Result:
        """Call a tool."""
        params = self._params({"name": tool.name, "arguments": dict(arguments)})
        params["_meta"] = {**params.get("_meta", {}), KEY: key}
        headers = mirrored(tool.schema, arguments) if self.current else {}
        reply = await self._wire.ask("tools/call", params, headers or {})
        body = _object(reply, tool.name)
        if body.get("resultType", "complete") != "complete":
            raise ToolFailedError(f"{tool.name} asks for input that nobody here can give")
        text = "\n".join(
            str(part["text"]) if part.get("type") == "text" else _other(part)
            for part in _list(body.get("content"))
        )
        if body.get("isError") is True:
            raise ToolFailedError(text or f"{tool.name} failed")
        return Result(text=text, data=body.get("structuredContent"))

    async def close(self) -> None:
        """End the connection."""
        await self._wire.close()

    def _params(self, own: Mapping[str, Any]) -> dict[str, Any]:
        if not self.current:
            return dict(own)
        meta = {
            META + "protocolVersion": CURRENT,
            META + "clientInfo": CLIENT,
            META + "clientCapabilities": {},
        }
        return {**own, "_meta": meta}


def _object(reply: Response, what: str) -> dict[str, Any]:
    if reply.error is not None:
        message = str(reply.error.get("message"))[:2000]
        raise ToolFailedError(f"{what}: {message}", details={"error": dict(reply.error)})
    if not isinstance(reply.result, dict):
        raise ToolFailedError(f"{what}: the server answered no object")
    return reply.result


def _list(value: Any) -> list[dict[str, Any]]:
    found = value if isinstance(value, list) else []
    return [one for one in found if isinstance(one, dict)]


def _other(part: Mapping[str, Any]) -> str:
    if part.get("type") == "resource_link":
        return str(part.get("uri"))
    resource = part.get("resource")
    if isinstance(resource, Mapping) and isinstance(resource.get("text"), str):
        return str(resource["text"])
    return f"[{part.get('type')} {part.get('mimeType', '')}]".replace(" ]", "]")


def _definition(tool: Mapping[str, Any]) -> Definition | None:
    """Return a tool, or None where its description cannot be used."""
    name, schema = tool.get("name"), tool.get("inputSchema")
    if not isinstance(name, str) or not name or not isinstance(schema, dict):
        return None
    try:
        canonical.dumps(schema)
    except InvalidError:
        return None
    if mirrored(schema, {}) is None:
        return None  # says wrongly what belongs into headers: the protocol has it left out
    return Definition(name=name, description=str(tool.get("description") or ""), schema=schema)
