"""The routes of GraphQL: one path for HTTP and WebSocket, one for the
subgraph's document."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.registry import Registry
from agentsquad.surfaces.gateway.contract import Gateway
from agentsquad.surfaces.gateway.http import enter, problem
from agentsquad.surfaces.graphql.contract import SURFACE, Limits
from agentsquad.surfaces.graphql.execution import Executor
from agentsquad.surfaces.graphql.http import Endpoint
from agentsquad.surfaces.graphql.schema import build, document
from agentsquad.surfaces.graphql.socket import Socket

PATH = "/graphql"


def routes(gateway: Gateway, registry: Registry, limits: Limits | None = None) -> list[BaseRoute]:
    """Return `/graphql`, for HTTP and WebSocket, and `/graphql/schema`."""
    executor = Executor(build(gateway, registry), limits or Limits())
    endpoint = Endpoint(gateway, executor)

    async def answer(request: Request) -> Response:
        return await endpoint(request)

    async def schema(request: Request) -> Response:
        try:
            await enter(gateway, request, SURFACE, route=request.url.path)
        except SquadError as error:
            return problem(error)
        if not executor.limits.introspection:
            return PlainTextResponse("the schema is not shown here\n", 404)
        return PlainTextResponse(document(gateway, registry))

    return [
        Route(PATH, answer, methods=["GET", "POST"]),
        Route(f"{PATH}/schema", schema),
        WebSocketRoute(PATH, Socket(gateway, executor).serve),
    ]
