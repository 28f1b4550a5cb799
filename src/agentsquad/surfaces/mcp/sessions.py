"""Sessions over HTTP, for the revisions before the current one.

What was said on a stream stays for a while, numbered, so that a client whose
connection broke can go on where it was. Sessions belong to whoever began them;
to anybody else they do not exist.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from agentsquad.kernel import jsonrpc
from agentsquad.kernel.jsonrpc import Id, Notification, Request, Response, RpcError
from agentsquad.surfaces.gateway.contract import Caller
from agentsquad.surfaces.mcp.contract import SessionMissingError
from agentsquad.surfaces.mcp.server import Server
from agentsquad.surfaces.mcp.session import Session

SESSIONS_MAX = 1000  # of all callers; the one unused longest ends for a new one
KEPT_MAX = 256  # messages kept of a stream
STREAMS_MAX = 32  # of a session
ALONE = "0"  # the stream of what belongs to no request


class Stream:
    """What is said on one stream, in order and numbered from 1."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=KEPT_MAX)
        self._said = 0
        self._ended = False
        self._news = asyncio.Event()

    def say(self, message: Mapping[str, Any]) -> None:
        """Say something."""
        self._said += 1
        self._kept.append((self._said, jsonrpc.encode(message)))
        self._news.set()

    def end(self) -> None:
        """Say that nothing more comes."""
        self._ended = True
        self._news.set()

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self._ended

    async def read(self, last: str | None) -> AsyncIterator[bytes]:
        """Return the events after the one that was seen last, and those to
        come; the first only says where one is."""
        place = _number(last)
        if last is None:
            yield f"id: {self.name}-0\nretry: 1000\ndata: \n\n".encode()
        while True:
            for number, data in [one for one in self._kept if one[0] > place]:
                place = number
                yield f"id: {self.name}-{number}\nevent: message\ndata: ".encode() + data + b"\n\n"
            if self._ended and place >= self._said:
                return
            if place < self._said:
                continue
            self._news.clear()
            await self._news.wait()


def _number(last: str | None) -> int:
    _, _, number = (last or "").rpartition("-")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 16 else 0


class Held:
    """A session and its streams."""

    def __init__(self, server: Server, caller: Caller, version: str, can: Mapping[str, Any]):
        self.owner = _owner(caller)
        self.session = Session(server, version, can, self._alone)
        self.streams: OrderedDict[str, Stream] = OrderedDict({ALONE: Stream(ALONE)})
        self._tasks: dict[Id, asyncio.Task[None]] = {}
        self._begun = 0

    async def _alone(self, message: Mapping[str, Any]) -> None:
        self.streams[ALONE].say(message)

    def told(self, message: Notification | Response) -> None:
        """Take what the client says unasked, or answers."""
        if isinstance(message, Response):
            self.session.answered(message)
        elif message.method == "notifications/cancelled":
            task = self._tasks.get(message.params.get("requestId"))  # type: ignore[arg-type]
            if task is not None:
                task.cancel()

    async def answered(self, message: Request, caller: Caller) -> dict[str, Any]:
        """Return a request's answer at once."""
        try:
            found = await self.session.result(message, caller, self._alone)
            return jsonrpc.result(message.id, found)
        except Exception as error:  # noqa: BLE001 - our bug; the client still gets an answer
            return jsonrpc.failure(message.id, error)

    def begin(self, message: Request, caller: Caller) -> Stream:
        """Begin to answer a request on a stream of its own; it goes on without
        a connection."""
        if message.id in self._tasks:
            raise RpcError("that id is under way", id=message.id)
        self._begun += 1
        stream = self.streams[str(self._begun)] = Stream(str(self._begun))
        self._forget()
        task = asyncio.create_task(self._work(message, caller, stream))
        self._tasks[message.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(message.id, None))
        return stream

    def _forget(self) -> None:
        """Let go of the oldest streams that have ended."""
        for name in [n for n, one in self.streams.items() if one.ended]:
            if len(self.streams) > STREAMS_MAX:
                del self.streams[name]

    async def _work(self, message: Request, caller: Caller, stream: Stream) -> None:
        async def send(said: Mapping[str, Any]) -> None:
            stream.say(said)

        try:
            found = await self.session.result(message, caller, send)
            stream.say(jsonrpc.result(message.id, found))
        except Exception as error:  # noqa: BLE001 - our bug; the client still gets an answer
            stream.say(jsonrpc.failure(message.id, error))
        finally:
            stream.end()

    async def close(self) -> None:
        """Let go of everything."""
        await self.session.close()
        for task in list(self._tasks.values()):
            task.cancel()
        for stream in self.streams.values():
            stream.end()


class Sessions:
    """The sessions of a server."""

    def __init__(self, server: Server, token: Callable[[], str]) -> None:
        self._server = server
        self._token = token
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    def begin(self, caller: Caller, version: str, can: Mapping[str, Any]) -> str:
        """Begin a session and return its name."""
        name = self._token()
        self._held[name] = Held(self._server, caller, version, can)
        while len(self._held) > SESSIONS_MAX:
            _, oldest = self._held.popitem(last=False)
            task = asyncio.create_task(oldest.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        return name

    def find(self, caller: Caller, headers: Mapping[str, str]) -> Held:
        """Return the session a request belongs to."""
        name = headers.get("mcp-session-id", "")
        held = self._held.get(name)
        if held is None or held.owner != _owner(caller):
            raise SessionMissingError()
        self._held.move_to_end(name)
        return held

    def resumed(self, caller: Caller, headers: Mapping[str, str]) -> Stream:
        """Return the stream that a client listens to, or goes on with."""
        held = self.find(caller, headers)
        name, _, _ = headers.get("last-event-id", ALONE + "-0").rpartition("-")
        stream = held.streams.get(name)
        if stream is None:
            raise SessionMissingError("that stream is no longer kept")
        return stream

    async def end(self, caller: Caller, headers: Mapping[str, str]) -> None:
        """End a session."""
        held = self.find(caller, headers)
        del self._held[headers["mcp-session-id"]]
        await held.close()


def _owner(caller: Caller) -> tuple[str, str]:
    return str(caller.principal.actor), caller.namespace
