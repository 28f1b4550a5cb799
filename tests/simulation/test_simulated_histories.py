"""Histories of the log in a simulated world are linearizable: power that fails,
processes that pause and crash, disks that tear and refuse, two at once.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import random
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agentsquad.operations.consistency.verdict import Bounds, Verdict, judge
from agentsquad.runtime.ledger.contract import Ledger, PoisonedError
from agentsquad.testing.simulator import simulation
from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.store_world import StoreWorld

SEEDS = 40


def load(name: str) -> ModuleType:
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "conformance" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


histories = load("simulated_history")
workload = load("store_workload")


class HistoryWorld(StoreWorld):
    """The store world with callers whose questions and answers are recorded."""

    lived: HistoryWorld

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        HistoryWorld.lived = self
        self.tape = workload.Tape(clock=itertools.count().__next__)
        self._names = itertools.count()

    def store_of(self, ledger: Ledger) -> Any:
        """Return what the callers talk to."""
        return ledger.store

    async def live(self) -> None:
        """Rounds of faults, then one more process that looks at what is
        left.
        """
        for _ in range(self.chance.between(1, 3)):
            await self._round()
        self.fate.end()
        self.stopping = False
        last = self.machine.spawn("last", self._main)
        await asyncio.sleep(1)
        self.stopping = True
        error = await last.gone
        assert error is None or isinstance(error, PoisonedError), error

    async def _write(self, ledger: Ledger, chance: Chance) -> None:
        name = f"c{next(self._names)}"
        store = self.store_of(ledger)
        caller = workload.Caller(self.tape, name, store, random.Random(chance.below(2**32)))
        while not self.stopping:
            await asyncio.sleep(chance.below(60) / 1000)
            if not await caller.act():
                raise PoisonedError("open it again")


def lived(
    seed: int, monkeypatch: pytest.MonkeyPatch, world: type[HistoryWorld] = HistoryWorld
) -> tuple[list[dict[str, Any]], dict[str, Verdict]]:
    """Live through a seed; return what was recorded, and the verdicts."""
    monkeypatch.setitem(simulation.WORLDS, "history", world)
    report = simulation.simulate(seed, world="history")
    assert not report.findings, report.findings
    events = HistoryWorld.lived.tape.events
    return events, {
        model: judge(histories.recorded(part, model), Bounds(lambda: 0.0, 1.0, steps=200_000))
        for model, part in workload.split(events).items()
        if part
    }


@pytest.mark.slow
def test_histories_of_simulated_worlds_are_linearizable(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: Counter[str] = Counter()
    for seed in range(SEEDS):
        events, verdicts = lived(seed, monkeypatch)
        ends.update(event["type"] for event in events)
        for model, verdict in verdicts.items():
            assert verdict.linearizable is True, (seed, model, verdict.explanation)
    assert ends["ok"] > 3_000, ends
    assert ends["invoke"] - ends["ok"] - ends["fail"] > 40, ends  # never learned


class Forgetful(HistoryWorld):
    """A store whose reads are as old as the caller's last but one."""

    def store_of(self, ledger: Ledger) -> Any:
        return OneBehind(ledger.store)


class OneBehind:
    def __init__(self, store: Any) -> None:
        self._store = store
        self._seen: dict[str, Any] = {}
        self.append = store.append

    async def read_stream(self, stream: str) -> Any:
        events = await self._store.read_stream(stream)
        before = self._seen.get(stream, events)
        self._seen[stream] = events
        return before


@pytest.mark.slow
def test_a_stale_store_is_found_in_simulated_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    found = 0
    for seed in range(5):
        _, verdicts = lived(seed, monkeypatch, Forgetful)
        found += any(verdict.linearizable is False for verdict in verdicts.values())
    assert found == 5
