"""The engine as surfaces see it: starts, tells and awaits runs that workers
drive.

It carries nothing out. What it says of a run it reads from the log; Temporal is
asked to begin, to pass on that a journal has grown, and to say when it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import DeadlineError, UnavailableError
from agentsquad.kernel.ids import new_id
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.runtime.engine.answers import Answers
from agentsquad.runtime.engine.contract import Outcome
from agentsquad.runtime.engine.decider import plain
from agentsquad.runtime.engine.door import CallPath, Step, World
from agentsquad.runtime.engine.gate import Gate
from agentsquad.runtime.engine.ids import keyed_id
from agentsquad.runtime.engine.inbound.contract import UpdateAnswer
from agentsquad.runtime.engine.interceptors import STANDARD
from agentsquad.runtime.engine.resolving import Told
from agentsquad.runtime.engine.state import ENDED
from agentsquad.runtime.engine.telling import Telling
from agentsquad.runtime.engine.versions import Versions
from agentsquad.runtime.temporal.adapters.client import Cluster, fingerprint
from agentsquad.runtime.temporal.adapters.recovery import OpenRuns, recover
from agentsquad.runtime.temporal.address import Address, Credentials
from agentsquad.runtime.temporal.contract import StoppedError
from agentsquad.runtime.temporal.journals import Journals
from agentsquad.runtime.temporal.passing import Passing

FRESH_MS = 1_000  # how long it is believed that there are workers
CHECK_MS = 5_000  # how often one who waits looks whether anybody works
SILENT_MS = 90_000  # a worker that lives asks for work at least once a minute
PATIENCE = 3  # looks that may fail one after another, as while a server restarts
AGAIN_MS = 200
PASSING = (
    RPCStatusCode.NOT_FOUND,
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
)
EMPTY = "-"  # the fingerprint of a log without events


class TemporalEngine(Answers):
    """The runs of a log, driven by Temporal."""

    def __init__(self, world: World, address: Address, known: Credentials) -> None:
        self.world = world
        self.address = address
        self.known = known
        self.path = CallPath(world, STANDARD)
        self.versions = Versions(world, self.path, STANDARD)
        self.journals = Journals(world, self.versions)
        self.outside = Passing(self.journals, self._nudge)
        self.telling = Telling(self.journals, self.outside)
        self.runs = OpenRuns(world.store)
        self._made: Cluster | None = None
        self._ends: dict[str, asyncio.Task[None]] = {}
        self._checked_ms = 0.0
        self._served_ms: float | None = None
        self._failed = 0
        for role, adapter in ((CallPath, self.path), (Versions, self.versions)):
            if not world.ports.has(role):  # a worker has put its own
                world.ports.put(role, adapter)
        if not world.ports.has(Gate):
            world.ports.put(Gate, Gate(world.store))

    async def cluster(self) -> Cluster:
        """Return the connection, made on first use."""
        if self._made is None or self._made.log == EMPTY:
            log = await fingerprint(self.world.store) or EMPTY
            if self._made is None:
                self._made = await Cluster.connect(self.address, log, known=self.known)
            self._made.log = log
        return self._made

    async def invoke(
        self, action: str, value: Any, *, actor: Actor, facts: dict[str, Any] | None = None
    ) -> Any:
        """Call one action outside any run, in this process, and return its
        typed output."""
        step = Step(self.world.registry.action(action), value, actor=actor)
        step.facts = facts or {}
        return await self.path.run(step)

    # --- starting, waiting

    async def start(
        self, workflow: str, value: Any, *, key: str | None = None, actor: str | None = None
    ) -> str:
        """Start a run and return its id; the same key returns the run already
        there.

        Nothing is written where no worker would drive it.
        """
        cluster = await self.cluster()
        await self._served(cluster)
        run = "" if key is None else keyed_id(workflow, key)
        if run:
            await cluster.check_own(run)
        run = run or new_id(self.world.clock, self.world.entropy)
        actor = actor or "service:squad"
        await self.journals.begin(run, workflow, plain(value), actor=actor, parent=None)
        if (await self.journals.outcome(run)).status not in ENDED:
            await cluster.launch(run)
        return run

    async def _served(self, cluster: Cluster) -> None:
        now = self.world.clock.monotonic_ms()
        if self._served_ms is None or now - self._served_ms >= FRESH_MS:
            await cluster.served(self.world.registry)
            self._served_ms = now

    async def wait(self, run_id: str, *, timeout_ms: int | None = None) -> Outcome:
        """Return when the run has ended; DeadlineError when it takes too
        long."""
        clock = self.world.clock
        begun = clock.monotonic_ms()
        while True:
            outcome = await self.journals.outcome(run_id)
            if outcome.status in ENDED:
                return outcome
            left = CHECK_MS
            if timeout_ms is not None:
                left = min(left, int(begun + timeout_ms - clock.monotonic_ms()))
            if left <= 0:
                raise DeadlineError(f"run {run_id} has not ended yet", code="run.waiting")
            ending = self._ends.get(run_id)
            if ending is None:
                ending = self._ends[run_id] = asyncio.create_task(self._over(run_id))
            await asyncio.wait((ending,), timeout=left / 1000)
            if ending.done():
                del self._ends[run_id]
                ending.result()
            await self._check()

    async def _check(self) -> None:
        """See, now and then, that there is still somebody who works."""
        clock = self.world.clock
        if clock.monotonic_ms() - self._checked_ms < CHECK_MS:
            return
        self._checked_ms = clock.monotonic_ms()
        try:
            cluster = await self.cluster()
            await cluster.served(self.world.registry, since_ms=clock.now_ms() - SILENT_MS)
            self._failed = 0
        except UnavailableError:
            self._failed += 1
            if self._failed >= PATIENCE:
                raise

    async def _over(self, run: str) -> None:
        """Return when the execution of a run is over, and the log says how it
        ended; raises why it cannot go on."""
        cluster = await self.cluster()
        while (await self.journals.outcome(run)).status not in ENDED:
            try:
                await cluster.client.get_workflow_handle(run).result()
            except WorkflowFailureError as error:
                await self._explain(run, error.cause)
            except RPCError as error:
                # No execution yet, or none any more, or a server that restarts.
                if error.status not in PASSING:
                    raise UnavailableError(error.message, code="temporal.refused") from error
                await self.world.clock.sleep_ms(AGAIN_MS)

    async def _explain(self, run: str, cause: BaseException) -> None:
        """Raise why a run that is open in the log is driven no longer; nothing,
        if it has ended or is driven again."""
        if (await self.journals.outcome(run)).status in ENDED:
            return
        cluster = await self.cluster()
        described = await cluster.client.get_workflow_handle(run).describe()
        if described.close_time is None:
            return
        self.journals.drives.pop(run, None)
        await self.journals.fresh(run)  # says it best, if the code here is the worker's
        why = cause.type if isinstance(cause, ApplicationError) else type(cause).__name__
        raise StoppedError(
            f"Temporal drives run {run} no longer: {why}",
            hint="squad resume has it go on; the output of the worker says more",
            details={"run": run, "why": why},
        )

    async def outcome(self, run_id: str) -> Outcome:
        """Return how a run stands now."""
        return await self.journals.standing(run_id)

    # --- telling

    async def signal(
        self, run_id: str, name: str, payload: Any, *, actor: str, key: str | None = None
    ) -> bool:
        """Send a signal to a run; False when one with this key came before."""
        return await self.telling.signal(run_id, name, payload, actor=actor, key=key)

    async def query(self, run_id: str, name: str, value: Any = None) -> Any:
        """Return what a run answers; nothing of it is written."""
        return await self.telling.query(run_id, name, value)

    async def update(
        self,
        run_id: str,
        name: str,
        value: Any = None,
        *,
        actor: str,
        key: str | None = None,
        timeout_ms: int | None = None,
    ) -> UpdateAnswer:
        """Have a run take an update; the same key gives the same answer."""
        return await self.telling.update(
            run_id, name, value, actor=actor, key=key, timeout_ms=timeout_ms
        )

    async def cancel(self, run_id: str, *, actor: str, reason: str) -> None:
        """Ask a run to stop; it stops its children, and what was done is
        compensated."""
        await self.tell(run_id, "run.cancel_requested", {"reason": reason}, actor)

    async def tell(self, run: str, kind: str, body: dict[str, Any], actor: str) -> None:
        """Append an event from outside to a run that has not ended, and have it
        go on."""
        await self.outside.tell(run, kind, body, actor)

    async def tell_all(self, run: str, told: Sequence[Told], actor: str) -> None:
        """Append events from outside to such a run, all or none."""
        await self.outside.tell_all(run, told, actor)

    async def _nudge(self, run: str, kind: str) -> None:
        await (await self.cluster()).nudge(run, kind)

    async def policy_of(self, run: str) -> PolicyEngine:
        """Return the rules that a run is judged by."""
        events = await self.outside.journal(run)
        return (await self.versions.of(run, events)).world.policy

    # --- coming back, leaving

    async def own(self) -> None:
        """Leave it to the workers: any number of processes may ask for
        runs."""

    async def recover(self, *, wait: bool = True) -> list[str]:
        """Have every open run driven, and return them; without `wait` that is
        left to the workers."""
        await self.versions.refresh()
        return await recover(await self.cluster(), self.runs) if wait else []

    async def open_runs(self) -> list[str]:
        """Return the runs that have not ended, parents before children."""
        return list(await self.runs.read())

    async def close(self) -> None:
        """Let go of what is waited for; the workers go on."""
        for task in self._ends.values():
            task.cancel()
        await asyncio.gather(*self._ends.values(), return_exceptions=True)
        self._ends.clear()
