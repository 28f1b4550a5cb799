"""Journals: runs in memory as their journals in the log say, for processes that
do not have a run to themselves.

A router that never begins anything by itself. What it appends it appends at the
place it knows: where somebody else wrote in between it looks again, and drops
what has been answered meanwhile. So a step that is carried out twice, by
whoever, is written once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from agentsquad.kernel.errors import ConflictError, SquadError
from agentsquad.kernel.event import Event
from agentsquad.runtime.engine.command import Call, Child
from agentsquad.runtime.engine.contract import Outcome
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.drive import Drive
from agentsquad.runtime.engine.router import Router
from agentsquad.runtime.engine.state import END_EVENTS, ENDED, RESOLVING, WITHDRAWN
from agentsquad.runtime.engine.versions import Versions

KEPT_MAX = 1024  # runs kept in memory; another is made from its journal again
NOTES = ("timer.set", "signal.waiting", "approval.requested")
ANSWERS = ("update.completed", "update.failed")


class Journals(Router):
    """The runs of a log that several processes write to."""

    def __init__(self, world: World, versions: Versions) -> None:
        super().__init__(world, versions)
        self._used: Counter[str] = Counter()

    def _placing(self) -> Callable[..., list[Event] | None] | None:
        return None  # others write to the same runs: every event waits for the disk

    @contextmanager
    def using(self, run: str) -> Iterator[None]:
        """Keep a run in memory meanwhile; one that something went wrong with is
        made from its journal again."""
        self._used[run] += 1
        try:
            yield
        except BaseException:
            self.drives.pop(run, None)
            raise
        finally:
            self._used[run] -= 1
            if not self._used[run]:
                del self._used[run]

    async def fresh(self, run: str) -> Drive | None:
        """Return a run as its journal stands now, None if it has ended; raises
        what keeps it from going on."""
        self.stuck.pop(run, None)
        there = run in self.drives
        drive = await self.load(run)
        if drive is not None and there:
            await self.catch_up(drive)
        if run in self.stuck:
            raise self.stuck.pop(run)
        if drive is not None and drive.instance.ended:
            self.drives.pop(run, None)
            drive.instance.release()
            return None
        self._trim()
        return drive

    def _trim(self) -> None:
        if len(self.drives) <= KEPT_MAX:
            return
        for run in [run for run in self.drives if run not in self._used][: KEPT_MAX // 4]:
            del self.drives[run]

    async def append(
        self, drive: Drive, *told: tuple[str, dict[str, Any]], chain: bool = False
    ) -> None:
        """Append events to a run, all or none, unless what they say has been
        said."""
        run = drive.instance.run_id
        stream = drive.stream
        while not self._said(drive, told):
            new = self._new(drive, told)
            expect = {stream: drive.instance.state.version}
            try:
                events = await self.world.store.append(new, expect=expect)
            except ConflictError:
                await self.catch_up(drive)
                if run in self.stuck:
                    raise self.stuck[run] from None
                continue
            self.accept(drive, events)
            if run in self.stuck:
                raise self.stuck[run]
            return

    @staticmethod
    def _said(drive: Drive, told: tuple[tuple[str, dict[str, Any]], ...]) -> bool:
        """Whether any of the events has been said, or is of no interest any
        more."""
        instance, state = drive.instance, drive.instance.state
        if instance.ended:
            return True
        for kind, body in told:
            position = body.get("position")
            gone = position not in instance.commands
            if kind in RESOLVING and gone:
                return True
            if kind in NOTES and (gone or position in state.requests):
                return True
            if kind in ANSWERS and position in state.answers:
                return True
            if kind == "incident.opened" and (gone or position in state.incidents):
                return True
            if kind == "wait.escalated" and (
                gone or state.levels.get(str(position), 0) >= body["level"]
            ):
                return True
            if kind in END_EVENTS and instance.end is None:
                return True
            if kind == WITHDRAWN and position not in instance.withdrawn:
                return True
        return False

    async def length(self, run: str, after: int) -> int:
        """Return how many events a journal has, of which `after` are known."""
        drive = self.drives.get(run)
        if drive is not None and drive.instance.state.version > after:
            return int(drive.instance.state.version)
        return after + len(await self.world.store.read_stream(f"run/{run}", after=after))

    async def standing(self, run: str) -> Outcome:
        """Return how a run stands, as far as its journal implies it."""
        found = await self.outcome(run)
        if found.status in ENDED:
            return found
        try:
            drive = await self.fresh(run)
        except SquadError:
            return found  # it cannot go on
        if drive is None:
            return await self.outcome(run)
        return Outcome(run=run, status="running") if at_work(drive) else found


def at_work(drive: Drive) -> bool:
    """Whether a run's journal implies that something is to be done for it
    now."""
    instance = drive.instance
    state = instance.state
    if instance.end is not None:
        return True
    return any(
        isinstance(command, Call)
        or (not isinstance(command, Child) and position not in state.requests)
        for position, command in instance.commands.items()
        if position not in state.incidents
    )
