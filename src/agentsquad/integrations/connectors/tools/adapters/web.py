"""HTTP by httpx: MCP's streamable HTTP, and A2A's card and JSON-RPC.

Without redirects, cookies and proxies from the environment: a server that was
pinned is spoken to, and none that it points at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx

from agentsquad.integrations.connectors.tools.contract import (
    ToolDeadlineError,
    ToolLostError,
    ToolUnreachableError,
)
from agentsquad.integrations.connectors.tools.mcp import CHANGED, HEARD, promised
from agentsquad.integrations.connectors.tools.mirrored import encoded
from agentsquad.kernel import canonical, jsonrpc
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.jsonrpc import Notification, Response, RpcError

ANSWER_MAX = 16 * 2**20
LISTEN_S = 5.0
CARDS = ("/.well-known/agent-card.json", "/.well-known/agent.json")
NAMED = {"tools/call": "name"}


class Web:
    """One server over HTTP."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout_s: float) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            headers=dict(headers),
            timeout=httpx.Timeout(timeout_s, connect=min(10.0, timeout_s)),
            trust_env=False,
            follow_redirects=False,
        )

    async def post(
        self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> tuple[httpx.Response, Response | None]:
        """Post a message; return the response and the message that answers."""
        told = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **headers,
        }
        try:
            async with self._client.stream(
                "POST", url, content=jsonrpc.encode(body), headers=told
            ) as response:
                return response, await _answer(response, body.get("id"))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ToolUnreachableError(f"{url} cannot be reached") from error
        except httpx.TimeoutException as error:
            raise ToolDeadlineError(f"{url} did not answer in {self._timeout_s:g} s") from error
        except httpx.HTTPError as error:
            raise ToolLostError(f"the connection to {url} was lost") from error

    @asynccontextmanager
    async def told(
        self, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[Any] | None]:
        """Open a stream of what the server tells by itself, message by message;
        None where it has none."""
        said = {"Accept": "text/event-stream", **headers}
        if body is not None:
            said |= {"Content-Type": "application/json"}
            said["Accept"] = "application/json, text/event-stream"
        content = None if body is None else jsonrpc.encode(body)
        async with self._client.stream(
            "GET" if body is None else "POST", self.url, content=content, headers=said
        ) as response:
            kind = response.headers.get("content-type", "").partition(";")[0].strip()
            fits = response.status_code == 200 and kind == "text/event-stream"
            yield _messages(response) if fits else None

    async def get(self, url: str) -> Any:
        """Return a JSON document, None where there is none."""
        try:
            response = await self._client.get(url)
        except httpx.HTTPError as error:
            raise ToolUnreachableError(f"{url} cannot be reached") from error
        if response.status_code != 200 or len(response.content) > ANSWER_MAX:
            return None
        try:
            return canonical.loads(response.content)
        except InvalidError:
            return None

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()


async def _answer(response: httpx.Response, id: Any) -> Response | None:
    """Return the message that answers a request, wherever it is."""
    media_type = response.headers.get("content-type", "").partition(";")[0].strip()
    if media_type == "text/event-stream":
        async for data in _data(response):
            found = _message(data)
            if isinstance(found, Response) and found.id == id:
                return found
        raise ToolLostError("the stream ended before the answer")
    size, parts = 0, []
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > ANSWER_MAX:
            raise ToolLostError(f"an answer of more than {ANSWER_MAX} bytes is not taken")
        parts.append(chunk)
    found = _message(b"".join(parts))
    return found if isinstance(found, Response) else None


async def _data(response: httpx.Response, *, whole: bool = True) -> Any:
    """Return the data of each event of a stream, which is of a size that is
    limited as a whole, or each event."""
    lines: list[str] = []
    size = 0
    async for line in response.aiter_lines():
        size += len(line)
        if size > ANSWER_MAX:
            raise ToolLostError(f"an answer of more than {ANSWER_MAX} bytes is not taken")
        if line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
        elif not line and lines:
            yield "\n".join(lines).encode()
            lines, size = [], size if whole else 0


async def _messages(response: httpx.Response) -> AsyncIterator[Any]:
    async for data in _data(response, whole=False):
        yield _message(data)


def _message(data: bytes) -> Any:
    try:
        return jsonrpc.read(data)
    except RpcError:
        return None


class McpWeb:
    """A Wire over streamable HTTP."""

    def __init__(self, web: Web) -> None:
        self.version = ""
        self.broken = False
        self._web = web
        self.changes = 0
        self.hearing = False
        self._session: str | None = None
        self._asked = 0
        self._listening: asyncio.Task[None] | None = None

    async def ask(
        self, method: str, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Response:
        """Return the answer to a request."""
        self._asked += 1
        told = {**headers, **self._headers(method, params)}
        body = jsonrpc.request(self._asked, method, params)
        response, found = await self._web.post(self._web.url, body, told)
        if method == "initialize":
            self._session = response.headers.get("mcp-session-id")
        if found is not None:
            return found
        if response.status_code == 404 and self._session is not None:
            self.broken = True
        words = f"{self._web.url} answered {response.status_code}"
        return Response(id=None, error={"code": response.status_code, "message": words})

    async def listen(self, method: str, params: Mapping[str, Any]) -> None:
        """Open the stream of what the server tells."""
        self._end_listening()
        body = None
        if method:
            self._asked += 1
            body = jsonrpc.request(self._asked, method, params)
        headers = self._headers(method, params) if method else self._headers("", {})
        opened = asyncio.Event()
        self._listening = asyncio.create_task(self._hear(body, headers, opened))
        with suppress(TimeoutError):
            async with asyncio.timeout(LISTEN_S):
                await opened.wait()

    async def _hear(
        self, body: Mapping[str, Any] | None, headers: Mapping[str, str], opened: asyncio.Event
    ) -> None:
        try:
            async with self._web.told(body, headers) as messages:
                if messages is None:
                    return
                if body is None:
                    self.hearing = True
                    opened.set()
                async for message in messages:
                    if not isinstance(message, Notification):
                        continue
                    if message.method == CHANGED:
                        self.changes += 1
                    elif message.method == HEARD:
                        self.hearing = promised(message.params)
                        opened.set()
        except (httpx.HTTPError, ToolLostError):
            pass  # not heard any more: the next call asks again
        finally:
            if self._listening is asyncio.current_task():
                self.hearing = False
            opened.set()

    def _end_listening(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
        self.hearing = False

    async def tell(self, method: str) -> None:
        """Tell something that is not answered."""
        await self._web.post(self._web.url, jsonrpc.notification(method), self._headers(method, {}))

    def _headers(self, method: str, params: Mapping[str, Any]) -> dict[str, str]:
        found = {} if method == "initialize" else {"MCP-Protocol-Version": self.version}
        if self._session is not None:
            found["Mcp-Session-Id"] = self._session
        elif method and method != "initialize":
            found["Mcp-Method"] = method
            field = NAMED.get(method)
            if field is not None:
                found["Mcp-Name"] = encoded(str(params.get(field)))
        return found

    async def close(self) -> None:
        """End."""
        listening = self._listening
        self._end_listening()
        if listening is not None:
            await asyncio.gather(listening, return_exceptions=True)
        await self._web.close()


class A2aWeb:
    """A Face over HTTP; its JSON-RPC must be where its card is."""

    broken = False

    def __init__(self, web: Web) -> None:
        self._web = web
        self._asked = 0

    async def card(self) -> Mapping[str, Any]:
        """Return the extended card where there is one, else the public one."""
        base = self._web.url.rstrip("/")
        addresses = [base] if base.endswith(".json") else [base + path for path in CARDS]
        for address in addresses:
            found = await self._web.get(address)
            if isinstance(found, dict):
                return await self._extended(found)
        raise ToolUnreachableError(f"{base} has no agent card")

    async def _extended(self, card: dict[str, Any]) -> Mapping[str, Any]:
        capabilities = card.get("capabilities")
        now = isinstance(capabilities, dict) and capabilities.get("extendedAgentCard") is True
        for face in card.get("supportedInterfaces") or []:
            if now and face.get("protocolBinding") == "JSONRPC":
                reply = await self.ask(
                    str(face.get("url")), "GetExtendedAgentCard", {}, str(face["protocolVersion"])
                )
                if reply.error is None and isinstance(reply.result, dict):
                    return reply.result
        return card

    async def ask(self, url: str, method: str, params: Mapping[str, Any], version: str) -> Response:
        """Return the answer to a request."""
        here, there = urlsplit(self._web.url), urlsplit(url)
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            raise ToolUnreachableError(
                f"the card leads to {there.netloc}, another server than was applied"
            )
        self._asked += 1
        body = jsonrpc.request(self._asked, method, params)
        response, found = await self._web.post(url, body, {"A2A-Version": version})
        if found is not None:
            return found
        words = f"{url} answered {response.status_code}"
        return Response(id=None, error={"code": response.status_code, "message": words})

    async def close(self) -> None:
        """End."""
        await self._web.close()
