"""Handshake: who opens a WebSocket, by a header, a subprotocol, a cookie of our
own pages, or a first message.

A page of another site can open a WebSocket that carries our cookie, so a cookie
counts only where the page's origin is this server.
"""

from __future__ import annotations

import msgspec
from starlette.websockets import WebSocket

from agentsquad.surfaces.gateway.contract import DEFAULT_NAMESPACE, Caller, Gateway
from agentsquad.surfaces.gateway.http import NAMESPACE_HEADER, hit_by, shown_by
from agentsquad.surfaces.websocket.contract import BEARER, PROTOCOL, Hello
from agentsquad.trust.identity.contract import Shown

SURFACE = "websocket"
ROUTE = "/ws"


class Handshake:
    """What the request of a WebSocket says."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        offered: list[str] = websocket.scope.get("subprotocols") or []
        self.protocol = PROTOCOL if PROTOCOL in offered else None
        self._shown = _shown(websocket, offered)

    @property
    def says_who(self) -> bool:
        """Whether it shows anything of who asks."""
        return self._shown.bearer is not None or self._shown.session is not None

    async def enter(self, gateway: Gateway) -> Caller:
        """Return who opened it."""
        return await self._enter(gateway, self._shown, "")

    async def greet(self, gateway: Gateway, hello: Hello) -> Caller:
        """Return who says hello."""
        shown = Shown(bearer=hello.token, address=self._shown.address)
        return await self._enter(gateway, shown, hello.namespace)

    async def _enter(self, gateway: Gateway, shown: Shown, namespace: str) -> Caller:
        websocket = self._websocket
        return await gateway.enter(
            hit_by(websocket, SURFACE, route=ROUTE),
            shown,
            namespace=namespace
            or websocket.headers.get(NAMESPACE_HEADER)
            or websocket.query_params.get("namespace")
            or DEFAULT_NAMESPACE,
            trace=websocket.headers.get("traceparent", ""),
        )


def _shown(websocket: WebSocket, offered: list[str]) -> Shown:
    shown = shown_by(websocket)
    if shown.bearer is None:
        found = next((one for one in offered if one.startswith(BEARER)), None)
        if found is not None:
            shown = msgspec.structs.replace(shown, bearer=found.removeprefix(BEARER))
    if shown.session is not None and not _of_this_server(websocket):
        shown = msgspec.structs.replace(shown, session=None)
    return msgspec.structs.replace(shown, changes=False)


def _of_this_server(websocket: WebSocket) -> bool:
    """Whether a page of this server asks, and no other site's."""
    origin = websocket.headers.get("origin")
    scheme = "https" if websocket.url.scheme == "wss" else "http"
    return origin is not None and origin == f"{scheme}://{websocket.headers.get('host', '')}"
