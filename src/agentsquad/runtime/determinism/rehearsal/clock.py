"""A clock that moves only when told, so that nobody waits for anything."""

from __future__ import annotations

import asyncio
import heapq

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


class ManualClock:
    """Time as a number; sleepers wake in the order of their due times."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self._now = float(start_ms)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0
        self._forgiven = 0

    def now_ms(self) -> int:
        """Return the time."""
        return int(self._now)

    def monotonic_ms(self) -> float:
        """Return the time."""
        return self._now

    async def sleep_ms(self, duration_ms: float) -> None:
        """Wait until the clock has been moved far enough."""
        if self._forgiven:
            self._forgiven -= 1
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now + duration_ms, self._count, future))
        await future

    async def advance(self, duration_ms: float) -> None:
        """Move time on, waking sleepers one by one and letting each run."""
        end = self._now + duration_ms
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, due)
            if not future.done():
                future.set_result(None)
            await settle()
        self._now = end
        await settle()

    def forgive(self) -> None:
        """Let the next wait take no time."""
        self._forgiven += 1

    def due(self) -> list[float]:
        """Return when those who sleep want to be woken, in no order."""
        self._sleepers = [one for one in self._sleepers if not one[2].done()]
        heapq.heapify(self._sleepers)
        return [due for due, _, _ in self._sleepers]

    def jump(self, to_ms: float) -> None:
        """Move time on at once and wake everybody who is due, in order."""
        self._now = max(self._now, to_ms)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)


async def settle(rounds: int = 50) -> None:
    """Let everything that is ready run."""
    for _ in range(rounds):
        await asyncio.sleep(0)


async def idle() -> None:
    """Return as soon as nothing in this loop is ready to run.

    What waits for a file, a thread or a socket is not seen: whoever starts such
    a thing has to be asked as well.
    """
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    if ready is None:  # a loop of another make
        await settle()
        return
    await asyncio.sleep(0)
    while ready:  # noqa: ASYNC110 - there is no event for "nothing left to do"
        await asyncio.sleep(0)
