"""A2A over HTTP: JSON-RPC and HTTP+JSON, both generations, and the cards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from agentsquad.kernel import jsonrpc
from agentsquad.kernel.errors import (
    BugError,
    InvalidError,
    SquadError,
    UnauthenticatedError,
    surface_of,
)
from agentsquad.kernel.jsonrpc import Request, RpcError
from agentsquad.surfaces.a2a import generations, plain_then
from agentsquad.surfaces.a2a.card import card_of
from agentsquad.surfaces.a2a.contract import (
    BEFORE,
    CURRENT,
    DOMAIN,
    NUMBERS,
    STILL,
    SURFACE,
    VersionError,
)
from agentsquad.surfaces.a2a.service import STREAMED, Service
from agentsquad.surfaces.gateway.contract import Gateway
from agentsquad.surfaces.gateway.http import enter

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response as HttpResponse
    from starlette.routing import BaseRoute

PATH = "/a2a"
CARDS = ("/.well-known/agent-card.json", "/.well-known/agent.json")
BODY_MAX = 4 * 2**20
ALIVE_S = 15.0
EVENTS = "text/event-stream"
INFO = "type.googleapis.com/google.rpc.ErrorInfo"


def routes(
    gateway: Gateway, *, base: str = "", version: str = "0", push: bool = False
) -> list[BaseRoute]:
    """Return the routes of this surface; `base` is the server's URL as clients
    know it, `push` whether notifications are delivered."""
    from starlette.routing import Route

    served = Endpoint(Service(gateway, version=version, push=push, base=base.rstrip("/")), base)
    receivers = "/tasks/{taskId}/pushNotificationConfigs"
    rest = [
        ("POST", "/message:send", "SendMessage"),
        ("POST", "/message:stream", "SendStreamingMessage"),
        ("GET", "/tasks", "ListTasks"),
        ("POST", "/tasks/{id}:cancel", "CancelTask"),
        ("GET", "/tasks/{id}:subscribe", "SubscribeToTask"),
        ("POST", "/tasks/{id}:subscribe", "SubscribeToTask"),
        ("POST", receivers, "CreateTaskPushNotificationConfig"),
        ("GET", receivers, "ListTaskPushNotificationConfigs"),
        ("GET", receivers + "/{id}", "GetTaskPushNotificationConfig"),
        ("DELETE", receivers + "/{id}", "DeleteTaskPushNotificationConfig"),
        ("GET", "/tasks/{id}", "GetTask"),
        ("GET", "/extendedAgentCard", "GetExtendedAgentCard"),
        ("GET", "/card", "GetExtendedAgentCard"),
    ]
    found: list[BaseRoute] = [Route(path, served.card, methods=["GET"]) for path in CARDS]
    found.append(Route(PATH, served.rpc, methods=["POST"]))
    for before in ("", "/v1", "/{tenant}"):
        for method, path, operation in rest:
            then = BEFORE if before == "/v1" else CURRENT
            found.append(
                Route(PATH + before + path, served.rest(operation, then), methods=[method])
            )
    return found


class Endpoint:
    """The endpoints of a server."""

    def __init__(self, service: Service, base: str) -> None:
        self._service = service
        self._base = base.rstrip("/")

    def _url(self, request: HttpRequest) -> str:
        return (self._base or str(request.base_url).rstrip("/")) + PATH

    async def card(self, request: HttpRequest) -> HttpResponse:
        """Answer with the public card; one generation's where it is said."""
        found = card_of(self._url(request), self._service.version, push=self._service.push)
        said = request.headers.get("a2a-version")
        if said in (CURRENT, BEFORE):
            from agentsquad.surfaces.a2a.card import for_generation

            found = for_generation(found, said)
        return _json(found, 200, {"Cache-Control": "public, max-age=300"})

    async def rpc(self, request: HttpRequest) -> HttpResponse:
        """Answer one JSON-RPC request."""
        id: jsonrpc.Id | None = None
        try:
            body = await _body(request)
            caller = await enter(self._service.gateway, request, SURFACE, route=PATH, body=body)
            message = jsonrpc.read(body)
            if not isinstance(message, Request):
                raise RpcError("expected a request with an id")
            id = message.id
            method, version = _spoken(request, message.method)
            params = dict(message.params)
            if version == BEFORE:
                params = generations.params_now(method, params)
            if method in STREAMED:
                pieces = await self._service.stream(method, params, caller, version)
                return _events(_streamed(pieces, version, message.id), _rpc_error(message.id))
            result = await self._service.answer(method, params, caller, self._url(request), version)
            if version == BEFORE:
                result = generations.result_then(method, result)
            return _json(jsonrpc.result(message.id, result), 200)
        except Exception as error:  # noqa: BLE001 - the last door; JSON-RPC wants an answer
            if isinstance(error, UnauthenticatedError):
                return _json(rpc_failure(id, error), 401, _challenge())
            return _json(rpc_failure(id, error), 200)

    def rest(self, operation: str, version: str) -> Any:
        """Return what answers an operation over HTTP+JSON."""

        async def answer(request: HttpRequest) -> HttpResponse:
            spoken = version
            try:
                spoken = _version(request, version)
                body = await _body(request)
                service = self._service
                caller = await enter(service.gateway, request, SURFACE, route=PATH, body=body)
                params = _params(request, body)
                if spoken == BEFORE:
                    params = plain_then.params_now(operation, params)
                if operation in STREAMED:
                    pieces = await service.stream(operation, params, caller, spoken)
                    return _events(_plainly(pieces, spoken), _rest_error)
                result = await service.answer(operation, params, caller, self._url(request), spoken)
                if spoken == BEFORE:
                    result = plain_then.result_then(operation, result)
                return _json(result, 200, media_type=_media_type(spoken))
            except Exception as error:  # noqa: BLE001 - the last door
                status, found = rest_failure(error)
                if spoken == BEFORE:
                    found = plain_then.failure_then(found["error"])
                headers = _challenge() if status == 401 else {}
                return _json(found, status, headers, media_type=_media_type(spoken))

        return answer


def _media_type(version: str) -> str:
    return "application/a2a+json" if version == CURRENT else "application/json"


def _spoken(request: HttpRequest, method: str) -> tuple[str, str]:
    """Return (operation, generation) of a method."""
    if method in generations.METHODS:
        return generations.METHODS[method], BEFORE
    return method, _version(request, CURRENT)


def _version(request: HttpRequest, otherwise: str) -> str:
    said = request.headers.get("a2a-version") or request.query_params.get("A2A-Version")
    if not said:
        return otherwise
    spoken = ".".join(said.split(".")[:2])
    if spoken not in (CURRENT, BEFORE):
        raise VersionError(f"version {said[:20]!r} is not spoken here", hint="1.0 and 0.3 are")
    return spoken


def _params(request: HttpRequest, body: bytes) -> dict[str, Any]:
    """Return parameters from the body, the path and the query."""
    found: dict[str, Any] = {}
    if body:
        from agentsquad.kernel import canonical

        read = canonical.loads(body)
        if not isinstance(read, dict):
            raise InvalidError("expected an object", code="a2a.params")
        found.update(read)
    for name, value in request.query_params.items():
        if name in ("pageSize", "historyLength"):
            if not value.isascii() or not value.isdigit() or len(value) > 9:
                raise InvalidError(f"expected {name} to be a whole number", code="a2a.params")
            found[name] = int(value)
        elif name == "includeArtifacts":
            found[name] = value == "true"
        elif name != "A2A-Version":
            found[name] = value
    found.update(request.path_params)
    return found


async def _body(request: HttpRequest) -> bytes:
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > BODY_MAX:
            raise InvalidError(f"a message of at most {BODY_MAX} bytes is taken", code="a2a.size")
    return bytes(found)


def rpc_failure(id: jsonrpc.Id | None, error: BaseException) -> dict[str, Any]:
    """Return an error as JSON-RPC has it in A2A."""
    row = _row(error)
    if row is None:
        found = jsonrpc.failure(id, error, null=True)
        data = found["error"].pop("data", None)
        if isinstance(data, dict):
            found["error"]["data"] = [_info(error, str(data.get("code", "")))]
        return found
    body = {"code": row[0], "message": _words(error), "data": [_info(error, row[3])]}
    return {"jsonrpc": "2.0", "id": id, "error": body}


def rest_failure(error: BaseException) -> tuple[int, dict[str, Any]]:
    """Return (status, body) of an error as HTTP+JSON has it."""
    row = _row(error)
    if row is not None:
        status, name, reason = row[1], row[2], row[3]
    elif isinstance(error, RpcError):
        status, name, reason = 404, "NOT_FOUND", "METHOD_NOT_FOUND"
    else:
        known = error if isinstance(error, SquadError) else BugError("an unexpected error")
        surface = surface_of(known)
        status, name, reason = surface.http, surface.grpc, known.code
    body = {
        "code": status,
        "status": name,
        "message": _words(error),
        "details": [_info(error, reason)],
    }
    return status, {"error": body}


def _row(error: BaseException) -> tuple[int, int, str, str] | None:
    return next((row for kind, row in NUMBERS.items() if isinstance(error, kind)), None)


def _words(error: BaseException) -> str:
    if not isinstance(error, SquadError):
        return "an unexpected error; see the log"
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _info(error: BaseException, reason: str) -> dict[str, Any]:
    code = error.code if isinstance(error, SquadError) else "bug"
    return {"@type": INFO, "reason": reason, "domain": DOMAIN, "metadata": {"code": code}}


def _rpc_error(id: jsonrpc.Id) -> Any:
    return lambda error: rpc_failure(id, error)


def _rest_error(error: BaseException) -> dict[str, Any]:
    return rest_failure(error)[1]


async def _streamed(
    pieces: AsyncIterator[dict[str, Any]], version: str, id: jsonrpc.Id
) -> AsyncIterator[dict[str, Any]]:
    """Return pieces as answers of JSON-RPC, in a generation's words."""
    async for piece in pieces:
        found: Any = piece
        if version == BEFORE:
            found = generations.streamed_then(piece, _still(piece))
        yield jsonrpc.result(id, found)


async def _plainly(
    pieces: AsyncIterator[dict[str, Any]], version: str
) -> AsyncIterator[dict[str, Any]]:
    """Return pieces as HTTP+JSON has them, in a generation's words."""
    async for piece in pieces:
        yield plain_then.streamed_then(piece, _still(piece)) if version == BEFORE else piece


def _still(piece: Mapping[str, Any]) -> bool:
    """Whether nothing more comes of itself after a piece."""
    status = (piece.get("statusUpdate") or piece.get("task") or {}).get("status", {})
    return status.get("state") in STILL


def _events(pieces: AsyncIterator[dict[str, Any]], failed: Any) -> HttpResponse:
    from starlette.responses import StreamingResponse

    async def written() -> AsyncIterator[bytes]:
        following: asyncio.Future[dict[str, Any]] | None = None
        try:
            while True:
                following = following or asyncio.ensure_future(anext(pieces))
                done, _ = await asyncio.wait({following}, timeout=ALIVE_S)
                if not done:
                    yield b":\n\n"
                    continue
                piece, following = following.result(), None
                yield b"data: " + jsonrpc.encode(piece) + b"\n\n"
        except StopAsyncIteration:
            return
        except SquadError as error:
            yield b"data: " + jsonrpc.encode(failed(error)) + b"\n\n"
        finally:
            if following is not None:
                following.cancel()

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(written(), media_type=EVENTS, headers=headers)


def _challenge() -> dict[str, str]:
    return {"WWW-Authenticate": 'Bearer realm="squad"'}


def _json(
    body: Any,
    status: int,
    headers: Mapping[str, str] | None = None,
    *,
    media_type: str = "application/json",
) -> HttpResponse:
    from starlette.responses import Response

    told = {"Cache-Control": "no-store", **(headers or {})}
    return Response(jsonrpc.encode(body), status, told, media_type=media_type)
