"""Squad world: an engine, perhaps a desk beside it, people and a bank, while
machine, disk, clock and network fail.

The faults stop one day; then everything must come to its end, and the laws
(`laws.py`) are checked over the whole log and the bank's ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from agentsquad.kernel.errors import SquadError, UnavailableError
from agentsquad.testing.simulator import laws
from agentsquad.testing.simulator.bank import Bank
from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.fate import Fate
from agentsquad.testing.simulator.loop import SimulatedLoop
from agentsquad.testing.simulator.machine import Machine, Process
from agentsquad.testing.simulator.network import Network
from agentsquad.testing.simulator.office import Fittings, Office
from agentsquad.testing.simulator.people import People
from agentsquad.testing.simulator.shelter import Shelter
from agentsquad.testing.simulator.squad_oracle import SquadOracle
from agentsquad.testing.simulator.trace import Trace
from agentsquad.testing.simulator.trade import Trade
from agentsquad.testing.simulator.workload import PRICE, Author

STABLE_S = 4.0  # so long nothing must have happened before a clerk looks
PEACE_MS = 60_000  # of virtual time, until everything must have ended
BOOTS_MAX = 80


class SquadWorld:
    """The world of one seed."""

    name = "squad"

    def __init__(self, loop: SimulatedLoop, chance: Chance, trace: Trace) -> None:
        self.loop = loop
        self.chance = chance
        self.trace = trace
        self.oracle = SquadOracle(trace)
        self.machine = Machine("m", loop, chance.fork("machine"), trace)
        self.fate = Fate(self.machine, chance.fork("fate"), trace)
        self.network = Network(loop, chance.fork("network"), trace)
        self.bank = Bank(trace, self.oracle.moved)
        self.network.listen("bank", self.bank.answer)
        two = chance.happens(0.4)
        self.programs = ("engine", "desk") if two else ("engine",)
        self.lease: dict[str, Process] = {}
        self.ahead = chance.happens(0.7)  # events have places before they are durable
        self.offices: dict[str, Office] = {}
        self.wanted: set[str] = set()
        self._unknown: dict[tuple[str, str, str, int], float] = {}
        self.people = People(self.network, self.oracle, chance.fork("people"), self.programs)
        self.author = Author(chance.fork("author"))
        self.told = chance.fork("told")
        self.wide = chance.fork("wide")
        sheltered = chance.fork("shelter")
        self.shelter = Shelter(sheltered) if sheltered.happens(0.3) else None
        self.trade = Trade.drawn(loop, chance.fork("trade"), trace, self.network)
        self.stopping = False
        self.budget: int | None = None

    @property
    def runs(self) -> int:
        """How many runs there were."""
        return len(self.oracle.journals())

    @property
    def effects(self) -> int:
        """How often money moved."""
        return len(self.bank.transfers)

    async def live(self) -> None:
        """Live through faults, then in peace, and check what is left."""
        keepers = [asyncio.ensure_future(self._keep(name)) for name in self.programs]
        busy = self._busy_people()
        faults = asyncio.ensure_future(self.fate.rule(self.chance.between(300, 1500)))
        weather = asyncio.ensure_future(self._weather())
        await faults
        weather.cancel()
        self.fate.end()
        self.network.heal()
        self.people.patient = True
        self.trace.note("world", "nothing fails any more")
        await self._peace()
        self.people.leaving = self.stopping = True
        for process in self.machine.living:
            self.machine.kill(process)
        await asyncio.gather(*keepers, *busy)
        checker = self.machine.spawn("checker", self._check)
        error = await checker.gone
        if error is not None:
            self.oracle.refused("checker", error, ())

    def _busy_people(self) -> list[asyncio.Future[None]]:
        chance, people = self.chance, self.people
        telling = self.told.happens(0.35)
        doing = [people.poke(), people.move()] if telling else []
        if chance.happens(0.5):
            self.budget = PRICE * chance.between(1, 8)
            doing.append(people.insist("engine", op="limit", micros=self.budget))
        for number in range(chance.between(1, 5)):
            program = self.author.write()
            if self.wide.happens(0.2):
                program = self.author.wide(program, self.wide)
            if self.trade is not None:
                program = self.trade.written(program, self.author)
            if telling and self.told.happens(0.5):
                program = self.author.told(program)
            self.trace.note("people", f"want {program}")
            self.wanted.add(f"k{number}")
            for _ in range(1 + chance.happens(0.15)):
                doing.append(people.start(f"k{number}", program, chance.below(400)))
        if self.trade is not None:
            doing += self.trade.doing(people, self.author, self.wanted)
        doing += [people.answer(), people.signal()]
        if chance.happens(0.3):
            doing.append(people.change_minds(chance.between(1, 3)))
        if chance.happens(0.2):
            doing.append(people.pull_the_switch())
        return [asyncio.ensure_future(one) for one in doing]

    async def _keep(self, name: str) -> None:
        """Start a program again whenever it ends, until all is over."""
        for _ in range(BOOTS_MAX):
            process = self.machine.spawn(name, self._main)
            error = await process.gone
            if error is not None:
                self.oracle.refused(name, error, (UnavailableError,))
            await asyncio.sleep(self.chance.between(1, 80) / 1000)
            if self.stopping:
                return
        self.oracle.find("it comes back", f"{name} was started {BOOTS_MAX} times")

    async def _main(self, process: Process) -> None:
        office = Office(
            process,
            self.network,
            self.oracle,
            self.lease,
            Fittings(ahead=self.ahead, shelter=self.shelter, trade=self.trade),
        )
        self.offices[process.name] = office
        self.network.listen(process.name, office.answer, process.life)
        await (office.drive() if process.name == "engine" else office.serve())

    async def _weather(self) -> None:
        """Let the network fail now and then."""
        kinds = self.chance.some(("loss", "doubling", "cut"), 0.5)
        while kinds:
            await asyncio.sleep(self.chance.between(10, 400) / 1000)
            kind = self.chance.pick(kinds)
            network = self.network
            if kind == "loss":
                network.loss = self.chance.pick((0.0, 0.1, 0.5))
            elif kind == "doubling":
                network.doubling = self.chance.pick((0.0, 0.2, 0.8))
            else:
                network.cut = set(self.chance.some((*self.programs, "bank", "people"), 0.3))
                self.trace.fault("partition", "network", " ".join(sorted(network.cut)) or "none")

    # --- peace

    async def _peace(self) -> None:
        """Wait until every run has ended, with a clerk who finds out what
        became of effects nobody knows of."""
        end = self.loop.time() + PEACE_MS / 1000
        while self.loop.time() < end:
            await asyncio.sleep(0.25)
            await self._audit()
            if self._settled():
                return
            await self._clerk()
            if self.trade is not None:
                await self.trade.tidy(self.people)
        for run, last in sorted(self.oracle.open_runs().items()):
            self.oracle.find("everything ends", f"run {run} stands at {last.type}: {last.payload}")

    def _settled(self) -> bool:
        if self.people.started.keys() != self.wanted or self.oracle.open_runs():
            return False
        return self.trade is None or self.trade.settled(list(self.oracle.known.values()))

    async def _audit(self) -> None:
        """Read what the log has by now, past everybody."""
        office = self.offices.get("engine")
        if office is None or not self.machine.living:
            return
        after = self.oracle.complete()
        with contextlib.suppress(SquadError):
            for event in await office.ledger.store.read(after=after, limit=100_000):
                self.oracle.seen(event)

    async def _clerk(self) -> None:
        """Look unknown effects up in the bank's own books, once nothing is
        under way."""
        now = self.loop.time()
        for found in self.oracle.unknown():
            run, position, key, _ = found
            since = self._unknown.setdefault(found, now)
            if now - since < STABLE_S or self.network.under_way.get("bank"):
                continue
            moved = [one for one in self.bank.transfers if one.key == key]
            said: dict[str, Any] | None = {"failed": True}
            if moved:
                said = {"confirmed": f'{{"n": {moved[0].n}}}'}
            if self.trade is not None and (asked := self._asked(run, key)) is not None:
                said = await self.trade.look_up(self.people, asked)
            if said is None:
                continue
            await self.people.say(
                self.programs[-1],
                op="effects.resolve",
                run=run,
                position=position,
                reason="asked the bank",
                **said,
            )

    def _asked(self, run: str, key: str) -> dict[str, Any] | None:
        """Return what an effect asked of others than the bank."""
        for event in self.oracle.journals()[run]:
            if event.type == "effect.planned" and event.payload["key"] == key:
                return event.payload if event.payload["action"] in Trade.FINDING else None
        return None

    async def _check(self, process: Process) -> None:
        office = Office(process, self.network, self.oracle, None, Fittings(trade=self.trade))
        started, moved = self.people.started, self.bank.transfers
        await laws.check(self.oracle, office, started, moved, self.trade)
