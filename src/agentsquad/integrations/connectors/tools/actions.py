"""Actions of tools: list, pin and compare them, and call one.

There are three ways to call, by what a tool does to the world, so that each
passes the door as its effect needs it.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.integrations.connectors.tools import pins
from agentsquad.integrations.connectors.tools.contract import (
    ACTIONS,
    DRIFTED,
    PINNED,
    Definition,
    Peers,
    Result,
    ToolDriftError,
    ToolServerMissingError,
    ToolUnpinnedError,
)
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import DeniedError, InvalidError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.ports import EventStore

CALL_MS = 3_600_000


class ServersInput(msgspec.Struct, kw_only=True):
    """Of which server."""

    server: Annotated[
        str | None, Meta(description="only of this tool server", examples=["tracker"])
    ] = None


class ToolLine(msgspec.Struct, kw_only=True):
    """One pinned tool; agents name it as `tool` says."""

    tool: str
    effect: str
    digest: str
    description: str


class ToolList(msgspec.Struct, kw_only=True):
    """Tools that agents may use, and servers of which nothing is pinned."""

    items: list[ToolLine]
    unpinned: list[str] = []


@action(
    "tools.list",
    effect=Effect.READ,
    cli=("tools", "list"),
    examples=("squad tools list", "squad tools list --server tracker"),
)
async def list_tools(ctx: Context, value: ServersInput) -> ToolList:
    """List the tools of other systems that agents may use, as they were
    pinned."""
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    names = [value.server] if value.server is not None else await pins.servers(store)
    found = ToolList(items=[])
    for name in names:
        server = await pins.server_of(store, name)
        known = await pins.pinned(store, name)
        if not known:
            found.unpinned.append(name)
        found.items += [
            ToolLine(
                tool=f"{name}/{one.name}",
                effect=server.effect(one.name),
                digest=one.digest,
                description=one.description,
            )
            for one in known.values()
            if server.allows(one.name)
        ]
    return found


class ServerInput(msgspec.Struct, kw_only=True):
    """Which server."""

    server: Annotated[str, Meta(description="name of the tool server", examples=["tracker"])]


class Differences(msgspec.Struct, kw_only=True):
    """How each tool compares with what was pinned."""

    server: str
    items: list[pins.Difference]


@action(
    "tools.diff",
    effect=Effect.READ,
    cli=("tools", "diff"),
    positional=("server",),
    examples=("squad tools diff tracker",),
)
async def diff(ctx: Context, value: ServerInput) -> Differences:
    """Compare what a server says of its tools with what was pinned."""
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    server = await pins.server_of(store, value.server)
    peer = await ctx.port(Peers).connect(value.server, server)  # type: ignore[type-abstract]
    known = await pins.pinned(store, value.server)
    found = pins.differences(server, known, await peer.definitions(fresh=True))
    return Differences(server=value.server, items=found)


@action(
    "tools.pin",
    effect=Effect.WRITE,
    cli=("tools", "pin"),
    positional=("server",),
    examples=("squad tools pin tracker",),
)
async def pin(ctx: Context, value: ServerInput) -> Differences:
    """Pin the tools of a server as it describes them now; agents may use them
    from then on.

    Look at `squad tools diff` first: a description is read by models, and
    whoever writes it can try to lead them astray.
    """
    if ctx.actor.kind != "person":
        raise DeniedError("only a person pins tools", code="tools.pin")
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    server = await pins.server_of(store, value.server)
    peer = await ctx.port(Peers).connect(value.server, server)  # type: ignore[type-abstract]
    now = [one for one in await peer.definitions(fresh=True) if server.allows(one.name)]
    lacking = sorted(set(server.allow) - {one.name for one in now})
    if lacking:
        raise ToolServerMissingError(f"{value.server} has no tool {', '.join(lacking)}")
    before = await pins.pinned(store, value.server)
    found = pins.differences(server, before, now)
    if any(one.change != "same" for one in found):
        body = {"server": value.server, "tools": [pins.kept(one) for one in now]}
        stream = pins.stream_of(value.server)
        await store.append(
            [NewEvent(stream=stream, type=PINNED, payload=body, actor=str(ctx.actor))]
        )
    return Differences(server=value.server, items=found)


class CallInput(msgspec.Struct, kw_only=True):
    """Which tool, as it was pinned, with what."""

    tool: Annotated[str, Meta(description="SERVER/TOOL", examples=["tracker/search"])]
    arguments: Annotated[dict[str, Any], Meta(description="what it is given")] = {}
    digest: Annotated[
        str, Meta(description="digest it was pinned with; without it the one pinned now")
    ] = ""


@action("tools.read", effect=Effect.READ, cli=(), timeout_ms=CALL_MS)
async def read(ctx: Context, value: CallInput) -> Result:
    """Call a tool that only looks."""
    return await _call(ctx, value, "read")


@action("tools.write", effect=Effect.WRITE, cli=(), timeout_ms=CALL_MS)
async def write(ctx: Context, value: CallInput) -> Result:
    """Call a tool that changes something."""
    return await _call(ctx, value, "write")


@action("tools.commit", effect=Effect.IRREVERSIBLE, cli=(), timeout_ms=CALL_MS)
async def commit(ctx: Context, value: CallInput) -> Result:
    """Call a tool whose effect cannot be undone."""
    return await _call(ctx, value, "irreversible")


async def _call(ctx: Context, value: CallInput, effect: str) -> Result:
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    name, slash, tool = value.tool.partition("/")
    if not slash:
        raise InvalidError(f"{value.tool!r} is not SERVER/TOOL", code="tools.name")
    server = await pins.server_of(store, name)
    needed = ACTIONS[server.effect(tool)]
    if needed != ACTIONS[effect]:
        raise DeniedError(
            f"{value.tool} is called by {needed}, not by {ACTIONS[effect]}", code="tools.effect"
        )
    known = (await pins.pinned(store, name)).get(tool)
    if known is None or not server.allows(tool):
        raise ToolUnpinnedError(
            f"{value.tool} is not pinned", hint=f"squad tools diff {name}, squad tools pin {name}"
        )
    peer = await ctx.port(Peers).connect(name, server)  # type: ignore[type-abstract]
    wanted = value.digest or known.digest
    now = _named(tool, await peer.definitions())
    if now is None or now.digest != known.digest:  # perhaps it was pinned since
        now = _named(tool, await peer.definitions(fresh=True))
    if now is None or known.digest != wanted or now.digest != known.digest:
        await _drifted(ctx, store, name, known, now)
        raise ToolDriftError(
            f"{value.tool} is no longer what was pinned",
            hint=f"squad tools diff {name} shows how; squad tools pin {name} accepts it",
            details={"pinned": wanted, "now": None if now is None else now.digest},
        )
    ctx.meter(kind="tool", server=name, tool=tool)
    return await peer.call(now, value.arguments, ctx.idempotency_key)


def _named(tool: str, offered: list[Definition]) -> Definition | None:
    return next((one for one in offered if one.name == tool), None)


async def _drifted(
    ctx: Context, store: EventStore, server: str, known: Definition, now: Definition | None
) -> None:
    """Say once in the log that a tool is not what it was."""
    body = {
        "server": server,
        "tool": known.name,
        "pinned": known.digest,
        "now": None if now is None else now.digest,
        "description": None if now is None else now.description,
    }
    stream = pins.stream_of(server)
    events = await store.read_stream(stream)
    if events and events[-1].type == DRIFTED and events[-1].payload == body:
        return
    await store.append([NewEvent(stream=stream, type=DRIFTED, payload=body, actor=str(ctx.actor))])
