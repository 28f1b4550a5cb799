"""A program that speaks over its standard streams."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from agentsquad.integrations.connectors.tools.contract import (
    ToolDeadlineError,
    ToolLostError,
    ToolUnreachableError,
)
from agentsquad.integrations.connectors.tools.mcp import CHANGED, HEARD, promised
from agentsquad.kernel import jsonrpc
from agentsquad.kernel.jsonrpc import METHOD, Notification, Request, Response, RpcError

LINE_MAX = 16 * 2**20
END_S = 2.0
LISTEN_S = 5.0


class ProgramWire:
    """A Wire to a program that was started for it."""

    def __init__(self, process: asyncio.subprocess.Process, timeout_s: float) -> None:
        self.version = ""
        self.changes = 0
        self._agreed = False
        self._listening: jsonrpc.Id | None = None
        self._acknowledged = asyncio.Event()
        self._process = process
        self._timeout_s = timeout_s
        self._asked = 0
        self._waiting: dict[jsonrpc.Id, asyncio.Future[Response]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], timeout_s: float
    ) -> ProgramWire:
        """Start a program; what it writes to standard error goes nowhere."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=dict(environment),
                limit=LINE_MAX,
            )
        except OSError as error:
            raise ToolUnreachableError(f"{command[0]} cannot be started: {error}") from error
        return cls(process, timeout_s)

    @property
    def broken(self) -> bool:
        """Whether the program has ended."""
        return self._reader.done() or self._process.returncode is not None

    async def ask(
        self, method: str, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Response:
        """Return the answer to a request."""
        if self.broken:
            raise ToolUnreachableError("the program has ended")
        self._asked += 1
        number = self._asked
        waiting: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            await self._write(jsonrpc.request(number, method, params))
            async with asyncio.timeout(self._timeout_s):
                return await waiting
        except TimeoutError:
            with suppress(ToolLostError):
                body = {"requestId": number, "reason": "out of time"}
                await self._write(jsonrpc.notification("notifications/cancelled", body))
            raise ToolDeadlineError(f"{method} was not answered in {self._timeout_s:g} s") from None
        finally:
            del self._waiting[number]

    @property
    def hearing(self) -> bool:
        """Whether the program would be heard: what it tells comes the same way
        as what it answers."""
        return self._agreed and not self.broken

    async def listen(self, method: str, params: Mapping[str, Any]) -> None:
        """Ask the program to tell, where it has to be asked."""
        if not method:
            self._agreed = True
            return
        self._asked += 1
        self._listening = self._asked
        self._acknowledged.clear()
        await self._write(jsonrpc.request(self._asked, method, params))
        with suppress(TimeoutError):
            async with asyncio.timeout(LISTEN_S):
                await self._acknowledged.wait()

    async def tell(self, method: str) -> None:
        """Tell something that is not answered."""
        await self._write(jsonrpc.notification(method))

    async def close(self) -> None:
        """End the program: its input first, then itself."""
        self._reader.cancel()
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        with suppress(asyncio.CancelledError):
            await self._reader

    async def _write(self, message: Mapping[str, Any]) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(jsonrpc.encode(message) + b"\n")
            await stdin.drain()
        except (ConnectionError, RuntimeError) as error:
            raise ToolLostError("the program has ended") from error

    async def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        try:
            while line := await stdout.readline():
                await self._take(line)
        except (ValueError, ConnectionError):
            pass  # a line without end, or the pipe is gone
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ToolLostError("the program ended before it answered"))

    async def _take(self, line: bytes) -> None:
        try:
            message = jsonrpc.read(line)
        except RpcError:
            return  # not a message; a server may not write such, and some do
        if isinstance(message, Response) and message.id in self._waiting:
            waiting = self._waiting[message.id]
            if not waiting.done():
                waiting.set_result(message)
        elif isinstance(message, Response) and message.id == self._listening:
            self._agreed, self._listening = False, None
            self._acknowledged.set()
        elif isinstance(message, Notification):
            self._told(message)
        elif isinstance(message, Request):
            known = message.method == "ping"
            answer = (
                jsonrpc.result(message.id, {})
                if known
                else jsonrpc.failure(message.id, RpcError("not offered", number=METHOD))
            )
            with suppress(ToolLostError):
                await self._write(answer)

    def _told(self, message: Notification) -> None:
        if message.method == CHANGED:
            self.changes += 1
        elif message.method == HEARD and self._listening is not None:
            self._agreed = promised(message.params)
            self._acknowledged.set()
