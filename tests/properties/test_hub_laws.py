"""Laws of the hub: whatever is appended by whomever, however slow they are and
however often they come back, followers get exactly what they follow, in
order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.ledger.adapters.memory import MemoryKeyRing, MemoryVolume
from agentsquad.runtime.ledger.log import EventLog
from agentsquad.surfaces.gateway.contract import Following
from agentsquad.surfaces.gateway.hub import Hub
from agentsquad.surfaces.gateway.subscribers import Subscribers, wanted
from agentsquad.testing.clock import ManualClock, settle
from agentsquad.testing.entropy import SeededEntropy

STREAMS = ("run/a", "run/b", "run/ab", "budget/x", "r")
TYPES = ("run.started", "run.completed", "budget.set", "run")
PATTERNS = (*TYPES, "run.*", "budget.*", "*", "nothing")
PREFIXES = ("", "r", "run/", "run/a", "budget/", "none/")

followings = st.builds(
    Following,
    after=st.integers(0, 12),
    types=st.lists(st.sampled_from(PATTERNS), max_size=3).map(tuple),
    streams=st.lists(st.sampled_from(PREFIXES), max_size=3).map(tuple),
)
facts = st.tuples(st.sampled_from(STREAMS), st.sampled_from(TYPES))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.booleans(), st.lists(facts, min_size=1, max_size=9)),
        st.tuples(st.just("take"), st.integers(0, 3), st.integers(1, 6)),
        st.tuples(st.just("leave"), st.integers(0, 3)),
        st.tuples(st.just("wait")),
    ),
    max_size=24,
)


class _Reader:
    """A follower that remembers what it got and where it was."""

    def __init__(self, hub: Hub, what: Following) -> None:
        self._hub = hub
        self.what = what
        self.got: list[int] = []
        self._events: AsyncIterator[Event] | None = None
        self._next: asyncio.Future[Event] | None = None

    async def take(self, count: int) -> None:
        """Take at most so many of what comes without waiting for time."""
        for _ in range(count):
            if self._events is None:
                place = self.got[-1] if self.got else self.what.after
                self._events = self._hub.follow(
                    Following(after=place, types=self.what.types, streams=self.what.streams)
                )
            if self._next is None:
                self._next = asyncio.ensure_future(anext(self._events))
            await settle(30)
            if not self._next.done():
                return
            self.got.append(self._next.result().seq)
            self._next = None

    async def leave(self) -> None:
        """Go away; an event that was not seen yet is lost with the
        connection."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
            self._next = None
        if self._events is not None:
            await self._events.aclose()  # type: ignore[attr-defined]
            self._events = None


@given(wants=st.lists(followings, min_size=4, max_size=4), steps=steps, queue=st.integers(1, 4))
def test_followers_get_exactly_what_they_follow_in_order(
    wants: list[Following], steps: list[Any], queue: int
) -> None:
    async def run() -> None:
        volume, clock = MemoryVolume(), ManualClock()
        logs = [
            EventLog(volume, clock, SeededEntropy(), MemoryKeyRing(SeededEntropy()))
            for _ in range(2)  # the second stands for another process
        ]
        hub = Hub(logs[0], queue_max=queue, page=5)
        readers = [_Reader(hub, what) for what in wants]
        for step in steps:
            if step[0] == "append":
                new = [NewEvent(stream=s, type=t, payload={}) for s, t in step[2]]
                await logs[step[1]].append(new)
            elif step[0] == "take":
                await readers[step[1]].take(step[2])
            elif step[0] == "leave":
                await readers[step[1]].leave()
            else:
                await clock.advance(60)
        there = await logs[0].read()
        for reader in readers:
            await clock.advance(60)
            await reader.take(len(there) + 1)
            await clock.advance(60)
            await reader.take(len(there) + 1)
            assert reader.got == [
                event.seq
                for event in there
                if event.seq > reader.what.after and wanted(reader.what, event.stream, event.type)
            ]
            await reader.leave()
        assert hub.followers == 0

    asyncio.run(run())


@given(wants=st.lists(followings, max_size=8), gone=st.sets(st.integers(0, 7)), fact=facts)
def test_the_index_finds_whom_a_plain_look_at_everybody_finds(
    wants: list[Following], gone: set[int], fact: tuple[str, str]
) -> None:
    index: Subscribers[int] = Subscribers()
    for number, what in enumerate(wants):
        index.add(number, what)
    for number in gone:
        index.remove(number)
    left = {n: what for n, what in enumerate(wants) if n not in gone}
    assert set(index) == set(left)
    assert set(index.of(*fact)) == {n for n, what in left.items() if wanted(what, *fact)}
