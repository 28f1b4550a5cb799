"""SSE: the events that somebody follows as a stream of server-sent events
(WHATWG HTML 9.2), for whatever answers over HTTP.

The number of an event is its `id`, so a browser goes on where it was by itself:
it sends the last one as `Last-Event-ID`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

import msgspec

from agentsquad.kernel.errors import BugError, InvalidError, SquadError
from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import Clock
from agentsquad.surfaces.gateway.contract import Caller, Following, Gateway
from agentsquad.surfaces.gateway.http import problem_of

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
LAST_EVENT_ID = "last-event-id"
CONFIRM_MS = 500  # how soon who is no longer welcome hears it
HEARTBEAT_MS = 15_000
NUMBER_MAX = 2**53

_encode = msgspec.json.Encoder().encode


async def after_of(
    gateway: Gateway, caller: Caller, headers: Mapping[str, str], asked: int | None
) -> int:
    """Return after which event a stream begins: the header `Last-Event-ID` of
    who comes back, else what was asked, else the newest event there is."""
    last = headers.get(LAST_EVENT_ID, "").strip()
    if last:
        if not (last.isascii() and last.isdigit() and int(last[:20]) <= NUMBER_MAX):
            raise InvalidError(
                "Last-Event-ID is not the number of an event", code="gateway.last_event"
            )
        return int(last)
    return await gateway.place(caller) if asked is None else asked


async def sse(
    gateway: Gateway,
    caller: Caller,
    what: Following,
    *,
    clock: Clock,
    heartbeat_ms: int = HEARTBEAT_MS,
) -> AsyncGenerator[bytes]:
    """Return the lines of a stream: events, a comment when nothing was said for
    long, and an event of type `error` before it ends for a reason."""
    events = aiter(gateway.follow(caller, what))
    upcoming: asyncio.Task[Event] | None = None
    tick: asyncio.Task[None] | None = None
    spoken = clock.monotonic_ms()
    yield f"retry: 1000\n: after {what.after}\n\n".encode()
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(_next(events))
            tick = tick or asyncio.ensure_future(clock.sleep_ms(CONFIRM_MS))
            await asyncio.wait((upcoming, tick), return_when=asyncio.FIRST_COMPLETED)
            if tick.done():
                tick = None
                caller = await gateway.confirm(caller)
                if clock.monotonic_ms() - spoken >= heartbeat_ms:
                    spoken = clock.monotonic_ms()
                    yield b": beat\n\n"
            if upcoming.done():
                event, upcoming = upcoming.result(), None
                spoken = clock.monotonic_ms()
                yield framed(event)
    except StopAsyncIteration:
        return
    except SquadError as error:
        yield _said(error)
    except Exception as error:  # noqa: BLE001 - a stream that ends must say so
        yield _said(BugError(private=repr(error)))
    finally:
        for task in (upcoming, tick):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(t for t in (upcoming, tick) if t), return_exceptions=True)
        await _close(events)


async def _next(events: object) -> Event:
    # A task may not end with StopAsyncIteration: the log never ends by itself.
    try:
        event: Event = await anext(events)  # type: ignore[call-overload]
    except StopAsyncIteration:
        raise BugError("a log has no end") from None
    return event


async def _close(events: object) -> None:
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()


def framed(event: Event) -> bytes:
    """Return one event as the lines of a stream; its JSON has no line
    break."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        event.seq,
        _word(event.type).encode(),
        _encode(event),
    )


def _word(kind: str) -> str:
    """Return a type without what would end its line."""
    return "".join(" " if letter in "\r\n\0" else letter for letter in kind)


def _said(error: SquadError) -> bytes:
    return b"event: error\ndata: %s\n\n" % _encode(problem_of(error)[1])
