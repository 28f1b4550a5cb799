"""Events a page at a time, for whoever follows the log from afar.

`log.show` is for people who look something up; this is for programs that go on
where they stopped: by number, with types and streams by their beginnings.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import EventStore

LIMIT_MAX = 1_000
LOOKED_MAX = 20_000  # events that one page looks at, fitting or not
PAGE = 1_000
NAMES_MAX = 50


class EventsInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which events."""

    after: Annotated[int, Meta(description="only events with a greater number", ge=0)] = 0
    limit: Annotated[int, Meta(description="at most this many", ge=1, le=LIMIT_MAX)] = 100
    types: Annotated[
        tuple[str, ...],
        Meta(
            description="only of these types; run.* are all that begin so",
            examples=[["run.*"]],
            max_length=NAMES_MAX,
        ),
    ] = ()
    streams: Annotated[
        tuple[str, ...],
        Meta(
            description="only of streams that begin so",
            examples=[["resource/Agent/"]],
            max_length=NAMES_MAX,
        ),
    ] = ()


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events in the order of the log. `next` is the number to go on after,
    whether or not anything fitted; at `size` the log ends."""

    items: tuple[Event, ...]
    next: int
    size: int


@action(
    "events.list",
    effect=Effect.READ,
    examples=("squad events list --types 'run.*' --after 100 -o json",),
)
async def list_events(ctx: Context, value: EventsInput) -> EventPage:
    """List events after a number, a page at a time."""
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    size = await store.size()
    exact = None if any(one.endswith("*") for one in value.types) else value.types or None
    found: list[Event] = []
    after = value.after
    for _ in range(LOOKED_MAX // PAGE):
        batch = await store.read(after=after, limit=PAGE, types=exact)
        for event in batch:
            after = event.seq
            if _wanted(event, value):
                found.append(event)
            if len(found) == value.limit:
                return EventPage(items=tuple(found), next=after, size=size)
        if len(batch) < PAGE:  # that was the end
            after = max(after, size)
            break
    return EventPage(items=tuple(found), next=after, size=size)


def _wanted(event: Event, value: EventsInput) -> bool:
    typed = not value.types or any(_fits(event.type, one) for one in value.types)
    return typed and (not value.streams or event.stream.startswith(value.streams))


def _fits(kind: str, wanted: str) -> bool:
    return kind.startswith(wanted[:-1]) if wanted.endswith("*") else kind == wanted
