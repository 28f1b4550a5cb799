"""Endpoint: one address, its methods, and everything that goes wrong there.

An ASGI application of its own, so that whatever mounts it answers errors,
HEAD, OPTIONS and methods that are not possible in the same way everywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from agentsquad.kernel.errors import BugError, SquadError, record
from agentsquad.surfaces.gateway import http
from agentsquad.surfaces.gateway.contract import Gateway
from agentsquad.surfaces.rest.asked import Asked
from agentsquad.surfaces.rest.contract import (
    MethodError,
    Options,
    PathMissingError,
    status_of,
)
from agentsquad.surfaces.rest.negotiation import format_for
from agentsquad.surfaces.rest.reply import HSTS, STRICT, Reply, response_of

Handler = Callable[[Asked], Awaitable[Reply | Response]]
LOG = logging.getLogger("agentsquad.rest")
CORS_HEADERS = (
    "Authorization, Content-Type, Accept, Idempotency-Key, If-Match, If-None-Match, Prefer, "
    "Squad-Namespace, Last-Event-ID"
)
CORS_SHOWN = "ETag, Location, Link, Retry-After, Idempotency-Replayed, Preference-Applied"
UNNEGOTIATED = (
    "text/event-stream",
    "application/x-ndjson",
    "application/octet-stream",
    "application/zip",
    "application/samlmetadata+xml",
    "text/html",
    "text/css",
)


class Endpoint:
    """One address; `public` may be seen by anybody, `secret` is never
    compressed."""

    def __init__(
        self,
        gateway: Gateway,
        options: Options,
        template: str,
        handlers: Mapping[str, Handler],
        *,
        body_max: int | None = None,
    ) -> None:
        self._gateway = gateway
        self._options = options
        self.path = template  # as routers call it, for measures and logs
        self._template = template
        self._handlers = dict(handlers)
        self._body_max = options.body_max if body_max is None else body_max
        methods = {*handlers, "OPTIONS", *(("HEAD",) if "GET" in handlers else ())}
        self.methods = tuple(sorted(methods))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Asking(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        except SquadError as error:
            if isinstance(error, BugError):
                LOG.error("%s %s: %s", request.method, self._template, error.message)
            response = failed(error)
        except Exception as error:
            LOG.exception("%s %s", request.method, self._template)
            response = failed(error)
        self._harden(request, response)
        await response(scope, receive, _bodiless(send) if request.method == "HEAD" else send)

    async def _answer(self, request: Request) -> Response:
        method = request.method
        if method == "OPTIONS":
            return self._options_of(request)
        handler = self._handlers.get("GET" if method == "HEAD" else method)
        if handler is None:
            raise MethodError(method, self.methods)
        accept = request.headers.get("accept")
        raw = accept is not None and any(one in accept for one in UNNEGOTIATED)
        form = format_for(None if raw else accept)
        asked = Asked(self._gateway, self._options, request, self._template)
        await asked.read(self._body_max if method not in ("GET", "HEAD") else 0xFFFF)
        reply = await handler(asked)
        return reply if isinstance(reply, Response) else response_of(reply, request, form)

    def _options_of(self, request: Request) -> Response:
        allowed = ", ".join(self.methods)
        headers = {"Allow": allowed}
        if self._may_cross(request):
            headers["Access-Control-Allow-Methods"] = allowed
            headers["Access-Control-Allow-Headers"] = CORS_HEADERS
            headers["Access-Control-Max-Age"] = "600"
        return Response(None, 204, headers)

    def _may_cross(self, request: Request) -> bool:
        return request.headers.get("origin", "") in self._options.cors_origins

    def _harden(self, request: Request, response: Response) -> None:
        headers = response.headers
        if "referrer-policy" not in headers:  # not made from a Reply
            for name, value in STRICT.items():
                headers.setdefault(name, value)
        if request.scope.get("scheme") == "https":
            headers["Strict-Transport-Security"] = HSTS
        if self._options.cors_origins:
            headers.add_vary_header("Origin")
            if self._may_cross(request):
                headers["Access-Control-Allow-Origin"] = request.headers["origin"]
                headers["Access-Control-Expose-Headers"] = CORS_SHOWN


def failed(error: BaseException) -> Response:
    """Return an error as a problem (RFC 9457)."""
    response = http.problem(error)
    if isinstance(error, SquadError):
        status, body = status_of(error), http.problem_of(error)[1]
        body = {**body, "status": status, "class": record(error)["class"]}
        headers = dict(response.headers)
        del headers["content-length"]
        response = Response(msgspec.json.encode(body), status, headers)
    if isinstance(error, MethodError):
        response.headers["Allow"] = ", ".join(error.allowed)
    return response


def _bodiless(send: Send) -> Send:
    """Send what a GET would have been answered with, without its body."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return sent


class QuickHeaders(Headers):
    """Headers of a request, found by name without a look at each of them; of
    those that are there twice the first counts."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(raw=scope["headers"])
        self._first: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in reversed(scope["headers"])
        }

    def __getitem__(self, key: str) -> str:
        return self._first[key.lower()]

    def get(self, key: str, default: Any = None) -> Any:
        """Return a header, or what stands in for it."""
        return self._first.get(key.lower(), default)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._first


class Asking(Request):
    """A request whose headers are read often."""

    @property
    def headers(self) -> Headers:
        """Its headers."""
        if not hasattr(self, "_headers"):
            self._headers = QuickHeaders(self.scope)
        return self._headers


async def nothing_here(asked: Asked) -> Reply:
    """Say that there is nothing at an address."""
    raise PathMissingError(
        f"nothing is at {asked.request.url.path[:200]}",
        hint="GET /openapi.json lists what there is",
    )


class Elsewhere:
    """Every address that is none: with a slash too many it leads to the one
    without."""

    def __init__(self, gateway: Gateway, options: Options) -> None:
        self._inner = Endpoint(
            gateway,
            options,
            "/v1/…",
            dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), nothing_here),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        if path.endswith("/") and not path.endswith("//") and len(path) > 1:
            url = Request(scope).url
            target = url.replace(path=url.path.rstrip("/"))
            place = target.path + (f"?{target.query}" if target.query else "")
            await RedirectResponse(place, 308)(scope, receive, send)
            return
        await self._inner(scope, receive, send)
