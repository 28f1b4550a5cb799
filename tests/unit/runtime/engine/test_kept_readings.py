"""What is kept beside the log is what a fold in memory gives, and is not read
twice."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.control.subscription import MOVED, PLACES, place_of
from agentsquad.runtime.engine.questions import INBOX, Questions
from agentsquad.runtime.engine.reading import Reading
from agentsquad.runtime.engine.state import WITHDRAWN
from agentsquad.runtime.ledger.contract import Ledger, Query
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.transactions.coordinator import Coordinator
from agentsquad.runtime.transactions.standing import OPEN
from agentsquad.testing import ManualClock, SeededEntropy

KINDS = (
    "approval.requested", "approval.requested", "incident.opened", "approval.given",
    "wait.escalated", "signal.received", "intervention.made", WITHDRAWN, "run.cancel_requested",
    "run.completed", "timer.fired",
)  # fmt: skip


def opened(folder: Path) -> Ledger:
    return open_ledger(f"sqlite:///{folder}/log.db", ManualClock(), SeededEntropy())


def an_event(chance: random.Random) -> NewEvent:
    kind = chance.choice(KINDS)
    step = str(chance.randint(1, 3))
    position = f"intervention.{step}" if chance.random() < 0.2 else step
    body: dict[str, Any] = {"position": position, "input": {"position": step}}
    if kind == "signal.received":
        body = {"name": "go", "payload": 1}
    if kind == "wait.escalated":
        body |= {"signal": "go", "level": 1}
    if kind == "intervention.made":
        body = {"means": "compensate"} if chance.random() < 0.3 else {**body, "means": "retry"}
    return NewEvent(stream=f"run/r{chance.randint(1, 4)}", type=kind, payload=body)


def told(found: list[Any]) -> list[Any]:
    return [(one.asked and one.asked.seq, one.rung and one.rung.seq) for one in found]


class Watched:
    """A store that counts reads of more than one event."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, **options: Any) -> Any:
        self.reads += options.get("limit") != 1
        return await self._store.read(**options)


@pytest.mark.parametrize("seed", range(20))
async def test_the_inbox_beside_the_log_is_the_one_folded_in_memory(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    for _ in range(3):  # each time another process, on what the one before left
        ledger = opened(tmp_path)
        kept = Questions(ledger.store, Reading(INBOX, ledger.store, ledger.readings))
        for _ in range(10):
            await ledger.store.append([an_event(chance) for _ in range(chance.randint(1, 4))])
            assert told(await kept.open()) == told(await Questions(ledger.store).open())
        ledger.close()


async def test_what_was_read_once_is_not_read_again_by_the_next_process(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    begun = {"key": "k", "run": "r", "position": "1", "parts": [], "at_ms": 0, "timeout_ms": 1}
    asked = {"position": "1", "input": {}}
    moved = {"seq": 3, "failed": [{"seq": 2, "error": "x"}]}
    await ledger.store.append(
        [
            NewEvent(stream="run/a", type="approval.requested", payload=asked),
            NewEvent(stream="transaction/k", type="transaction.opened", payload=begun),
            NewEvent(stream="transaction/l", type="transaction.opened", payload=begun),
            NewEvent(stream="transaction/l", type="transaction.ended", payload={}),
            NewEvent(stream="subscription/s", type=MOVED, payload=moved),
        ]
    )
    reads = []
    for _ in range(2):
        store: Any = Watched(ledger.store)
        questions = Questions(store, Reading(INBOX, store, ledger.readings))
        assert len(await questions.open()) == 1
        nobody: Any = None
        begun_here = Reading(OPEN, store, ledger.readings)
        standing = Coordinator(store, nobody, ManualClock(), begun_here)
        assert [one.key async for one in standing.each()] == ["k"]
        assert [one.key async for one in standing.each(ended=True)] == ["k", "l"]
        place = await place_of(Reading(PLACES, store, ledger.readings), "s")
        assert (place.seq, place.version, place.failed) == (3, 1, ((2, "x"),))
        reads.append(store.reads)
        ledger.close()
        ledger = opened(tmp_path)
    ledger.close()
    assert reads == [0, 0]


async def test_a_reading_in_memory_gives_pages_too() -> None:
    ledger = open_ledger("memory:", ManualClock(), SeededEntropy())
    asked = {"position": "1", "input": {}}
    for n in range(3):
        await ledger.store.append(
            [NewEvent(stream=f"run/{n}", type="approval.requested", payload=asked)]
        )
    reading = Reading(INBOX, ledger.store)
    page = await reading.select(Query(order=("seq",), after=(1,), limit=1))
    assert [row["run"] for row in page] == ["run/1"]
    assert [row["seq"] async for row in reading.each(("seq",))] == [1, 2, 3]
    assert [row["run"] async for row in reading.each(("seq",), run="run/2")] == ["run/2"]
