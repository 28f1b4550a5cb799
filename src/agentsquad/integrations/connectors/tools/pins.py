"""Pins: which tools were looked at, and how they were described then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agentsquad.integrations.connectors.tools.contract import (
    KIND,
    PINNED,
    Definition,
    Server,
    ToolServerMissingError,
)
from agentsquad.kernel.ports import EventStore

APPLIED = "resource.applied"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How a tool differs from what was pinned: `same`, `changed`, `added`
    (nobody pinned it) or `gone`."""

    tool: str
    change: str
    pinned: str = ""
    now: str = ""
    description: str = ""


async def server_of(store: EventStore, name: str) -> Server:
    """Return a tool server as it was applied last."""
    events = await store.read_stream(f"resource/{KIND}/{name}")
    last = events[-1] if events else None
    if last is None or last.type != APPLIED:
        raise ToolServerMissingError(
            f"no tool server {name!r}", hint="squad apply a resource of kind ToolServer"
        )
    return msgspec.convert(last.payload["resource"]["spec"], Server)


async def servers(store: EventStore) -> list[str]:
    """Return the names of all tool servers."""
    prefix = f"resource/{KIND}/"
    names = []
    for stream, _ in await store.streams(prefix):
        events = await store.read_stream(stream)
        if events[-1].type == APPLIED:
            names.append(stream.removeprefix(prefix))
    return sorted(names)


def stream_of(server: str) -> str:
    """Return the stream of a server's pins."""
    return f"tools/{server}"


async def pinned(store: EventStore, server: str) -> dict[str, Definition]:
    """Return the tools that were pinned last, by name."""
    events = await store.read_stream(stream_of(server))
    found: dict[str, Definition] = {}
    for event in events:
        if event.type == PINNED:
            found = {
                one["name"]: msgspec.convert(one, Definition) for one in event.payload["tools"]
            }
    return found


def differences(
    server: Server, before: Mapping[str, Definition], now: Iterable[Definition]
) -> list[Difference]:
    """Return how what a server offers differs from what was pinned."""
    there = {one.name: one for one in now if server.allows(one.name)}
    found = []
    for name in sorted({*before, *there}):
        old, new = before.get(name), there.get(name)
        change = "same"
        if old is None:
            change = "added"
        elif new is None:
            change = "gone"
        elif old.digest != new.digest:
            change = "changed"
        shown = new or old
        found.append(
            Difference(
                tool=name,
                change=change,
                pinned="" if old is None else old.digest,
                now="" if new is None else new.digest,
                description="" if shown is None else shown.description,
            )
        )
    return found


def kept(one: Definition) -> dict[str, Any]:
    """Return a definition as the log keeps it."""
    return {
        "name": one.name,
        "description": one.description,
        "schema": one.schema,
    }
