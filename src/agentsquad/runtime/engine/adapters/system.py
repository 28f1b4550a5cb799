"""The machine's own clock and randomness, and its word that a process is to
end."""

from __future__ import annotations

import asyncio
import os
import signal
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


class SystemStopping:
    """SIGTERM, as whoever rolls out a new version sends it, and SIGINT."""

    async def told(self) -> str:
        """Return the name of the signal, when it comes."""
        loop = asyncio.get_running_loop()
        came: asyncio.Future[str] = loop.create_future()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self._tell, came, number.name)
        try:
            return await came
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    @staticmethod
    def _tell(came: asyncio.Future[str], name: str) -> None:
        if not came.done():
            came.set_result(name)
