"""MCP over HTTP: one endpoint for both kinds of revisions, and the document
that says where tokens come from (RFC 9728).

In the current revision every request stands for itself, and hanging up cancels
it. In those before, a session is begun first; its streams can be taken up
again after a broken connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agentsquad.kernel import jsonrpc
from agentsquad.kernel.errors import (
    InvalidError,
    SquadError,
    UnauthenticatedError,
    surface_of,
)
from agentsquad.kernel.jsonrpc import METHOD, Notification, Request, Response, RpcError
from agentsquad.kernel.ports import Entropy
from agentsquad.kernel.registry import Registry
from agentsquad.surfaces.gateway.contract import Caller, Gateway
from agentsquad.surfaces.gateway.http import enter
from agentsquad.surfaces.mcp.contract import (
    ASSUMED,
    BEFORE,
    CAPABILITY_MISSING,
    CURRENT,
    HEADER_MISMATCH,
    SUBSCRIPTION_KEY,
    SURFACE,
    VERSION_UNSUPPORTED,
    Asked,
    OriginError,
    VersionError,
)
from agentsquad.surfaces.mcp.headers import hold_against
from agentsquad.surfaces.mcp.request import asked_now
from agentsquad.surfaces.mcp.server import Server
from agentsquad.surfaces.mcp.sessions import Sessions, Stream
from agentsquad.surfaces.mcp.watching import notifications, wanted

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response as HttpResponse
    from starlette.routing import BaseRoute

PATH = "/mcp"
METADATA = "/.well-known/oauth-protected-resource"
BODY_MAX = 4 * 2**20
ALIVE_S = 15.0  # silence on a stream after which a comment is sent
LOCAL = ("localhost", "127.0.0.1", "::1")
EVENTS = "text/event-stream"
REFUSED = (HEADER_MISMATCH, CAPABILITY_MISSING, VERSION_UNSUPPORTED)  # with status 400
SSE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def routes(
    gateway: Gateway,
    registry: Registry,
    entropy: Entropy,
    *,
    base: str = "",
    issuers: Sequence[str] = (),
    version: str = "0",
) -> list[BaseRoute]:
    """Return the routes of this surface.

    `base` is the server's URL as clients know it; its host is served besides
    loopback's names. `issuers` are the authorization servers whose tokens are
    taken.
    """
    from starlette.routing import Route

    def token() -> str:
        return entropy.token(24).hex()

    served = Endpoint(Server(gateway, registry, version=version), token, base, issuers)
    return [
        Route(PATH, served.serve, methods=["POST", "GET", "DELETE"]),
        Route(METADATA, served.metadata, methods=["GET"]),
        Route(METADATA + PATH, served.metadata, methods=["GET"]),
    ]


class Endpoint:
    """The endpoint of a server."""

    def __init__(
        self, server: Server, token: Callable[[], str], base: str, issuers: Sequence[str]
    ) -> None:
        self._server = server
        self._base = base.rstrip("/")
        self._issuers = list(issuers)
        self._sessions = Sessions(server, token)
        host = urlsplit(self._base).hostname
        self._hosts = {*LOCAL, host} if host else {*LOCAL}

    async def metadata(self, request: HttpRequest) -> HttpResponse:
        """Say what this resource is and who gives tokens for it."""
        base = self._base or str(request.base_url).rstrip("/")
        body = {
            "resource": base + PATH,
            "authorization_servers": self._issuers or [base],
            "bearer_methods_supported": ["header"],
            "resource_name": "Agent Squad",
        }
        return _json(body, 200, {"Cache-Control": "public, max-age=300"})

    async def serve(self, request: HttpRequest) -> HttpResponse:
        """Answer one request over HTTP, whatever it holds."""
        id: jsonrpc.Id | None = None
        try:
            self._refuse_rebinding(request)
            body = await _body(request)
            caller = await enter(self._server.gateway, request, SURFACE, route=PATH, body=body)
            if request.method == "DELETE":
                await self._sessions.end(caller, request.headers)
                return _empty(204)
            if request.method == "GET":
                _accepts(request, EVENTS)
                stream = self._sessions.resumed(caller, request.headers)
                return _events(stream.read(request.headers.get("last-event-id")))
            message = jsonrpc.read(body)
            id = message.id if isinstance(message, Request | Response) else None
            return await self._posted(request, caller, message)
        except SquadError as error:
            found = error.id if isinstance(error, RpcError) and error.id is not None else id
            return self._failed(request, error, found)

    def _refuse_rebinding(self, request: HttpRequest) -> None:
        """Refuse a page of another site, also where a name was made to lead
        here."""
        origin = request.headers.get("origin")
        host = urlsplit("//" + request.headers.get("host", "")).hostname
        if host not in self._hosts:
            raise OriginError(f"this server is not known as {host!r}")
        if origin is not None and urlsplit(origin).hostname not in self._hosts:
            raise OriginError()

    def _failed(
        self, request: HttpRequest, error: SquadError, id: jsonrpc.Id | None
    ) -> HttpResponse:
        status, headers = _status(error), {}
        if isinstance(error, UnauthenticatedError):
            base = self._base or str(request.base_url).rstrip("/")
            headers["WWW-Authenticate"] = (
                f'Bearer realm="squad", resource_metadata="{base}{METADATA}{PATH}"'
            )
        if error.retry_after_ms is not None:
            headers["Retry-After"] = str(max(1, -(-error.retry_after_ms // 1000)))
        return _json(jsonrpc.failure(id, error), status, headers)

    async def _posted(
        self, request: HttpRequest, caller: Caller, message: jsonrpc.Message
    ) -> HttpResponse:
        said = request.headers.get("mcp-protocol-version")
        if isinstance(message, Request) and message.method == "initialize":
            return self._initialized(caller, message)
        if "mcp-session-id" in request.headers and said != CURRENT:
            if said is not None and said not in (*BEFORE, ASSUMED):
                raise VersionError(said[:40])
            return await self._in_session(request, caller, message)
        if isinstance(message, Notification):
            return _empty(202)
        if isinstance(message, Response):
            raise RpcError("nothing was asked", id=message.id)
        return await self._now(request, caller, message)

    # --- the current revision

    async def _now(self, request: HttpRequest, caller: Caller, message: Request) -> HttpResponse:
        said: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def notify(method: str, params: Mapping[str, Any]) -> None:
            said.put_nowait(_event(jsonrpc.notification(method, params)))

        hold_against(request.headers, message)
        asked = asked_now(message, caller, notify)
        if asked.method == "subscriptions/listen":
            which, after = wanted(asked.params), await self._server.gateway.place(caller)
            return _events(self._listened(asked, which, after))
        if not self._server.knows(asked.method):
            raise RpcError(f"no method {asked.method[:100]!r}", number=METHOD, id=asked.id)
        meta = asked.params["_meta"]
        if asked.method == "tools/call" and ("progressToken" in meta or asked.level):
            return _events(_followed(said, self._concluded(asked)))
        found = await _unless_gone(request, self._concluded(asked))
        number = found.get("error", {}).get("code")
        return _json(found, 401 if number == 401 else 400 if number in REFUSED else 200)

    async def _concluded(self, asked: Asked) -> dict[str, Any]:
        try:
            return jsonrpc.result(asked.id, await self._server.answer(asked))
        except Exception as error:  # noqa: BLE001 - our bug; the client still gets an answer
            return jsonrpc.failure(asked.id, error)

    async def _listened(self, asked: Asked, which: Any, after: int) -> AsyncIterator[bytes]:
        mark = {SUBSCRIPTION_KEY: asked.id}
        yield _event(
            jsonrpc.notification(
                "notifications/subscriptions/acknowledged",
                {"_meta": mark, "notifications": which.plain()},
            )
        )
        gateway = self._server.gateway
        try:
            told = notifications(gateway, asked.caller, lambda: which, after)
            async for method, params in told:
                yield _event(jsonrpc.notification(method, {**params, "_meta": mark}))
        except SquadError as error:
            yield _event(jsonrpc.failure(asked.id, error))
        else:
            body = self._server.finished(asked, {"_meta": mark})
            yield _event(jsonrpc.result(asked.id, body))

    # --- the revisions with sessions

    def _initialized(self, caller: Caller, message: Request) -> HttpResponse:
        body = self._server.initialized(message.params.get("protocolVersion"))
        can = message.params.get("capabilities", {})
        if not isinstance(can, dict):
            raise RpcError("expected capabilities to be an object", id=message.id)
        name = self._sessions.begin(caller, body["protocolVersion"], can)
        return _json(jsonrpc.result(message.id, body), 200, {"Mcp-Session-Id": name})

    async def _in_session(
        self, request: HttpRequest, caller: Caller, message: jsonrpc.Message
    ) -> HttpResponse:
        held = self._sessions.find(caller, request.headers)
        if not isinstance(message, Request):
            held.told(message)
            return _empty(202)
        if message.method == "tools/call" and EVENTS in request.headers.get("accept", ""):
            stream: Stream = held.begin(message, caller)
            return _events(stream.read(None))
        return _json(await held.answered(message, caller), 200)


def _status(error: SquadError) -> int:
    if isinstance(error, RpcError):
        return 404 if error.number == METHOD else 400
    return surface_of(error).http


async def _body(request: HttpRequest) -> bytes:
    if request.method != "POST":
        return b""
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > BODY_MAX:
            raise RpcError(f"a message of at most {BODY_MAX} bytes is taken")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RpcError("expected Content-Type: application/json")
    return bytes(found)


def _accepts(request: HttpRequest, media_type: str) -> None:
    accept = request.headers.get("accept", "*/*")
    if media_type not in accept and "*/*" not in accept and "text/*" not in accept:
        raise InvalidError(f"expected Accept: {media_type}", code="mcp.accept")


async def _unless_gone(
    request: HttpRequest, work: Coroutine[Any, Any, dict[str, Any]]
) -> dict[str, Any]:
    """Return what comes of the work; let go of it when the client hangs up."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise RpcError("the client hung up")
        return task.result()
    finally:
        gone.cancel()
        task.cancel()


async def _gone(request: HttpRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _followed(said: asyncio.Queue[bytes | None], work: Any) -> AsyncIterator[bytes]:
    """Return what is said on the way, then what comes of the work."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda _: said.put_nowait(None))
    try:
        while (event := await said.get()) is not None:
            yield event
        yield _event(task.result())
    finally:
        task.cancel()


async def _kept_alive(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return events, and a comment where there were none for a while."""
    following: asyncio.Future[bytes] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({following}, timeout=ALIVE_S)
            if not done:
                yield b":\n\n"
                continue
            try:
                event = following.result()
            except StopAsyncIteration:
                return
            following = None
            yield event
    finally:
        if following is not None:
            following.cancel()
        close = getattr(events, "aclose", None)
        if close is not None and (following is None or following.done()):
            await close()


def _event(message: Mapping[str, Any]) -> bytes:
    return b"event: message\ndata: " + jsonrpc.encode(message) + b"\n\n"


def _events(events: AsyncIterator[bytes]) -> HttpResponse:
    from starlette.responses import StreamingResponse

    return StreamingResponse(_kept_alive(events), media_type=EVENTS, headers=SSE)


def _json(
    body: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    from starlette.responses import Response

    told = {"Cache-Control": "no-store", **(headers or {})}
    return Response(jsonrpc.encode(body), status, told, media_type="application/json")


def _empty(status: int) -> HttpResponse:
    from starlette.responses import Response

    return Response(status_code=status)
