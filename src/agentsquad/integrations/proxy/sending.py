"""Sending: one request to one target, and its answer read, passed on and
folded.

Knows nothing of other targets. A status that says "later" is raised, so that
whoever sends may try another target; given up, it is the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.integrations.proxy import api as apis
from agentsquad.integrations.proxy import fold
from agentsquad.integrations.proxy.contract import (
    Answered,
    Endpoint,
    Reply,
    UpstreamUnavailableError,
)
from agentsquad.integrations.proxy.exchange import Exchange, Whole
from agentsquad.integrations.proxy.sse import Event, Reader
from agentsquad.kernel import canonical
from agentsquad.kernel.errors import InvalidError, SquadError
from agentsquad.workforce.agents.contract import Usage

LATER = (408, 409, 429, 500, 502, 503, 504, 529)
EVENTS = "text/event-stream"
WAIT_MAX_MS = 60_000


class LaterError(UpstreamUnavailableError):
    """The upstream answered that it cannot now; `whole` is what it said."""

    code = "upstream.later"

    def __init__(self, whole: Whole, retry_after_ms: int | None) -> None:
        answered = whole.answered
        super().__init__(
            f"{answered.upstream} answered {answered.status}", retry_after_ms=retry_after_ms
        )
        self.whole = whole


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent: the body, and what was added to it for the record."""

    data: bytes
    key: str
    timeout_ms: int
    adds_usage: bool = False


async def send(
    endpoint: Endpoint, exchange: Exchange, sending: Sending
) -> tuple[Whole, Usage | None]:
    """Send a request and return the answer with what it used."""
    request = exchange.request
    headers = {**exchange.headers}
    if request.api.method == "POST":
        headers["idempotency-key"] = sending.key
    opened = endpoint.open(
        request.api.method, request.path, sending.data, headers, timeout_ms=sending.timeout_ms
    )
    async with opened as reply:
        told = {name: reply.headers[name] for name in apis.TOLD_HEADERS if name in reply.headers}
        streamed = told.get("content-type", "").partition(";")[0].strip().lower() == EVENTS
        if request.stream and reply.status == 200 and streamed:
            return await _stream(endpoint, exchange, sending, reply, told)
        data = await reply.read()
    answered, body = read_whole(reply.status, told, data, endpoint.name)
    whole = Whole(answered, data)
    if reply.status in LATER:
        raise LaterError(whole, _wait(told))
    return whole, apis.usage_of(request.api, body)


def read_whole(
    status: int, headers: Mapping[str, str], data: bytes, upstream: str
) -> tuple[Answered, Any]:
    """Return an answer that came at once as it is recorded, and its body."""
    try:
        body = canonical.loads(data) if data else None
    except InvalidError:
        text = data.decode("utf-8", "replace")
        return Answered(status=status, headers=dict(headers), text=text, upstream=upstream), None
    return Answered(status=status, headers=dict(headers), body=body, upstream=upstream), body


async def _stream(
    endpoint: Endpoint, exchange: Exchange, sending: Sending, reply: Reply, told: dict[str, str]
) -> tuple[Whole, Usage | None]:
    """Pass a stream on as it comes; its last event waits until it is
    recorded."""
    taking = _Taking(exchange, sending)
    exchange.begin(reply.status, told)
    reader = Reader()
    cut = False
    try:
        async for piece in reply.pieces():
            for event in reader.feed(piece):
                await taking.take(event)
            if exchange.gone:
                break
        else:
            for event in reader.end():
                await taking.take(event)
        cut = not taking.ended
    except SquadError:
        cut = True  # the agent has heard its beginning: it is told that it broke off
    answered = Answered(
        status=reply.status,
        headers=told,
        events=taking.folder.entries,
        cut=cut,
        left=cut and exchange.gone,
        upstream=endpoint.name,
    )
    return Whole(answered), taking.usage


class _Taking:
    """The events of one stream as they come."""

    def __init__(self, exchange: Exchange, sending: Sending) -> None:
        self.folder = fold.Folder()
        self.usage: Usage | None = None
        self.ended = False
        self._exchange = exchange
        self._adds_usage = sending.adds_usage

    async def take(self, event: Event) -> None:
        """Fold an event and pass it on."""
        exchange = self._exchange
        api = exchange.request.api
        data = fold.read(event.data)
        self.usage = apis.usage_of(api, data, self.usage)
        if self._adds_usage and apis.only_usage(data):
            return
        self.folder.add(event, data)
        if apis.last(api, event.name, event.data):
            self.ended = True
        if self.ended:
            exchange.held.append(event.dump())
        else:
            await exchange.pass_on(event.dump())


def _wait(headers: Mapping[str, str]) -> int | None:
    """Return the milliseconds an upstream asks to wait, if it says."""
    for name, scale in (("retry-after-ms", 1.0), ("retry-after", 1000.0)):
        text = headers.get(name, "")
        if text.replace(".", "", 1).isdecimal() and text.isascii() and len(text) < 12:
            return min(WAIT_MAX_MS, int(float(text) * scale))
    return None
