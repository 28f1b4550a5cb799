"""Desk: the sessions that this process serves, and the requests that wait in
them.

Steps of a run find here the live request they belong to; who asks finds here
that its answer is recorded.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.integrations.proxy import fingerprint
from agentsquad.integrations.proxy.api import Request
from agentsquad.integrations.proxy.contract import (
    FORWARD,
    Asked,
    ProxyBusyError,
    ProxyClosedError,
)
from agentsquad.integrations.proxy.delta import Library
from agentsquad.integrations.proxy.exchange import Exchange
from agentsquad.kernel.errors import SquadError, record
from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import BlobStore
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.runtime.ledger.blob import externalise

WAITING_MAX = 1000  # requests of a session that nobody has taken yet
TAKEN_MAX = 64  # requests that are written down in one event
TEXT_MAX = 1_000_000  # letters of a text that is looked through for personal values
FOUND_MAX = 200


class Session:
    """One session: its run and the requests under way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.run = ""
        self.exchanges: dict[int, Exchange] = {}
        self._waiting: list[Exchange] = []
        self._library = Library()
        self._bell: asyncio.Event = asyncio.Event()
        self._ended = False
        self._last = 0

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return self._last

    def ask(self, request: Request, data: bytes, headers: Mapping[str, str]) -> Exchange:
        """Take a request in; ProxyClosedError once the session has ended."""
        if self._ended:
            raise ProxyClosedError()
        if len(self._waiting) >= WAITING_MAX:
            raise ProxyBusyError(f"{WAITING_MAX} requests wait already", retry_after_ms=1000)
        self._last += 1
        exchange = Exchange(self._last, request, data, headers)
        exchange.session = self.name
        self.exchanges[exchange.n] = exchange
        self._waiting.append(exchange)
        self._bell.set()
        return exchange

    async def take(self) -> tuple[list[Exchange], bool]:
        """Return the requests that came since, as soon as there is one, and
        whether none will follow."""
        while not self._waiting and not self._ended:
            self._bell.clear()
            await self._bell.wait()
        found, self._waiting = self._waiting[:TAKEN_MAX], self._waiting[TAKEN_MAX:]
        return found, self._ended and not self._waiting

    async def write_down(
        self, exchange: Exchange, quote: Any, patterns: Sequence[str], blobs: BlobStore
    ) -> Asked:
        """Return a request as it is recorded; called in the order they came."""
        request = exchange.request
        personal = matches(patterns, request.body)
        body = None
        if request.body is not None:
            kept = request.body if personal else await externalise(request.body, blobs)
            body = self._library.shorten(kept)
            self._library.add(exchange.n, kept)
        return Asked(
            n=exchange.n,
            api=request.api.name,
            path=request.path,
            digest=fingerprint.exact(request.api.name, request.path, request.body),
            size=len(exchange.data),
            model=request.model,
            stream=request.stream,
            max_tokens=request.max_tokens,
            headers=dict(exchange.headers),
            body=body,
            quote=quote,
            personal=personal,
        )

    def end(self) -> None:
        """Take no more requests; those that came are answered."""
        self._ended = True
        self._bell.set()

    def fail(self, error: SquadError) -> None:
        """End at once: nobody answers what is open."""
        self.end()
        for exchange in list(self.exchanges.values()):
            exchange.settle(record(error))


class Desk:
    """Every session of this process; `forwarder` is what sends their requests
    on, made when first asked for."""

    def __init__(self) -> None:
        self.forwarder: Any = None
        self._sessions: dict[str, Session] = {}
        self._by_run: dict[str, Session] = {}
        self._engines: list[Any] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, name: str, engine: Any) -> Session:
        """Begin a session; its run is started by who opens it."""
        if engine not in self._engines:
            self._engines.append(engine)
            engine.watchers.append(lambda event: self._heard(engine, event))
        found = self._sessions[name] = Session(name)
        return found

    def session(self, name: str) -> Session | None:
        """Return a session by its name."""
        return self._sessions.get(name)

    def started(self, session: Session, run: str) -> None:
        """Say which run records a session."""
        session.run = run
        self._by_run[run] = session

    def of_run(self, run: str) -> Session | None:
        """Return the session that a run records."""
        return self._by_run.get(run)

    def forget(self, session: Session) -> None:
        """Let go of a session whose run has ended."""
        self._sessions.pop(session.name, None)
        self._by_run.pop(session.run, None)

    def _heard(self, engine: Any, event: Event) -> None:
        """Take in an event of a run: an answer is recorded, or the run is
        over."""
        session = self.of_run(event.stream.removeprefix("run/"))
        if session is None:
            return
        body = event.payload or {}
        if event.type in END_EVENTS:
            session.fail(ProxyClosedError(f"the session's run has ended ({event.type})"))
        elif body.get("action") == FORWARD and "input" in body:
            exchange = session.exchanges.get(body["input"].get("n"))
            if exchange is not None:
                drive = engine.drives.get(session.run)
                task = asyncio.get_running_loop().create_task(
                    self._saved(session, exchange, drive, body.get("error"))
                )
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _saved(self, session: Session, exchange: Exchange, drive: Any, error: Any) -> None:
        """Tell who asks when the answer is on the disk."""
        try:
            if drive is not None:
                await drive.saved()
        except SquadError as lost:
            error = record(lost)
        session.exchanges.pop(exchange.n, None)
        exchange.settle(error)


def matches(patterns: Sequence[str], value: Any) -> list[str]:
    """Return what in the texts of a value is about people."""
    if not patterns:
        return []
    found: dict[str, None] = {}
    compiled = [re.compile(pattern) for pattern in patterns]
    for text in _texts(value):
        for pattern in compiled:
            for match in pattern.finditer(text[:TEXT_MAX]):
                if len(match[0].strip()) >= 3:
                    found[match[0]] = None
                if len(found) >= FOUND_MAX:
                    return list(found)
    return list(found)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in items for text in _texts(item)]
