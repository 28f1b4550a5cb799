"""The action that speaks MCP over the standard streams of this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.runtime.engine.door import World
from agentsquad.surfaces.gateway.files import Scratch
from agentsquad.surfaces.mcp.channel import Channel
from agentsquad.surfaces.mcp.owner import gateway_of, owner
from agentsquad.surfaces.mcp.server import Server

DRAIN_MS = 10_000


class Streams(Protocol):
    """Lines in, messages out."""

    def lines(self) -> AsyncIterator[bytes]:
        """Return the lines that come until the other side ends."""
        ...

    async def write(self, message: Mapping[str, Any]) -> None:
        """Write one message as one line."""
        ...


class Terminals(Protocol):
    """Makes what an MCP client talks through."""

    def streams(self) -> Streams:
        """Take the standard streams."""
        ...

    def scratch(self) -> Scratch:
        """Return a folder for the files of one call."""
        ...


class ServeInput(msgspec.Struct, kw_only=True):
    """Nothing to say."""


class Served(msgspec.Struct, kw_only=True):
    """How many messages came until the client ended."""

    messages: int


@action(
    "mcp.serve",
    effect=Effect.WRITE,
    cli=("mcp",),
    examples=("squad mcp", "squad mcp --as ada"),
    local="it speaks over the standard streams of the process that starts it",
)
async def serve(ctx: Context, value: ServeInput) -> Served:
    """Serve this installation to an MCP client over standard input and output.

    Tools are actions, resources are runs, events, kinds and blobs. Everything
    is done in the name of whoever started it (--as), under the same policy.
    Ends when the client does.
    """
    world, terminals = ctx.port(World), ctx.port(Terminals)  # type: ignore[type-abstract]
    gateway = gateway_of(world, ctx.actor, terminals.scratch)
    streams = terminals.streams()
    server = Server(gateway, world.registry)
    try:
        channel = Channel(server, owner(ctx.actor), streams.write)
        return Served(messages=await channel.serve(streams.lines()))
    finally:
        await gateway.leave(DRAIN_MS)
