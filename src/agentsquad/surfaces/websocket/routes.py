"""Routes: where the WebSocket is, and where it is described."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from agentsquad.kernel.ports import Clock
from agentsquad.surfaces.gateway.contract import Gateway
from agentsquad.surfaces.websocket.asyncapi import document
from agentsquad.surfaces.websocket.connection import Connection
from agentsquad.surfaces.websocket.contract import Limits
from agentsquad.surfaces.websocket.crowd import Crowd
from agentsquad.surfaces.websocket.handshake import ROUTE


def routes(gateway: Gateway, *, clock: Clock, limits: Limits | None = None) -> list[BaseRoute]:
    """Return `/ws` and `/asyncapi.json`."""
    crowd = Crowd(gateway, clock, limits or Limits())

    async def serve(websocket: WebSocket) -> None:
        await Connection(websocket, crowd).serve()

    async def describe(request: Request) -> Response:
        scheme = "wss" if request.url.scheme == "https" else "ws"
        host = request.headers.get("host", "")
        return Response(
            msgspec.json.encode(document(f"{scheme}", host)), media_type="application/json"
        )

    return [WebSocketRoute(ROUTE, serve), Route("/asyncapi.json", describe)]
