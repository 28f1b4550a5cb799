"""The directory: the folded state of accounts and credentials, as of now, and
the one way to change it.

Every answer looks at the end of the log first, so that what another process
wrote counts for the next request; a look costs one read of a number. A change
is decided from the state and appended only if nothing it was decided from has
changed meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from agentsquad.kernel.errors import ConflictError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.ids import new_id
from agentsquad.kernel.ports import Clock, Entropy, EventStore
from agentsquad.trust.identity.contract import Sealer
from agentsquad.trust.identity.state import TYPES, State

TRIES_MAX = 8
PAGE = 1_000
SWEEP_MS = 60_000


class Change(msgspec.Struct, frozen=True):
    """Events to append, and how long the streams they were decided from must
    be."""

    events: Sequence[NewEvent] = ()
    expect: Mapping[str, int] = {}


Decide = Callable[[State, int], Change]


class Directory:
    """What is known of who may sign in; one for each log."""

    def __init__(
        self, store: EventStore, clock: Clock, entropy: Entropy, sealer: Callable[[], Sealer]
    ) -> None:
        self.store = store
        self.clock = clock
        self.entropy = entropy
        self.state = State()
        self._sealer = sealer
        self._reading = asyncio.Lock()
        self._swept_ms = 0

    @property
    def sealer(self) -> Sealer:
        """What seals under the key of the home; opened on first use."""
        return self._sealer()

    def now_ms(self) -> int:
        """Return the time."""
        return self.clock.now_ms()

    def id(self) -> str:
        """Return a new name for something."""
        return new_id(self.clock, self.entropy)

    async def follow(self) -> State:
        """Return the state as of the newest event, whoever wrote it."""
        size = await self.store.size()
        if size != self.state.at:
            async with self._reading:
                await self._catch_up(size)
        return self.state

    async def _catch_up(self, size: int) -> None:
        state = self.state
        while state.at < size:
            page = await self.store.read(after=state.at, limit=PAGE, types=TYPES)
            for event in page:
                state.evolve(event)
            if len(page) < PAGE:
                state.at = max(state.at, size)
        if state.now_ms - self._swept_ms > SWEEP_MS:
            self._swept_ms = state.now_ms
            state.sweep(state.now_ms)

    async def change(self, decide: Decide) -> list[Event]:
        """Append what is decided from the newest state; decide again where
        somebody else was faster."""
        for left in reversed(range(TRIES_MAX)):
            state = await self.follow()
            wanted = decide(state, self.now_ms())
            if not wanted.events:
                return []
            try:
                return await self.store.append(wanted.events, expect=wanted.expect)
            except ConflictError:
                if not left:
                    raise
        raise AssertionError("unreachable")
