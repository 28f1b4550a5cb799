"""The room: the real engine, door and log over a scratch store, in a world that
lends only what cannot be touched.

One room serves one rehearsal. Nothing in it can reach the installation's log,
blobs, budgets, lease or engine; its registry, policy and remaining ports are
the installation's own.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel.errors import MissingError, UnsupportedError
from agentsquad.kernel.event import Event
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import BlobStore, Clock, Entropy, EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.determinism.rehearsal.clock import ManualClock
from agentsquad.runtime.determinism.rehearsal.cut import Cut
from agentsquad.runtime.determinism.rehearsal.entropy import SeededEntropy
from agentsquad.runtime.determinism.rehearsal.guard import unwatched
from agentsquad.runtime.determinism.rehearsal.outside import Outside
from agentsquad.runtime.determinism.rehearsal.scratch import Life, MortalVolume, ScratchStore
from agentsquad.runtime.determinism.rehearsal.waiting import Waiting
from agentsquad.runtime.engine.contract import Deployed, Deployments, Engine, Lease
from agentsquad.runtime.engine.door import CallPath, Ports, World
from agentsquad.runtime.engine.gate import Gate
from agentsquad.runtime.engine.interceptors import STANDARD
from agentsquad.runtime.engine.sealing import SealingStore
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.log import EventLog
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.resilience.admission import Admission
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.runtime.resilience.contract import Board

# What a room never borrows: it has its own, or none.
OWN = frozenset(
    {
        EventStore, BlobStore, Ledger, PolicyEngine, Clock, Entropy, Gate, BudgetKeeper,
        Engine, CallPath, World, Registry, Lease, Admission, Board,
    }
)  # fmt: skip


class BorrowedPorts(Ports):
    """The room's own ports before the installation's."""

    def __init__(self, made: Mapping[Any, Any], lender: Ports) -> None:
        super().__init__(made)
        self._lender = lender

    def has(self, role: Any) -> bool:
        """Whether a port can be had."""
        return super().has(role) or (role not in OWN and self._lender.has(role))

    def get(self, role: Any) -> Any:
        """Return the adapter."""
        if super().has(role):
            return super().get(role)
        if role in OWN:
            raise UnsupportedError(
                f"a rehearsal has no {getattr(role, '__name__', role)}", code="port.missing"
            )
        return self._lender.get(role)


class LentBlobs:
    """Blobs of its own, then those it is lent, which it only reads."""

    def __init__(self, own: BlobStore, lent: Callable[[], Sequence[BlobStore]]) -> None:
        self._own = own
        self._lent = lent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    async def get(self, digest: str) -> bytes:
        """Return the bytes of a blob."""
        try:
            return await self._own.get(digest)
        except MissingError:
            with unwatched():
                for lent in self._lent():
                    with contextlib.suppress(MissingError):
                        return await lent.get(digest)
            raise


class LentDeployments:
    """What was deployed, beside a version that the lender has mounted: of its
    workflows that one is taken, whichever is the newest."""

    def __init__(self, inner: Deployments, registry: Registry) -> None:
        self._inner = inner
        self._registry = registry

    def newest(self, workflow: str) -> str | None:
        """Return the digest of the version that new runs take."""
        mounted = self._registry.workflows.get(workflow)
        if mounted is not None and self._inner.knows(mounted.digest):
            return None
        return self._inner.newest(workflow)

    def names(self) -> list[str]:
        """Return the workflows of which new runs take a deployed version."""
        return [name for name in self._inner.names() if self.newest(name) is not None]

    def knows(self, digest: str) -> bool:
        """Whether a version of this digest was deployed."""
        return self._inner.knows(digest)

    async def refresh(self) -> None:
        """Take in what was deployed since."""
        with unwatched():
            await self._inner.refresh()

    async def load(self, digest: str) -> Deployed:
        """Return a version."""
        with unwatched():
            return await self._inner.load(digest)


class Lent(msgspec.Struct, frozen=True, kw_only=True):
    """What a room is given besides the installation: adapters in the place of
    its own, the blobs of an earlier rehearsal, and a log to go on with."""

    ports: Mapping[Any, Any] = {}
    blobs: BlobStore | None = None
    cut: Cut | None = None


class Room:
    """Everything one rehearsal happens in; `rise` gives it its next engine."""

    def __init__(
        self, world: World, *, seed: str, start_ms: int, life: Life, lent: Lent | None = None
    ) -> None:
        lent = lent or Lent()
        self.lender = world
        self._lent_blobs = lent.blobs
        self.life = life
        self.clock = ManualClock(start_ms)
        self.entropy = SeededEntropy(seed)
        self.ledger: Ledger = open_ledger("memory:", self.clock, self.entropy)
        if lent.cut is not None:
            if lent.cut.rows:
                self.ledger.store.volume.commit(lent.cut.batch())
            self.ledger = dataclasses.replace(self.ledger, keyring=lent.cut.keyring)
        self.waiting = Waiting()
        self.watchers: list[Callable[[Sequence[Event]], None]] = []
        self.events: list[Event] = []  # everything durable, as last looked at
        self._ports = dict(lent.ports)
        self.blobs: Any = LentBlobs(self.ledger.blobs, self._lend_blobs)

    def _lend_blobs(self) -> list[BlobStore]:
        lent = [] if self._lent_blobs is None else [self._lent_blobs]
        if self.lender.ports.has(BlobStore):
            lent.append(self.lender.blobs)
        return lent

    def enter(self, outside: Outside) -> EmbeddedEngine:
        """Return an engine for the life that begins now."""
        volume = MortalVolume(self.ledger.store.volume, self.life)
        self.log = EventLog(volume, self.clock, self.entropy, self.ledger.keyring)
        sealing = SealingStore(self.log, self.lender.registry, self.entropy)
        store = ScratchStore(sealing, volume, self.life, lambda: self.lender.store)
        made: dict[Any, Any] = {
            EventStore: store,
            BlobStore: self.blobs,
            Ledger: self.ledger,
            PolicyEngine: self.lender.policy,
            Clock: self.clock,
            Entropy: self.entropy,
            Gate: Gate(store),
            BudgetKeeper: BudgetKeeper(store),
            **self._ports,
        }
        if self.lender.ports.has(Deployments):
            deployed = self.lender.ports.get(Deployments)
            made.setdefault(Deployments, LentDeployments(deployed, self.lender.registry))
        ports = BorrowedPorts(made, self.lender.ports)
        # Everything at the door is real but the last, which would execute.
        engine = EmbeddedEngine(World(self.lender.registry, ports), (*STANDARD[:-1], outside))
        ports.put(Engine, engine)
        return engine

    async def look(self) -> list[Event]:
        """Return what has become durable since the last look."""
        found: list[Event] = []
        while batch := await self.log.read(after=len(self.events), limit=1000):
            self.events += batch
            self.waiting.fold(batch)
            for watcher in self.watchers:
                watcher(batch)
            found += batch
        return found
