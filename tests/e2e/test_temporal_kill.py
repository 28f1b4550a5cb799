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
RUNS = 10
KILLS = 7


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


async def ended(store: EventStore) -> int:
    return len(await store.read(types=list(END_EVENTS), limit=1000))


async def test_killed_workers_and_a_killed_server_change_nothing(tmp_path: Path):
    calm = await expected(tmp_path)
    server = servers.TemporalServer(tmp_path)
    server.start()
    address = server.address("kill", lost_after_ms=1000)
    store, bank = f"sqlite:///{tmp_path / 'log.db'}", str(tmp_path / "bank")
    here = world.opened(store, bank)
    worker = Worker(store, address, bank)
    chance = random.Random(7)
    try:
        worker.start()
        engine = open_engine(here, address)
        runs = await served(engine)
        kills = 0
        while await ended(here.store) < 2 * RUNS and kills < KILLS:
            await asyncio.sleep(chance.uniform(0.05, 0.5))
            worker.kill()
            kills += 1
            if kills == KILLS // 2:
                server.stop(signal.SIGKILL)
                server.start()
            worker.start()
            before = await here.store.size()
            while await here.store.size() <= before + 1:  # until it works again
                if await ended(here.store) == 2 * RUNS:
                    break
                await asyncio.sleep(0.05)
        assert kills > KILLS // 2, "it was over before anything was killed"
        assert await story(here, engine, runs) == calm
        assert worker.stop() == 0
        await engine.close()
    finally:
        worker.kill()
        server.stop(signal.SIGKILL)
        here.ports.get(Ledger).close()
