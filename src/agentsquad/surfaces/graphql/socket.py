"""GraphQL over WebSocket: the protocol `graphql-transport-ws`, with its close
codes."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from graphql import OperationType
from starlette.websockets import WebSocket, WebSocketDisconnect

from agentsquad.kernel.errors import SquadError
from agentsquad.surfaces.gateway.contract import DEFAULT_NAMESPACE, Caller, Gateway
from agentsquad.surfaces.gateway.http import NAMESPACE_HEADER, enter, hit_by, problem_of
from agentsquad.surfaces.graphql.contract import SURFACE, Asked
from agentsquad.surfaces.graphql.execution import Executor, RefusedError, formatted_error
from agentsquad.surfaces.graphql.http import read
from agentsquad.trust.identity.contract import Shown

PROTOCOL = "graphql-transport-ws"
INIT_S = 10  # how long a client may take to say who it is
CONFIRM_S = 1.0  # how often it is looked whether it may still listen
OPEN_MAX = 100  # operations of one connection at once
BAD, UNAUTHORIZED, FORBIDDEN, LATE, TWICE, AGAIN, MANY = 4400, 4401, 4403, 4408, 4409, 4429, 4429


class Closing(Exception):
    """The connection is to be closed, for a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Socket:
    """The endpoint `/graphql` for WebSockets."""

    def __init__(self, gateway: Gateway, executor: Executor) -> None:
        self._gateway = gateway
        self._executor = executor

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection."""
        if PROTOCOL not in socket.scope.get("subprotocols", ()):
            await socket.close(4406, "the subprotocol is graphql-transport-ws")
            return
        await socket.accept(PROTOCOL)
        connection = Connection(self._gateway, self._executor, socket)
        try:
            await connection.serve()
        except WebSocketDisconnect:
            pass
        except Closing as closing:
            await socket.close(closing.code, closing.reason)
        finally:
            await connection.end()


class Connection:
    """One client."""

    def __init__(self, gateway: Gateway, executor: Executor, socket: WebSocket) -> None:
        self._gateway = gateway
        self._executor = executor
        self._socket = socket
        self._caller: Caller | None = None
        self._open: dict[str, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Take messages until the client goes."""
        try:
            async with asyncio.timeout(INIT_S):
                first = await self._message()
        except TimeoutError:
            raise Closing(LATE, "Connection initialisation timeout") from None
        if first.get("type") != "connection_init":
            raise Closing(UNAUTHORIZED, "Unauthorized")
        await self._enter(first.get("payload"))
        await self._send({"type": "connection_ack"})
        self._watch = asyncio.ensure_future(self._confirm())
        while True:
            coming = asyncio.ensure_future(self._message())
            done, _ = await asyncio.wait({coming, self._watch}, return_when=asyncio.FIRST_COMPLETED)
            if self._watch in done:
                coming.cancel()
                self._watch.result()
            await self._take(coming.result())

    async def _enter(self, payload: Any) -> None:
        given = payload if isinstance(payload, dict) else {}
        bearer = given.get("authorization") or given.get("Authorization")
        try:
            if isinstance(bearer, str):
                shown = Shown(bearer=bearer.removeprefix("Bearer ").strip())
                namespace = given.get("namespace") or self._socket.headers.get(NAMESPACE_HEADER)
                self._caller = await self._gateway.enter(
                    hit_by(self._socket, SURFACE, route="/graphql"),
                    shown,
                    namespace=str(namespace or DEFAULT_NAMESPACE),
                )
            else:
                self._caller = await enter(self._gateway, self._socket, SURFACE, route="/graphql")
        except SquadError as error:
            raise Closing(FORBIDDEN, "Forbidden") from error

    async def _confirm(self) -> None:
        """Watch whether the client may still be here."""
        while True:
            await asyncio.sleep(CONFIRM_S)
            try:
                assert self._caller is not None
                self._caller = await self._gateway.confirm(self._caller)
            except SquadError as error:
                raise Closing(FORBIDDEN, "Forbidden") from error

    async def _message(self) -> dict[str, Any]:
        text = await self._socket.receive_text()
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            raise Closing(BAD, "Invalid message") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Closing(BAD, "Invalid message")
        return message

    async def _take(self, message: dict[str, Any]) -> None:
        kind, number = message["type"], message.get("id")
        if kind == "ping":
            await self._send({"type": "pong"})
        elif kind == "connection_init":
            raise Closing(4429, "Too many initialisation requests")
        elif kind == "subscribe" and isinstance(number, str) and number:
            self._subscribe(number, message.get("payload"))
        elif kind == "complete" and isinstance(number, str):
            task = self._open.pop(number, None)
            if task is not None:
                task.cancel()
        elif kind != "pong":
            raise Closing(BAD, "Invalid message")

    def _subscribe(self, number: str, payload: Any) -> None:
        if number in self._open:
            raise Closing(TWICE, f"Subscriber for {number} already exists"[:120])
        if len(self._open) >= OPEN_MAX:
            raise Closing(MANY, "Too many operations")
        task = self._open[number] = asyncio.ensure_future(self._carry(number, payload))
        task.add_done_callback(lambda done: self._ended(number, done))

    def _ended(self, number: str, task: asyncio.Task[None]) -> None:
        if self._open.get(number) is task:
            del self._open[number]
        if not task.cancelled():
            task.exception()  # the connection has gone

    async def _carry(self, number: str, payload: Any) -> None:
        try:
            assert self._caller is not None
            prepared = self._executor.prepare(read(payload))
            asked = Asked(self._gateway, self._caller)
            if prepared.kind is OperationType.SUBSCRIPTION:
                async for result in self._executor.stream(prepared, asked):
                    await self._send({"id": number, "type": "next", "payload": result})
            else:
                result = await self._executor.run(prepared, asked)
                await self._send({"id": number, "type": "next", "payload": result})
        except RefusedError as error:
            told: Any = [formatted_error(one) for one in error.errors]
            await self._send({"id": number, "type": "error", "payload": told})
        except SquadError as error:
            status, body = problem_of(error)
            told = [
                {"message": body["detail"], "extensions": {"code": body["code"], "status": status}}
            ]
            await self._send({"id": number, "type": "error", "payload": told})
        else:
            await self._send({"id": number, "type": "complete"})

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(msgspec.json.encode(message).decode())

    async def end(self) -> None:
        """Let go of everything that is open."""
        tasks = [*self._open.values(), *([self._watch] if self._watch else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
