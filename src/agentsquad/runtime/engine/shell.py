"""The embedded engine: carries out what instances ask for, on asyncio over the
log.

It decides nothing about a run: it executes commands through the door, appends
what came of them, and feeds every event back in `stream_seq` order. Its parts
are values of their own: `router` (events to runs), `tasks` and `perform` (what
runs ask for), `parking` (runs that wait) and `outside` (what runs are told).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import DeadlineError, SquadError
from agentsquad.kernel.ids import new_id
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.runtime.engine.answers import Answers
from agentsquad.runtime.engine.contract import Lease, Outcome
from agentsquad.runtime.engine.decider import plain
from agentsquad.runtime.engine.door import CallPath, Interceptor, Step, World
from agentsquad.runtime.engine.drive import Drive
from agentsquad.runtime.engine.gate import Gate
from agentsquad.runtime.engine.ids import keyed_id
from agentsquad.runtime.engine.interceptors import STANDARD
from agentsquad.runtime.engine.outside import Outside
from agentsquad.runtime.engine.parking import Parking
from agentsquad.runtime.engine.perform import Performer
from agentsquad.runtime.engine.recovery import Recovery
from agentsquad.runtime.engine.resolving import Told
from agentsquad.runtime.engine.router import Router, Watcher
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.runtime.engine.tasks import Tasks
from agentsquad.runtime.engine.telling import Telling
from agentsquad.runtime.engine.timers import Timers
from agentsquad.runtime.engine.versions import Versions
from agentsquad.runtime.engine.waiting import Waiting
from agentsquad.runtime.resilience.admission import Admission

OPENING = ("run.started", *END_EVENTS)


class EmbeddedEngine(Answers):
    """Starts, continues and answers runs in this process."""

    def __init__(self, world: World, interceptors: Sequence[Interceptor] = STANDARD) -> None:
        self.world = world
        self.path = CallPath(world, interceptors)
        self.lease: Lease | None = world.ports.get(Lease) if world.ports.has(Lease) else None
        self.versions = Versions(world, self.path, interceptors)
        self.router = Router(world, self.versions)
        self.parking = Parking(self.router)
        self.waiting = Waiting(world, self.versions)
        self.outside = Outside(self.router, self.lease, self.waiting)
        self.telling = Telling(self.router, self.outside)
        performer = Performer(self.router, self.path, self.parking.timers, self.outside.tell)
        self.tasks = Tasks(self.router, performer, self.parking.park)
        self.router.issue = self.tasks.issue
        self.router.rest = self.tasks.rest
        world.ports.put(CallPath, self.path)
        world.ports.put(Versions, self.versions)
        if not world.ports.has(Gate):
            world.ports.put(Gate, Gate(world.store))
        if not world.ports.has(Admission):
            world.ports.put(Admission, Admission(world.clock, world.entropy))
        self.admission: Admission = world.ports.get(Admission)
        self.admission.bind(lambda: len(self.router.drives))
        self.router.watchers += [self.admission.pulse, self.waiting.lag]
        self.recovery = Recovery(self.router, self.waiting, self.parking.timers)

    @property
    def drives(self) -> dict[str, Drive]:
        """The runs in memory."""
        return self.router.drives

    @property
    def stuck(self) -> dict[str, SquadError]:
        """The runs that cannot go on, and why."""
        return self.router.stuck

    @property
    def watchers(self) -> list[Watcher]:
        """Who hears of every event of a run in memory, on the disk or not."""
        return self.router.watchers

    @property
    def timers(self) -> Timers:
        """When waiting runs must go on."""
        return self.parking.timers

    async def invoke(
        self, action: str, value: Any, *, actor: Actor, facts: dict[str, Any] | None = None
    ) -> Any:
        """Call one action outside any run, as a surface does, and return its
        typed output."""
        self.admission.consider(action)
        step = Step(self.world.registry.action(action), value, actor=actor)
        step.facts = facts or {}
        return await self.path.run(step)

    # --- starting, waiting

    async def start(
        self, workflow: str, value: Any, *, key: str | None = None, actor: str | None = None
    ) -> str:
        """Start a run and return its id; the same key returns the run already
        there. OverloadedError when more is asked than can be done."""
        await self.own()
        run = "" if key is None else keyed_id(workflow, key)
        actor = actor or "service:squad"
        there = partial(self._known, run) if run else None
        async with self.admission.entry(actor, there=there):
            run = run or new_id(self.world.clock, self.world.entropy)
            await self.router.begin(run, workflow, plain(value), actor=actor, parent=None)
            drive = self.router.drives.get(run)
            if drive is not None:
                await drive.saved()
        return run

    async def _known(self, run: str) -> bool:
        return run in self.drives or bool(await self.world.store.read_stream(f"run/{run}", limit=1))

    async def policy_of(self, run: str) -> PolicyEngine:
        """Return the rules that a run is judged by."""
        drive = self.drives.get(run)
        if drive is not None and drive.version is not None:
            return drive.version.world.policy
        events = await self.world.store.read_stream(f"run/{run}")
        return (await self.versions.of(run, events)).world.policy

    async def wait(self, run_id: str, *, timeout_ms: int | None = None) -> Outcome:
        """Return when the run has ended; DeadlineError when it takes too
        long."""
        if run_id in self.stuck:
            raise self.stuck[run_id]
        drive = await self.router.load(run_id)
        if drive is None:
            outcome = await self.outcome(run_id)
            if outcome.run == run_id:
                return outcome
            return await self.wait(outcome.run, timeout_ms=timeout_ms)  # it went on as that
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.router.waiters.setdefault(run_id, []).append(future)
        try:
            if timeout_ms is None:
                return await future
            async with asyncio.timeout(timeout_ms / 1000):
                return await future
        except TimeoutError as error:
            raise DeadlineError(f"run {run_id} has not ended yet", code="run.waiting") from error

    async def outcome(self, run_id: str) -> Outcome:
        """Return how a run stands now."""
        return await self.router.outcome(run_id)

    # --- telling

    async def signal(
        self, run_id: str, name: str, payload: Any, *, actor: str, key: str | None = None
    ) -> bool:
        """Send a signal to a run; False when one with this key came before."""
        return await self.telling.signal(run_id, name, payload, actor=actor, key=key)

    async def cancel(self, run_id: str, *, actor: str, reason: str) -> None:
        """Ask a run to stop; it stops its children, and what was done is
        compensated."""
        await self.tell(run_id, "run.cancel_requested", {"reason": reason}, actor)

    async def tell(self, run: str, kind: str, body: dict[str, Any], actor: str) -> None:
        """Append an event from outside to a run that has not ended, nor ends
        meanwhile."""
        await self.outside.tell(run, kind, body, actor)

    async def tell_all(self, run: str, told: Sequence[Told], actor: str) -> None:
        """Append events from outside to such a run, all or none."""
        await self.outside.tell_all(run, told, actor)

    async def poll(self) -> int:
        """Take in what other processes told runs; return how many events that
        were."""
        return await self.outside.poll()

    # --- coming back, leaving

    async def open_runs(self) -> list[str]:
        """Return the runs that have not ended, parents before children."""
        opened: dict[str, None] = {}
        after = 0
        while True:
            batch = await self.world.store.read(after=after, limit=5000, types=OPENING)
            for event in batch:
                run = event.stream.removeprefix("run/")
                if event.type == "run.started":
                    opened[run] = None
                else:
                    opened.pop(run, None)
            if not batch:
                return list(opened)
            after = batch[-1].seq

    async def recover(self, *, wait: bool = True) -> list[str]:
        """Continue every open run and return those that were in the middle of
        something; a run that cannot go on is reported by `wait`.

        One that only waits stays on the disk until its time comes. Without
        `wait` this returns at once, and new work is done beside it.
        """
        await self.own()
        await self.versions.refresh()
        if wait:
            return await self.recovery.bring_back()
        self.recovery.begin()
        return []

    async def own(self) -> None:
        """Become the process that drives this store's runs, or raise
        EngineBusyError."""
        await self.outside.own()

    async def close(self) -> None:
        """Stop driving; open runs continue from the log next time."""
        self.admission.close()
        self.timers.close()
        self.waiting.close()
        await self.recovery.close()
        self.outside.hush()
        await self.tasks.close()
        self.outside.leave()
