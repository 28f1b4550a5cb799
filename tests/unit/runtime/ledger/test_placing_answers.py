"""What is appended beside events that were given their place is answered,
whatever those who hold the places do.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from agentsquad.kernel.errors import SquadError, UnavailableError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing import ManualClock, SeededEntropy
from agentsquad.testing.clock import settle


class Holder:
    """Holds places; when they are settled it cancels a task."""

    def __init__(self, task: asyncio.Task[list[Event]] | None = None) -> None:
        self.task = task
        self.heard: list[SquadError | None] = []

    def stands(self, before: list[Event], now: list[Event]) -> bool:
        return True

    def settled(self, error: SquadError | None, events: list[Event]) -> None:
        self.heard.append(error)
        if self.task is not None:
            self.task.cancel()


def an_event(stream: str, cause: int | None = None) -> NewEvent:
    return NewEvent(stream=stream, type="thing.made", payload={}, cause=cause)


async def test_an_append_whose_caller_a_holder_stops_keeps_no_other_from_its_answer() -> None:
    ledger = open_ledger("memory:", ManualClock(), SeededEntropy())
    holder = Holder()
    ledger.store.place([an_event("a")], holder=holder)  # type: ignore[attr-defined]
    holder.task = stopped = asyncio.create_task(ledger.store.append([an_event("b")]))
    last = asyncio.create_task(ledger.store.append([an_event("c")]))
    [event] = await asyncio.wait_for(last, 5)
    assert event.stream == "c"
    await settle()
    assert stopped.cancelled() and holder.heard == [None]


async def append_elsewhere(url: str) -> None:
    other = open_ledger(url, ManualClock(), SeededEntropy("other"))
    await other.store.append([an_event("b")] * 3)
    other.close()


async def test_a_place_may_name_as_its_cause_what_another_process_wrote_meanwhile(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    mine = open_ledger(url, ManualClock(), SeededEntropy("mine"))
    holder = Holder()
    mine.store.place([an_event("a")], holder=holder)  # type: ignore[attr-defined]
    elsewhere = threading.Thread(target=lambda: asyncio.run(append_elsewhere(url)))
    elsewhere.start()  # and end, before this loop takes another turn
    elsewhere.join()
    told = (await mine.store.read_stream("b"))[-1]
    [placed] = mine.store.place(  # type: ignore[attr-defined]
        [an_event("a", told.seq)], holder=holder
    )
    assert placed.seq > told.seq
    await settle()
    assert holder.heard == [None, None]
    assert [event.stream_seq for event in await mine.store.read_stream("a")] == [1, 2]
    mine.close()


class BrokenOnce:
    """A volume of which one look at a stream fails."""

    def __init__(self, volume: Any, stream: str) -> None:
        self._volume = volume
        self._broken: str | None = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._volume, name)

    def stream(self, name: str) -> Any:
        if name == self._broken:
            self._broken = None
            raise UnavailableError("the disk cannot be read", code="ledger.unreadable")
        return self._volume.stream(name)


@pytest.mark.parametrize("read", ["b", "c"])
async def test_a_look_that_fails_while_a_place_is_given_lets_nothing_count_that_is_not_written(
    read: str,
) -> None:
    ledger = open_ledger("memory:", ManualClock(), SeededEntropy())
    store: Any = ledger.store
    store._volume = BrokenOnce(store._volume, read)
    holder = Holder()
    store.place([an_event("a")], holder=holder)
    beside = asyncio.create_task(store.append([an_event("b")]))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError):
        store.place([an_event("c")], holder=holder)
    with pytest.raises(UnavailableError):
        await asyncio.wait_for(beside, 5)
    assert [type(error) for error in holder.heard] == [UnavailableError]
    assert await store.size() == 0
    store.place([an_event("a")], holder=holder)
    [event] = await store.append([an_event("c")])
    assert (event.seq, event.stream) == (2, "c") and holder.heard[1:] == [None]
    ledger.close()
