"""A desk over a log in memory, a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.trust.identity.adapters.home_key import KeySealer
from agentsquad.trust.identity.adapters.memory import QuickHasher
from agentsquad.trust.identity.office import Desk, Instruments

GOOD = "plum tractor quietly 7 boats"


class Bench:
    """One log and as many desks over it as a test wants processes."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.entropy = SeededEntropy()
        self.ledger = open_ledger("memory:", self.clock, self.entropy)
        self.hasher = QuickHasher()
        self.sealer = KeySealer(b"k" * 32, self.entropy)
        self.desk = self.other()

    def other(self) -> Desk:
        """Another process on the same log."""
        instruments = Instruments(sealer=lambda: self.sealer, hasher=lambda: self.hasher)
        return Desk(self.ledger.store, self.clock, self.entropy, instruments)

    async def events(self, *types: str) -> list[Any]:
        return await self.ledger.store.read(types=types or None)

    async def ada(self, **options: Any) -> Any:
        """Ada, with a good password."""
        await self.desk.administration.add("ada", "person:root", **options)
        return await self.desk.administration.set_password("ada", GOOD, "person:root")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.ledger.close()
