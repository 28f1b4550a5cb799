"""Channel: one connection over which messages go both ways, as over the
standard streams.

Several requests may be under way at once. Either side may end: when the
channel's reading ends, what is under way is let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from agentsquad.kernel import jsonrpc
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.jsonrpc import PARAMS, Id, Notification, Request, Response, RpcError
from agentsquad.surfaces.gateway.contract import Caller
from agentsquad.surfaces.mcp.contract import (
    BEFORE,
    SUBSCRIPTION_KEY,
    VERSION_KEY,
    Asked,
    Send,
)
from agentsquad.surfaces.mcp.request import asked_now
from agentsquad.surfaces.mcp.server import Server
from agentsquad.surfaces.mcp.session import Session
from agentsquad.surfaces.mcp.watching import notifications, wanted

UNDER_WAY_MAX = 64
CONCLUDE_S = 10.0  # how long answers may take once nothing more is asked


class Channel:
    """One client at the other end; both kinds of revisions may be spoken."""

    def __init__(self, server: Server, caller: Caller, write: Send) -> None:
        self._server = server
        self._caller = caller
        self._write = write
        self._session: Session | None = None
        self._tasks: dict[Id, asyncio.Task[None]] = {}
        self._listening: set[Id] = set()

    @property
    def under_way(self) -> list[asyncio.Task[None]]:
        """What is being answered."""
        return list(self._tasks.values())

    async def serve(self, lines: AsyncIterator[bytes]) -> int:
        """Answer what is read until nothing more comes; return how many
        messages came."""
        came = 0
        try:
            async for line in lines:
                if line.strip():
                    came += 1
                    await self.take(line)
            await self._concluded()
        finally:
            await self.close()
        return came

    async def _concluded(self) -> None:
        """Let what was asked be answered; who listens would do so for ever."""
        asked = [task for id, task in self._tasks.items() if id not in self._listening]
        if asked:
            await asyncio.wait(asked, timeout=CONCLUDE_S)

    async def close(self) -> None:
        """Let go of everything under way."""
        if self._session is not None:
            await self._session.close()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def take(self, line: bytes) -> None:
        """Take one message."""
        try:
            message = jsonrpc.read(line)
        except RpcError as error:
            await self._write(jsonrpc.failure(error.id, error, null=error.id is None))
            return
        if isinstance(message, Notification):
            self._told(message)
        elif isinstance(message, Response):
            if self._session is not None:
                self._session.answered(message)
        elif message.id in self._tasks or len(self._tasks) >= UNDER_WAY_MAX:
            why = RpcError("that id is under way, or too much is", id=message.id)
            await self._write(jsonrpc.failure(message.id, why))
        else:
            task = asyncio.create_task(self._answer(message))
            self._tasks[message.id] = task
            task.add_done_callback(lambda _: self._tasks.pop(message.id, None))

    def _told(self, message: Notification) -> None:
        if message.method == "notifications/cancelled":
            task = self._tasks.get(message.params.get("requestId"))  # type: ignore[arg-type]
            if task is not None:
                task.cancel()

    async def _answer(self, message: Request) -> None:
        try:
            result = await self._result(message)
        except asyncio.CancelledError:
            return  # nothing is said of what was cancelled
        except SquadError as error:
            await self._write(jsonrpc.failure(message.id, error))
        except Exception as error:  # noqa: BLE001 - our bug; the client still gets an answer
            await self._write(jsonrpc.failure(message.id, error))
        else:
            await self._write(jsonrpc.result(message.id, result))

    async def _result(self, message: Request) -> dict[str, Any]:
        if message.method == "initialize":
            return await self._initialize(message)
        if self._session is not None and not _current(message):
            return await self._session.result(message, self._caller, self._write)
        asked = asked_now(message, self._caller, self._notify)
        if message.method == "subscriptions/listen":
            self._listening.add(asked.id)
            try:
                return await self._listen(asked)
            finally:
                self._listening.discard(asked.id)
        return await self._server.answer(asked)

    async def _initialize(self, message: Request) -> dict[str, Any]:
        if self._session is not None:
            raise RpcError("this connection is initialized already", id=message.id)
        body = self._server.initialized(message.params.get("protocolVersion"))
        can = message.params.get("capabilities", {})
        if not isinstance(can, dict):
            raise RpcError("expected capabilities to be an object", number=PARAMS)
        self._session = Session(self._server, body["protocolVersion"], can, self._write)
        return body

    async def _notify(self, method: str, params: Mapping[str, Any]) -> None:
        await self._write(jsonrpc.notification(method, params))

    async def _listen(self, asked: Asked) -> dict[str, Any]:
        which, mark = wanted(asked.params), {SUBSCRIPTION_KEY: asked.id}
        gateway = self._server.gateway
        after = await gateway.place(self._caller)
        await self._notify(
            "notifications/subscriptions/acknowledged",
            {"_meta": mark, "notifications": which.plain()},
        )
        with suppress(SquadError):
            async for method, params in notifications(gateway, self._caller, lambda: which, after):
                await self._notify(method, {**params, "_meta": mark})
        return self._server.finished(asked, {"_meta": mark})


def _current(message: Request) -> bool:
    """Whether a request says by itself which revision it is of."""
    meta = message.params.get("_meta")
    return isinstance(meta, dict) and meta.get(VERSION_KEY) not in (None, *BEFORE)
