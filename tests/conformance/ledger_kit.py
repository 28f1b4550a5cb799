"""A clock and a chance that tests can repeat, and the ledgers under test.

Loaded by path (`load_kit` in each test file), since test folders are no
packages.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

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


# Every store there is; what holds of one must hold of all.
STORES = ("memory", "sqlite", "postgres")
KEPT = ("sqlite", "postgres")  # those that outlive a process


def url_of(kind: str, folder: Path) -> str:
    """The address of an empty store; the same one for the same folder."""
    if kind == "postgres":
        mark = hashlib.sha256(f"{os.getpid()} {folder}".encode()).hexdigest()[:16]
        return f"{postgresql()['url']}?schema=t_{mark}"
    return "memory:" if kind == "memory" else f"sqlite:///{folder}/ledger.db"


def postgresql() -> dict[str, Any]:
    """Where the PostgreSQL of this test session is; fails where none can be
    had.
    """
    if "squad_services" not in sys.modules:
        path = Path(__file__).parents[2] / "tools" / "services.py"
        spec = importlib.util.spec_from_file_location("squad_services", path)
        assert spec and spec.loader
        sys.modules["squad_services"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["squad_services"])
    services = sys.modules["squad_services"]
    try:
        found: dict[str, Any] = services.lease("postgresql")
    except services.ServiceError as error:
        pytest.fail(str(error), pytrace=False)
    return found


def open_test_ledger(url: str, seed: str = "seed") -> Ledger:
    return open_ledger(url, TestClock(), SeededEntropy(seed))


def event(stream: str = "run:1", type: str = "step.completed", **payload: Any) -> NewEvent:
    return NewEvent(stream=stream, type=type, payload=payload)
