"""Events a page at a time: each that fits once, in order, from any number."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.control import happened
from agentsquad.runtime.control.plugin import plugin as control
from agentsquad.runtime.engine.door import CallPath, Step
from agentsquad.runtime.engine.interceptors import STANDARD
from agentsquad.testing import TestSquad

ADA = Actor("person", "ada")
KINDS = ("run.started", "run.completed", "box.made")
STREAMS = ("run/a", "run/b", "box/x")


class Log:
    """A log with these events in it."""

    def __init__(self) -> None:
        self.squad = TestSquad(control)
        self.path = CallPath(self.squad.world, STANDARD)

    async def write(self, *events: tuple[str, str]) -> None:
        made = [NewEvent(stream=stream, type=kind, payload={}) for kind, stream in events]
        if made:
            await self.squad.ledger.store.append(made)

    async def page(self, **value: Any) -> happened.EventPage:
        found = self.squad.registry.action("events.list")
        given = msgspec.convert(value, found.spec.input)
        page: happened.EventPage = await self.path.run(Step(found, given, actor=ADA))
        return page

    async def pages(self, **value: Any) -> list[int]:
        """Return the numbers of all events that fit, page after page."""
        found, after = [], value.pop("after", 0)
        while True:
            page = await self.page(after=after, **value)
            found += [event.seq for event in page.items]
            if page.next >= page.size:
                return found
            assert page.next > after
            after = page.next


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(STREAMS)), max_size=40),
    st.sampled_from([(), ("run.started",), ("run.*",), ("*",), ("box.made", "run.c*"), ("no.*",)]),
    st.sampled_from([(), ("run/",), ("run/a", "box/"), ("none",)]),
    st.integers(1, 7),
    st.integers(0, 45),
)
def test_pages_hold_each_event_that_fits_once_and_in_order(
    events: list[tuple[str, str]],
    types: tuple[str, ...],
    streams: tuple[str, ...],
    limit: int,
    after: int,
) -> None:
    def fits(kind: str, stream: str) -> bool:
        typed = not types or any(
            kind == one or (one.endswith("*") and kind.startswith(one[:-1])) for one in types
        )
        return typed and (not streams or stream.startswith(streams))

    async def asked() -> list[int]:
        log = Log()
        await log.write(*events)
        return await log.pages(types=types, streams=streams, limit=limit, after=after)

    expected = [n for n, one in enumerate(events, 1) if n > after and fits(*one)]
    assert asyncio.run(asked()) == expected


async def test_a_page_looks_at_so_many_events_only_and_says_where_it_stopped(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(happened, "PAGE", 10)
    monkeypatch.setattr(happened, "LOOKED_MAX", 20)
    log = Log()
    await log.write(*[("run.started", "run/a")] * 55, ("box.made", "box/x"))
    first = await log.page(types=["box.*"])
    assert (first.items, first.next, first.size) == ((), 20, 56)
    assert await log.pages(types=["box.*"]) == [56]


async def test_what_comes_later_is_found_after_the_place_where_one_stopped() -> None:
    log = Log()
    await log.write(("run.started", "run/a"))
    page = await log.page(types=["box.made"])
    assert (page.items, page.next) == ((), 1)
    await log.write(("run.completed", "run/a"), ("box.made", "box/x"))
    assert [event.seq for event in (await log.page(types=["box.made"], after=page.next)).items] == [
        3
    ]
