"""Progress: what a caller's runs write to the log while their call is under
way, told to a client that wants to hear it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from agentsquad.kernel.errors import SquadError
from agentsquad.surfaces.gateway.contract import Answer, Following, Gateway
from agentsquad.surfaces.mcp.contract import Asked


async def followed(gateway: Gateway, asked: Asked, call: Awaitable[Answer]) -> Answer:
    """Return a call's answer; where a progress token came with it, tell each
    event that the caller's runs write meanwhile."""
    meta = asked.params.get("_meta")
    token = meta.get("progressToken") if isinstance(meta, dict) else None
    if isinstance(token, bool) or not isinstance(token, str | int):
        return await call
    told = 0

    async def tell(message: str) -> None:
        nonlocal told
        told += 1
        await asked.notify(
            "notifications/progress",
            {"progressToken": token, "progress": told, "message": message},
        )

    async def watch() -> None:
        who, begun = str(asked.caller.principal.actor), set[str]()
        after = await gateway.place(asked.caller)
        await tell("begun")
        async for event in gateway.follow(asked.caller, Following(after=after)):
            root = event.stream.removeprefix("run/").partition("/")[0]
            if event.type == "run.started" and event.actor == who:
                begun.add(root)
            if event.stream.startswith("run/") and root in begun:
                await tell(f"{event.type} {event.stream.removeprefix('run/')}")

    watcher = asyncio.create_task(_quietly(watch()))
    try:
        return await call
    finally:
        await asyncio.sleep(0)
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


async def _quietly(watching: Awaitable[None]) -> None:
    """Watch as long as the caller may; the call itself does not need it."""
    with suppress(SquadError):
        await watching
