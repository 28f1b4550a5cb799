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
# However a server tells of changes, it is asked again after this long: one that
# keeps silent, or is not heard, goes on with what was pinned no longer.
KNOWN_S = 60.0
LISTEN = "subscriptions/listen"
CHANGED = "notifications/tools/list_changed"
HEARD = "notifications/subscriptions/acknowledged"


class Wire(Protocol):
    """Sends messages to a server and brings the answers.

    `changes` counts how often the server told that its tools changed.
    """

    version: str
    changes: int

    @property
    def hearing(self) -> bool:
        """Whether what the server tells would be heard now."""
        ...

    async def ask(
        self, method: str, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Response:
        """Return the answer to a request; `headers` go along where there are
        such."""
        ...

    async def listen(self, method: str, params: Mapping[str, Any]) -> None:
        """Begin to hear what the server tells by itself; `method` is empty
        where nothing is asked for that. Return when it is heard, or is known
        not to be."""
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
        self._tells = False  # the server has promised to tell of changes
        self._known: tuple[list[Definition], int, float] | None = None

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
            self._tells = isinstance(reply.result, dict) and _tells(reply.result)
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
        self._tells = _tells(found)
        await self._wire.tell("notifications/initialized")

    async def definitions(self, *, fresh: bool = False) -> list[Definition]:
        """Return what the server offers now, as it said last where that is
        known to hold."""
        now_s = asyncio.get_running_loop().time()
        if self._known is not None and not fresh:
            offered, changes, until_s = self._known
            if self._wire.hearing and changes == self._wire.changes and now_s < until_s:
                return offered
        self._known = None
        if self._tells and not self._wire.hearing:
            await self._listen()
        changes = self._wire.changes  # what changes while they are listed counts
        offered = await self._listed()
        if self._tells and self._wire.hearing:
            self._known = (offered, changes, now_s + KNOWN_S)
        return offered

    async def _listen(self) -> None:
        if self.current:
            asked = self._params({"notifications": {"toolsListChanged": True}})
            await self._wire.listen(LISTEN, asked)
        else:
            await self._wire.listen("", {})

    async def _listed(self) -> list[Definition]:
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


def _tells(found: Mapping[str, Any]) -> bool:
    """Whether a server promises to tell when its tools change."""
    capabilities = found.get("capabilities")
    tools = capabilities.get("tools") if isinstance(capabilities, Mapping) else None
    return isinstance(tools, Mapping) and tools.get("listChanged") is True


def promised(params: Mapping[str, Any]) -> bool:
    """Whether a server that was asked to tell of changed tools agreed to."""
    agreed = params.get("notifications")
    return isinstance(agreed, Mapping) and agreed.get("toolsListChanged") is True


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
