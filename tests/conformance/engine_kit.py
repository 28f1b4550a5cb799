"""One installation over each engine: the same registry, the same ports, a log
of its own, and somebody who answers and signals as people would."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

from agentsquad.kernel.errors import ConflictError, DeadlineError, MissingError
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import BlobStore, Clock, Entropy, EventStore
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.asking import decide, query
from agentsquad.runtime.engine.contract import Engine, Outcome
from agentsquad.runtime.engine.door import Ports, World
from agentsquad.runtime.engine.plugin import system_clock, system_entropy
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.engine.state import END_EVENTS, ENDED
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.runtime.temporal.plugin import open_engine, open_worker
from agentsquad.testing import AllowAll

ENGINES = ("embedded", "temporal")
LONG_MS = 20_000
# What may differ between two lives of one run: times, and what depends on which
# branch happened to be first.
VARIES = ("ms", "due_ms", "expires_ms", "wake_ms", "deadline_ms", "alone", "beside", "binding")
numbers = itertools.count()


def load(path: Path) -> ModuleType:
    """A module beside the tests, loaded once."""
    name = f"squad_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


servers = load(Path(__file__).with_name("temporal_server.py"))


def address(**options: object) -> str:
    """A queue of its own on the server of this session."""
    options.setdefault("lost_after_ms", 3000)
    return str(servers.shared().address(f"q{os.getpid()}-{next(numbers)}", **options))


class Room:
    """One installation; `restart` is what a crash of its engine leaves
    behind."""

    def __init__(
        self,
        kind: str,
        *plugins: Plugin,
        policy: PolicyEngine | None = None,
        store: str = "memory:",
        **options: object,
    ) -> None:
        self.kind = kind
        self.plugins = plugins
        self.policy: PolicyEngine = policy or AllowAll()
        self.clock, self.entropy = system_clock(), system_entropy()
        self.ledger: Ledger = open_ledger(store, self.clock, self.entropy)
        self.ports: dict[Any, Any] = {BudgetKeeper: BudgetKeeper(self.ledger.store)}
        self.each: dict[Any, Any] = {}  # ports of which each process has its own: role -> maker
        self.options = options
        self.address = ""
        self.engine: Any = None
        self.worker: Any = None
        self._stack = contextlib.AsyncExitStack()

    @property
    def store(self) -> EventStore:
        return self.ledger.store

    @property
    def registry(self) -> Registry:
        return self.engine.world.registry

    def world(self) -> World:
        ports = Ports(
            {
                EventStore: self.ledger.store,
                BlobStore: self.ledger.blobs,
                PolicyEngine: self.policy,
                Clock: self.clock,
                Entropy: self.entropy,
                Ledger: self.ledger,
                **self.ports,
                **{role: make() for role, make in self.each.items()},
            }
        )
        asking = Plugin(name="asking", actions=(decide, query))
        return World(Registry.of(*self.plugins, asking), ports)

    async def open(self) -> Room:
        world = self.world()
        if self.kind == "embedded":
            self.engine = EmbeddedEngine(world)
            self._stack.push_async_callback(self.engine.close)
        else:
            self.address = self.address or address(**self.options)
            self.worker = open_worker(self.world(), self.address)
            await self._stack.enter_async_context(self.worker.serving())
            listening = asyncio.create_task(self.worker._listen())
            self._stack.callback(listening.cancel)
            self.engine = open_engine(world, self.address)
            self.worker.world.ports.put(Engine, self.engine)
            self._stack.push_async_callback(self.engine.close)
        world.ports.put(Engine, self.engine)
        await self.engine.recover()
        return self

    async def close(self) -> None:
        await self._stack.aclose()

    async def restart(self, *plugins: Plugin) -> None:
        """Lose what is in memory; with plugins, come back as another
        version."""
        await self.close()
        self.plugins = plugins or self.plugins
        await self.open()

    async def run(self, workflow: str, value: Any, **options: Any) -> Outcome:
        run = await self.engine.start(workflow, value, **options)
        return await self.engine.wait(run, timeout_ms=LONG_MS)

    async def hear(self) -> None:
        """Have the embedded engine look at the log, as it does by itself where
        other processes write to it; workers listen all the time."""
        if self.kind == "embedded":
            await self.engine.poll()

    async def types(self, run: str) -> list[str]:
        return [event.type for event in await self.store.read_stream(f"run/{run}")]

    async def until(self, run: str, *types: str) -> None:
        """Return when the journal holds events of these types."""
        for _ in range(1000):
            there = await self.types(run)
            if all(kind in there for kind in types):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{run} has no {types}: {await self.types(run)}")

    async def play(self, run: str, *, approve: bool = True) -> Outcome:
        """Be the world around a run until it has ended: answer, and send the
        signals it waits for."""
        for _ in range(2000):
            with contextlib.suppress(DeadlineError):
                return await self.engine.wait(run, timeout_ms=20)
            for item in await self.engine.inbox(run):
                with contextlib.suppress(ConflictError, MissingError):
                    await self.engine.answer(
                        item.id, approve=approve, approver="person:ada", reason="seen"
                    )
            for one, name in await self._awaited(run):
                with contextlib.suppress(ConflictError):
                    await self.engine.signal(one, name, f"{name}!", actor="person:ada")
        raise AssertionError(f"{run} did not end: {await self.types(run)}")

    async def _awaited(self, run: str) -> list[tuple[str, str]]:
        found: dict[tuple[str, str], int] = {}
        for stream, _ in await self.store.streams(f"run/{run}"):
            events = await self.store.read_stream(stream)
            if events[-1].type in END_EVENTS:
                continue
            for event in events:
                if event.type in ("signal.waiting", "signal.received"):
                    key = (stream.removeprefix("run/"), event.payload["name"])
                    change = 1 if event.type == "signal.waiting" else -1
                    found[key] = found.get(key, 0) + change
        return [key for key, n in found.items() if n > 0 and not key[1].startswith("never")]


@contextlib.asynccontextmanager
async def opened(
    kind: str, *plugins: Plugin, ready: Any = None, **options: Any
) -> AsyncIterator[Room]:
    """An installation over one engine; `ready` is given it before it opens."""
    room = Room(kind, *plugins, **options)
    if ready is not None:
        ready(room)
    try:
        yield await room.open()
    finally:
        await room.close()
        room.ledger.close()


def lasting(value: Any) -> Any:
    """What of a payload is the same in every life of a run."""
    if isinstance(value, dict):
        return {key: lasting(one) for key, one in value.items() if key not in VARIES}
    return [lasting(one) for one in value] if isinstance(value, list) else value


async def journal(room: Room, run: str) -> dict[str, Any]:
    """What the log holds of a run and its children, by position: types and
    payloads in their order."""
    told: dict[str, Any] = {}
    for stream, _ in sorted(await room.store.streams(f"run/{run}")):
        steps = told.setdefault(stream, {})
        for event in await room.store.read_stream(stream):
            body = event.payload
            place = body.get("position") or body.get("name") or ""
            steps.setdefault(place, []).append((event.type, event.actor, lasting(body)))
    return told


async def verdicts(room: Room, run: str) -> set[str]:
    """What replay says of a run and each of its children."""
    said = set()
    for stream, _ in await room.store.streams(f"run/{run}"):
        found = await replay(room.store, room.registry, stream.removeprefix("run/"))
        said.add(found.verdict if found.verdict == "identical" else f"{found}")
    return said


__all__ = ["ENDED", "ENGINES", "Room", "address", "journal", "opened", "servers", "verdicts"]
