"""The WebSocket behind its real server: a client that stops reading is let go
of for good, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from typing import Any

import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config

from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.engine.plugin import system_clock
from agentsquad.surfaces.gateway.plugin import web

REQUEST = (
    "GET /ws HTTP/1.1\r\nHost: squad.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {name}\r\n\r\n"
)
LARGE = "x" * 60_000


class Peer:
    """A client on a socket: as much of RFC 6455 as it takes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, name: str) -> Peer:
        plug = socket.socket()
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        plug.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plug, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=plug, limit=8_192)
        key = base64.b64encode(name.encode().ljust(16)).decode()
        writer.write(REQUEST.format(key=key, name=name).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        return cls(reader, writer)

    def say(self, **message: Any) -> None:
        data = json.dumps(message).encode()
        assert len(data) < 126
        self.writer.write(b"\x81" + bytes([0x80 | len(data)]) + b"\0\0\0\0" + data)

    async def hear(self) -> dict[str, Any]:
        head = await self.reader.readexactly(2)
        size = head[1] & 127
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8))
        found: dict[str, Any] = json.loads(await self.reader.readexactly(size))
        return found


@pytest.mark.slow
async def test_a_client_that_stops_reading_is_let_go_of(service: Any) -> None:
    squad = service(clock=system_clock(), slow_ms=500, sweep_ms=50)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    config = Config()
    port = listener.getsockname()[1]
    config.bind = [f"fd://{listener.detach()}"]
    config.loglevel = "CRITICAL"
    ending = asyncio.Event()
    serving = asyncio.ensure_future(
        serve(squad.app, config, shutdown_trigger=ending.wait)  # type: ignore[arg-type]
    )
    try:
        slow, quick = await Peer.connect(port, "ada"), await Peer.connect(port, "bob")
        for peer in (slow, quick):
            peer.say(type="subscribe", id="a", after=0)
            assert (await peer.hear())["type"] == "welcome"
            assert (await peer.hear())["type"] == "subscribed"
        for number in range(200):  # more than any buffer between us holds
            await squad.gateway.log.append(
                [NewEvent(stream=f"run/{number}", type="x", payload={"text": LARGE})]
            )
        async with asyncio.timeout(20):
            got = [(await quick.hear())["event"]["seq"] for _ in range(200)]
            while squad.gateway.hub.followers > 1:
                quick.say(type="ping", n=1)
                await quick.hear()
        assert got == list(range(1, 201))
        async with asyncio.timeout(20):  # the socket of the slow one ends, too
            while await slow.reader.read(65_536):
                pass
        for peer in (slow, quick):
            peer.writer.close()
            await peer.writer.wait_closed()
    finally:
        ending.set()
        await asyncio.wait({serving}, timeout=10)


@pytest.mark.slow
async def test_a_server_that_ends_does_not_wait_for_the_ping_of_who_has_gone(service: Any) -> None:
    listening = web("127.0.0.1", 0, None)
    ending = asyncio.Event()
    serving = asyncio.ensure_future(listening.serve(service().app, ending.wait, 600_000))
    peer = await Peer.connect(int(listening.url.rpartition(":")[2]), "ada")
    assert await peer.reader.read(2)  # a ping, or the welcome
    peer.writer.close()
    ending.set()
    async with asyncio.timeout(10):  # half of the time between pings
        await serving
