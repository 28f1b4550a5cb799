"""Page: the description of REST for programs and for people.

`/openapi.json` and `/openapi.yaml` are the description; `/docs` reads it in the
browser and lets one try it. The page loads nothing from anywhere else and runs
nothing that did not come with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute, Route

from agentsquad.surfaces.gateway.contract import Gateway
from agentsquad.surfaces.rest.asked import Asked
from agentsquad.surfaces.rest.contract import Options
from agentsquad.surfaces.rest.endpoint import Endpoint, Handler
from agentsquad.surfaces.rest.formats import JSON, YAML
from agentsquad.surfaces.rest.openapi import encoded
from agentsquad.surfaces.rest.reply import Reply

STATIC = Path(__file__).with_name("static")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PUBLIC = "public, no-cache"
FILES = {
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
    "/docs/docs.css": ("docs.css", "text/css; charset=utf-8"),
}

SIGN_IN = {
    "/login/sign-in.css": ("sign-in.css", "text/css; charset=utf-8"),
    "/login/sign-in.js": ("sign-in.js", "text/javascript; charset=utf-8"),
    "/account/account.css": ("account.css", "text/css; charset=utf-8"),
    "/account/account.js": ("account.js", "text/javascript; charset=utf-8"),
}


def asset_routes(gateway: Gateway, options: Options) -> list[BaseRoute]:
    """Return what the pages of signing in load."""
    return [
        _route(gateway, options, path, _file(name, media_type))
        for path, (name, media_type) in SIGN_IN.items()
    ]


def page_routes(
    gateway: Gateway, options: Options, document: Callable[[], Mapping[str, Any]]
) -> list[BaseRoute]:
    """Return the addresses of the description and of its page; it is written
    when it is first asked for."""
    made = cache(document)
    as_json, as_yaml = cache(lambda: encoded(made())), cache(lambda: YAML.write(made()))
    found: list[BaseRoute] = [
        _route(gateway, options, "/openapi.json", _given(as_json, JSON.media_types[0])),
        _route(gateway, options, "/openapi.yaml", _given(as_yaml, YAML.media_types[0])),
    ]
    for path, (name, media_type) in FILES.items():
        found.append(_route(gateway, options, path, _file(name, media_type)))
    return found


def _route(gateway: Gateway, options: Options, path: str, handler: Handler) -> Route:
    return Route(path, Endpoint(gateway, options, path, {"GET": handler}), include_in_schema=False)


def _file(name: str, media_type: str) -> Handler:
    data = (STATIC / name).read_bytes()
    return _given(lambda: data, media_type)


def _given(data: Callable[[], bytes], media_type: str) -> Handler:
    headers = {"Cache-Control": PUBLIC, "Content-Security-Policy": POLICY}

    async def give(asked: Asked) -> Reply:
        return Reply(data=data(), media_type=media_type, headers=dict(headers))

    return give
