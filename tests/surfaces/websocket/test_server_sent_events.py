"""Server-sent events: the lines of a stream, where it begins again, beats, and
how it ends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agentsquad.kernel.errors import InvalidError
from agentsquad.surfaces.gateway.contract import Following
from agentsquad.surfaces.gateway.sse import after_of, sse
from agentsquad.testing.clock import settle
from agentsquad.trust.identity.contract import Shown
from agentsquad.trust.threats.contract import Hit


async def caller_of(gateway: Any) -> Any:
    hit = Hit(surface="rest", method="GET", path="/v1/events")
    return await gateway.enter(hit, Shown(bearer="ada"))


class Stream:
    """A stream that is read as it comes."""

    def __init__(self, lines: Any) -> None:
        self.got: list[str] = []
        self.lines = lines
        self.task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for chunk in self.lines:
            self.got.append(chunk.decode())


async def test_events_come_with_their_number_type_and_one_line_of_data(service: Any) -> None:
    gateway = service().gateway
    for number in range(3):
        await gateway.put(f"run/{number}", "run.started")
    what = Following(after=1)
    stream = Stream(sse(gateway, await caller_of(gateway), what, clock=gateway.clock))
    await settle()
    await gateway.put("run/x", "run.ended")
    await settle()
    numbers = [chunk.split("\n")[:2] for chunk in stream.got[1:]]
    assert numbers == [
        ["id: 2", "event: run.started"],
        ["id: 3", "event: run.started"],
        ["id: 4", "event: run.ended"],
    ]
    data = stream.got[1].split("\n")[2].removeprefix("data: ")
    assert json.loads(data)["stream"] == "run/1"
    assert all(chunk.endswith("\n\n") and chunk.count("\n\n") == 1 for chunk in stream.got)
    stream.task.cancel()
    await settle()
    assert gateway.hub.followers == 0


async def test_a_quiet_stream_beats(service: Any) -> None:
    gateway = service().gateway
    lines = sse(
        gateway, await caller_of(gateway), Following(), clock=gateway.clock, heartbeat_ms=2_000
    )
    stream = Stream(lines)
    await settle()
    await gateway.clock.advance(4_500)
    assert stream.got[1:] == [": beat\n\n", ": beat\n\n"]
    stream.task.cancel()
    await settle()


async def test_who_is_revoked_hears_it_within_a_second_and_the_stream_ends(service: Any) -> None:
    gateway = service().gateway
    stream = Stream(sse(gateway, await caller_of(gateway), Following(), clock=gateway.clock))
    await settle()
    gateway.revoked.add("ada")
    await gateway.clock.advance(1_000)
    assert stream.task.done()
    assert stream.got[-1].startswith("event: error\n")
    assert json.loads(stream.got[-1].split("data: ")[1])["status"] == 401
    assert gateway.hub.followers == 0


async def test_a_stream_begins_after_the_last_event_that_was_seen(service: Any) -> None:
    gateway = service().gateway
    caller = await caller_of(gateway)
    await gateway.put("run/1")
    assert await after_of(gateway, caller, {"last-event-id": "7"}, 3) == 7
    assert await after_of(gateway, caller, {}, 3) == 3
    assert await after_of(gateway, caller, {}, None) == 1
    for wrong in ("x", "-1", "²", "9" * 40):
        with pytest.raises(InvalidError):
            await after_of(gateway, caller, {"last-event-id": wrong}, 3)
