"""Hub: the events of one namespace's log, handed to all who follow it.

One reader for all of them, awake only while somebody follows. The log is the
buffer: a follower has a short queue and a place in the log; one that is too
slow for its queue leaves the index, reads on from the log at its own pace, and
comes back when it has caught up.

Laws: a follower gets every event that it follows after its place, each once and
in order, whoever wrote it; what it costs in memory does not depend on how far
it is behind.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator

from agentsquad.kernel.errors import BugError, SquadError
from agentsquad.kernel.event import Event
from agentsquad.runtime.ledger.contract import ClosedError, RecordStore
from agentsquad.surfaces.gateway.contract import Following
from agentsquad.surfaces.gateway.subscribers import ANYTHING, Subscribers, wanted

QUEUE_MAX = 256  # events of one follower that wait in memory
PAGE = 512  # events read at once; pages of the past begin at multiples of it
ERASED = "subject.erased"  # after its key was destroyed
PAGES_MAX = 16  # kept, for others who read the same past


class _Follower:
    """One who follows: what waits for them, and whether they keep up."""

    __slots__ = ("after", "failure", "lagging", "queue", "waiter")

    def __init__(self, after: int) -> None:
        self.after = after
        self.queue: deque[Event] = deque()
        self.lagging = False
        self.failure: SquadError | None = None
        self.waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def next(self) -> None:
        """Wait until something is there, or has gone wrong."""
        if self.queue or self.lagging or self.failure is not None:
            return
        self.waiter = asyncio.get_running_loop().create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None


class Hub:
    """Followers of one log. Belongs to one event loop, like the log."""

    def __init__(self, store: RecordStore, *, queue_max: int = QUEUE_MAX, page: int = PAGE) -> None:
        self._store = store
        self._queue_max = queue_max
        self._page_size = page
        self._index: Subscribers[_Follower] = Subscribers()
        self._reader: asyncio.Task[None] | None = None
        self._position = 0
        self._following = 0
        self._pages: OrderedDict[int, list[Event]] = OrderedDict()
        self._closed: SquadError | None = None

    @property
    def store(self) -> RecordStore:
        """The log that is followed."""
        return self._store

    @property
    def followers(self) -> int:
        """How many follow now, those included who are catching up."""
        return self._following

    @property
    def waiting(self) -> int:
        """How many events wait in queues."""
        return sum(len(follower.queue) for follower in self._index)

    async def follow(self, what: Following) -> AsyncGenerator[Event]:
        """Return the events after a place, those there are and those to come;
        ends only with the log's error, or when nobody asks for the next one."""
        if self._closed is not None:
            raise self._closed
        self._following += 1
        follower = _Follower(what.after)
        try:
            while True:
                async for event in self._past(what, follower):
                    yield event
                while not follower.lagging or follower.queue:
                    if follower.queue:
                        event = follower.queue.popleft()
                        follower.after = event.seq
                        yield event
                    elif follower.failure is not None:
                        raise follower.failure
                    else:
                        await follower.next()
                follower.lagging = False
        finally:
            self._index.remove(follower)
            self._following -= 1
            if not self._following:
                self._rest()

    async def close(self) -> None:
        """End all followings with ClosedError and let the reader go."""
        self._fail(ClosedError("the events are not followed any more"))
        reader = self._reader
        self._rest()
        if reader is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await reader

    # --- the past: from the log ---

    async def _past(self, what: Following, follower: _Follower) -> AsyncGenerator[Event]:
        """Return what was followed up to where the reader is; then have the
        follower found, before anything else can happen."""
        size = self._page_size
        by_type = bool(what.types) and not any(one.endswith(ANYTHING) for one in what.types)
        while True:
            await self._begin()  # the reader may have met an error meanwhile
            if self._closed is not None:
                raise self._closed
            if follower.after >= self._position:
                break
            upto = self._position
            after = follower.after
            if by_type:
                page = await self._store.read(after=after, limit=size, types=what.types)
                last = page[-1].seq if len(page) == size else upto
            else:
                page = await self._page(after, upto)
                last = page[-1].seq
            for event in page:
                if after < event.seq <= upto and wanted(what, event.stream, event.type):
                    yield event
                    follower.after = event.seq
            follower.after = max(follower.after, min(last, upto))
            await asyncio.sleep(0)  # others have their turn between two pages
        self._index.add(follower, what)

    async def _page(self, after: int, upto: int) -> list[Event]:
        """Return the page that holds the next event, at most up to a place;
        a full page is kept for others."""
        size = self._page_size
        number = after // size
        page = self._pages.get(number)
        if page is None:
            start = number * size
            if upto < start + size:
                return await self._store.read(after=after, limit=upto - after)
            page = await self._store.read(after=start, limit=size)
            self._pages[number] = page
            while len(self._pages) > PAGES_MAX:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(number)
        return page

    # --- the present: one reader ---

    async def _begin(self) -> None:
        if self._reader is None:
            size = await self._store.size()
            if self._reader is None:  # another follower may have begun meanwhile
                self._position = size
                self._reader = asyncio.get_running_loop().create_task(self._read_on())

    def _rest(self) -> None:
        """Stop looking at the log: nobody follows."""
        self._pages.clear()
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    async def _read_on(self) -> None:
        try:
            while True:
                size = await self._store.wait(self._position)
                while self._position < size:
                    events = await self._store.read(after=self._position, limit=self._page_size)
                    for event in events:
                        self._hand_out(event)
                    if not events:
                        break
                    await asyncio.sleep(0)
        except SquadError as error:
            self._reader = None
            self._end(error)
        except Exception as error:  # noqa: BLE001 - followers must not wait for ever
            self._reader = None
            self._end(BugError("events could not be handed out", private=repr(error)))

    def _hand_out(self, event: Event) -> None:
        self._position = event.seq
        if event.type == ERASED:
            self._pages.clear()  # they may hold what must not be shown any more
        for follower in self._index.of(event.stream, event.type):
            if event.seq <= follower.after:
                continue
            if len(follower.queue) >= self._queue_max:
                follower.lagging = True
                self._index.remove(follower)
            else:
                follower.queue.append(event)
            follower.wake()

    def _end(self, error: SquadError) -> None:
        """Have all who keep up end with an error once their queue is empty."""
        for follower in self._index:
            follower.failure = error
            self._index.remove(follower)
            follower.wake()

    def _fail(self, error: SquadError) -> None:
        self._closed = error
        self._end(error)
