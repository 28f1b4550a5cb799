"""Reply: what a request is answered with, and its form as an HTTP response.

Everything that answers have in common is here: format, entity tag, conditions,
coding, and the headers that keep a browser from doing anything clever with an
answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from agentsquad.surfaces.rest.formats import Format
from agentsquad.surfaces.rest.negotiation import coded, coding_for

STRICT: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HSTS = "max-age=31536000; includeSubDomains"
# Kept by the program that asked alone, and only as long as it is asked for
# again. A browser, which comes with a cookie, keeps nothing on its disk.
READ = "private, no-cache"
NOT_KEPT = "no-store"
VARY = "Accept, Accept-Encoding, Authorization, Cookie, Squad-Namespace"
TAG_LENGTH = 24
WEAK = "W/"


class Reply(msgspec.Struct, kw_only=True):
    """What a handler answers: plain JSON in `value`, or `data` as it is.

    `revision` names the state that is shown, where something does so better
    than a digest of it. `ready` holds the value as bytes of a format, for an
    answer that is given more than once. What is `secret` is never compressed:
    beside text that others choose, its length would tell of it (BREACH).
    """

    value: Any = None
    status: int = 200
    headers: dict[str, str] = {}
    data: bytes | None = None
    media_type: str = ""
    revision: str | None = None
    secret: bool = False
    ready: dict[str, bytes] | None = None


def response_of(reply: Reply, request: Request, form: Format) -> Response:
    """Return a reply as a response to a request."""
    looked = request.method in ("GET", "HEAD")
    kept = READ if looked and "cookie" not in request.headers else NOT_KEPT
    headers = {**STRICT, "Cache-Control": kept, "Vary": VARY, **reply.headers}
    if reply.status == 204:
        return Response(None, 204, headers)
    body, media_type, name = _body(reply, form)
    coding = "" if reply.secret else coding_for(request.headers.get("accept-encoding"), len(body))
    if looked and reply.status == 200:
        tag = tag_of(
            reply.revision or (digest(body) if name == "raw" else state_of(reply.value)),
            name,
            coding,
        )
        headers["ETag"] = tag
        if matches(request.headers.get("if-none-match", ""), tag):
            return Response(None, 304, headers)
    if coding:
        body = coded(body, coding)
        headers["Content-Encoding"] = coding
    return Response(body, reply.status, headers, media_type=media_type)


def _body(reply: Reply, form: Format) -> tuple[bytes, str, str]:
    if reply.data is not None:
        return reply.data, reply.media_type or "application/octet-stream", "raw"
    if reply.ready is None:
        return form.write(reply.value), form.content_type, form.name
    if form.name not in reply.ready:
        reply.ready[form.name] = form.write(reply.value)
    return reply.ready[form.name], form.content_type, form.name


def state_of(value: Any) -> str:
    """Return what names the state shown, the same in every format."""
    return digest(msgspec.json.encode(value))


def digest(body: bytes) -> str:
    """Return a name of some bytes."""
    return hashlib.sha256(body).hexdigest()[:TAG_LENGTH]


def tag_of(revision: str, form: str, coding: str = "") -> str:
    """Return the entity tag of a state in a form: each form of a state has its
    own, since tags are of bytes."""
    return '"' + ".".join(part for part in (revision, form, coding) if part) + '"'


def tags_in(header: str) -> list[str]:
    """Return the entity tags that a condition lists, without `W/`."""
    return [part.strip().removeprefix(WEAK) for part in header.split(",") if part.strip()]


def revision_in(tag: str) -> str:
    """Return the state an entity tag is of, whatever its form."""
    return tag.strip('"').partition(".")[0]


def matches(header: str, tag: str) -> bool:
    """Whether a condition names this tag, or anything."""
    if not header:
        return False
    found = tags_in(header)
    return "*" in found or tag in found
