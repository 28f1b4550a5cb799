"""Branches that are taken as they come: streams, races, and answers awaited
later.

Each is a group of tasks beside the code that began it. Laws: a stream holds at
most twice as many results as it runs at once, however long it is; a branch that
races others cannot change the world; nothing outlives the branch or scope it
was begun in.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable, Sequence
from types import TracebackType
from typing import Any

from agentsquad.kernel import errors
from agentsquad.kernel.errors import ConflictError, InvalidError
from agentsquad.runtime.engine.contract import CancelSignal, RaceLostError
from agentsquad.runtime.engine.ground import Ground
from agentsquad.runtime.engine.scheduler import Group, Latch, Scope

Branch = Awaitable[Any] | Callable[[], Awaitable[Any]]


class Beside(Group):
    """A group that goes on beside the code that began it."""

    __slots__ = ("flow", "over")

    def __init__(self, flow: Ground, *, racing: bool = False) -> None:
        task = flow.task
        super().__init__(task, task.next_position(), Scope(task.scope, racing=racing))
        self.flow = flow
        self.over = Latch(flow.scheduler)

    async def ended(self) -> None:
        """Return when no member goes on; a signal that comes meanwhile is told
        then, since it reaches the members too."""
        signal: CancelSignal | None = None
        while self.live:
            try:
                await self.over
            except CancelSignal as told:
                signal = told
        if signal is not None:
            raise signal

    def retire(self) -> None:
        """Be forgotten by the branch that began this."""
        out = self.opener.out
        if out is not None and self in out:
            out.remove(self)


class Crew(Beside):
    """The members of a stream, and who feeds it; `heard` is the stream's."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Stream, flow: Ground) -> None:
        super().__init__(flow)
        self._stream = stream
        self.opener.adopt(self)

    def heard(self, index: int, value: Any, error: BaseException | None) -> None:
        """Pass a result on."""
        self._stream.heard(index, value, error)
        if self.live == 0:
            self.over.ring()

    def stop(self) -> None:
        """Take nothing more from the source."""
        self._stream.stop()


class Stream:
    """The results of `fn` over items, one by one.

    Items are taken from their source when there is room: `limit` run at once,
    and at most as many results again wait to be taken. Awaiting it as a whole
    gives a list. The first item that fails ends the stream: what runs is
    stopped, and the error is raised where its result was due. To leave a stream
    early, stand in `async with ctx.stream(…) as results:`.
    """

    def __init__(
        self,
        flow: Ground,
        fn: Callable[[Any], Awaitable[Any]],
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        limit: int = 8,
        ordered: bool = True,
    ) -> None:
        self._flow = flow
        self._fn = fn
        self._items: Any = items
        self._limit = max(1, limit)
        self._ordered = ordered
        self._crew: Crew | None = None
        self._bell = Latch(flow.scheduler)  # rung when there is something to take
        self._room = Latch(flow.scheduler)  # rung when there is room for an item
        self._first = 0  # the first member that is an item
        self._begun = 0
        self._taken = 0
        self._running = 0
        self._done: dict[int, tuple[Any, BaseException | None]] = {}
        self._stopped = False

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Any:
        if self._crew is None:
            self._begin()
        while True:
            index: int | None = self._first + self._taken
            if not self._ordered:
                index = next(iter(self._done), None)
            if index in self._done:
                value, error = self._done.pop(index)
                self._taken += 1
                if error is None:
                    self._fill()
                    return value
                await self.close()
                raise error
            assert self._crew is not None
            if self._items is None and not self._crew.live:
                self._crew.retire()
                raise StopAsyncIteration
            await self._bell

    def __await__(self) -> Generator[Any, Any, list[Any]]:
        return self._all().__await__()

    async def _all(self) -> list[Any]:
        return [result async for result in self]

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, GeneratorExit):  # the run has not left the memory
            await self.close()

    async def close(self) -> None:
        """Stop what runs and take no more; effects are brought to an end."""
        self.stop()
        if self._crew is not None:
            if self._crew.live:
                signal = CancelSignal("nobody takes the rest of the stream")
                self._flow.scheduler.cancel(self._crew.scope, signal)
            await self._crew.ended()
            self._crew.retire()
        self._done.clear()

    def stop(self) -> None:
        """Take nothing more from the source."""
        self._stopped = True
        self._items = None

    def _begin(self) -> None:
        self._crew = Crew(self, self._flow)
        if isinstance(self._items, AsyncIterable):
            self._first = 1
            self._flow.scheduler.add(self._feed(self._items), self._crew, 0)
            self._items = None
        elif self._items is not None:
            self._items = iter(self._items)
            self._fill()

    @property
    def _has_room(self) -> bool:
        return self._running < self._limit and self._begun - self._taken < 2 * self._limit

    def _fill(self) -> None:
        """Begin items while there is room."""
        while self._items is not None and self._has_room:
            try:
                item = next(self._items)
            except StopIteration:
                self._items = None
            except Exception as error:  # noqa: BLE001 - of the author's own iterator
                self._items = None
                self._fail(error)
            else:
                self._start(item)
        self._room.ring()

    def _start(self, item: Any) -> None:
        assert self._crew is not None
        try:
            branch = self._fn(item)
        except Exception as error:  # noqa: BLE001 - of the author's own function
            self._fail(error)
            return
        self._running += 1
        self._begun += 1
        index = self._first + self._begun - 1
        self._flow.scheduler.add(branch, self._crew, index)

    def _fail(self, error: BaseException) -> None:
        """Have an error raised after all that was begun before."""
        self._done[self._first + self._begun] = (None, error)
        self._begun += 1

    async def _feed(self, items: AsyncIterable[Any]) -> None:
        async for item in items:
            while not (self._has_room or self._stopped):
                await self._room
            if self._stopped:
                break
            self._start(item)

    def heard(self, index: int, value: Any, error: BaseException | None) -> None:
        """Take what came of a member."""
        if index >= self._first:
            self._running -= 1
            self._done[index] = (value, error)
        elif error is not None:  # of who feeds the stream
            self._fail(error)
        self._fill()
        self._bell.ring()


class Promise(Beside):
    """A branch whose answer is awaited later, once or often; it is done once.

    The branch is a coroutine or a function that makes one; a run that leaves
    the memory while it waits drops a coroutine that never began, of which
    Python warns.
    """

    __slots__ = ("_answer", "_begun", "_branch", "_taken")

    def __init__(self, flow: Ground, branch: Branch, *, begun: bool) -> None:
        self._branch: Any = branch
        try:
            super().__init__(flow)
        except CancelSignal:
            close(branch)
            raise
        self._answer: tuple[Any, BaseException | None] | None = None
        self._begun = False
        self._taken = False
        self.opener.adopt(self)
        if begun:
            self._begin()

    def _begin(self) -> None:
        if self._branch is None:
            raise InvalidError(
                "what would have answered was let go of when its branch or scope ended",
                code="flow.over",
                hint="await it inside the branch or scope that made it",
            )
        branch, self._branch = self._branch, None
        self._begun = True
        self.flow.scheduler.add(branch() if callable(branch) else branch, self, 0)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._get().__await__()

    async def _get(self) -> Any:
        if not self._begun:
            self._begin()
        while self._answer is None:
            await self.over
        self._taken = True
        self.retire()
        value, error = self._answer
        if isinstance(error, CancelSignal) and not self.flow.task.scope.stopping:
            raise ConflictError(
                f"the branch was cancelled: {error.reason}", code="flow.branch_cancelled"
            )
        if error is not None:
            raise error
        return value

    def heard(self, index: int, value: Any, error: BaseException | None) -> None:
        """Keep the answer."""
        self._answer = (value, error)
        self.over.ring()

    def stop(self) -> None:
        """Never begin, if it has not."""
        branch, self._branch = self._branch, None
        close(branch)

    @property
    def wanted(self) -> bool:
        """A branch that has begun is waited for."""
        return self._begun

    @property
    def failure(self) -> BaseException | None:
        """The error that nobody awaited."""
        if self._answer is None or self._taken or isinstance(self._answer[1], CancelSignal):
            return None
        return self._answer[1]


class Race(Beside):
    """Branches of which the first good answer counts."""

    __slots__ = ("answers", "good", "won")

    def __init__(self, flow: Ground, size: int, good: Callable[[Any], bool] | None) -> None:
        super().__init__(flow, racing=True)
        self.good = good
        self.won: tuple[Any] | None = None
        self.answers: list[Any] = [None] * size

    def heard(self, index: int, value: Any, error: BaseException | None) -> None:
        """Stop the others at the first good answer."""
        if self.won is None and error is None:
            try:
                if self.good is None or self.good(value):
                    self.won = (value,)
                    self.flow.scheduler.cancel(self.scope, CancelSignal("another answer was first"))
            except Exception as failure:  # noqa: BLE001 - of the author's own function
                error = failure
        self.answers[index] = "no good answer" if error is None else error
        if self.live == 0:
            self.over.ring()


async def race(
    flow: Ground, branches: Sequence[Awaitable[Any]], good: Callable[[Any], bool] | None
) -> Any:
    """Return the first good answer of several branches."""
    if not branches:
        raise InvalidError("a race needs branches", code="race.empty")
    try:
        found = Race(flow, len(branches), good)
    except CancelSignal:
        for branch in branches:
            close(branch)
        raise
    for index, branch in enumerate(branches):
        flow.scheduler.add(branch, found, index)
    await found.ended()
    if found.won is not None:
        return found.won[0]
    failures = [one for one in found.answers if isinstance(one, BaseException)]
    for one in failures:
        if isinstance(one, CancelSignal):
            raise one
    raise RaceLostError(
        f"none of {len(branches)} branches gave a good answer",
        details={
            "answers": [
                errors.record(one) if isinstance(one, BaseException) else {"code": "race.not_good"}
                for one in found.answers
            ]
        },
    ) from (failures[0] if failures else None)


def close(branch: Any) -> None:
    """Let go of a coroutine that never began."""
    end = getattr(branch, "close", None)
    if end is not None and hasattr(branch, "send"):
        end()
