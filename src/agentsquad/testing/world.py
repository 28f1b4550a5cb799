"""A small world: real engine, real door, real ledger in memory, under virtual
time."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.policy import Decision, PolicyEngine, Question
from agentsquad.kernel.ports import BlobStore, Clock, Entropy, EventStore
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.asking import decide, query
from agentsquad.runtime.engine.contract import Engine
from agentsquad.runtime.engine.door import Ports, World
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy


class AllowAll:
    """A policy that allows everything; for tests that are not about policy."""

    def __init__(self, revision: str = "sha256:allow-all") -> None:
        self.revision = revision

    def decide(self, question: Question) -> Decision:
        """Allow."""
        return Decision(allow=True, reason="test", revision=self.revision, clauses=("test.allow",))

    def query(self, path: str, value: Any) -> Any:
        """Answer with what was asked."""
        return {"path": path, "input": value}


class TestSquad:
    """A ledger that outlives engines: `restart` is what a crash leaves
    behind."""

    __test__ = False

    def __init__(
        self, *plugins: Plugin, policy: PolicyEngine | None = None, store: str = "memory:"
    ) -> None:
        self.clock = ManualClock()
        self.entropy = SeededEntropy()
        self.registry = Registry.of(*plugins, Plugin(name="asking", actions=(decide, query)))
        self.policy: PolicyEngine = policy or AllowAll()
        self.ledger: Ledger = open_ledger(store, self.clock, self.entropy)
        self.engine = self._engine()

    def _engine(self) -> EmbeddedEngine:
        ports = Ports(
            {
                EventStore: self.ledger.store,
                BlobStore: self.ledger.blobs,
                PolicyEngine: self.policy,
                Clock: self.clock,
                Entropy: self.entropy,
                Ledger: self.ledger,
            }
        )
        engine = EmbeddedEngine(World(self.registry, ports))
        ports.put(Engine, engine)
        return engine

    @property
    def world(self) -> World:
        """The current engine's world."""
        return self.engine.world

    async def restart(self, registry: Registry | None = None) -> None:
        """Lose everything in memory and continue from the log."""
        await self.engine.close()
        if registry is not None:
            self.registry = registry
        self.engine = self._engine()
        await self.engine.recover()

    async def run(self, workflow: str, value: Any, **options: Any) -> Any:
        """Start a run and return its outcome."""
        run = await self.engine.start(workflow, value, **options)
        return await self.engine.wait(run, timeout_ms=5000)

    async def events(self, run: str) -> list[str]:
        """Return the types of a run's events, in order."""
        return [e.type for e in await self.ledger.store.read_stream(f"run/{run}")]
