"""Office: the processes of the simulated squad, made of the real parts.

`engine` holds the lease and drives the runs; `desk`, where there is one, is
another process on the same files, which answers, signals and cancels, as
`squad approve` does. Both open the log, mount the ports and answer messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import SquadError, UnavailableError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import BlobStore, Clock, Entropy, EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.engine.contract import Engine, EngineBusyError, Lease
from agentsquad.runtime.engine.door import Ports, World
from agentsquad.runtime.engine.intervening import Wish
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.resilience.budget import Limit
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.runtime.resilience.contract import Appraiser
from agentsquad.runtime.resilience.guard import Guards
from agentsquad.runtime.resilience.pools import Pools
from agentsquad.testing.simulator.machine import Process
from agentsquad.testing.simulator.network import Message, Network
from agentsquad.testing.simulator.oracle import Oracle
from agentsquad.testing.simulator.shelter import Shelter
from agentsquad.testing.simulator.trade import Trade
from agentsquad.testing.simulator.workload import (
    CURRENCY,
    OPERATING,
    PLUGINS,
    HousePolicy,
    Price,
    Teller,
)

ANSWERED = ("approval", "intervention")  # with yes or no
MOVER = "person:cleo"
WATCH_MS = 150


class Witnessed:
    """The event store of one process, with the oracle looking on."""

    def __init__(self, inner: EventStore, oracle: Oracle) -> None:
        self._inner = inner
        self._oracle = oracle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def append(
        self, events: Sequence[NewEvent], *, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        """Append, and tell the oracle before and after."""
        self._oracle.submitted(events)
        stored = await self._inner.append(events, expect=expect)
        self._oracle.acknowledged(stored)
        return stored

    async def read_stream(
        self, stream: str, *, after: int = 0, limit: int | None = None
    ) -> list[Event]:
        """Read one stream, and show it to the oracle."""
        found = await self._inner.read_stream(stream, after=after, limit=limit)
        for event in found:
            self._oracle.seen(event)
        return found


class _Watched:
    """A holder of places, with the oracle looking on: what is durable is
    acknowledged."""

    def __init__(self, holder: Any, oracle: Oracle) -> None:
        self._holder = holder
        self._oracle = oracle

    def stands(self, before: list[Event], now: list[Event]) -> bool:
        """Pass the question on."""
        return bool(self._holder.stands(before, now))

    def settled(self, error: SquadError | None, events: list[Event]) -> None:
        """Hear how it ended."""
        if error is None:
            self._oracle.acknowledged(events)
        self._holder.settled(error, events)


class WitnessedAhead(Witnessed):
    """A store that also gives events their place before they are durable."""

    def place(
        self, events: Sequence[NewEvent], *, holder: Any, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        """Give events their place at once."""
        self._oracle.submitted(events)
        watched = _Watched(holder, self._oracle)
        placed: list[Event] = self._inner.place(  # type: ignore[attr-defined]
            events, holder=watched, expect=expect
        )
        return placed


class MachineLease:
    """The lease of one machine: whoever holds it drives the runs, until it
    dies. A desk never does."""

    def __init__(self, holders: dict[str, Process], process: Process) -> None:
        self._holders = holders
        self._process = process

    @property
    def held(self) -> bool:
        """Whether this process has it."""
        return self._holders.get("lease") is self._process

    def acquire(self) -> None:
        """Take it, or raise EngineBusyError."""
        if self._process.name != "engine":
            raise EngineBusyError("this process only passes on what it is told")
        holder = self._holders.get("lease")
        if holder is not None and holder is not self._process and holder.life.alive:
            raise EngineBusyError(f"{holder.life.name} is running the runs of this store")
        self._holders["lease"] = self._process

    def release(self) -> None:
        """Give it back."""
        if self.held:
            del self._holders["lease"]


class Counter:
    """The teller of one process: each message is a connection of its own."""

    def __init__(self, network: Network, place: str) -> None:
        self._network = network
        self._place = place

    async def ask(self, op: str, message: dict[str, Any]) -> Any:
        """Ask the bank."""
        sent = {**message, "op": op, "connection": self._network.connect()}
        doubled = message.get("way") == "keyed"
        return await self._network.call(self._place, "bank", sent, once=not doubled)


class Fittings(NamedTuple):
    """What a world's processes have beyond the least: places before they are
    durable, guards and pools, and what is traded in."""

    ahead: bool = False
    shelter: Shelter | None = None
    trade: Trade | None = None


PLAIN = Fittings()


class Office:
    """One process of the squad."""

    def __init__(
        self,
        process: Process,
        network: Network,
        oracle: Oracle,
        lease: dict[str, Process] | None,
        fittings: Fittings = PLAIN,
    ) -> None:
        self._process = process
        self.ledger: Ledger = process.open_ledger()
        kind = WitnessedAhead if fittings.ahead else Witnessed
        self.store = kind(self.ledger.store, oracle)
        trade, shelter = fittings.trade, fittings.shelter
        self.registry = Registry.of(*PLUGINS, OPERATING, *(trade.plugins if trade else ()))
        ports = Ports(
            {
                EventStore: self.store,
                BlobStore: self.ledger.blobs,
                PolicyEngine: HousePolicy(),
                Clock: process.machine.clock,
                Entropy: process.entropy,
                Ledger: self.ledger,
                BudgetKeeper: BudgetKeeper(self.store),
                Appraiser: Price(),
                Teller: Counter(network, process.name),
            }
        )
        if lease is not None:
            ports.put(Lease, MachineLease(lease, process))
        if shelter is not None:
            ports.put(Guards, Guards(shelter, self.store, process.machine.clock))
            ports.put(Pools, Pools(shelter, process.machine.clock))
        if trade is not None:
            trade.mount(ports, process.name, self.store, self.ledger)
        self.engine = EmbeddedEngine(World(self.registry, ports))
        ports.put(Engine, self.engine)

    async def drive(self) -> None:
        """Continue all runs, and look after them until something is wrong that
        opening again would mend."""
        await self.engine.recover()
        while True:
            await self._process.machine.clock.sleep_ms(WATCH_MS)
            for error in self.engine.stuck.values():
                raise error

    async def serve(self) -> None:
        """Be there until the log can be used no more."""
        while True:
            await self._process.machine.clock.sleep_ms(WATCH_MS)
            await self.store.size()

    async def answer(self, message: Message) -> Any:
        """Answer one message."""
        op, engine = message["op"], self.engine
        try:
            return await self._answer(op, message, engine)
        except UnavailableError as error:
            if error.code in ("ledger.poisoned", "ledger.closed"):
                self._process.machine.kill(self._process, error)
            raise

    async def _answer(self, op: str, message: Message, engine: EmbeddedEngine) -> Any:
        run = message.get("run", "")
        if op == "start":
            return await engine.start(message["workflow"], message["value"], key=message["key"])
        if op == "signal":
            return await engine.signal(run, message["name"], message["value"], actor="person:ada")
        if op == "cancel":
            return await engine.cancel(run, actor="person:ada", reason="not wanted any more")
        if op == "inbox":
            asked = [item for item in await engine.inbox() if item.kind in ANSWERED]
            return [(item.id, item.requester) for item in asked]
        if op == "poke":
            taken = {"actor": "person:ada", "key": message["key"], "timeout_ms": 0}
            return msgspec.to_builtins(await engine.update(run, "poke", message["n"], **taken))
        if op == "move":
            given = {"input": {"n": 1}} if message["means"] == "patch" else {}
            wish = Wish(
                run=run,
                means=message["means"],
                position=message["position"],
                reason="a slip",
                given=given,
            )
            return (await engine.intervene(wish, actor=MOVER)).id
        if op == "answer":
            return await engine.answer(
                message["item"], approve=message["approve"], approver=message["who"], reason="seen"
            )
        if op == "limit":
            limit = Limit(scope="tenant:default", currency=CURRENCY, micros=message["micros"])
            keeper: BudgetKeeper = engine.world.ports.get(BudgetKeeper)
            return await keeper.set(limit, actor="person:ada")
        value = {name: item for name, item in message.items() if name != "op"}
        outcome = await engine.invoke(op, value, actor=Actor.parse("person:ada"))
        return msgspec.to_builtins(outcome)
