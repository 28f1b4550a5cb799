"""Restate, the durable engine nearest to ours: its server and a Python service
beside it, on free ports of this machine, for as long as a cell is measured.

Run by the interpreter that `peers.py install` made for it. The same file is the
service that the server calls back (`restate_peer:app`). As its manual says is
durable: one node, RocksDB with the write-ahead log synced. Processor time and
memory are those of the client, the server and the service together.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp  # type: ignore[import-not-found]
import restate  # type: ignore[import-not-found]

import peers

BINARY = "node_modules/@restatedev/restate-server-linux-x64/bin/restate-server"
READY_S = 60.0
service = restate.Service("bench")
waiting = restate.Workflow("parked")


def counted(value: dict[str, Any]) -> dict[str, Any]:
    """Count on."""
    return {"id": value["id"] + 1, "data": value["data"]}


@service.handler()  # type: ignore[untyped-decorator]
async def chained(ctx: restate.Context, value: dict[str, Any]) -> dict[str, Any]:
    """Five steps in a row."""
    for _ in range(peers.STEPS):
        value = await ctx.run_typed("step", lambda now=value: counted(now))
    return value


@service.handler()  # type: ignore[untyped-decorator]
async def fan(ctx: restate.Context, count: int) -> int:
    """So many steps side by side."""
    one = peers.PAYLOAD
    steps = [ctx.run_typed("step", lambda n=n: counted({**one, "id": n})) for n in range(count)]
    return len(await restate.gather(*steps))


@waiting.main()  # type: ignore[untyped-decorator]
async def run(ctx: restate.WorkflowContext, value: dict[str, Any]) -> Any:
    """Wait for a word from outside."""
    return await ctx.promise("go").value()


@waiting.handler()  # type: ignore[untyped-decorator]
async def go(ctx: restate.WorkflowSharedContext, word: str) -> None:
    """Say it."""
    await ctx.promise("go").resolve(word)


app = restate.app([service, waiting])


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that nobody listens at."""
    taken = [socket.socket() for _ in range(count)]
    try:
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in taken]
    finally:
        for one in taken:
            one.close()


class Client:
    """What talks to the server."""

    def __init__(self, session: Any, ingress: str, admin: str, data: str) -> None:
        self.session = session
        self.data = data
        self.ingress = ingress
        self.admin = admin

    async def call(self, path: str, body: Any) -> Any:
        """Post to a handler and return its answer."""
        async with self.session.post(self.ingress + path, json=body) as answer:
            found = await answer.json(content_type=None)
            assert answer.status < 300, found
            return found

    async def ended(self, name: str) -> None:
        """Return when a workflow has ended."""
        path = f"{self.ingress}/restate/workflow/parked/{name}/attach"
        async with self.session.get(path) as answer:
            assert answer.status < 300, await answer.text()

    async def register(self, uri: str) -> None:
        """Tell the server of the service, as soon as both are up."""
        end = time.monotonic() + READY_S
        while True:
            try:
                body = {"uri": uri, "force": True}
                async with self.session.post(f"{self.admin}/deployments", json=body) as answer:
                    if answer.status < 300:
                        return
                    told = await answer.text()
            except aiohttp.ClientError as error:
                told = str(error)
            assert time.monotonic() < end, told
            await asyncio.sleep(0.1)


@contextmanager
def processes(ports: list[int]) -> Iterator[str]:
    """Have the server and the service running in a folder of their own."""
    node, admin, ingress, own = ports
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        config = Path(folder, "restate.toml")
        config.write_text(
            'node-name = "one"\ncluster-name = "bench"\nbind-ip = "127.0.0.1"\n'
            f'[admin]\nbind-address = "127.0.0.1:{admin}"\n'
            f'[ingress]\nbind-address = "127.0.0.1:{ingress}"\n'
        )
        server = [str(peers.HOME / "restate" / BINARY), "--config-file", str(config), "--no-logo"]
        server += ["--base-dir", f"{folder}/data", "--bind-address", f"127.0.0.1:{node}"]
        hosted = [sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1"]
        hosted += ["--port", str(own), "--workers", "1", "--http", "2", "--no-ws"]
        hosted += ["--log-level", "warning", "restate_peer:app"]
        started: list[subprocess.Popen[bytes]] = []
        try:
            with Path(folder, "log").open("wb") as log:
                home = Path(__file__).parent
                env = {**os.environ, "PYTHONPATH": str(home.parent)}
                for words in (server, hosted):
                    started.append(
                        subprocess.Popen(
                            words, stdout=log, stderr=log, cwd=home, env=env, start_new_session=True
                        )
                    )
            peers.helping[:] = [one.pid for one in started]
            yield f"{folder}/data"
        finally:
            peers.helping.clear()
            for one in started:  # with their children; nothing of it is kept
                os.killpg(one.pid, signal.SIGKILL)
                one.wait()


@asynccontextmanager
async def servers() -> AsyncIterator[Client]:
    """Have a client of a server that knows the service."""
    ports = free_ports(4)
    _, admin, ingress, own = (f"http://127.0.0.1:{port}" for port in ports)
    limit = aiohttp.ClientTimeout(total=600)
    with processes(ports) as data:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
            client = Client(session, ingress, admin, data)
            await client.register(own)
            yield client


async def measure(cell: str, *args: str) -> dict[str, float]:
    """Run one cell."""
    async with servers() as client:

        async def one(number: int) -> Any:
            found = await client.call("/bench/chained", peers.PAYLOAD)
            assert found["id"] == peers.STEPS
            return found

        if cell == "chain":
            before = peers.weigh(client.data)
            found = await peers.chain(one, int(args[0]), float(args[1]))
            return {**found, "disk_b": (peers.weigh(client.data) - before) / found["steps"]}
        if cell == "start":
            return {"cpu": (await one(0))["id"]}
        if cell == "fan":
            await client.call("/bench/fan", 1)
            begin = time.perf_counter()
            assert await client.call("/bench/fan", int(args[0])) == int(args[0])
            return {"wall_s": time.perf_counter() - begin}

        async def start(number: int) -> None:
            await client.call(f"/parked/p{number}/run/send", peers.PAYLOAD)

        async def wake(number: int) -> None:
            await client.call(f"/parked/p{number}/go", "x")
            await client.ended(f"p{number}")

        return await peers.park(start, wake, peers.nothing, int(args[0]))
