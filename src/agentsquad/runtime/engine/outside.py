"""Outside: what people, surfaces and other processes tell runs.

Apart from the router because these events come from nobody's step: they are
refused once a run has ended, and those another process wrote are looked for in
the log.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agentsquad.kernel.errors import ConflictError, MissingError, SquadError, UnavailableError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.engine.contract import (
    DefinitionChangedError,
    Lease,
    NonDeterministicError,
    Nudging,
)
from agentsquad.runtime.engine.drive import Drive
from agentsquad.runtime.engine.links import PASSED_ON
from agentsquad.runtime.engine.resolving import Told
from agentsquad.runtime.engine.router import HANDED_RUN, Router
from agentsquad.runtime.engine.state import DELEGATED, END_EVENTS, NOTED
from agentsquad.runtime.engine.waiting import Waiting
from agentsquad.runtime.ledger.contract import ClosedError

# What other processes, and surfaces of this one, tell runs.
TOLD = (
    "run.adopted",
    "approval.given",
    "approval.refused",
    NOTED,
    DELEGATED,
    "signal.received",
    "run.cancel_requested",
    "effect.confirmed",
    "effect.failed",
    "update.accepted",
    "intervention.made",
)
DEPLOYED = ("version.deployed", "version.retired")  # new runs may take other versions
HEARD = (*TOLD, *DEPLOYED, HANDED_RUN)
SETTLE_S = 1.0  # after work, when nothing is heard
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
        self._nudged: asyncio.Event | None = None
        self._stirred = True
        self._deaf: Callable[[], None] | None = None

    @property
    def driving(self) -> bool:
        """Whether this process drives the runs of its store."""
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
        driving = self.driving
        while not events:
            if driving:
                with contextlib.suppress(DefinitionChangedError, NonDeterministicError):
                    loaded = await router.load(run)
            try:
                if loaded is None or loaded.instance.ended:  # or about to: it is on its way
                    version = await self._version(run)
                else:
                    version = loaded.instance.state.version
            except ConflictError as ended:
                following = ended.details.get("successor")
                if following is None or any(kind not in PASSED_ON for kind, _ in told):
                    raise
                await self.tell_all(following, told, actor)
                return
            try:
                events = await self._world.store.append(new, expect={stream: version})
            except ConflictError:
                loaded, driving = None, False  # the run has gone on: see whether it has ended
        if self.driving:
            drive = loaded or await router.load(run)
            if drive is not None:
                router.accept(drive, events)

    async def transact(
        self, run: str, decide: Callable[[Sequence[Event]], Awaitable[Sequence[Told]]], actor: str
    ) -> list[Event]:
        """Append to a run what `decide` makes of its journal, at exactly the
        length it saw; where the run goes on meanwhile, it is asked again."""
        while True:
            journal = await self.journal(run)
            told = await decide(journal)
            if not told:
                return []
            new = _new(run, told, actor)
            try:
                events = await self._world.store.append(
                    new, expect={new[0].stream: journal[-1].stream_seq}
                )
            except ConflictError:
                await asyncio.sleep(0)
                continue
            if self.driving:
                drive = await self._router.load(run)
                if drive is not None:
                    self._router.accept(drive, events)
            return events

    async def journal(self, run: str) -> list[Event]:
        """Return the journal of a run as far as it is on the disk."""
        drive = self._router.drives.get(run)
        if drive is not None:
            await drive.saved()
        journal = await self._world.store.read_stream(f"run/{run}")
        if not journal:
            raise MissingError(f"no run {run!r}", code="run.missing", hint="squad runs list")
        return journal

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
        refuse_ended(run, events)
        return events[-1].stream_seq

    async def own(self) -> None:
        """Become the process that drives this store's runs, or raise
        EngineBusyError."""
        if self._poller is not None or self._lease is None:
            return
        self._lease.acquire()
        if isinstance(self._lease, Nudging):
            self._nudged = asyncio.Event()
            self._deaf = self._lease.listen(self._nudged.set)
            self._router.watchers.append(self._stir)
        self._seen = await self._world.store.size()
        self._poller = asyncio.get_running_loop().create_task(self._poll_for_ever())

    def _stir(self, event: Event) -> None:
        self._stirred = True

    async def _look_out(self) -> None:
        """Wait until there may be something to hear: until the store says so,
        or for a while where it does not. After work of our own, look once
        more, so that readings keep up."""
        if self._nudged is None:
            await self._world.clock.sleep_ms(POLL_MS)
            return
        if self._stirred:
            self._stirred = False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), SETTLE_S)
        else:
            await self._nudged.wait()
        self._nudged.clear()

    async def _poll_for_ever(self) -> None:
        while True:
            await self._look_out()
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
            handed = event.type == HANDED_RUN
            run = str(event.payload["run"]) if handed else event.stream.removeprefix("run/")
            try:
                await self._hear(run, event)
            except SquadError as error:  # of one run; the others go on
                self._router.stick(run, error)
        self._seen = events[-1].seq if len(events) == BATCH else size
        return len(events)

    async def _hear(self, run: str, event: Event) -> None:
        drive = self._router.drives.get(run)
        if drive is not None:
            if event.type != HANDED_RUN and event.stream_seq > drive.instance.state.version:
                await self._router.catch_up(drive)
        elif not event.type.startswith("effect.") or "resolved_by" in event.payload:
            await self._router.load(run)

    def hush(self) -> None:
        """Stop listening."""
        if self._deaf is not None:
            self._deaf()
        if self._poller is not None:
            self._poller.cancel()

    def leave(self) -> None:
        """Let another process drive the runs."""
        if self._lease is not None:
            self._lease.release()


def refuse_ended(run: str, journal: Sequence[Event], hint: str | None = None) -> None:
    """Raise ConflictError if the run has ended; `hint` says what to do then."""
    for event in journal:
        if event.type in END_EVENTS:
            status = END_EVENTS[event.type]
            raise ConflictError(
                f"run {run} has already {status}",
                code="run.ended",
                hint=hint,
                details={key: event.payload[key] for key in ("successor",) if key in event.payload},
            )


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
