"""Timers: the due times of waiting runs, the next of them as a heap of small
rows.

A row is (due, run, position); the run itself is not in memory. What is due is
fired once; a timer that no longer matters (the signal came first) fires into
nothing. Of many timers only the soonest are held: those of runs that left the
memory are let go of beyond a horizon, since they lie in a reading of the log,
and are asked for again when the horizon is reached.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.ports import Clock

LONGEST_MS = 60_000  # wake at least this often, since the wall clock may jump
KEPT = 4_096  # timers held in memory, besides those of runs in memory
AT_ONCE = 512  # timers fired together, so that one commit serves many
AGAIN_MS = 1_000  # after which a reading is asked again that could not be read

Due = tuple[int, str, str]  # when, which run, where in it
Source = Callable[[Due | None, int], Awaitable[Sequence[Due]]]


class Timers:
    """Calls `fire(run, position)` when a timer is due.

    `held` says whether a run is in memory. Until there is a source to `read`
    from, all timers are held here.
    """

    def __init__(
        self,
        clock: Clock,
        fire: Callable[[str, str], Awaitable[None]],
        held: Callable[[str], bool] = lambda run: True,
    ) -> None:
        self._clock = clock
        self._fire = fire
        self._held = held
        self._source: Source | None = None
        self._heap: list[Due] = []
        self._known: dict[tuple[str, str], int] = {}
        self._horizon: Due | None = None  # beyond it timers lie in the reading only
        self._full = 2 * KEPT
        self._task: asyncio.Task[None] | None = None
        self._sooner = asyncio.Event()

    def add(self, due_ms: int, run: str, position: str) -> None:
        """Remember a timer; the same one twice counts once."""
        if (run, position) in self._known:
            return
        self._known[run, position] = due_ms
        heapq.heappush(self._heap, (due_ms, run, position))
        if len(self._heap) > self._full and self._source is not None:
            self._trim()
        self._begin()
        self._sooner.set()

    async def read(self, source: Source) -> None:
        """Take timers from a source, from the soonest on."""
        self._source = source
        self._horizon = (-1, "", "")
        await self._refill(self._horizon)
        self._begin()
        self._sooner.set()

    def forget(self, run: str, position: str) -> None:
        """Remember a timer no more."""
        self._known.pop((run, position), None)

    def _begin(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._tick())

    def _trim(self) -> None:
        """Let go of the latest timers of runs that are not in memory: their
        journals, and so the reading, hold them."""
        live = sorted(one for one in self._heap if self._known.get(one[1:]) == one[0])
        kept, far = live[:KEPT], live[KEPT:]
        gone = [one for one in far if not self._held(one[1])]
        kept += [one for one in far if self._held(one[1])]
        for one in gone:
            del self._known[one[1:]]
        if gone:
            first = (gone[0][0], "", "")
            self._horizon = first if self._horizon is None else min(first, self._horizon)
        self._heap = kept  # in order, and so a heap
        self._full = max(2 * KEPT, 2 * len(kept))

    def _soonest(self) -> Due | None:
        """Return the next timer held here that was not forgotten."""
        heap = self._heap
        while heap and self._known.get(heap[0][1:]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0] if heap else None

    async def _tick(self) -> None:
        while True:
            self._sooner.clear()
            first = self._soonest()
            if self._horizon is not None and (first is None or first > self._horizon):
                try:
                    await self._refill(self._horizon)
                except SquadError:
                    await self._clock.sleep_ms(AGAIN_MS)
            elif first is None:
                break
            elif first[0] > self._clock.now_ms():
                await self._nap(first[0] - self._clock.now_ms())
            else:
                await self._fire_due()
        self._task = None

    async def _nap(self, wait_ms: float) -> None:
        sleeper = asyncio.ensure_future(self._clock.sleep_ms(min(wait_ms, LONGEST_MS)))
        waker = asyncio.ensure_future(self._sooner.wait())
        try:
            await asyncio.wait((sleeper, waker), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            waker.cancel()

    async def _fire_due(self) -> None:
        due: list[Awaitable[None]] = []
        while len(due) < AT_ONCE and (first := self._soonest()) is not None:
            if first[0] > self._clock.now_ms():
                break
            _, run, position = heapq.heappop(self._heap)
            del self._known[run, position]
            due.append(self._fire(run, position))
        await asyncio.gather(*due, return_exceptions=True)

    async def _refill(self, horizon: Due) -> None:
        """Take over the next timers from the reading."""
        assert self._source is not None
        found = await self._source(horizon, KEPT)
        if self._horizon is None or self._horizon < horizon:
            return  # others were let go of meanwhile
        self._horizon = found[-1] if len(found) == KEPT else None
        for due, run, position in found:
            if (run, position) not in self._known:
                self._known[run, position] = due
                heapq.heappush(self._heap, (due, run, position))

    @property
    def next_due_ms(self) -> int | None:
        """When the next timer is due that is known here."""
        first = self._soonest()
        return first[0] if first is not None else None

    def __len__(self) -> int:
        return len(self._known)

    def close(self) -> None:
        """Forget all timers."""
        if self._task is not None:
            self._task.cancel()
        self._horizon = None
        self._heap.clear()
        self._known.clear()
