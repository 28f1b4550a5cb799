"""A clock that moves only when told, so that tests wait for nothing."""

from __future__ import annotations

import asyncio
import heapq


class ManualClock:
    """Time as a number; sleepers wake in the order of their due times."""

    def __init__(self, start_ms: int = 1_767_225_600_000) -> None:
        self._now = float(start_ms)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ms(self) -> int:
        """Return the time."""
        return int(self._now)

    def monotonic_ms(self) -> float:
        """Return the time."""
        return self._now

    async def sleep_ms(self, duration_ms: float) -> None:
        """Wait until the clock has been moved far enough."""
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


async def settle(rounds: int = 50) -> None:
    """Let everything that is ready run."""
    for _ in range(rounds):
        await asyncio.sleep(0)
