"""Bulkhead: how many calls of one sort may be under way at once, so that a slow
partner fills its own compartment and not the ship.

Who comes when all places are taken waits in line, first come, first served;
when the line is full, or patience ends, it is refused.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from agentsquad.kernel.ports import Clock
from agentsquad.runtime.resilience.contract import BulkheadFullError


class BulkheadRule(msgspec.Struct, frozen=True, kw_only=True):
    """How many at once, how many may wait, and for how long."""

    limit: int
    waiting: int = 0
    patience_ms: int = 5_000


class Bulkhead:
    """The places of one guard."""

    def __init__(self, name: str, rule: BulkheadRule, clock: Clock) -> None:
        self._name = name
        self._rule = rule
        self._clock = clock
        self._line: deque[asyncio.Future[None]] = deque()
        self.taken = 0

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return sum(not one.done() for one in self._line)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place; BulkheadFullError when none is to be had."""
        await self._take()
        try:
            yield
        finally:
            self._give()

    async def _take(self) -> None:
        if self.taken < self._rule.limit:
            self.taken += 1
            return
        if self.waiting >= self._rule.waiting:
            raise self._full("nobody may wait any more")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        alarm = asyncio.ensure_future(self._clock.sleep_ms(self._rule.patience_ms))
        try:
            await asyncio.wait((turn, alarm), return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                raise self._full(f"no place became free in {self._rule.patience_ms} ms")
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._give()  # a place came, but nobody is there to take it
            raise
        finally:
            turn.cancel()
            alarm.cancel()

    def _give(self) -> None:
        """Hand the place to who waits longest, else leave it free."""
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.taken -= 1

    def _full(self, why: str) -> BulkheadFullError:
        rule = self._rule
        return BulkheadFullError(
            f"{self._name}: {rule.limit} calls are under way, {self.waiting} wait, {why}",
            details={"guard": self._name, "limit": rule.limit, "sent": False},
            retry_after_ms=rule.patience_ms,
        )
