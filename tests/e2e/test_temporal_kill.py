"""Real processes, a real file, a real Temporal server, and kill -9: whatever
dies, and when, every run ends as it should and nothing is paid twice."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import random
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import Engine
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.temporal.contract import NoWorkerError, OtherLogError
from agentsquad.runtime.temporal.plugin import open_engine

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

HERE = Path(__file__).parent
RUNS = 6


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"squad_{path.stem}", path)
    assert spec and spec.loader
    module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    if not hasattr(module, "__file__") or not module.__dict__.get("annotations"):
        spec.loader.exec_module(module)
    return module


servers = load(HERE.parent / "conformance" / "temporal_server.py")
world = load(HERE / "temporal_world.py")


class Worker:
    """A process that serves, as often as it is killed."""

    def __init__(self, *arguments: str) -> None:
        self._command = [sys.executable, str(HERE / "temporal_world.py"), *arguments]
        self._log = Path(arguments[-1]).with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def said(self) -> str:
        """The end of what it printed."""
        state = "gone" if self._process is None else self._process.poll()
        return f"\n[{state}] " + self._log.read_text()[-1500:]

    def stop(self) -> int:
        """Ask it to end, as a service manager does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20)


async def expected(folder: Path) -> dict[str, Any]:
    """What becomes of the runs where nothing dies: outcomes, and resolved steps
    of every journal."""
    calm = world.opened("memory:", str(folder / "calm"))
    calm.ports.put(Engine, engine := EmbeddedEngine(calm))
    told = await story(calm, engine, await begin(engine))
    await engine.close()
    return told


async def begin(engine: Any) -> list[str]:
    return [
        await engine.start("order", world.N(n), key=f"order-{n}", actor="person:ada")
        for n in range(RUNS)
    ]


async def served(engine: Any) -> list[str]:
    """Begin the runs as soon as there is a worker."""
    for _ in range(200):
        with contextlib.suppress(NoWorkerError, OtherLogError):
            return await begin(engine)
        await asyncio.sleep(0.1)
    raise AssertionError("no worker came")


async def story(here: World, engine: Any, runs: list[str]) -> dict[str, Any]:
    store: EventStore = here.store
    told: dict[str, Any] = {}
    for run in runs:
        outcome = await engine.wait(run, timeout_ms=60_000)
        told[run] = (outcome.status, outcome.output, outcome.error)
    for stream, _ in await store.streams("run/"):
        events = await store.read_stream(stream)
        told[stream] = sorted(
            (event.payload["position"], event.type)
            for event in events
            if event.type in ("step.completed", "step.failed", "effect.confirmed")
        )
        assert [e.type for e in events if e.type in END_EVENTS] == [events[-1].type]
        found = await replay(store, here.registry, stream.removeprefix("run/"))
        assert found.verdict == "identical", found
    keys = [key for key, _ in world.booked()]
    assert len(keys) == len(set(keys))
    told["bank"] = sorted(world.booked())
    return told


class Cluster:
    """A Temporal server, workers of one store, and somebody who asks."""

    def __init__(self, folder: Path, store: str, workers: int) -> None:
        self.folder = folder
        self.server = servers.TemporalServer(folder)
        self.address = self.server.address("kill", lost_after_ms=1000)
        bank = str(folder / "bank")
        self.here = world.opened(store, bank)
        self.workers = [Worker(store, self.address, bank) for _ in range(workers)]
        self.chance = random.Random(7)

    @property
    def store(self) -> EventStore:
        return self.here.store

    async def over(self) -> bool:
        """Whether every run and its child has ended."""
        return len(await self.store.read(types=list(END_EVENTS), limit=1000)) == 2 * RUNS

    async def survive(self, kills: int, *, server: bool) -> dict[str, Any]:
        """Kill a worker again and again, and once the server; return what
        became of the runs."""
        self.server.start()
        for worker in self.workers:
            worker.start()
        engine = open_engine(self.here, self.address)
        runs = await served(engine)
        for number in range(1, kills + 1):
            await asyncio.sleep(self.chance.uniform(0.05, 0.5))
            assert not await self.over(), f"it was over after {number - 1} kills"
            worker = self.workers[number % len(self.workers)]
            worker.kill()
            if server and number == kills // 2:
                self.server.stop(signal.SIGKILL)
                self.server.start()
            worker.start()
            await self.working()
        told = await story(self.here, engine, runs)
        assert [worker.stop() for worker in self.workers] == [0] * len(self.workers)
        await engine.close()
        return told

    async def working(self) -> None:
        """Return when somebody has done something, beyond saying that he is
        there."""
        before = await self.store.size()
        for _ in range(600):
            if await self.store.size() > before + 1 or await self.over():
                return
            await asyncio.sleep(0.05)
        raise AssertionError("nobody works: " + "".join(one.said() for one in self.workers))

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        self.server.stop(signal.SIGKILL)
        self.here.ports.get(Ledger).close()


async def test_killed_workers_and_a_killed_server_change_nothing(tmp_path: Path):
    calm = await expected(tmp_path)
    cluster = Cluster(tmp_path, f"sqlite:///{tmp_path / 'log.db'}", 1)
    try:
        assert await cluster.survive(4, server=True) == calm
    finally:
        cluster.close()


async def test_workers_share_a_store_in_postgresql_and_may_be_killed(
    tmp_path: Path, postgresql_url: str
):
    calm = await expected(tmp_path)
    cluster = Cluster(tmp_path, postgresql_url, 2)
    try:
        assert await cluster.survive(2, server=False) == calm
    finally:
        cluster.close()
