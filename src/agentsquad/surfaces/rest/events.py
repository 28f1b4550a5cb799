"""Events: the log as it goes on, and what becomes of resources.

`Accept: text/event-stream` follows the log (surfaces/gateway/sse.py). A watch
gives changes of resources, as lines of JSON or as server-sent events; what it
misses while it is away comes when it asks again `after` the last number.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import Clock
from agentsquad.surfaces.gateway.contract import Caller, Following, Gateway
from agentsquad.surfaces.gateway.sse import (
    CONFIRM_MS,
    HEADERS,
    HEARTBEAT_MS,
    MEDIA_TYPE,
    after_of,
    sse,
)
from agentsquad.surfaces.rest.asked import Asked
from agentsquad.surfaces.rest.contract import ParameterError

LINES = "application/x-ndjson"
NUMBER_DIGITS_MAX = 16
APPLIED, DELETED = "resource.applied", "resource.deleted"
FOLLOWED = ("after", "type", "stream", "watch")


def _after(asked: Asked) -> int | None:
    text = asked.request.query_params.get("after")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > NUMBER_DIGITS_MAX:
        raise ParameterError(f"after is the number of an event, not {text[:40]!r}", hint="after=0")
    return int(text)


async def followed(asked: Asked, clock: Clock) -> Response:
    """Return the events of a namespace as they come: those after `after`, of
    each `type` and `stream` that is named; from now on without `after`."""
    query = asked.request.query_params
    unknown = sorted(set(query) - set(FOLLOWED))
    if unknown:
        raise ParameterError(
            f"there is no parameter {unknown[0][:40]!r} where events are followed",
            hint="parameters: after, type, stream",
        )
    given = _after(asked)
    caller, gateway = await asked.caller(), asked.gateway
    await gateway.place(caller)  # refused before anything is sent
    after = await after_of(gateway, caller, asked.request.headers, given)
    what = Following(
        after=after,
        types=tuple(query.getlist("type")),
        streams=tuple(query.getlist("stream")),
    )
    if asked.request.method == "HEAD":
        return Response(None, 200, HEADERS, media_type=MEDIA_TYPE)
    parts = sse(gateway, caller, what, clock=clock)
    return StreamingResponse(parts, 200, HEADERS, media_type=MEDIA_TYPE)


async def watched(asked: Asked, kind: str, name: str | None) -> Response:
    """Return what becomes of the resources of a kind, or of one."""
    given = _after(asked)
    caller, gateway = await asked.caller(), asked.gateway
    await gateway.place(caller)
    after = await after_of(gateway, caller, asked.request.headers, given)
    stream = f"resource/{kind}/{name or ''}"
    what = Following(after=after, types=(APPLIED, DELETED), streams=(stream,))
    as_events = MEDIA_TYPE in asked.request.headers.get("accept", "")
    media_type = MEDIA_TYPE if as_events else LINES
    if asked.request.method == "HEAD":
        return Response(None, 200, HEADERS, media_type=media_type)
    changes = _changes(gateway, caller, what, stream if name else "")
    parts = (_line(one, as_events) async for one in changes)
    return StreamingResponse(parts, 200, HEADERS, media_type=media_type)


async def _changes(
    gateway: Gateway, caller: Caller, what: Following, exactly: str
) -> AsyncIterator[dict[str, Any] | None]:
    """Return changes, None now and then while there are none, and the error
    that ends them last."""
    events = aiter(gateway.follow(caller, what))
    upcoming: asyncio.Task[Event] | None = None
    silent_ms = 0
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(_next(events))
            done, _ = await asyncio.wait((upcoming,), timeout=CONFIRM_MS / 1000)
            if not done:
                caller = await gateway.confirm(caller)
                silent_ms += CONFIRM_MS
                if silent_ms >= HEARTBEAT_MS:
                    silent_ms = 0
                    yield None
                continue
            event, upcoming, silent_ms = upcoming.result(), None, 0
            if not exactly or event.stream == exactly:
                yield change_of(event)
    except SquadError as error:
        yield {"type": "error", "error": error.to_dict()}
    finally:
        if upcoming is not None:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


async def _next(events: AsyncIterator[Event]) -> Event:
    return await anext(events)


def change_of(event: Event) -> dict[str, Any]:
    """Return an event of a resource as a change of it."""
    _, kind, name = event.stream.split("/", 2)
    payload = event.payload or {}
    found: dict[str, Any] = {"seq": event.seq, "kind": kind, "name": name}
    if event.type == DELETED:
        return {"type": "deleted", **found}
    made = "added" if event.stream_seq == 1 else "changed"
    return {"type": made, **found, "object": payload.get("resource")}


def _line(change: dict[str, Any] | None, as_events: bool) -> bytes:
    if change is None:
        return b": still here\n\n" if as_events else b"\n"
    data = msgspec.json.encode(change)
    if not as_events:
        return data + b"\n"
    head = f"id: {change['seq']}\n" if "seq" in change else ""
    return f"{head}event: {change['type']}\ndata: ".encode() + data + b"\n\n"
