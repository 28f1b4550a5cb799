"""The worker: a process that serves the runs of a log on a Temporal queue.

Any number may serve one queue. Beside what Temporal gives it, it listens to the
log: what surfaces and other programs tell runs there is passed on, since not
all of them know of Temporal.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from agentsquad import __version__
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.outside import TOLD
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.runtime.engine.versions import Version
from agentsquad.runtime.temporal.adapters.claim import Claim, ClaimCodec, converter
from agentsquad.runtime.temporal.adapters.client import (
    Cluster,
    fingerprint,
    identity,
    registry_mark,
    translated,
)
from agentsquad.runtime.temporal.adapters.driving import Binding, Bound, DrivenRun
from agentsquad.runtime.temporal.adapters.hands import Hands
from agentsquad.runtime.temporal.adapters.recovery import OpenRuns, recover
from agentsquad.runtime.temporal.address import Address, Credentials
from agentsquad.runtime.temporal.contract import Served

POLL_MS = 500
BATCH = 1000
GRACE = timedelta(seconds=2)
AT_ONCE = 100  # steps of one worker
DRIVEN = 24  # runs it folds events of at a time; others wait at the server, not here
SEEN_MS, SOON_MS = 10_000, 20
KEPT_MAX = 4096  # journals whose code is known
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TemporalWorker:
    """Serves one log on one queue."""

    def __init__(self, world: World, address: Address, known: Credentials) -> None:
        self.world = world
        self.address = address
        self.known = known
        self.hands: Hands | None = None
        self._runs = OpenRuns(world.store)
        self._ran: dict[tuple[str, int], Version | SquadError] = {}
        self._followed: dict[str, int] = {}
        self._seen = 0
        self._late: list[Event] = []

    async def serve(self, *, seconds: float | None, tell: Callable[[str], None]) -> Served:
        """Serve until interrupted or for a time, and say what was done."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            for number in SIGNALS:
                loop.add_signal_handler(number, stop.set)
        try:
            async with self.serving() as hands:
                tell(f"serving queue {self.address.queue} at {self.address.target}; Ctrl-C ends it")
                listening = loop.create_task(self._listen())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await stop.wait()
                listening.cancel()
        finally:
            for number in SIGNALS:
                with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                    loop.remove_signal_handler(number)
        return Served(
            namespace=self.address.namespace,
            queue=self.address.queue,
            steps=hands.steps,
            runs=hands.runs,
        )

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Hands]:
        """Take work from the queue meanwhile."""
        await Cluster.connect(self.address, "", known=self.known)  # before anything is written
        log = await self._sign_in()
        store, registry = self.world.store, self.world.registry
        who = identity(registry, log)
        cluster = await Cluster.connect(
            self.address,
            log,
            who=who,
            known=self.known,
            data=converter(ClaimCodec(store, log, self._prepare)),
        )
        lost_after = self.address.lost_after_ms
        hands = self.hands = Hands(self.world, log, cluster.nudge, lost_after / 4000)
        bound = Bound(
            version=self._version,
            lost_after_ms=lost_after,
            history_max=self.address.history_max,
            followed=self._followed,
        )
        worker = Worker(
            cluster.client,
            task_queue=self.address.queue,
            workflows=[DrivenRun],
            activities=hands.activities,
            interceptors=[Binding(bound)],
            # The decider is deterministic by itself, and refuses a workflow
            # that awaits anything else; the sandbox would load all of it again.
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_concurrent_workflow_tasks=DRIVEN,
            max_concurrent_activities=AT_ONCE,
            max_concurrent_local_activities=AT_ONCE,
            sticky_queue_schedule_to_start_timeout=timedelta(milliseconds=lost_after),
            default_heartbeat_throttle_interval=timedelta(milliseconds=lost_after / 4),
            max_heartbeat_throttle_interval=timedelta(milliseconds=lost_after / 4),
            graceful_shutdown_timeout=GRACE,
        )
        self._seen = await store.size()
        self._cluster = cluster
        async with worker:
            await self._seen_by_server(who)
            await recover(cluster, self._runs)
            yield hands

    async def _seen_by_server(self, who: str) -> None:
        """Return when the server knows of this worker, as who starts runs will
        ask."""
        clock = self.world.clock
        begun = clock.monotonic_ms()
        while clock.monotonic_ms() - begun < SEEN_MS:
            if any(one.identity == who for one in await self._cluster.workers()):
                return
            await clock.sleep_ms(SOON_MS)

    async def _prepare(self, claim: Claim) -> None:
        """Load the code that a journal runs under, before the workflow needs
        it."""
        assert self.hands is not None
        found: Version | SquadError
        try:
            found = await self.hands.versions.of(claim.run, claim.events)
        except SquadError as error:
            found = error
        while len(self._ran) >= KEPT_MAX:
            del self._ran[next(iter(self._ran))]
        self._ran[claim.run, claim.upto] = found

    def _version(self, claim: Claim) -> Version:
        found = self._ran[claim.run, claim.upto]
        if isinstance(found, SquadError):
            raise found
        return found

    async def _sign_in(self) -> str:
        """Write down who serves, and return the fingerprint of the log."""
        body = {
            "namespace": self.address.namespace,
            "queue": self.address.queue,
            "registry": registry_mark(self.world.registry),
            "version": __version__,
        }
        event = NewEvent(stream="engine/workers", type="worker.started", payload=body)
        await self.world.store.append([event])
        log = await fingerprint(self.world.store)
        assert log is not None
        return log

    # --- what runs are told in the log

    async def _listen(self) -> None:
        while True:
            await self.world.clock.sleep_ms(POLL_MS)
            try:
                await self.poll()
            except SquadError as error:
                logging.getLogger(__name__).warning("%s: %s; tried again", error.code, error)

    async def poll(self) -> None:
        """Pass on what was told runs before the last look and has not reached
        them; what is newer has until the next look to reach them by itself."""
        late, self._late = self._late, []
        try:
            while late:
                if await self._missed(late[0]):
                    with translated(self.address):
                        await self._cluster.nudge(_run(late[0]), late[0].type)
                del late[0]
        finally:
            self._late += late
        events = await self.world.store.read(after=self._seen, limit=BATCH, types=TOLD)
        self._late += [one for one in events if _from_outside(one)]
        if events:
            self._seen = events[-1].seq

    async def _missed(self, event: Event) -> bool:
        if self._followed.get(_run(event), 0) >= event.stream_seq:
            return False
        after = await self.world.store.read_stream(event.stream, after=event.stream_seq - 1)
        return after[-1].type not in END_EVENTS


def _run(event: Event) -> str:
    return event.stream.removeprefix("run/")


def _from_outside(event: Event) -> bool:
    """Whether somebody else than a step wrote an event."""
    return not event.type.startswith("effect.") or "resolved_by" in (event.payload or {})
