"""Auth: what pages and endpoints of signing in have in common.

They stand on identity, not on the gateway's calls: who signs in is nobody yet.
The shield sees each request before anything else does.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from agentsquad.kernel.errors import UnauthenticatedError
from agentsquad.surfaces.gateway import http
from agentsquad.surfaces.gateway.contract import SYSTEM_NAMESPACE, Caller
from agentsquad.surfaces.rest import formats
from agentsquad.surfaces.rest.asked import SURFACE, Asked
from agentsquad.surfaces.rest.contract import BodyError, HttpError
from agentsquad.surfaces.rest.reply import STRICT
from agentsquad.trust.identity.contract import Party, Shown, Visit

FORM = "application/x-www-form-urlencoded"
HTML = "text/html; charset=utf-8"
FIELDS_MAX = 50
BODY_MAX = 64 * 1024
CLEARED = '"cache", "storage"'
NEVER = {"Cache-Control": "no-store", "Pragma": "no-cache"}
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)


class CrossSiteError(HttpError):
    """Another site's page sent this."""

    code = "rest.cross_site"
    status = 403


def form_of(asked: Asked) -> dict[str, str]:
    """Return the fields of a form, or of a JSON object."""
    content_type = asked.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == FORM:
        try:
            pairs = parse_qsl(
                asked.body.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_MAX
            )
        except (UnicodeDecodeError, ValueError):
            raise BodyError("not a form", hint=f"send {FORM} in UTF-8") from None
        return once(pairs)
    found = formats.loads(asked.body, content_type, depth_max=8) or {}
    if not isinstance(found, dict):
        raise BodyError("the body is not an object")
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in found.items()
    }


def once(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return fields that are each there once; of two, one could be what was
    looked at and the other what counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BodyError("a field of the form is there twice", hint="send each once")
    return found


def as_json(request: Request) -> bool:
    """Whether a program asks, not a person's browser."""
    return "text/html" not in request.headers.get("accept", "")


def same_site(request: Request) -> None:
    """Refuse what a page of another site had a browser send."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site in ("cross-site", "same-site"):
        raise CrossSiteError
    if origin is not None and origin != "null":
        parts = _split(origin)
        if parts is None or parts.netloc != _host(request):
            raise CrossSiteError
    if origin == "null" and site not in ("same-origin", "none"):
        raise CrossSiteError


def _split(address: str) -> SplitResult | None:
    """Return the parts of an address; None where it is none."""
    try:
        return urlsplit(address)
    except ValueError:  # brackets that do not close, and the like
        return None


def _host(request: Request) -> str:
    return request.headers.get("host", "")


def origin_of(request: Request) -> str:
    """Return where this server is reached, as the request says."""
    return f"{request.scope.get('scheme', 'http')}://{_host(request)}"


def visit_of(request: Request) -> Visit:
    """Return where somebody signs in from."""
    try:
        host = request.url.hostname or "localhost"
    except ValueError:
        raise HttpError("Host names nothing", hint="e.g. Host: squad.example") from None
    return Visit(
        address=http.address_of(request),
        agent=request.headers.get("user-agent", "")[:200],
        previous=session_of(request),
        party=Party(id=host, origins=(origin_of(request),)),
    )


def cookie_name(request: Request) -> str:
    """Return the session's cookie: the prefix has browsers insist on TLS."""
    secure = request.scope.get("scheme") == "https"
    return http.SESSION_COOKIES[0] if secure else http.SESSION_COOKIES[1]


def session_of(request: Request) -> str | None:
    """Return the value of the session's cookie."""
    return request.cookies.get(cookie_name(request))


def give_cookie(request: Request, response: Response, value: str) -> None:
    """Have the browser keep a session; scripts never see it."""
    response.set_cookie(
        cookie_name(request),
        value,
        path="/",
        secure=request.scope.get("scheme") == "https",
        httponly=True,
        samesite="lax",
    )


def take_cookie(request: Request, response: Response) -> None:
    """Have the browser forget a session, and what it kept of it."""
    response.headers["Clear-Site-Data"] = CLEARED
    response.delete_cookie(
        cookie_name(request),
        path="/",
        secure=request.scope.get("scheme") == "https",
        httponly=True,
        samesite="lax",
    )


async def screened(asked: Asked) -> None:
    """Let the shield see a request of nobody."""
    request = asked.request
    hit = http.hit_by(request, SURFACE, route=asked.template, body=b"")
    try:
        await asked.gateway.enter(
            hit, Shown(address=http.address_of(request)), namespace=SYSTEM_NAMESPACE
        )
    except UnauthenticatedError:
        return


async def signed_in(asked: Asked, csrf: str | None = None) -> Caller:
    """Return who is signed in by the session of a browser; a form gives its
    CSRF token."""
    request = asked.request
    changes = request.method not in http.SAFE
    shown = Shown(
        session=session_of(request),
        csrf=csrf or request.headers.get(http.CSRF_HEADER),
        changes=changes,
        address=http.address_of(request),
    )
    hit = http.hit_by(request, SURFACE, route=asked.template)
    return await asked.gateway.enter(hit, shown, namespace=SYSTEM_NAMESPACE)


def here(place: str) -> str:
    """Return where to go on afterwards: an address of this server, whatever
    was asked."""
    parts = _split(place)
    if parts is None:
        return "/login"
    fine = place.startswith("/") and not place.startswith(("//", "/\\"))
    plain = not parts.scheme and not parts.netloc and "\\" not in place
    return place if fine and plain and place.isprintable() else "/login"


def shown_page(text: str, status: int = 200, *, policy: str = POLICY) -> Response:
    """Return a page."""
    headers = {**STRICT, **NEVER, "Content-Security-Policy": policy}
    return Response(text, status, headers, media_type=HTML)


def told(value: Mapping[str, Any] | msgspec.Struct, status: int = 200) -> Response:
    """Return JSON that is kept by nobody."""
    return Response(msgspec.json.encode(value), status, dict(NEVER), media_type="application/json")


def gone_to(place: str) -> Response:
    """Send a browser on, with what it posted left behind."""
    return RedirectResponse(place, 303, dict(NEVER))


def basic_of(request: Request) -> tuple[str, str] | None:
    """Return name and password of `Authorization: Basic`, if there is one."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return (name, password) if colon else None
