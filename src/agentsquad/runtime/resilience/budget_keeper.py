"""BudgetKeeper: the budget book over the event log, for any number of callers.

Callers that come at the same time are decided one after the other and written
in one append, so fifty callers cost about as many fsyncs as one. `expect` on
each stream makes a second process notice: it reads again and decides again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from agentsquad.kernel.errors import ConflictError, DeadlineError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.money import Money
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.resilience.budget import BudgetBook, Limit, Line, Request, unique
from agentsquad.runtime.resilience.contract import TYPES
from agentsquad.runtime.resilience.ended import refuse_unbinding

_TRIES_MAX = 100
_PAGE = 1000
_DONE = "the work did not happen"
_GONE = "the caller was cancelled"

Decide = Callable[[BudgetBook], list[NewEvent]]


class _Command:
    """One caller's wish and the answer it waits for."""

    __slots__ = ("answer", "decide", "scopes", "undo")

    def __init__(self, decide: Decide, scopes: Sequence[str], undo: Decide | None) -> None:
        self.decide = decide
        self.scopes = tuple(scopes)
        self.undo = undo
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Hold:
    """An open reservation inside `BudgetKeeper.hold`."""

    def __init__(self) -> None:
        self.settled = False
        self.cost: Money | None = None

    def settle(self, cost: Money | None) -> None:
        """Say what it did cost; None when nobody knows."""
        self.settled = True
        self.cost = cost


class BudgetKeeper:
    """Reserves, settles and releases, durably."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._book = BudgetBook()
        self._versions: dict[str, int] = {}
        self._seen = 0
        self._waiting: list[_Command] = []
        self._worker: asyncio.Task[None] | None = None

    async def set(self, limit: Limit, *, actor: str, remove: bool = False) -> None:
        """Set, change or remove a limit; one that could never bind is
        refused."""
        if not remove:
            await refuse_unbinding(self._store, limit.scope)
        await self._submit(
            lambda book: book.decide_set(limit, actor=actor, remove=remove), [limit.scope]
        )

    async def reserve(self, request: Request) -> None:
        """Reserve in every scope or raise a LimitError; durable on return.

        A caller cancelled meanwhile holds nothing: what was granted is given
        back.
        """
        await self._submit(
            lambda book: book.decide_reserve(request),
            request.scopes,
            lambda book: book.decide_release(request.id, request.scopes, _GONE),
        )

    async def settle(self, id: str, scopes: Sequence[str], cost: Money | None) -> None:
        """End a reservation with what it did cost; None spends what it held."""
        await self._submit(lambda book: book.decide_settle(id, scopes, cost), scopes)

    async def release(self, id: str, scopes: Sequence[str], reason: str) -> None:
        """Give a reservation back unspent."""
        await self._submit(lambda book: book.decide_release(id, scopes, reason), scopes)

    @asynccontextmanager
    async def hold(self, request: Request) -> AsyncIterator[Hold]:
        """Reserve around a block: it settles, or a failure releases.

        Where it stays unknown whether something was spent (a deadline, a block
        that ends without settling, or one that a crash interrupted), what was
        reserved counts as spent.
        """
        await self._begin(request)
        hold = Hold()
        try:
            yield hold
        except GeneratorExit:
            raise  # nobody is left to wait for anything: as after a crash
        except BaseException as error:
            if hold.settled or isinstance(error, DeadlineError):
                await asyncio.shield(self.settle(request.id, request.scopes, hold.cost))
            else:
                await asyncio.shield(self.release(request.id, request.scopes, _DONE))
            raise
        await asyncio.shield(self.settle(request.id, request.scopes, hold.cost))

    async def _begin(self, request: Request) -> None:
        """Reserve; a reservation that is open already is that of an attempt
        that never ended, and may have spent all of it."""
        interrupted: list[str] = []

        def decide(book: BudgetBook) -> list[NewEvent]:
            interrupted[:] = book.holding(request.id, request.scopes)
            if interrupted:
                return book.decide_settle(request.id, request.scopes, None)
            return book.decide_reserve(request)

        await self._submit(
            decide,
            request.scopes,
            lambda book: book.decide_release(request.id, request.scopes, _GONE),
        )
        if interrupted:
            await self.reserve(request)

    async def lines(self, at_ms: int, prefix: str = "") -> list[Line]:
        """Return how every limit stands, other processes' spending included.

        Waits its turn: following the log while an append is under way would
        lose what others wrote in between.
        """
        await self._submit(lambda book: [], [])
        return self._book.lines(at_ms, prefix)

    async def _submit(
        self, decide: Decide, scopes: Sequence[str], undo: Decide | None = None
    ) -> None:
        command = _Command(decide, scopes, undo)
        self._waiting.append(command)
        self._wake()
        try:
            await command.answer
        except asyncio.CancelledError:
            if command.answer.cancelled() or undo is None:
                raise
            if command.answer.exception() is None:  # granted, but nobody was told
                self._waiting.append(_Command(undo, scopes, None))
                self._wake()
            raise

    def _wake(self) -> None:
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._carry_out([one for one in batch if not one.answer.done()])
            except BaseException as error:
                for command in (*batch, *self._waiting):
                    if not command.answer.done():
                        command.answer.set_exception(error)
                self._waiting = []
                if not isinstance(error, Exception):
                    raise

    async def _carry_out(self, batch: list[_Command]) -> None:
        """Decide a batch in order and write it, again after each conflict."""
        scopes = unique(scope for command in batch for scope in command.scopes)
        for last in range(_TRIES_MAX - 1, -1, -1):
            await self._follow()
            draft = self._book.draft(scopes)
            events: list[NewEvent] = []
            refused: dict[_Command, Exception] = {}
            for command in batch:
                try:
                    follow = command.decide(draft)
                except Exception as error:  # noqa: BLE001 - the caller gets it
                    refused[command] = error
                    continue
                for event in follow:
                    draft.evolve(event.type, event.payload)
                events += follow
            try:
                await self._append(events, draft)
            except ConflictError:
                if not last:
                    raise
                continue
            self._answer(batch, refused)
            return

    async def _append(self, events: list[NewEvent], draft: BudgetBook) -> None:
        if events:
            streams = {event.stream for event in events}
            expect = {stream: self._versions.get(stream, 0) for stream in streams}
            for event in await self._store.append(events, expect=expect):
                self._versions[event.stream] = event.stream_seq
            self._book = draft

    def _answer(self, batch: list[_Command], refused: dict[_Command, Exception]) -> None:
        for command in batch:
            if command.answer.cancelled():
                if command.undo is not None and command not in refused:
                    self._waiting.append(_Command(command.undo, command.scopes, None))
            elif command in refused:
                command.answer.set_exception(refused[command])
            else:
                command.answer.set_result(None)

    async def _follow(self) -> None:
        """Read what was written since, by this process or another."""
        while True:
            events = await self._store.read(after=self._seen, limit=_PAGE, types=TYPES)
            for event in events:
                self._seen = event.seq
                if event.stream_seq > self._versions.get(event.stream, 0):  # not our own
                    self._book.evolve(event.type, event.payload)
                    self._versions[event.stream] = event.stream_seq
            if len(events) < _PAGE:
                return
