"""A clock and a chance that tests can repeat, and the ledgers under test.

Loaded by path (`load_kit` in each test file), since test folders are no
packages.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.plugin import open_ledger


class TestClock:
    """Stands at 2026-11-23T12:00Z and moves only when told, or when somebody
    sleeps.
    """

    __test__ = False

    def __init__(self) -> None:
        self.time_ms = 1_795_435_200_000

    def now_ms(self) -> int:
        return self.time_ms

    def monotonic_ms(self) -> float:
        return float(self.time_ms)

    async def sleep_ms(self, duration_ms: float) -> None:
        await asyncio.sleep(0)
        self.time_ms += max(1, int(duration_ms))


class SeededEntropy:
    """A stream of bytes that depends on the seed only."""

    def __init__(self, seed: str = "seed") -> None:
        self._seed = seed
        self._drawn = 0

    def token(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            self._drawn += 1
            data += hashlib.sha256(f"{self._seed}/{self._drawn}".encode()).digest()
        return data[:size]


def url_of(kind: str, folder: Path) -> str:
    return "memory:" if kind == "memory" else f"sqlite:///{folder}/ledger.db"


def open_test_ledger(url: str, seed: str = "seed") -> Ledger:
    return open_ledger(url, TestClock(), SeededEntropy(seed))


def event(stream: str = "run:1", type: str = "step.completed", **payload: Any) -> NewEvent:
    return NewEvent(stream=stream, type=type, payload=payload)
