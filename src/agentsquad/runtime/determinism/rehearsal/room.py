"""The room: the real engine, door and log over a scratch store, in a world that
lends only what cannot be touched.

One room serves one rehearsal. Nothing in it can reach the installation's log,
blobs, budgets, lease or engine; its registry, policy and remaining ports are
the installation's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from agentsquad.kernel.errors import MissingError, UnsupportedError
from agentsquad.kernel.event import Event
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import BlobStore, Clock, Entropy, EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.determinism.rehearsal.clock import ManualClock
from agentsquad.runtime.determinism.rehearsal.entropy import SeededEntropy
from agentsquad.runtime.determinism.rehearsal.outside import Outside
from agentsquad.runtime.determinism.rehearsal.scratch import Life, ScratchStore
from agentsquad.runtime.determinism.rehearsal.waiting import Waiting
from agentsquad.runtime.engine.contract import Engine, Lease
from agentsquad.runtime.engine.door import CallPath, Ports, World
from agentsquad.runtime.engine.gate import Gate
from agentsquad.runtime.engine.interceptors import STANDARD
from agentsquad.runtime.engine.sealing import SealingStore
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper

# What a room never borrows: it has its own, or none.
OWN = frozenset(
    {
        EventStore, BlobStore, Ledger, PolicyEngine, Clock, Entropy, Gate, BudgetKeeper,
        Engine, CallPath, World, Registry, Lease,
    }
)  # fmt: skip

_personal: WeakKeyDictionary[Registry, bool] = WeakKeyDictionary()


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
            for lent in self._lent():
                with contextlib.suppress(MissingError):
                    return await lent.get(digest)
            raise


class Room:
    """Everything one rehearsal happens in; `rise` gives it its next engine."""

    def __init__(
        self,
        world: World,
        *,
        seed: str,
        start_ms: int,
        life: Life,
        ports: Mapping[Any, Any] | None = None,
        blobs: BlobStore | None = None,
    ) -> None:
        self.lender = world
        self._lent_blobs = blobs
        self.life = life
        self.clock = ManualClock(start_ms)
        self.entropy = SeededEntropy(seed)
        self.ledger: Ledger = open_ledger("memory:", self.clock, self.entropy)
        self.waiting = Waiting()
        self.watchers: list[Any] = [self.waiting.fold]
        self._ports = dict(ports or {})
        self._store = self._sealing()
        self.blobs: Any = LentBlobs(self.ledger.blobs, self._lend_blobs)

    def _lend_blobs(self) -> list[BlobStore]:
        lent = [] if self._lent_blobs is None else [self._lent_blobs]
        if self.lender.ports.has(BlobStore):
            lent.append(self.lender.blobs)
        return lent

    def _sealing(self) -> EventStore:
        """Return the log as the engine writes it; where nothing is marked as
        personal there is nothing to seal."""
        registry = self.lender.registry
        sealing = SealingStore(self.ledger.store, registry, self.entropy)
        if registry not in _personal:
            _personal[registry] = sealing._active
        return sealing if _personal[registry] else self.ledger.store

    def enter(self, outside: Outside) -> EmbeddedEngine:
        """Return an engine for the life that begins now."""
        store = ScratchStore(self._store, self.life, self._saw, lambda: self.lender.store)
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
        ports = BorrowedPorts(made, self.lender.ports)
        # Everything at the door is real but the last, which would execute.
        engine = EmbeddedEngine(World(self.lender.registry, ports), (*STANDARD[:-1], outside))
        ports.put(Engine, engine)
        return engine

    def _saw(self, events: Sequence[Event]) -> None:
        for watcher in self.watchers:
            watcher(events)
