"""The machine's own clock and randomness."""

from __future__ import annotations

import asyncio
import os
import time


class SystemClock:
    """Wall clock and monotonic clock of this machine."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        """Return milliseconds that never go back."""
        return time.monotonic_ns() / 1_000_000

    async def sleep_ms(self, duration_ms: float) -> None:
        """Wait."""
        await asyncio.sleep(duration_ms / 1000)


class SystemEntropy:
    """The operating system's cryptographic randomness."""

    def token(self, size: int) -> bytes:
        """Return random bytes."""
        return os.urandom(size)
