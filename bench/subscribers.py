"""Measures how soon, and whether, thousands of WebSocket subscribers hear of
events.

A server process keeps a ledger on SQLite (synced) and serves `/ws` by
hypercorn; it appends so many events a second, each to the topic of one
subscriber. A client process holds all connections and notes when each event
arrives. Told are the latencies from just before the append to the frame in the
client (both clocks are this machine's), what was lost or came twice, and
processor time. `--wide N` adds subscribers that follow every event. Who may
connect is not asked: what identity costs is measured elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

AT_ONCE = 100  # connections that are being made at a time
TICK_S = 0.01
SETTLE_S = 2.0
READY = "ready"


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=5_000)
    parser.add_argument("--wide", type=int, default=0)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("-o", dest="output", choices=("text", "json"), default="text")
    parser.add_argument("--role", choices=("server", "all"), default="all")
    parser.add_argument("--folder", default="")
    return parser.parse_args()


# --- the server


class OpenGateway:
    """A gateway of one log that lets everybody in."""

    def __init__(self, store: Any) -> None:
        from agentsquad.surfaces.gateway.hub import Hub

        self.store = store
        self.hub = Hub(store)

    async def enter(
        self, hit: Any, shown: Any, *, namespace: str = "default", trace: str = ""
    ) -> Any:
        """Let somebody in."""
        from agentsquad.kernel.actor import Actor
        from agentsquad.surfaces.gateway.contract import Caller
        from agentsquad.trust.identity.contract import Principal

        principal = Principal(actor=Actor("service", shown.bearer), grants={"*": ("viewer",)})
        return Caller(principal=principal, namespace=namespace)

    async def confirm(self, caller: Any) -> Any:
        """Find nothing against them."""
        return caller

    async def place(self, caller: Any) -> int:
        """Return where the log ends."""
        return int(await self.store.size())

    async def follow(self, caller: Any, what: Any) -> AsyncIterator[Any]:
        """Return events."""
        async with aclosing(self.hub.follow(what)) as events:
            async for event in events:
                yield event


async def serve(options: argparse.Namespace) -> None:
    """Serve, append when told to, and tell what it took."""
    from hypercorn.asyncio import serve as listen
    from hypercorn.config import Config
    from starlette.applications import Starlette

    from agentsquad.kernel.event import NewEvent
    from agentsquad.runtime.engine.plugin import system_clock, system_entropy
    from agentsquad.runtime.ledger.plugin import open_ledger
    from agentsquad.surfaces.websocket.contract import Limits
    from agentsquad.surfaces.websocket.routes import routes

    clock = system_clock()
    ledger = open_ledger(f"sqlite:///{options.folder}/log.db", clock, system_entropy())
    gateway: Any = OpenGateway(ledger.store)
    limits = Limits(connections_per_actor=100_000, strangers=10_000)
    app = Starlette(routes=routes(gateway, clock=clock, limits=limits))
    config = Config()
    config.loglevel = "WARNING"
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    config.bind = [f"fd://{listener.fileno()}"]
    config.backlog = 4096
    ending = asyncio.Event()
    serving = asyncio.ensure_future(listen(app, config, shutdown_trigger=ending.wait))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.readline()  # the clients are there
    cpu, began, sent = time.process_time(), loop.time(), 0
    while sent < options.rate * options.seconds:
        due = min(int((loop.time() - began) * options.rate), options.rate * options.seconds) - sent
        if due > 0:
            at = time.time_ns() // 1000
            await ledger.store.append(
                [
                    NewEvent(
                        stream=f"topic/{(sent + n) % options.subscribers}/orders",
                        type="order.placed",
                        payload={"at": at, "number": sent + n, "text": "x" * 100},
                    )
                    for n in range(due)
                ]
            )
            sent += due
        await asyncio.sleep(TICK_S)
    print(
        json.dumps(
            {
                "events": await ledger.store.size(),
                "seconds": loop.time() - began,
                "cpu_s": time.process_time() - cpu,
                "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
                "followers": gateway.hub.followers,
            }
        ),
        flush=True,
    )
    await reader.readline()
    ledger.close()
    assert not serving.done()
    os._exit(0)  # five thousand goodbyes are not what is measured


# --- the clients


class Subscriber(asyncio.Protocol):
    """One connection: as much of RFC 6455 as a server that sends short text
    frames needs."""

    def __init__(self, number: int, wide: bool, ready: asyncio.Future[None]) -> None:
        self.number = number
        self.wide = wide
        self.ready = ready
        self.arrived: list[tuple[int, int]] = []
        self._buffer = b""
        self._open = False
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Ask for a WebSocket."""
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            (
                "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                "Sec-WebSocket-Version: 13\r\n"
                f"Authorization: Bearer client-{self.number % 100}\r\n\r\n"
            ).encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        """Note a connection that was not to be."""
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"lost: {self._buffer[:200]!r}"))

    def data_received(self, data: bytes) -> None:
        """Take frames apart."""
        now = time.time_ns() // 1000
        self._buffer += data
        if not self._open:
            _, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            self._open, self._buffer = True, rest
            streams = [] if self.wide else [f"topic/{self.number}/"]
            self._say({"type": "subscribe", "id": "a", "after": 0, "streams": streams})
        buffer, begun = self._buffer, 0
        while len(buffer) - begun >= 2:
            size, at = buffer[begun + 1] & 127, begun + 2
            if size == 126:
                size, at = int.from_bytes(buffer[at : at + 2]), at + 2
            elif size == 127:
                size, at = int.from_bytes(buffer[at : at + 8]), at + 8
            if len(buffer) < at + size:
                break
            self._hear(buffer[at : at + size], now)
            begun = at + size
        self._buffer = buffer[begun:]

    def _hear(self, frame: bytes, now: int) -> None:
        if frame.startswith(b'{"type":"event"'):
            event = json.loads(frame)["event"]
            self.arrived.append((event["payload"]["number"], now - event["payload"]["at"]))
        elif frame.startswith(b'{"type":"subscribed"') and not self.ready.done():
            self.ready.set_result(None)

    def _say(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode()
        mask = os.urandom(4)
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
        masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))
        self._transport.write(b"\x81" + size + mask + masked)


async def subscribe(options: argparse.Namespace, port: int) -> list[Subscriber]:
    """Open every connection."""
    loop = asyncio.get_running_loop()
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, wide: bool) -> Subscriber:
        async with places:
            made = Subscriber(number, wide, loop.create_future())
            await loop.create_connection(lambda: made, "127.0.0.1", port)
            await asyncio.wait_for(made.ready, 60)
            return made

    narrow = [one(number, False) for number in range(options.subscribers)]
    return list(await asyncio.gather(*narrow, *(one(n, True) for n in range(options.wide))))


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run both sides and return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, __file__, "--role", "server", "--folder", folder]
        for name in ("subscribers", "rate", "seconds"):
            words += [f"--{name}", str(getattr(options, name))]
        server = await asyncio.create_subprocess_exec(
            *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert server.stdin and server.stdout
        port = json.loads(await server.stdout.readline())["port"]
        began = time.monotonic()
        everyone = await subscribe(options, port)
        connecting = time.monotonic() - began
        server.stdin.write(b"go\n")
        cpu = time.process_time()
        told = json.loads(await server.stdout.readline())
        told["client_cpu_s"] = time.process_time() - cpu
        await asyncio.sleep(SETTLE_S)
        server.stdin.write(b"end\n")
        await server.stdin.drain()
        try:
            await asyncio.wait_for(server.wait(), 10)
        except TimeoutError:
            server.kill()
            await server.wait()
    return figures(options, everyone, told, connecting)


def figures(
    options: argparse.Namespace, everyone: list[Subscriber], told: dict[str, Any], connecting: float
) -> dict[str, Any]:
    """Return what came of it."""
    lost = twice = disordered = 0
    waits: list[int] = []
    for one in everyone:
        wanted = [
            n for n in range(told["events"]) if one.wide or n % options.subscribers == one.number
        ]
        got = [number for number, _ in one.arrived]
        lost += len(set(wanted) - set(got))
        twice += len(got) - len(set(got))
        disordered += got != sorted(got)
        waits += [wait for _, wait in one.arrived]
    waits.sort()
    at = lambda share: round(waits[int(share * (len(waits) - 1))] / 1e3, 1)  # noqa: E731
    return {
        "subscribers": len(everyone),
        "events": told["events"],
        "events_s": round(told["events"] / told["seconds"]),
        "delivered": len(waits),
        "lost": lost,
        "twice": twice,
        "disordered": disordered,
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "most_ms": at(1),
        "server_cpu_share": round(told["cpu_s"] / told["seconds"], 2),
        "client_cpu_share": round(told["client_cpu_s"] / told["seconds"], 2),
        "server_rss_mb": round(told["rss_mb"]),
        "connecting_s": round(connecting, 1),
    }


def main() -> None:
    """Run it."""
    options = arguments()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = options.subscribers + options.wide + 200
    if soft < need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(need, hard), hard))
    if options.role == "server":
        asyncio.run(serve(options))
        return
    found = asyncio.run(measure(options))
    if options.output == "json":
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name.replace('_', ' '):18} {value}")
    load = Path("/proc/loadavg").read_text().split()[0]
    print(f"wanted: p99 below 250 ms, none lost; load of the machine {load}")


if __name__ == "__main__":
    main()
