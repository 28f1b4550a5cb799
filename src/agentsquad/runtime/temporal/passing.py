"""Passing on: what runs are told goes into the log, and then their driver hears
that there is something.

The log first: what stands there counts, also where the driver cannot be told
now; it listens to the log as well.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agentsquad.kernel.errors import UnavailableError
from agentsquad.kernel.event import Event
from agentsquad.runtime.engine.outside import Outside
from agentsquad.runtime.engine.resolving import Told
from agentsquad.runtime.temporal.journals import Journals

Nudge = Callable[[str, str], Awaitable[None]]


class Elsewhere:
    """The lease of a process that drives no run: another one does."""

    held = False

    def acquire(self) -> None:
        """Leave it to others."""

    def release(self) -> None:
        """Give nothing back."""


class Passing(Outside):
    """Tells runs that are driven elsewhere; `nudge(run, type)` is what their
    driver hears."""

    def __init__(self, journals: Journals, nudge: Nudge) -> None:
        waiting: Any = None  # only who drives runs looks after those that wait
        super().__init__(journals, Elsewhere(), waiting)
        self._nudge = nudge

    async def tell_all(self, run: str, told: Sequence[Told], actor: str) -> None:
        """Append events from outside to a run that has not ended, all or none,
        and pass it on."""
        await super().tell_all(run, told, actor)
        await self._pass_on(run, told[-1][0])

    async def transact(
        self, run: str, decide: Callable[[Sequence[Event]], Awaitable[Sequence[Told]]], actor: str
    ) -> list[Event]:
        """Append what `decide` makes of a run's journal, and pass it on."""
        events = await super().transact(run, decide, actor)
        if events:
            await self._pass_on(run, events[-1].type)
        return events

    async def _pass_on(self, run: str, kind: str) -> None:
        with contextlib.suppress(UnavailableError):
            await self._nudge(run, kind)
