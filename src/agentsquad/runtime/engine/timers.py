"""Timers: the due times of waiting runs, as a heap of small rows.

A row is (due, run, position); the run itself is not in memory. What is due is
fired once; a timer that no longer matters (the signal came first) fires into
nothing.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable

from agentsquad.kernel.ports import Clock

LONGEST_MS = 60_000  # wake at least this often, since the wall clock may jump


class Timers:
    """Calls `fire(run, position)` when a timer is due."""

    def __init__(self, clock: Clock, fire: Callable[[str, str], Awaitable[None]]) -> None:
        self._clock = clock
        self._fire = fire
        self._heap: list[tuple[int, str, str]] = []
        self._known: set[tuple[str, str]] = set()
        self._task: asyncio.Task[None] | None = None
        self._sooner = asyncio.Event()

    def add(self, due_ms: int, run: str, position: str) -> None:
        """Remember a timer; the same one twice counts once."""
        if (run, position) in self._known:
            return
        self._known.add((run, position))
        heapq.heappush(self._heap, (due_ms, run, position))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._tick())
        self._sooner.set()

    def forget(self, run: str, position: str) -> None:
        """Remember a timer no more."""
        if (run, position) in self._known:
            self._known.discard((run, position))
            self._heap = [one for one in self._heap if one[1:] != (run, position)]
            heapq.heapify(self._heap)

    async def _tick(self) -> None:
        while self._heap:
            self._sooner.clear()
            wait = self._heap[0][0] - self._clock.now_ms()
            if wait > 0:
                sleeper = asyncio.ensure_future(self._clock.sleep_ms(min(wait, LONGEST_MS)))
                waker = asyncio.ensure_future(self._sooner.wait())
                try:
                    await asyncio.wait((sleeper, waker), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    sleeper.cancel()
                    waker.cancel()
                continue
            due = []
            while self._heap and self._heap[0][0] <= self._clock.now_ms():
                _, run, position = heapq.heappop(self._heap)
                self._known.discard((run, position))
                due.append(self._fire(run, position))
            # At once, so that one commit serves many.
            await asyncio.gather(*due, return_exceptions=True)
        self._task = None

    @property
    def next_due_ms(self) -> int | None:
        """When the next timer is due."""
        return self._heap[0][0] if self._heap else None

    def close(self) -> None:
        """Forget all timers."""
        if self._task is not None:
            self._task.cancel()
        self._heap.clear()
        self._known.clear()
