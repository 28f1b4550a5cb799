"""The proxy as a mounted part of a Starlette application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Mount

from agentsquad.integrations.proxy.asgi import ProxyApp
from agentsquad.integrations.proxy.contract import Answerer
from agentsquad.integrations.proxy.doors import as_bearer

Chosen = Callable[[HTTPConnection], Awaitable[Answerer]]


def mounted(path: str, chosen: Chosen) -> list[BaseRoute]:
    """Return the routes of the proxy below a path; `chosen` returns who answers
    a connection, or raises what keeps it out. The key that Anthropic's clients
    show is found where every other client's is."""

    async def choose(scope: Any, headers: Mapping[str, str]) -> Answerer:
        named = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in as_bearer(headers).items()
        ]
        return await chosen(HTTPConnection({**scope, "headers": named}))

    return [Mount(path, app=ProxyApp(choose))]
