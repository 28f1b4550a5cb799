"""Store world: one or two processes append to one log while its disk, its
power and its clock fail; people, blobs and expectations included.

The laws: an acknowledged event is there for ever and never changes, nothing
appears that nobody asked for, every error is typed, damage is refused and never
served, and when the faults end the log can be written and verifies.
"""

from __future__ import annotations

import asyncio
from typing import Any

from agentsquad.kernel.errors import ConflictError, IntegrityError, MissingError, UnavailableError
from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.ledger.contract import DamagedError, Ledger
from agentsquad.runtime.ledger.verification import verify
from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.fate import Fate
from agentsquad.testing.simulator.loop import SimulatedLoop
from agentsquad.testing.simulator.machine import Machine, Process
from agentsquad.testing.simulator.oracle import Oracle
from agentsquad.testing.simulator.trace import Trace

STREAMS = ("run/a", "run/b", "vendor/1", "budget/x", "control/switch")
PEOPLE = ("person:1", "person:2", "person:3")
BOOTS_MAX = 60
# Kinds of fault after which the witness is as new as the log all the same.
WITNESS_SPARED = frozenset({"kill", "pause", "sync", "read", "jump", "drift"})


class StoreWorld:
    """The world of one seed."""

    name = "store"

    def __init__(self, loop: SimulatedLoop, chance: Chance, trace: Trace) -> None:
        self.loop = loop
        self.chance = chance
        self.trace = trace
        self.oracle = Oracle(trace)
        self.machine = Machine("m", loop, chance.fork("machine"), trace)
        self.fate = Fate(self.machine, chance.fork("fate"), trace)
        self.programs = ["one", "two"][: 1 + chance.happens(0.5)]
        self.scale = chance.pick((1, 1, 1, 1, 1, 1, 1, 5))
        self.numbers = 0
        self.stopping = False
        self.final: Ledger | None = None

    runs = effects = 0

    async def live(self) -> None:
        """Live through rounds of faults, with damage at rest between them, and
        then in peace."""
        for number in range(self.chance.between(1, 3)):
            self.trace.note("world", f"round {number}")
            await self._round()
            if self.chance.happens(0.5):
                await self._damage()
        self.fate.end()
        await self._peace()

    async def _round(self) -> None:
        self.stopping = False
        keepers = [asyncio.ensure_future(self._keep(name)) for name in self.programs]
        await self.fate.rule(self.chance.between(60, 300 * self.scale))
        self.stopping = True
        await asyncio.gather(*keepers)

    async def _keep(self, name: str) -> None:
        """Start a program again whenever it ends, until the round is over."""
        for _ in range(BOOTS_MAX):
            process = self.machine.spawn(name, self._main)
            error = await process.gone
            if error is not None:
                self.oracle.refused(name, error, (UnavailableError,))
            if self.stopping:
                return
            await asyncio.sleep(self.chance.between(1, 80) / 1000)
        self.oracle.find("it comes back", f"{name} was started {BOOTS_MAX} times")

    # --- what a process does

    async def _main(self, process: Process) -> None:
        chance = self.chance.fork(process.life.name)
        ledger = process.open_ledger()
        writers = [
            asyncio.create_task(self._write(ledger, chance.fork(f"writer {number}")))
            for number in range(chance.between(1, 4))
        ]
        await asyncio.gather(*writers)
        ledger.close()

    async def _write(self, ledger: Ledger, chance: Chance) -> None:
        while not self.stopping:
            await asyncio.sleep(chance.below(60) / 1000)
            try:
                await self._act(ledger, chance)
            except (ConflictError, MissingError) as error:
                self.trace.detail(f"refused {error.code}")
            except UnavailableError as error:
                self.oracle.refused("writer", error, (UnavailableError,))
                if error.code in ("ledger.poisoned", "ledger.closed"):
                    raise

    async def _act(self, ledger: Ledger, chance: Chance) -> None:
        what = chance.below(10)
        if what < 6:
            await self._append(ledger, chance)
        elif what < 7:
            data = b"blob %d " % chance.below(40) * chance.between(1, 300)
            reference = await ledger.blobs.put(data, "text/plain")
            self.oracle.blobs[reference["$blob"]] = data
        elif what < 8:
            size = await ledger.store.size()
            after = chance.below(size + 1)
            limit = min(size - after, 40)
            events = await ledger.store.read(after=after, limit=limit)
            self.oracle.read(events, after, limit)
        elif what < 9:
            stream = chance.pick(STREAMS)
            after = max(0, dict(await ledger.store.streams(stream)).get(stream, 0) - 20)
            for event in await ledger.store.read_stream(stream, after=after):
                self.oracle.seen(event)
        elif self.oracle.blobs:
            digest = chance.pick(list(self.oracle.blobs))
            if await ledger.blobs.get(digest) != self.oracle.blobs[digest]:
                self.oracle.find("nothing changes", f"blob {digest} has other content")

    async def _append(self, ledger: Ledger, chance: Chance) -> None:
        stream = chance.pick(STREAMS)
        expect = None
        if chance.happens(0.3):
            known = dict(await ledger.store.streams(stream))
            expect = {stream: known.get(stream, 0) + (chance.below(10) == 0)}
        events = [
            self._event(stream, chance) for _ in range(chance.pick((1, 1, 2, 2 + 3 * self.scale)))
        ]
        self.oracle.submitted(events)
        self.oracle.acknowledged(await ledger.store.append(events, expect=expect))

    def _event(self, stream: str, chance: Chance) -> NewEvent:
        self.numbers += 1
        body: dict[str, Any] = {"n": self.numbers, "text": "x" * chance.pick((0, 30, 3000))}
        personal = None
        if chance.happens(0.15):
            body["who"] = f"somebody {self.numbers}"
            personal = {"/who": chance.pick(PEOPLE)}
        kind = f"thing.{chance.pick(('made', 'moved', 'gone'))}"
        return NewEvent(stream=stream, type=kind, payload=body, personal=personal)

    # --- damage at rest

    async def _damage(self) -> None:
        """Damage the disk while it is at rest: what is read then is right or
        refused. Then restore it from a copy."""
        if not WITNESS_SPARED.issuperset(self.fate.kinds):
            await self.machine.spawn("one", self._touch).gone
        self.machine.shut_down()
        backup = self.machine.disk.backup()
        kind = self.chance.pick(("bit flip", "misdirected write", "lost write"))
        for _ in range(self.chance.pick((1, 1, 1, 3))):
            told = self.fate.damage(kind)
            if told is not None:
                self.trace.fault(kind, "m", told)
        process = self.machine.spawn("reader", self._scrub)
        error = await process.gone
        if error is not None and not isinstance(error, IntegrityError):
            self.oracle.refused("reader", error, (IntegrityError,))
        process.close()
        self.machine.disk.restore(backup)
        self.trace.note("world", "the disk is restored")

    async def _touch(self, process: Process) -> None:
        """Append once more while nothing fails: a fault may have kept the
        witness, which nobody waits for, from hearing of the last commit."""
        store = process.open_ledger().store
        events = [NewEvent(stream="end", type="thing.made", payload={"n": 0})]
        self.oracle.submitted(events)
        self.oracle.acknowledged(await store.append(events))

    async def _scrub(self, process: Process) -> None:
        """Read everything in every way, one refusal not keeping from the
        next."""
        ledger = process.open_ledger()
        store = ledger.store
        size = await store.size()
        if self.oracle.known and size < max(self.oracle.known):
            self.oracle.find("damage is refused", f"the log has {size} events, silently")
        for digest, data in self.oracle.blobs.items():
            try:
                if await ledger.blobs.get(digest) != data:
                    self.oracle.find("damage is refused", f"blob {digest} has other content")
            except (IntegrityError, MissingError) as error:
                self.trace.note("reader", f"is refused: {error.code}")
        step = max(9, size // 12)
        for after in range(0, size, step):
            await self._scrub_some(ledger, after, step)
        for stream in STREAMS:
            await self._scrub_stream(ledger, stream)
        ledger.close()

    async def _scrub_some(self, ledger: Ledger, after: int, step: int) -> None:
        try:
            events = await ledger.store.read(after=after, limit=step)
            self.oracle.read(events, after, step)
        except IntegrityError as error:
            self.trace.note("reader", f"is refused: {error.code}")

    async def _scrub_stream(self, ledger: Ledger, stream: str) -> None:
        mine = [event for event in self.oracle.known.values() if event.stream == stream]
        try:
            events = await ledger.store.read_stream(stream)
            if len(events) < len(mine):
                self.oracle.find("damage is refused", f"{stream} is silently shorter")
            for event in events:
                self.oracle.seen(event)
        except IntegrityError as error:
            self.trace.note("reader", f"is refused: {error.code}")
        for kind in ("thing.made", "thing.moved", "thing.gone"):
            wanted = [e.seq for e in self.oracle.known.values() if e.type == kind]
            try:
                found = await ledger.store.read(types=[kind], limit=100_000)
            except IntegrityError as error:
                self.trace.note("reader", f"is refused: {error.code}")
                continue
            missing = set(wanted) - {event.seq for event in found}
            if missing:
                self.oracle.find("damage is refused", f"{kind} silently lacks {sorted(missing)}")

    # --- when nothing fails any more

    async def _peace(self) -> None:
        self.trace.note("world", "nothing fails any more")
        for attempt in range(3):
            process = self.machine.spawn("last", self._last)
            error = await process.gone
            if error is None:
                return
            allowed = (UnavailableError,) if attempt < 2 else ()
            self.oracle.refused("last", error, allowed)
        self.oracle.find("it comes back", "the log could not be opened and written in peace")

    async def _last(self, process: Process) -> None:
        ledger = process.open_ledger()
        store = ledger.store
        events = [NewEvent(stream="end", type="thing.made", payload={"n": 0})]
        self.oracle.submitted(events)
        self.oracle.acknowledged(await store.append(events))
        size = await store.size()
        self.oracle.read(await store.read(limit=100_000), 0, size)
        for stream, version in await store.streams():
            found = await store.read_stream(stream)
            if [event.stream_seq for event in found] != list(range(1, version + 1)):
                self.oracle.find("nothing is lost", f"stream {stream} has a gap")
        for digest, data in self.oracle.blobs.items():
            await self._last_blob(ledger, digest, data)
        found_wrong = (await verify(ledger, lambda done, total: None)).findings
        for finding in found_wrong[:3]:
            self.oracle.find("the log verifies", f"{finding.seq}: {finding.what}")
        ledger.close()

    async def _last_blob(self, ledger: Ledger, digest: str, data: bytes) -> None:
        try:
            if await ledger.blobs.get(digest) != data:
                self.oracle.find("nothing changes", f"blob {digest} has other content")
        except (MissingError, DamagedError) as error:
            self.oracle.find("nothing is lost", f"blob {digest}: {error.code}")
