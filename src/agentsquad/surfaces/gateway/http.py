"""HTTP as every surface on it reads it: who asks, from where, and how an error
looks.

One reading of headers for REST, GraphQL, MCP, A2A and WebSocket, so that none
of them lets in what another keeps out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agentsquad.kernel.errors import BugError, SquadError, UnauthenticatedError, surface_of
from agentsquad.surfaces.gateway.contract import DEFAULT_NAMESPACE, Caller, Gateway
from agentsquad.trust.identity.contract import Shown
from agentsquad.trust.threats.contract import Hit

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.responses import Response

NAMESPACE_HEADER = "squad-namespace"
CSRF_HEADER = "squad-csrf"
KEY_HEADER = "idempotency-key"
# The first needs TLS, by the rules for the prefix; the second is for plain
# HTTP on loopback.
SESSION_COOKIES = ("__Host-squad", "squad")
SAFE = ("GET", "HEAD", "OPTIONS")
PROBLEM = "application/problem+json"
PROBLEM_TYPE = "https://agentsquad.dev/errors/"


def shown_by(request: HTTPConnection) -> Shown:
    """Return what a request shows of who asks."""
    headers = request.headers
    scheme, _, value = headers.get("authorization", "").partition(" ")
    bearer = value.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")
    cookies = request.cookies if "cookie" in headers and _may_bring_cookies(request) else {}
    return Shown(
        bearer=bearer or None,
        session=next((cookies[name] for name in SESSION_COOKIES if name in cookies), None),
        csrf=headers.get(CSRF_HEADER),
        changes=request.scope.get("method", "GET") not in SAFE,
        address=address_of(request),
    )


def _may_bring_cookies(request: HTTPConnection) -> bool:
    """Whether cookies count: a page of another site can open a WebSocket that
    carries ours, and no token of a form could be asked for there, so they count
    only where the page's origin is this server."""
    if request.scope["type"] != "websocket":
        return True
    scheme = "https" if request.url.scheme == "wss" else "http"
    return request.headers.get("origin") == f"{scheme}://{request.headers.get('host', '')}"


def address_of(request: HTTPConnection) -> str:
    """Return the address of the other side, as the server saw it; a header
    never says so."""
    return request.client.host if request.client is not None else ""


def hit_by(request: HTTPConnection, surface: str, *, route: str = "", body: bytes = b"") -> Hit:
    """Return a request as a shield sees it."""
    scope = request.scope
    return Hit(
        surface=surface,
        method=scope.get("method", "GET"),
        path=scope["path"],
        route=route,
        query=scope.get("query_string", b"").decode("latin-1"),
        headers={k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]},
        body=body,
        address=address_of(request),
    )


async def enter(
    gateway: Gateway,
    request: HTTPConnection,
    surface: str,
    *,
    namespace: str | None = None,
    route: str = "",
    body: bytes = b"",
) -> Caller:
    """Return who asks, in the namespace of the path, or of the header
    `Squad-Namespace`, or the default one."""
    return await gateway.enter(
        hit_by(request, surface, route=route, body=body),
        shown_by(request),
        namespace=namespace or request.headers.get(NAMESPACE_HEADER) or DEFAULT_NAMESPACE,
        trace=request.headers.get("traceparent", ""),
    )


def problem_of(error: BaseException) -> tuple[int, dict[str, Any]]:
    """Return the status and the body (RFC 9457) of an error; what is not ours
    is our bug, and says nothing of what it was."""
    known = error if isinstance(error, SquadError) else BugError("an unexpected error; see the log")
    status = surface_of(known).http
    body = {
        "type": PROBLEM_TYPE + known.code,
        "title": " ".join((type(known).__doc__ or "").split("\n\n")[0].split()),
        "status": status,
        "detail": known.message,
        **{name: value for name, value in known.to_dict().items() if name != "message"},
    }
    return status, body


def problem(error: BaseException) -> Response:
    """Return an error as a response."""
    from starlette.responses import Response

    status, body = problem_of(error)
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = 'Bearer realm="squad"'
    if isinstance(error, SquadError) and error.retry_after_ms is not None:
        headers["Retry-After"] = str(max(1, -(-error.retry_after_ms // 1000)))
    return Response(msgspec.json.encode(body), status, headers, media_type=PROBLEM)
