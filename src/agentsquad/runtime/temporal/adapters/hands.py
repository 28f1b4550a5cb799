"""Hands: the activities of a worker; each does something for a run and says how
long its journal is then.

All of them may be done twice, at the same time too: what they write, they write
at the place in the journal they know (`journals`), and what leaves for the
world is claimed in the log first (engine/interceptors/effect.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from agentsquad.kernel.errors import (
    ConflictError,
    LimitError,
    SquadError,
    UnavailableError,
)
from agentsquad.runtime.engine.command import Call, Child
from agentsquad.runtime.engine.door import CallPath, World
from agentsquad.runtime.engine.gate import Gate
from agentsquad.runtime.engine.interceptors import STANDARD
from agentsquad.runtime.engine.perform import Performer, ended_child
from agentsquad.runtime.engine.state import WITHDRAWN
from agentsquad.runtime.engine.versions import Versions
from agentsquad.runtime.temporal.adapters.claim import Claim
from agentsquad.runtime.temporal.journals import Journals
from agentsquad.runtime.temporal.passing import Nudge, Passing

CANCELLED = "cancelled in Temporal"
DRIVER = "service:temporal"
NEAR_MS = 2_000  # a clock that is behind Temporal's by less than this is waited for

Done = TypeVar("Done")


class NoTimers:
    """Timers are Temporal's."""

    def add(self, due_ms: int, run: str, position: str) -> None:
        """Leave it to the workflow."""


def ours(
    fn: Callable[..., Coroutine[Any, Any, Done]],
) -> Callable[..., Coroutine[Any, Any, Done]]:
    """Tell Temporal whether an error of ours is worth another try, and nothing
    else of it."""

    @functools.wraps(fn)
    async def told(*args: Any) -> Done:
        try:
            return await fn(*args)
        except SquadError as error:
            activity.logger.warning("%s: %s", error.code, error)
            again = isinstance(error, (UnavailableError, LimitError))
            again = again or error.code == "ledger.expect"
            raise ApplicationError(
                "see the log of the worker", type=error.code, non_retryable=not again
            ) from None

    return told


class Hands:
    """What a worker does for the runs of its log."""

    def __init__(self, world: World, log: str, nudge: Nudge, beat_s: float) -> None:
        path = CallPath(world, STANDARD)
        self.versions = Versions(world, path, STANDARD)
        self.journals = Journals(world, self.versions)
        self.steps = 0
        self.runs = 0
        self._world = world
        self._log = log
        self._nudge = nudge
        self._beat_s = beat_s
        world.ports.put(CallPath, path)
        world.ports.put(Versions, self.versions)
        if not world.ports.has(Gate):
            world.ports.put(Gate, Gate(world.store))
        timers: Any = NoTimers()
        self._outside = Passing(self.journals, nudge)
        self._performer = Performer(self.journals, path, timers, self._outside.tell)
        self._doing: dict[tuple[str, str], asyncio.Task[None]] = {}

    @property
    def activities(self) -> Sequence[Callable[..., Any]]:
        """What Temporal may ask for."""
        return (self.look, self.perform, self.fire, self.end, self.stop)

    async def _claim(self, run: str, after: int) -> Claim:
        await self._withdraw(run)
        upto = await self.journals.length(run, after)
        return Claim(run=run, log=self._log, after=after, upto=upto)

    async def _withdraw(self, run: str) -> None:
        """Take back what people were asked by steps that the run has left."""
        drive = self.journals.drives.get(run)
        if drive is None or not drive.instance.withdrawn or drive.instance.end is not None:
            return
        with self.journals.using(run):
            for position in list(drive.instance.withdrawn):
                await self.journals.append(drive, (WITHDRAWN, {"position": position}))

    @activity.defn(name="look")
    @ours
    async def look(self, run: str, after: int) -> Claim:
        """Say how long the journal is, once it is known that the run can go
        on."""
        await self.journals.fresh(run)
        await self._withdraw(run)
        known = await self._world.store.read_stream(f"run/{run}", after=after)
        return Claim(run=run, log=self._log, after=after, upto=after + len(known))

    @activity.defn(name="perform")
    @ours
    async def perform(self, run: str, position: str, after: int) -> Claim:
        """Carry out the command at a position; nothing, if it has been carried
        out."""
        place = (run, position)
        doing = self._doing.get(place)
        if doing is None:
            doing = self._doing[place] = asyncio.create_task(self._perform(run, position))
            doing.add_done_callback(lambda _: self._doing.pop(place, None))
        try:
            if activity.info().is_local:
                await asyncio.shield(doing)
            else:
                await self._beating(doing)
        except asyncio.CancelledError:
            if doing.done() or not self._outward(run, position):
                doing.cancel()
            else:  # it may have left: it is brought to an end, and Temporal is told
                doing.add_done_callback(lambda _: self._later(run))
            raise
        return await self._claim(run, after)

    async def _beating(self, doing: asyncio.Task[None]) -> None:
        """Wait for something and tell Temporal meanwhile that we live."""
        while True:
            activity.heartbeat()
            done, _ = await asyncio.wait((doing,), timeout=self._beat_s)
            if done:
                return doing.result()

    async def _perform(self, run: str, position: str) -> None:
        with self.journals.using(run):
            drive = await self.journals.fresh(run)
            command = None if drive is None else drive.instance.commands.get(position)
            if drive is not None and command is not None:
                self.steps += 1
                await self._performer.perform(drive, command)
                if run in self.journals.stuck:
                    raise self.journals.stuck[run]

    def _outward(self, run: str, position: str) -> bool:
        drive = self.journals.drives.get(run)
        command = None if drive is None else drive.instance.commands.get(position)
        if drive is None or not isinstance(command, Call):
            return False
        action = drive.instance.registry.actions.get(command.action)
        return action is not None and action.spec.effect.outward

    def _later(self, run: str) -> None:
        async def nudge() -> None:
            with contextlib.suppress(SquadError):
                await self._nudge(run, "effect.confirmed")

        self._doing[run, "nudge"] = task = asyncio.create_task(nudge())
        task.add_done_callback(lambda _: self._doing.pop((run, "nudge"), None))

    @activity.defn(name="fire")
    @ours
    async def fire(self, run: str, position: str, after: int) -> Claim:
        """Say that the time of a wait has come, if it has by our own clock."""
        with self.journals.using(run):
            drive = await self.journals.fresh(run)
            due = None if drive is None else drive.instance.state.timers.get(position)
            if drive is not None and due is not None and position in drive.instance.commands:
                clock = self._world.clock
                if 0 < due - clock.now_ms() <= NEAR_MS:
                    await clock.sleep_ms(due - clock.now_ms())
                told = drive.instance.woken(position, clock.now_ms())
                if told is not None and due <= clock.now_ms():
                    await self.journals.append(drive, told)
        return await self._claim(run, after)

    @activity.defn(name="end")
    @ours
    async def end(self, run: str, after: int) -> Claim:
        """Write a run's end, and tell the run above."""
        with self.journals.using(run):
            drive = await self.journals.fresh(run)
            if drive is not None and drive.instance.end is not None:
                end = drive.instance.end
                await self.journals.append(drive, (end.type, end.payload))
                self.runs += 1
        started = (await self._world.store.read_stream(f"run/{run}", limit=1))[0]
        parent = (started.payload or {}).get("parent")
        if parent:
            await self._tell_above(run, str(parent["run"]), str(parent["position"]))
        return await self._claim(run, after)

    async def _tell_above(self, run: str, parent: str, position: str) -> None:
        outcome = await self.journals.outcome(run)
        with self.journals.using(parent):
            above = await self.journals.fresh(parent)
            if above is None:
                return
            command = above.instance.commands.get(position)
            if isinstance(command, Child):
                await self.journals.append(above, ended_child(command, run, outcome))
        await self._nudge(parent, "step.completed")

    @activity.defn(name="stop")
    @ours
    async def stop(self, run: str, after: int) -> Claim:
        """Ask a run to stop whose execution somebody cancelled in Temporal."""
        drive = await self.journals.fresh(run)
        if drive is not None and drive.instance.state.cancel is None:
            with contextlib.suppress(ConflictError):  # it has ended meanwhile
                body = {"reason": CANCELLED}
                await self._outside.tell(run, "run.cancel_requested", body, DRIVER)
        return await self._claim(run, after)
