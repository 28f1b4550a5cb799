"""Answering: the requests of agents become exchanges of a session, and what
comes of them becomes responses, in the words of the vendor whose client asks.

Every error is an answer here; nothing that a client sends ends in a 500.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from agentsquad.integrations.proxy import api as apis
from agentsquad.integrations.proxy.contract import (
    Answered,
    ProxyKeyError,
    Response,
    UpstreamUnavailableError,
)
from agentsquad.integrations.proxy.desk import Session
from agentsquad.integrations.proxy.exchange import Exchange
from agentsquad.integrations.proxy.fold import unfold
from agentsquad.kernel import canonical
from agentsquad.kernel.errors import BugError, SquadError, record

SESSION_HEADER = "squad-session"
_SESSION_PATH = re.compile(r"/session/([A-Za-z0-9._-]{1,64})(/.*)")
_SESSION_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
JSON = {"content-type": "application/json"}


class Finished:
    """A response that is whole."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.status = status
        self.headers = headers
        self.data = data

    async def body(self) -> AsyncIterator[bytes]:
        """Yield it."""
        yield self.data

    def leave(self) -> None:
        """Nobody listens: it is whole already."""


class Streamed:
    """A response that arrives while it is sent; its end waits for the
    record."""

    def __init__(self, exchange: Exchange, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers
        self._exchange = exchange

    async def body(self) -> AsyncIterator[bytes]:
        """Yield pieces as they come, and the last ones once all is recorded."""
        exchange = self._exchange
        while (piece := await exchange.next()) is not None:
            yield piece
        whole = exchange.whole
        if exchange.error is not None or whole is None or whole.answered.cut:
            raise UpstreamUnavailableError("the stream broke off", code="upstream.broken")
        for piece in exchange.held:
            yield piece

    def leave(self) -> None:
        """Tell that nobody listens."""
        self._exchange.leave()


class LiveAnswerer:
    """Answers from upstreams, each request recorded in its session."""

    def __init__(self, key: str | None, session: Callable[[str], Awaitable[Session]]) -> None:
        """`session` returns the session of a name, "" for the usual one; `key`
        is what agents must show, None where somebody else has looked."""
        self._key = key
        self._session = session

    async def answer(
        self, method: str, path: str, headers: Mapping[str, str], data: bytes
    ) -> Response:
        """Answer one request."""
        vendor = apis.vendor_of(path, headers)
        try:
            if self._key is not None:
                check_key(self._key, headers)
            name, path = session_of(path, headers)
            request = apis.read(method, path, headers, data)
            vendor = request.api.vendor
            session = await self._session(name)
            kept = {one: headers[one] for one in apis.KEPT_HEADERS if one in headers}
            exchange = session.ask(request, data, kept)
        except SquadError as error:
            return refusal(vendor, record(error))
        try:
            return await self._answered(vendor, exchange)
        except asyncio.CancelledError:
            exchange.leave()
            raise

    async def _answered(self, vendor: str, exchange: Exchange) -> Response:
        if exchange.request.stream:
            waits = (exchange.head, exchange.done)
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if exchange.head.done():
                status, headers = exchange.head.result()
                return Streamed(exchange, status, headers)
        await exchange.done
        if exchange.error is not None or exchange.whole is None:
            return refusal(vendor, exchange.error or record(BugError("nothing was answered")))
        answered, data = exchange.whole
        return Finished(answered.status, answered.headers or JSON, data)


def check_key(key: str, headers: Mapping[str, str]) -> None:
    """Raise ProxyKeyError unless a request shows the key of the proxy."""
    shown = headers.get("x-api-key") or headers.get("api-key") or ""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if not shown and scheme.lower() == "bearer":
        shown = bearer.strip()
    if not hmac.compare_digest(shown.encode("utf-8", "replace"), key.encode()):
        raise ProxyKeyError(
            hint="use OPENAI_API_KEY or ANTHROPIC_API_KEY as the proxy set them or printed them"
        )


def session_of(path: str, headers: Mapping[str, str]) -> tuple[str, str]:
    """Return the session that a request names, by path or header, and the path
    below it."""
    found = _SESSION_PATH.fullmatch(path)
    if found:
        return found[1], found[2]
    named = headers.get(SESSION_HEADER, "")
    return (named if _SESSION_NAME.fullmatch(named) else ""), path


def refusal(vendor: str, error: Mapping[str, Any]) -> Finished:
    """Return an error as an answer."""
    body = canonical.dumps(apis.error_body(vendor, error))
    return Finished(apis.status_of(error), apis.error_headers(error), body)


def recorded(answered: Answered) -> Response:
    """Return a recorded answer as it was given; a stream as a stream."""
    headers = answered.headers or JSON
    if answered.events is not None:
        pieces = [event.dump() for event in unfold(answered.events)]
        return Again(answered.status, headers, pieces, answered.cut)
    if answered.text:
        return Finished(answered.status, headers, answered.text.encode())
    data = b"" if answered.body is None else canonical.dumps(answered.body)
    return Finished(answered.status, headers, data)


class Again:
    """A recorded stream, piece by piece."""

    def __init__(
        self, status: int, headers: Mapping[str, str], pieces: list[bytes], cut: bool
    ) -> None:
        self.status = status
        self.headers = headers
        self._pieces = pieces
        self._cut = cut

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the pieces, and break off where the recorded one did."""
        for piece in self._pieces:
            yield piece
        if self._cut:
            raise UpstreamUnavailableError("the recorded stream broke off", code="upstream.broken")

    def leave(self) -> None:
        """Nobody listens: nothing is under way."""
