"""Our own store is linearizable under faults, and a store that is not is found.

Callers use streams as registers and as growing texts (`store_workload`); what
they asked and were answered is a history, and `operations.consistency` says
whether one log that does one thing at a time could have given those answers.
"""

from __future__ import annotations

import asyncio
import importlib.util
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import apsw
import pytest

from agentsquad.kernel.event import Event, NewEvent
from agentsquad.operations.consistency.verdict import Bounds, Verdict, judge
from agentsquad.runtime.ledger.adapters import database
from agentsquad.runtime.ledger.contract import Ledger


def load(name: str) -> ModuleType:
    if name not in sys.modules:
        path = Path(__file__).with_name(f"{name}.py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


disk = load("faulty_disk")
kit = load("ledger_kit")
histories = load("simulated_history")
workload = load("store_workload")

CALLERS, OPERATIONS = 6, 8
NOTHING, BUSY, POWER = "nothing", "busy", "power"
FAULTS = (NOTHING, disk.WRITE, disk.TORN, disk.SYNC, disk.FULL, BUSY, POWER)
Wrap = Callable[[Any], Any]


def judged(events: Sequence[dict[str, Any]]) -> dict[str, Verdict]:
    """Return the verdict on what was recorded, for each model."""
    return {
        model: judge(histories.recorded(part, model), Bounds(lambda: 0.0, 1.0, steps=500_000))
        for model, part in workload.split(events).items()
    }


def all_good(events: Sequence[dict[str, Any]]) -> bool:
    verdicts = judged(events)
    for verdict in verdicts.values():
        assert verdict.linearizable is not None
    return all(verdict.linearizable for verdict in verdicts.values())


class World:
    """One log under faults: callers on two connections, opened again after each
    round, elsewhere after a power failure.
    """

    def __init__(self, folder: Path, seed: int, wrap: Wrap = lambda store: store) -> None:
        self.chance = random.Random(seed)
        self.tape = workload.Tape()
        self.met: Counter[str] = Counter()
        self._root, self._rounds, self._wrap = folder, 0, wrap
        self._home = self._new_home()

    def _new_home(self) -> Path:
        self._rounds += 1
        home = self._root / f"home{self._rounds}"
        home.mkdir()
        return home

    async def round(self, fault: str) -> None:
        """Work until all is done or the log is poisoned, while one thing goes
        wrong.
        """
        self._rounds += 1
        disk.DISK.folder = str(self._home)
        ledgers = self._open()
        other = apsw.Connection(str(self._home / "ledger.db")) if fault == BUSY else None
        kind = disk.WRITE if fault == POWER else None if fault in (NOTHING, BUSY) else fault
        try:
            with disk.failing(kind, self.chance.randint(1, 60)) as plan:
                callers = [self._caller(number, ledgers) for number in range(CALLERS)]
                if other is not None:
                    other.execute("BEGIN IMMEDIATE")
                    await asyncio.gather(*(caller.work(2) for caller in callers))
                    other.execute("ROLLBACK")
                await asyncio.gather(*(caller.work(OPERATIONS) for caller in callers))
                self.met[fault] += plan.struck if kind else 1
                if fault == POWER:
                    self._fail_power()
        finally:
            if other is not None:
                other.close()
            for ledger in ledgers:
                ledger.close()
            disk.DISK.folder = None
        if fault == POWER:
            disk.DISK.synced = {
                str(path): path.read_bytes() for path in self._home.iterdir() if path.is_file()
            }

    def _open(self) -> list[Ledger]:
        url = kit.url_of("sqlite", self._home)
        return [kit.open_test_ledger(url, f"{self._rounds}/{n}") for n in range(2)]

    def _caller(self, number: int, ledgers: Sequence[Ledger]) -> Any:
        store = self._wrap(ledgers[number % 2].store)
        chance = random.Random(self.chance.random())
        return workload.Caller(self.tape, f"r{self._rounds}c{number}", store, chance)

    def _fail_power(self) -> None:
        """Go on with what is sure to be on the disk."""
        old, self._home = self._home, self._new_home()
        disk.DISK.after_power_failure(self._home)
        note = old / "ledger.db.head"
        if note.exists() and not isinstance(self._wrap(None), Weak):
            (self._home / note.name).write_bytes(note.read_bytes())


@pytest.fixture(autouse=True)
def no_memory_of_other_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    disk.DISK.synced = {}
    monkeypatch.setattr(database, "BUSY_MS", 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
async def test_histories_of_our_store_under_faults_are_linearizable(
    seed: int, tmp_path: Path
) -> None:
    world = World(tmp_path, seed)
    for _ in range(5):
        await world.round(world.chance.choice(FAULTS))
    await world.round(NOTHING)
    for model, verdict in judged(world.tape.events).items():
        assert verdict.linearizable is True, (model, verdict.explanation)


@pytest.mark.slow
async def test_every_kind_of_fault_was_met_and_left_outcomes_unknown(tmp_path: Path) -> None:
    world = World(tmp_path, 99)
    for fault in FAULTS * 3:
        await world.round(fault)
    assert set(world.met) == set(FAULTS)
    assert all(world.met.values()), world.met
    ends = Counter(event["type"] for event in world.tape.events)
    assert min(ends["ok"], ends["fail"], ends["info"]) >= 10, ends
    assert all_good(world.tape.events)


async def test_the_memory_store_gives_linearizable_histories(tmp_path: Path) -> None:
    tape = workload.Tape()
    ledger = kit.open_test_ledger("memory:")
    callers = [
        workload.Caller(tape, f"c{n}", ledger.store, random.Random(n)) for n in range(CALLERS)
    ]
    await asyncio.gather(*(caller.work(OPERATIONS * 4) for caller in callers))
    assert all_good(tape.events)


@pytest.mark.slow
@pytest.mark.e2e
def test_histories_of_killed_processes_on_one_file_are_linearizable(tmp_path: Path) -> None:
    recorded = workload.record(tmp_path)
    counts = Counter(event["type"] for events in recorded.values() for event in events)
    open_ones = counts["invoke"] - counts["ok"] - counts["fail"] - counts["info"]
    assert open_ones >= 1, "somebody was killed while waiting for an answer"
    assert counts["ok"] > 300 and counts["fail"] > 10, counts
    for model, events in recorded.items():
        history = histories.recorded(events, model)
        assert judge(history, Bounds(lambda: 0.0, 1.0, steps=500_000)).linearizable is True


# --- a store that does not keep its word is found ---


class Weak:
    """A store that does not do what it says."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def append(
        self, events: Sequence[NewEvent], *, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        stored: list[Event] = await self._store.append(events, expect=expect)
        return stored

    async def read_stream(self, stream: str) -> list[Event]:
        events: list[Event] = await self._store.read_stream(stream)
        return events


class ReadsFromCache(Weak):
    """Every fourth read looks at the log; the others at what was seen then."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._seen: dict[str, tuple[int, list[Event]]] = {}

    async def read_stream(self, stream: str) -> list[Event]:
        left, events = self._seen.get(stream, (0, []))
        if not left:
            left, events = 4, await super().read_stream(stream)
        self._seen[stream] = (left - 1, events)
        return events


class IgnoresExpect(Weak):
    """Appends whatever the stream's version is."""

    async def append(
        self, events: Sequence[NewEvent], *, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        return await super().append(events)


class AnswersTooEarly(Weak):
    """Answers before what it wrote is sure to be on the disk."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        if store is not None:
            store.volume._db.pragma("synchronous", "off")


class SaysItFailed(Weak):
    """Says that an append was refused which was not."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._count = 0

    async def append(
        self, events: Sequence[NewEvent], *, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        stored = await super().append(events, expect=expect)
        self._count += 1
        if self._count % 5 == 0:
            raise database.FullError()
        return stored


class LosesOne(Weak):
    """Acknowledges now and then what it never wrote."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._last: list[Event] = []

    async def append(
        self, events: Sequence[NewEvent], *, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        if expect is None and self._last and self._last[0].stream == events[0].stream:
            kept, self._last = self._last, []
            return kept
        self._last = await super().append(events, expect=expect)
        return self._last


WEAKNESSES = {
    "reads from a cache": (ReadsFromCache, NOTHING),
    "ignores the version expected": (IgnoresExpect, NOTHING),
    "answers before the sync": (AnswersTooEarly, POWER),
    "says a success failed": (SaysItFailed, NOTHING),
    "acknowledges without writing": (LosesOne, NOTHING),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WEAKNESSES)
async def test_a_store_that_is_weaker_than_promised_is_found(name: str, tmp_path: Path) -> None:
    """In every run; and without the weakness in none."""
    weakness, fault = WEAKNESSES[name]

    async def good(wrap: Wrap, seed: int) -> bool:
        home = tmp_path / f"{wrap.__name__}{seed}"  # type: ignore[attr-defined]
        home.mkdir()
        world = World(home, seed, wrap)
        for fault_now in (fault, NOTHING, NOTHING):
            await world.round(fault_now)
        return all_good(world.tape.events)

    for seed in range(5):
        assert not await good(weakness, seed), seed
    assert await good(Weak, 0)
