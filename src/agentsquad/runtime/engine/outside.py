"""Outside: what people, surfaces and other processes tell runs.

Apart from the router because these events come from nobody's step: they are
refused once a run has ended, and those another process wrote are looked for in
the log.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from agentsquad.kernel.errors import ConflictError, MissingError, SquadError, UnavailableError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.engine.contract import (
    DefinitionChangedError,
    Lease,
    NonDeterministicError,
)
from agentsquad.runtime.engine.drive import Drive
from agentsquad.runtime.engine.resolving import Told
from agentsquad.runtime.engine.router import Router
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.runtime.engine.waiting import Waiting
from agentsquad.runtime.ledger.contract import ClosedError

# What other processes, and surfaces of this one, tell runs.
TOLD = (
    "run.adopted",
    "approval.given",
    "approval.refused",
    "signal.received",
    "run.cancel_requested",
    "effect.confirmed",
    "effect.failed",
)
DEPLOYED = ("deployment.made", "deployment.retired")  # new runs may take other versions
HEARD = (*TOLD, *DEPLOYED)
POLL_MS = 100  # how soon an answer given in another process is seen
BATCH = 5000


class Outside:
    """Takes in what comes from outside a run's own steps."""

    def __init__(self, router: Router, lease: Lease | None, waiting: Waiting) -> None:
        self._router = router
        self._waiting = waiting
        self._world = router.world
        self._lease = lease
        self._poller: asyncio.Task[None] | None = None
        self._seen = 0

    @property
    def _driving(self) -> bool:
        return self._lease is None or self._lease.held

    async def tell(self, run: str, kind: str, body: dict[str, Any], actor: str) -> None:
        """Append an event from outside to a run that has not ended, nor ends
        meanwhile."""
        await self.tell_all(run, [(kind, body)], actor)

    async def tell_all(self, run: str, told: Sequence[Told], actor: str) -> None:
        """Append events from outside to such a run, all or none, in one
        append."""
        router = self._router
        new = _new(run, told, actor)
        stream = new[0].stream
        events: list[Event] = []
        loaded: Drive | None = None
        driving = self._driving
        while not events:
            if driving:
                with contextlib.suppress(DefinitionChangedError, NonDeterministicError):
                    loaded = await router.load(run)
            version = loaded.instance.state.version if loaded else await self._version(run)
            try:
                events = await self._world.store.append(new, expect={stream: version})
            except ConflictError:
                loaded, driving = None, False  # the run has gone on: see whether it has ended
        if self._driving:
            drive = loaded or await router.load(run)
            if drive is not None:
                router.accept(drive, events)

    async def _version(self, run: str) -> int:
        """Return how long the journal of a run is; ConflictError once it has
        ended."""
        drive = self._router.drives.get(run)
        if drive is not None:
            await drive.saved()
        known = drive.instance.state.version if drive is not None else 0
        events = await self._world.store.read_stream(f"run/{run}", after=max(0, known - 1))
        if not events:
            raise MissingError(f"no run {run!r}", code="run.missing", hint="squad runs list")
        for event in events:
            if event.type in END_EVENTS:
                status = END_EVENTS[event.type]
                raise ConflictError(f"run {run} has already {status}", code="run.ended")
        return events[-1].stream_seq

    async def own(self) -> None:
        """Become the process that drives this store's runs, or raise
        EngineBusyError."""
        if self._poller is not None or self._lease is None:
            return
        self._lease.acquire()
        self._seen = await self._world.store.size()
        self._poller = asyncio.get_running_loop().create_task(self._poll_for_ever())

    async def _poll_for_ever(self) -> None:
        while True:
            await self._world.clock.sleep_ms(POLL_MS)
            try:
                await self.poll()
            except ClosedError:
                return
            except UnavailableError:
                continue  # what could not be read is read the next time
            except SquadError as error:
                for run in list(self._router.drives):
                    self._router.stick(run, error)
                return
            if not any(drive.tasks for drive in self._router.drives.values()):
                with contextlib.suppress(SquadError):  # a reading that is behind costs only time
                    await self._waiting.keep_up()

    async def poll(self) -> int:
        """Take in what was told from outside; return how many events that
        were.

        Only this moves the place up to which it has looked: events of our own
        may stand behind another process's that nobody has seen yet.
        """
        size = await self._world.store.size()
        events = await self._world.store.read(after=self._seen, limit=BATCH, types=HEARD)
        if any(event.type in DEPLOYED for event in events):
            await self._router.versions.refresh()
        for event in events:
            if event.type in DEPLOYED:
                continue
            run = event.stream.removeprefix("run/")
            try:
                await self._hear(run, event)
            except SquadError as error:  # of one run; the others go on
                self._router.stick(run, error)
        self._seen = events[-1].seq if len(events) == BATCH else size
        return len(events)

    async def _hear(self, run: str, event: Event) -> None:
        drive = self._router.drives.get(run)
        if drive is not None:
            if event.stream_seq > drive.instance.state.version:
                await self._router.catch_up(drive)
        elif not event.type.startswith("effect.") or "resolved_by" in event.payload:
            await self._router.load(run)

    def hush(self) -> None:
        """Stop listening."""
        if self._poller is not None:
            self._poller.cancel()

    def leave(self) -> None:
        """Let another process drive the runs."""
        if self._lease is not None:
            self._lease.release()


def _new(run: str, told: Sequence[Told], actor: str) -> list[NewEvent]:
    return [
        NewEvent(
            stream=f"run/{run}",
            type=kind,
            payload=body,
            actor=actor,
            correlation=run.partition("/")[0],
        )
        for kind, body in told
    ]
