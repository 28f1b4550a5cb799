"""Clock: the time of one simulated machine, which may jump and drift."""

from __future__ import annotations

import asyncio

from agentsquad.testing.simulator.loop import SimulatedLoop

START_MS = 1_767_225_600_000


class MachineClock:
    """Wall and monotonic time of one machine.

    `rate` is how fast it runs: 1.01 is one percent fast. Jumps move the wall
    clock only.
    """

    def __init__(self, loop: SimulatedLoop, rate: float = 1.0) -> None:
        self._loop = loop
        self._rate = rate
        self._offset_ms = float(START_MS)
        self._elapsed_ms = 0.0

    def now_ms(self) -> int:
        """Return the wall clock's milliseconds since 1970 UTC."""
        return int(self._offset_ms + self._loop.time() * 1000 * self._rate)

    def monotonic_ms(self) -> float:
        """Return milliseconds that never go back."""
        return round(self._elapsed_ms + self._loop.time() * 1000 * self._rate, 3)

    async def sleep_ms(self, duration_ms: float) -> None:
        """Wait, by this machine's idea of time."""
        await asyncio.sleep(duration_ms / 1000 / self._rate)

    def jump(self, by_ms: int) -> None:
        """Move the wall clock."""
        self._offset_ms += by_ms

    def drift(self, rate: float) -> None:
        """Run at another rate from now on; the time shown now stays."""
        now = self._loop.time() * 1000
        self._offset_ms += now * (self._rate - rate)
        self._elapsed_ms += now * (self._rate - rate)
        self._rate = rate
