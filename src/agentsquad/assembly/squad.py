"""One installation, wired: plugins mounted into a registry, adapters behind
ports.

Nothing is opened before something asks for it: `squad edi check` never touches
a store, and help never loads an engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

import msgspec

from agentsquad.assembly.catalogue import plugins, shipped_agents, shipped_rules
from agentsquad.assembly.resources import ModelAppraiser, Providing, Shelf
from agentsquad.assembly.settings import Settings
from agentsquad.integrations.connectors.ai.contract import Models
from agentsquad.integrations.connectors.tools.contract import Peers
from agentsquad.integrations.proxy.contract import Endpoints
from agentsquad.kernel.action import Action, Effect
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import BlobStore, Clock, Entropy, EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.control.contract import Location, Shipped
from agentsquad.runtime.control.guards import StoredGuards
from agentsquad.runtime.control.manifests import StoredManifests
from agentsquad.runtime.control.pools import StoredPools
from agentsquad.runtime.engine.contract import (
    Deployments,
    Engine,
    Lease,
    Manifests,
    Several,
    Stopping,
)
from agentsquad.runtime.engine.door import CallPath, Ports, Step, World
from agentsquad.runtime.engine.gate import Gate
from agentsquad.runtime.engine.inbound.contract import Pulses
from agentsquad.runtime.engine.interceptors import STANDARD
from agentsquad.runtime.engine.interceptors.confine import Confinement
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.resilience.admission import Admission, tuning_of
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.runtime.resilience.contract import Appraiser, Board, GuardSource
from agentsquad.runtime.resilience.guard import Guards
from agentsquad.runtime.resilience.pools import Pools
from agentsquad.runtime.temporal.contract import RunWorker
from agentsquad.runtime.transactions.contract import Participants
from agentsquad.trust.access.contract import SYSTEM, Access, Namespaces
from agentsquad.workforce.agents.contract import AgentCatalogue, ModelCatalogue

if TYPE_CHECKING:
    from agentsquad.assembly.namespaces import OpenNamespaces

SQLITE = "sqlite:///"
SHARED = ("postgresql:", "postgres:")  # stores that several processes may serve
# These have answers without a store.
SHIPPED = (
    "resources.get", "resources.list", "models.list", "schedules.list", "chaos.run", "trials.test",
    "trials.batch", "a2a.skills",
)  # fmt: skip
# Empty without a store.
LISTS = (
    "runs.list", "runs.inbox", "cost.show", "budget.show", "a2a.tasks", "a2a.push_list",
    "tools.list",
)  # fmt: skip
METERED = ("models.ask", "models.test")  # may spend; without a store there is no budget to spend of
# These change what a store already holds: none is made only for them to fail.
CHANGING = (
    "runs.cancel", "runs.signal", "runs.adopt", "runs.resume", "runs.restart", "runs.update",
    "runs.retry", "runs.skip", "runs.patch", "runs.fail", "runs.compensate", "runs.export_test",
    "approvals.approve", "approvals.reject", "approvals.ask", "approvals.delegate",
    "effects.resolve", "resources.delete",
    "deployments.retire", "messages.redeliver", "transactions.recover", "log.erase",
    "budget.release", "attest.prove", "drift.baseline",
    "a2a.push_set", "a2a.push_remove", "a2a.push_again", "tools.pin",
)  # fmt: skip
CHECKING = "deployments.deploy"  # a mere check needs no store
FILES = "files"  # in a home: where a server's actions may open files
CALL_FILES = "squad-call-"  # how folders for the files of a call begin (gateway/adapters/scratch)
READING: ContextVar[bool] = ContextVar("reading", default=False)


class Squad:
    """A namespace of an installation in this process; close it when done.

    Actions that concern the whole installation (`realm`) are carried out in the
    namespace `system`, which is opened beside it when first needed.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry | None = None,
        *,
        estate: OpenNamespaces[Squad] | None = None,
    ) -> None:
        """`estate`: the namespaces this one was opened among; without it this
        one is the first."""
        self.settings = settings
        self.registry = registry or Registry(plugins())
        self._estate = estate
        self._first = estate is None
        self._there = estate is not None  # whoever opened it has looked
        self.ports = Ports()
        self.world = World(self.registry, self.ports)
        self._closers: list[Callable[[], Any]] = []
        self._provide()
        self.path = CallPath(self.world, STANDARD)
        self.ports.put(CallPath, self.path)

    def _provide(self) -> None:
        from agentsquad.runtime.engine import plugin as engine

        ports, settings = self.ports, self.settings
        ports.put(Settings, settings)
        ports.put(Location, Location(settings.namespace))
        for plugin in self.registry.plugins:
            for role, factory in plugin.ports.items():
                ports.provide(role, partial(factory, settings))
        ports.provide(Clock, engine.system_clock)
        ports.provide(Entropy, engine.system_entropy)
        ports.provide(PolicyEngine, self._policy)
        ports.provide(EventStore, self._store)
        ports.provide(BlobStore, lambda: self.ledger.blobs)
        ports.provide(Gate, lambda: Gate(self.world.store))
        ports.provide(Engine, self._engine)
        ports.provide(RunWorker, self._worker)
        ports.provide(Admission, self._admission)
        ports.provide(Board, lambda: engine.board(settings.home, settings.store))
        ports.provide(Pulses, lambda: engine.pulses(settings.home, settings.store))
        ports.provide(BudgetKeeper, lambda: BudgetKeeper(self.world.store))
        ports.provide(Appraiser, lambda: ModelAppraiser(lambda: ports.get(Models)))
        ports.provide(GuardSource, lambda: StoredGuards(self.world.store))
        ports.provide(
            Guards, lambda: Guards(ports.get(GuardSource), self.world.store, self.world.clock)
        )
        ports.provide(Pools, lambda: Pools(StoredPools(self.world.store), self.world.clock))
        ports.provide(Participants, self._participants)
        ports.provide(Deployments, self._deployments)
        ports.provide(Manifests, lambda: StoredManifests(self.world.store))
        ports.provide(Ledger, lambda: self.ledger)
        ports.provide(Shelf, lambda: Shelf(self.world.store, shipped_agents))
        ports.provide(Shipped, lambda: ports.get(Shelf))
        ports.provide(AgentCatalogue, lambda: ports.get(Shelf))
        ports.provide(Models, self._models)
        ports.provide(ModelCatalogue, lambda: ports.get(Models))
        ports.provide(Endpoints, lambda: ports.get(Models))
        if settings.store.startswith("sqlite:") and settings.engine == "embedded":
            ports.provide(Lease, lambda: engine.file_lease(settings.home / "engine.lock"))
        self._several = settings.store.startswith(SHARED) and settings.engine == "embedded"
        ports.provide(Several, lambda: Several(self._several))
        ports.provide(Stopping, engine.system_stopping)
        if settings.namespace == SYSTEM:
            ports.provide(Namespaces, lambda: self.namespaces)
            ports.provide(Access, self._access)

    @property
    def namespaces(self) -> OpenNamespaces[Squad]:
        """Every namespace of the installation that is open in this process."""
        if self._estate is None:
            from agentsquad.assembly.namespaces import OpenNamespaces

            self._estate = OpenNamespaces(self, Squad)
        return self._estate

    @property
    def ledger(self) -> Any:
        """The ledger, opened on first use."""
        if not self.ports.made(Ledger):
            if READING.get():
                self._need_store()
            from agentsquad.runtime.ledger.plugin import open_ledger

            settings = self.settings
            ledger = open_ledger(
                settings.store,
                self.world.clock,
                self.world.entropy,
                home=str(settings.home),
                keys=settings.environment.get("SQUAD_KEYS"),
            )
            self.ports.put(Ledger, ledger)
            self._closers.append(ledger.close)
        return self.ports.get(Ledger)

    @property
    def unkept(self) -> bool:
        """Whether nothing was ever kept here: no store, open or on disk."""
        store = self.settings.store
        if self.ports.made(Ledger) or not store.startswith(SQLITE):
            return False
        return not Path(store.removeprefix(SQLITE)).exists()

    @property
    def place(self) -> str:
        """Where its store is, or would be: a folder."""
        return str(Path(self.settings.store.removeprefix(SQLITE)).parent)

    def _need_store(self) -> None:
        """Refuse to make a store, and its folder, only to read from it."""
        if self.unkept:
            raise MissingError(
                f"no store in {self.place} yet",
                code="store.missing",
                hint="squad demo starts one; --home names the folder of another",
            )

    def _store(self) -> EventStore:
        from agentsquad.runtime.engine.sealing import SealingStore

        return SealingStore(self.ledger.store, self.registry, self.world.entropy)

    def _deployments(self) -> Any:
        from agentsquad.operations.deployment.plugin import stored_deployments

        return stored_deployments(self.world.store, self.world.blobs)

    def _policy(self) -> PolicyEngine:
        from agentsquad.runtime.policy.plugin import load_policy

        folder = self.settings.policy
        return load_policy(self.registry.plugins, None if folder is None else str(folder))

    def _access(self) -> Access:
        from agentsquad.trust.access.plugin import open_access

        world = self.world
        return open_access(world.policy, world.store, world.clock, self.registry.kinds)

    def _models(self) -> Any:
        from agentsquad.integrations.connectors.ai.plugin import build_models

        world = self.world
        providing = Providing(
            self.settings, self.ports.get(Shelf), world.clock, world.entropy, shipped_rules()
        )
        return build_models(providing)

    def _participants(self) -> Participants:
        from agentsquad.assembly.resources import Databases
        from agentsquad.runtime.transactions.plugin import Declared

        return Declared(Databases(self.world.store, self.settings))

    def _admission(self) -> Admission:
        world = self.world
        tuning = tuning_of(self.settings.environment)
        admission = Admission(world.clock, world.entropy, tuning, self.ports.get(Board))
        admission.pools = lambda: self.ports.get(Pools).snapshot() if self.ports.made(Pools) else ()
        return admission

    def _engine(self) -> Any:
        from agentsquad.runtime.temporal import plugin as temporal

        if not temporal.embedded(self.settings.engine):
            variables = self.settings.environment
            return temporal.open_engine(self.world, self.settings.engine, variables)
        from agentsquad.runtime.engine.shell import EmbeddedEngine

        if self._several:
            from agentsquad.runtime.engine.shared import SharedEngine, TenureLease

            tenure = self.ledger.tenure
            self.ports.put(Lease, TenureLease(tenure))
            return SharedEngine(
                self.world,
                tenure,
                lambda: EmbeddedEngine(self.world),
                ttl_ms=self.settings.lease_ms,
            )
        return EmbeddedEngine(self.world)

    def _worker(self) -> RunWorker:
        from agentsquad.runtime.temporal import plugin as temporal

        variables = self.settings.environment
        return temporal.open_worker(self.world, self.settings.engine, variables)

    @property
    def actor(self) -> Actor:
        """Who asks when nothing else says so."""
        return self.settings.actor

    async def invoke(
        self,
        action: str,
        value: Any,
        *,
        actor: Actor | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call one action as a surface does and return its typed output.

        `facts` are what policy is told besides: `surface` and `access` from
        afar, nothing where the owner of the files acts.
        """
        found = self.registry.action(action)
        actor = actor or self.settings.actor
        if found.spec.realm == SYSTEM and self.settings.namespace != SYSTEM:
            system = await self.namespaces.use(SYSTEM)
            return await system.invoke(action, value, actor=actor, facts=facts)
        if not self._there:
            await self.namespaces.require(self.settings.namespace)
            self._there = True
        if self._empty_handed(found, value):
            return await self._aside(action, value, actor)
        if self.unkept:
            await self._rehearse(action, value, actor)
        looks = found.spec.effect is Effect.READ and action not in METERED
        token = READING.set(looks or action in CHANGING)
        try:
            if action.startswith(("models.", "proxy.")):
                await self.ports.get(Shelf).refresh()
            step = Step(found, value, actor=actor)
            step.facts = facts or {}
            return await self.path.run(step)
        finally:
            READING.reset(token)

    def _empty_handed(self, action: Action, value: Any) -> bool:
        """Whether there is no store, and what is asked has an answer without
        one."""
        name = action.spec.name
        if action.spec.realm == SYSTEM:
            answered = action.spec.effect is Effect.READ
        elif name == CHECKING:
            answered = isinstance(value, dict) and bool(value.get("check"))
        else:
            answered = name in (*SHIPPED, *LISTS, *METERED)
        return answered and self.unkept

    async def _rehearse(self, action: str, value: Any, actor: Actor) -> None:
        """Raise what would keep an action from being carried out that is about
        to make a store, as far as that can be known: none is made for it."""
        if not isinstance(value, dict):
            return
        if action == CHECKING and value.get("rollback"):
            self._need_store()
        elif action == CHECKING and value.get("file"):
            await self._aside(action, {**value, "check": True, "rollback": None}, actor)
        elif action == "runs.start" and isinstance(value.get("workflow"), str):
            await self._aside("workflows.find", {"name": value["workflow"]}, actor)

    async def _aside(self, action: str, value: Any, actor: Actor) -> Any:
        """Answer from what ships alone, on a store that nobody keeps."""
        settings = msgspec.structs.replace(self.settings, store="memory:")
        aside = Squad(settings, self.registry, estate=self.namespaces)
        try:
            return await aside.invoke(action, value, actor=actor)
        finally:
            await aside.close()

    def confine(self) -> None:
        """Open files only below `files` in the home of this namespace, and
        those that came along with a call; also in all opened beside it."""
        own = self.settings.home.absolute() / FILES
        call = Path(gettempdir(), CALL_FILES)
        roots = (os.path.realpath(own) + os.sep, os.path.realpath(call.parent) + os.sep + call.name)
        self.ports.put(Confinement, Confinement(roots))
        if self._first and self._estate is not None:
            self._estate.confine()

    async def close(self) -> None:
        """Stop driving runs and close every file; the first one of a process
        closes those opened beside it."""
        if self._first and self._estate is not None:
            await self._estate.close()
        if self.ports.made(Engine):
            await self.ports.get(Engine).close()
        if self.ports.made(Access):
            await self.ports.get(Access).close()
        if self.ports.made(Peers):
            with suppress(Exception):
                await self.ports.get(Peers).close()
        for close in reversed(self._closers):
            with suppress(Exception):
                close()
