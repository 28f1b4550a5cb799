"""The action that serves."""

from __future__ import annotations

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.surfaces.gateway.serving import (
    ServerEnded,
    Serving,
    UpInput,
    address_of,
    refuse_in_the_open,
)


@action(
    "server.up",
    effect=Effect.WRITE,
    cli=("up",),
    examples=("squad up", "squad up --listen 0.0.0.0:8420 --tls-own"),
    local="it is the server that would be asked",
)
async def up(ctx: Context, value: UpInput) -> ServerEnded:
    """Serve this installation: REST, GraphQL, WebSocket, MCP, A2A and gRPC, and
    its runs, schedules and messages.

    The first start prints a token for the first administrator. Everything asks
    who you are. SIGTERM and SIGINT end it: calls under way may end, open runs
    go on at the next start.
    """
    address_of(value.listen)
    refuse_in_the_open(value)
    return await ctx.port(Serving).serve(value)  # type: ignore[type-abstract]
