"""GraphQL over HTTP (the GraphQL Foundation's specification): GET for queries,
POST for all, results as `application/graphql-response+json`, subscriptions as
server-sent events (the distinct connections mode of graphql-sse)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from graphql import OperationType
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse

from agentsquad.kernel.errors import InvalidError, LimitError, SquadError
from agentsquad.surfaces.gateway.contract import Gateway
from agentsquad.surfaces.gateway.http import KEY_HEADER, enter, problem
from agentsquad.surfaces.graphql.contract import SURFACE, Asked
from agentsquad.surfaces.graphql.execution import (
    Executor,
    RefusedError,
    Request,
    formatted_error,
)

ANSWER, PLAIN, EVENTS = (
    "application/graphql-response+json",
    "application/json",
    "text/event-stream",
)
HEARTBEAT_S = 15
NO_STORE = {"Cache-Control": "no-store", "Vary": "Accept"}
PARAMETERS = ("query", "operationName", "variables", "extensions")


class Endpoint:
    """The endpoint `/graphql`."""

    def __init__(self, gateway: Gateway, executor: Executor) -> None:
        self._gateway = gateway
        self._executor = executor

    async def __call__(self, request: HttpRequest) -> Response:
        """Answer one request."""
        media = chosen(request.headers.get("accept"))
        if media is None:
            return _plain(406, f"accept {ANSWER}, {PLAIN} or {EVENTS}")
        try:
            body = await self._body(request)
            caller = await enter(self._gateway, request, SURFACE, route="/graphql", body=body)
            asked = Asked(self._gateway, caller, request.headers.get(KEY_HEADER))
            return await self._answer(request, body, asked, media)
        except RefusedError as error:
            told = {"errors": [formatted_error(one) for one in error.errors]}
            return _json(told, 200 if media == PLAIN else 400, media)
        except SquadError as error:
            return problem(error)

    async def _answer(
        self, request: HttpRequest, body: bytes, asked: Asked, media: str
    ) -> Response:
        prepared = self._executor.prepare(_request(request, body))
        if request.method == "GET" and prepared.kind is OperationType.MUTATION:
            return _plain(405, "a mutation is sent by POST", {"Allow": "POST"})
        if prepared.kind is OperationType.SUBSCRIPTION:
            if media != EVENTS:
                return _plain(406, f"a subscription is answered as {EVENTS}, or over WebSocket")
            return _events(self._executor.stream(prepared, asked))
        result = await self._executor.run(prepared, asked)
        if media == EVENTS:
            return _events(_only(result))
        status = 200 if media == PLAIN or result.get("data") is not None else 400
        return _json(result, status, media)

    async def _body(self, request: HttpRequest) -> bytes:
        if request.method == "GET":
            return b""
        most = self._executor.limits.body
        found = bytearray()
        async for chunk in request.stream():
            found += chunk
            if len(found) > most:
                raise LimitError(f"a request has at most {most} bytes", code="graphql.body")
        return bytes(found)


def _request(request: HttpRequest, body: bytes) -> Request:
    """Read what was sent; InvalidError says what does not fit."""
    if request.method == "GET":
        given: dict[str, Any] = {
            name: request.query_params[name] for name in PARAMETERS if name in request.query_params
        }
        for name in ("variables", "extensions"):
            if name in given:
                given[name] = _decoded(given[name].encode(), dict[str, Any] | None)
        return read(given)
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == "application/graphql":
        return Request(query=body.decode(errors="replace"))
    if media != PLAIN:
        raise UnreadableError(f"{media or 'no content type'} is not read; send {PLAIN}")
    found: Request = _decoded(body, Request)
    return found


class UnreadableError(InvalidError):
    """The request is not one of GraphQL over HTTP."""

    code = "graphql.request"


def _decoded(data: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(f"the request cannot be read: {error}") from None


def read(given: Any) -> Request:
    """Return plain JSON as a request."""
    try:
        return msgspec.convert(given, Request)
    except msgspec.ValidationError as error:
        raise UnreadableError(f"the request cannot be read: {error}") from None


def chosen(accept: str | None) -> str | None:
    """Return how a client wants its answer, of those we have; None where it
    takes none of them."""
    if not accept:
        return PLAIN
    wanted: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept.split(",")):
        media, *parameters = (one.strip().lower() for one in part.split(";"))
        quality = 1.0
        for one in parameters:
            name, _, value = one.partition("=")
            if name.strip() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        found = {"*/*": PLAIN, "application/*": ANSWER, "text/*": EVENTS}.get(media, media)
        if quality > 0 and found in (ANSWER, PLAIN, EVENTS):
            wanted.append((-quality, place, found))
    return min(wanted)[2] if wanted else None


def _json(body: Any, status: int, media: str) -> Response:
    data = msgspec.json.encode(body)
    return Response(data, status, NO_STORE, f"{media}; charset=utf-8")


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    body = {"errors": [{"message": text}]}
    return Response(
        msgspec.json.encode(body),
        status,
        {**NO_STORE, **(headers or {})},
        f"{PLAIN}; charset=utf-8",
    )


async def _only(result: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    yield result


def _events(results: AsyncIterator[dict[str, Any]]) -> Response:
    return StreamingResponse(_sent(results), headers=NO_STORE, media_type=EVENTS)


async def _sent(results: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Return results as events, with a sign of life where none come."""
    coming = asyncio.ensure_future(anext(results, None))
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=HEARTBEAT_S)
            if not done:
                yield b":\n\n"
                continue
            result = coming.result()
            if result is None:
                break
            yield b"event: next\ndata: " + msgspec.json.encode(result) + b"\n\n"
            coming = asyncio.ensure_future(anext(results, None))
        yield b"event: complete\ndata:\n\n"
    finally:
        coming.cancel()
