"""The scratch log of a rehearsal: a real log in memory that dies when its fuse
burns.

A killed process answers nobody any more; neither does a dead log, while what it
had stored stays for the next one. What was applied in the installation
(resources) can be read through it, never written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.determinism.rehearsal.fault import Fault, Faults

APPLIED = "resource/"  # streams that are the installation's own


class Life:
    """One life of the engine: how it is ended, and how much it has written."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.dead = asyncio.Event()
        self.appends = 0
        self.sizes: list[int] = []  # events of each append
        self.lives = 1

    async def die(self) -> Any:
        """End this life here and never return."""
        self.dead.set()
        return await self.never()

    @staticmethod
    async def never() -> Any:
        """Wait for ever."""
        await asyncio.get_running_loop().create_future()

    def again(self) -> None:
        """Begin the next life."""
        self.dead = asyncio.Event()
        self.lives += 1


class ScratchStore:
    """An EventStore for one life of an engine."""

    def __init__(
        self,
        inner: EventStore,
        life: Life,
        saw: Callable[[Sequence[Event]], None],
        lender: Callable[[], EventStore] | None = None,
    ) -> None:
        self._inner = inner
        self._life = life
        self._dead = life.dead
        self._saw = saw
        self._lender = lender

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def append(
        self, events: Sequence[NewEvent], *, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        """Append, unless the fuse burns here."""
        await self._alive()
        life = self._life
        life.appends += 1
        life.sizes.append(len(events))
        fault: Fault | None = life.faults.appends.get(life.appends)
        if fault is None:
            stored = await self._inner.append(events, expect=expect)
            self._saw(stored)
            await self._alive()
            return stored
        self._dead.set()
        if fault.kind == "crash-after":
            self._saw(await self._inner.append(events, expect=expect))
        await life.never()
        raise AssertionError("a dead engine goes on")

    async def read_stream(
        self, stream: str, *, after: int = 0, limit: int | None = None
    ) -> list[Event]:
        """Read one stream."""
        await self._alive()
        if self._lender is not None and stream.startswith(APPLIED):
            return await self._lender().read_stream(stream, after=after, limit=limit)
        return await self._inner.read_stream(stream, after=after, limit=limit)

    async def read(
        self, *, after: int = 0, limit: int = 1000, types: Sequence[str] | None = None
    ) -> list[Event]:
        """Read in order."""
        await self._alive()
        return await self._inner.read(after=after, limit=limit, types=types)

    async def streams(self, prefix: str = "") -> list[tuple[str, int]]:
        """Return streams and their versions."""
        await self._alive()
        if self._lender is not None and prefix.startswith(APPLIED):
            return await self._lender().streams(prefix)
        return await self._inner.streams(prefix)

    async def size(self) -> int:
        """Return the number of events."""
        await self._alive()
        return await self._inner.size()

    async def _alive(self) -> None:
        if self._dead.is_set():
            await self._life.never()
