"""Events may have their place before they are durable; until then they are
nobody's, and whatever comes in between is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentsquad.kernel.errors import ConflictError, SquadError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.ledger.contract import ClosedError, FullError, Ledger
from agentsquad.runtime.ledger.log import EventLog
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.ledger.verification import verify
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.world import SeededEntropy


class Held:
    """A holder that writes down what it hears."""

    def __init__(self, stands: bool = True) -> None:
        self.answer = stands
        self.moved: list[tuple[list[int], list[int]]] = []
        self.heard: list[tuple[SquadError | None, list[Event]]] = []

    def stands(self, before: list[Event], now: list[Event]) -> bool:
        self.moved.append(([e.seq for e in before], [e.seq for e in now]))
        return self.answer

    def settled(self, error: SquadError | None, events: list[Event]) -> None:
        self.heard.append((error, events))


def new(stream: str, family: str = "f", **options: Any) -> NewEvent:
    return NewEvent(
        stream=stream, type="t.happened", payload={"a": 1}, correlation=family, **options
    )


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request, tmp_path):
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/log.db"
    opened = open_ledger(url, ManualClock(), SeededEntropy())
    yield opened
    opened.close()


def beside(ledger: Ledger) -> EventLog:
    """Return another process's view of the same log."""
    return EventLog(ledger.store.volume, ManualClock(), SeededEntropy(), ledger.keyring)


async def wait_for(*held: Held) -> None:
    for _ in range(20):
        if all(one.heard for one in held):
            return
        await asyncio.sleep(0)
    raise AssertionError("nobody was told")


async def sound(ledger: Ledger) -> None:
    found = await verify(ledger, lambda *told: None)
    assert (found.valid, found.events) == (True, await ledger.store.size()), found.findings


async def test_what_has_its_place_is_read_by_nobody_before_the_commit(ledger: Ledger):
    held = Held()
    first = ledger.store.place([new("a")], holder=held)
    second = ledger.store.place([new("a", cause=first[0].seq), new("b")], holder=held)
    assert [(e.seq, e.stream, e.stream_seq) for e in first + second] == [
        (1, "a", 1),
        (2, "a", 2),
        (3, "b", 1),
    ]
    assert await ledger.store.read() == await ledger.store.read_stream("a") == []
    assert held.heard == []
    await wait_for(held)
    assert held.heard == [(None, first), (None, second)]
    assert await ledger.store.read() == first + second
    assert ledger.store.commits == 1
    await sound(ledger)


async def test_what_follows_within_a_turn_of_the_loop_shares_the_commit(ledger: Ledger):
    held = Held()

    async def steps() -> None:
        for _ in range(3):
            ledger.store.place([new("a")], holder=held)
            await asyncio.sleep(0)

    await asyncio.gather(steps(), steps())
    await wait_for(held)
    assert len(held.heard) == 6
    assert ledger.store.commits == 1


async def test_a_plain_append_keeps_its_turn_among_places(ledger: Ledger):
    held = Held()
    ledger.store.place([new("a")], holder=held)
    waiting = asyncio.ensure_future(ledger.store.append([new("b")], expect={"a": 1}))
    await asyncio.sleep(0)
    ledger.store.place([new("b")], holder=held, expect={"b": 1})
    assert [event.seq for event in await waiting] == [2]
    assert [event.stream for event in await ledger.store.read()] == ["a", "b", "b"]
    await sound(ledger)


async def test_another_process_in_between_moves_places_and_causes(ledger: Ledger):
    held = Held()
    first = ledger.store.place([new("a")], holder=held)
    ledger.store.place([new("a", cause=first[0].seq)], holder=held)
    await beside(ledger).append([new("x", "other"), new("x", "other")])
    await wait_for(held)
    assert held.moved == [([1], [3]), ([2], [4])]
    written = await ledger.store.read_stream("a")
    assert [events for _, events in held.heard] == [[event] for event in written]
    assert [(event.seq, event.cause) for event in written] == [(3, None), (4, 3)]
    await sound(ledger)


async def test_what_rests_on_something_that_fell_is_refused_and_nothing_else(ledger: Ledger):
    mine, later, foreign = Held(stands=False), Held(), Held()
    ledger.store.place([new("a", "mine")], holder=mine)
    ledger.store.place([new("b", "mine")], holder=later)
    ledger.store.place([new("c", "foreign")], holder=foreign)
    await beside(ledger).append([new("a", "other")])
    await wait_for(mine, later, foreign)
    assert mine.heard[0][0] is foreign.heard[0][0] is None
    assert isinstance(later.heard[0][0], ConflictError)
    assert later.heard[0][1] == []
    assert [(e.stream, e.stream_seq) for e in await ledger.store.read()] == [
        ("a", 1),
        ("a", 2),
        ("c", 1),
    ]
    await sound(ledger)


async def test_a_place_next_to_a_cancelled_append_closes_the_gap(ledger: Ledger):
    held = Held()
    task = asyncio.ensure_future(ledger.store.append([new("a")]))
    await asyncio.sleep(0)
    placed = ledger.store.place([new("b")], holder=held)
    assert placed[0].seq == 2
    task.cancel()
    await wait_for(held)
    assert held.moved == [([2], [1])]
    assert await ledger.store.streams() == [("b", 1)]
    await sound(ledger)


async def test_a_commit_that_fails_tells_before_anybody_can_go_on(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
):
    held = Held()
    order: list[str] = []

    def full(batch: Any) -> None:
        raise FullError

    async def plain() -> None:
        try:
            await ledger.store.append([new("b")])
        except FullError:
            order.append(f"append, told {len(held.heard)}")

    with monkeypatch.context() as patch:
        patch.setattr(ledger.store.volume, "commit", full, raising=False)
        ledger.store.place([new("a")], holder=held)
        await plain()
    assert order == ["append, told 1"]
    assert isinstance(held.heard[0][0], FullError)
    assert await ledger.store.read() == []
    fresh = ledger.store.place([new("a")], holder=held, expect={"a": 0})
    assert (fresh[0].seq, fresh[0].stream_seq) == (1, 1)
    await wait_for(held)
    await sound(ledger)


async def test_a_place_is_refused_at_once_and_leaves_no_trace(ledger: Ledger):
    held = Held()
    ledger.store.place([new("a")], holder=held)
    with pytest.raises(ConflictError):
        ledger.store.place([new("a")], holder=held, expect={"a": 0})
    with pytest.raises(SquadError):
        ledger.store.place([new("a", cause=9)], holder=held)
    ledger.store.place([new("a")], holder=held, expect={"a": 1})
    await wait_for(held)
    assert await ledger.store.streams() == [("a", 2)]
    await sound(ledger)


async def test_closing_tells_those_who_hold_a_place(ledger: Ledger):
    held = Held()
    ledger.store.place([new("a")], holder=held)
    ledger.store.close()
    assert isinstance(held.heard[0][0], ClosedError)
