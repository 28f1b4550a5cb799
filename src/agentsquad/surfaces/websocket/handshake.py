"""Handshake: who opens a WebSocket, by a header, a subprotocol, a cookie of our
own pages, or a first message.

A cookie counts only where the page's origin is this server, as for every
WebSocket (`shown_by`).
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
    return msgspec.structs.replace(shown, changes=False)
