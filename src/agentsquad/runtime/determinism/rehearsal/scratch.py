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
from agentsquad.runtime.determinism.rehearsal.fault import Faults
from agentsquad.runtime.determinism.rehearsal.guard import unwatched
from agentsquad.runtime.ledger.contract import Batch, ClosedError

APPLIED = "resource/"  # streams that are the installation's own


class Life:
    """One life of the engine: how it is ended, and what it has written.

    `boundaries` says in words what was being written at each place where the
    process could die: each append, and each commit of events that were given
    their place before.
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.dead = asyncio.Event()
        self.boundaries: list[str] = []
        self.whole: set[int] = set()  # seqs of events that never stand without the next
        self.lives = 1
        self.beyond = ""  # the stream of the run with whose beginning all is over

    def together(self, events: Sequence[Event]) -> None:
        """Note events that were appended all or none."""
        self.whole.update(event.seq for event in events[:-1])

    def strikes(self, boundary: str) -> str | None:
        """Count a boundary; return the kind of fault that strikes here."""
        self.boundaries.append(boundary)
        fault = self.faults.appends.get(len(self.boundaries))
        return None if fault is None else fault.kind

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


class MortalVolume:
    """The rows of the log as one life of the engine sees them: once it is dead
    nothing of it is written any more."""

    def __init__(self, inner: Any, life: Life) -> None:
        self._inner = inner
        self._life = life
        self._dead = life.dead
        self.placed = False  # events were given their place and wait for a commit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self, batch: Batch) -> None:
        """Write everything, unless the process dies of it or has died."""
        if self._dead.is_set():
            raise ClosedError
        if not self.placed:
            self._inner.commit(batch)
            return
        self.placed = False
        kinds = ", ".join(row.type for row in batch.rows)
        struck = self._life.strikes(f"commit of {kinds}")
        if struck == "crash-before":
            self._dead.set()
            raise ClosedError
        self._inner.commit(batch)
        if struck is not None:
            self._dead.set()


class ScratchStore:
    """An EventStore for one life of an engine."""

    def __init__(
        self,
        inner: EventStore,
        volume: MortalVolume,
        life: Life,
        lender: Callable[[], EventStore] | None = None,
    ) -> None:
        self._inner = inner
        self._volume = volume
        self._life = life
        self._dead = life.dead
        self._lender = lender

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def place(self) -> Any:
        """How events are given their place before they are durable; None where
        the log below does not."""
        return None if getattr(self._inner, "place", None) is None else self._place

    def _place(self, events: Sequence[NewEvent], **options: Any) -> list[Event] | None:
        if self._dead.is_set():
            raise ClosedError
        inner: Any = self._inner
        placed: list[Event] | None = inner.place(events, **options)
        if placed is not None:  # else the log must be asked first, by an append
            self._volume.placed = True
            self._life.together(placed)
        return placed

    async def append(
        self, events: Sequence[NewEvent], *, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        """Append, unless the fuse burns here."""
        await self._alive()
        struck = self._life.strikes(told(events))
        if struck == "crash-before":
            await self._life.die()
        stored = await self._inner.append(events, expect=expect)
        self._life.together(stored)
        if struck is not None or any(event.stream == self._life.beyond for event in stored):
            self._dead.set()
        await self._alive()
        return stored

    async def read_stream(
        self, stream: str, *, after: int = 0, limit: int | None = None
    ) -> list[Event]:
        """Read one stream."""
        await self._alive()
        if self._lender is not None and stream.startswith(APPLIED):
            with unwatched():
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
            with unwatched():
                return await self._lender().streams(prefix)
        return await self._inner.streams(prefix)

    async def size(self) -> int:
        """Return the number of events."""
        await self._alive()
        return await self._inner.size()

    async def _alive(self) -> None:
        if self._dead.is_set():
            await self._life.never()


def told(events: Sequence[NewEvent]) -> str:
    """Say in words what is being appended."""
    kinds = ", ".join(event.type for event in events)
    first = next((e for e in events if e.stream.startswith("run/")), None)
    if first is None:
        return kinds
    position = first.payload.get("position")
    step = f" at step {position}" if position else ""
    return f"{kinds}{step} of run {first.stream[4:]}"
