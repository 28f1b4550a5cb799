"""Tasks: the commands of runs that are under way, as asyncio tasks.

A command is begun once; steps that follow on one another one by one share a
task; a run that has nothing under way is parked, one that has ended is answered
for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from agentsquad.runtime.engine.command import Child, Command
from agentsquad.runtime.engine.contract import Outcome
from agentsquad.runtime.engine.drive import Drive
from agentsquad.runtime.engine.links import CONTINUED
from agentsquad.runtime.engine.perform import Performer, ended_child
from agentsquad.runtime.engine.router import Router, ours

END = "end"  # the name of the task that ends a run
ISSUED_MAX = 64  # positions remembered beyond those that are open
WIDE = 256  # steps of one run under way at once; more wait for a place
UNSAVED_MAX = 64  # events a run may be ahead of the disk
CLOSING_PASSES = 20


class Tasks:
    """Begins what runs ask for and keeps the books of what is under way."""

    def __init__(self, router: Router, performer: Performer, park: Callable[[Drive], None]) -> None:
        self._router = router
        self._performer = performer
        self._park = park

    def issue(self, drive: Drive, chain: bool) -> None:
        """Start every command that is not under way yet; `chain` leaves a
        single one to the caller's task."""
        instance = drive.instance
        if instance.halts:
            self._halt(drive)
        if instance.ended:
            self._tell_above(drive)
            if not drive.unsaved:
                self._ended(drive)
            return
        if instance.end is not None:
            if END not in drive.issued:
                drive.issued.add(END)
                self._start(drive, END, None, chain)
            return
        if instance.halts:
            self._halt(drive)
        if instance.again:  # a person had these tried once more
            drive.issued.difference_update(instance.again)
            instance.again.clear()
        issued = drive.issued
        if len(issued) > ISSUED_MAX and len(issued) > ISSUED_MAX + 2 * len(instance.commands):
            drive.issued &= instance.commands.keys()
            drive.settling &= instance.commands.keys()
        asked, instance.asked = instance.asked, []
        if len(asked) == 1:
            position = asked[0]
            if position in instance.commands and position not in drive.issued:
                drive.issued.add(position)
                self._start(drive, position, instance.commands[position], chain)
            return
        fresh = dict.fromkeys(p for p in asked if p in instance.commands and p not in drive.issued)
        for position in fresh:
            drive.issued.add(position)
            if len(drive.tasks) < WIDE:
                command = instance.commands[position]
                self._start(drive, position, command, chain and len(fresh) == 1)
            else:
                drive.queue.append(position)

    def _halt(self, drive: Drive) -> None:
        """Let go of what is not wanted any more, except effects that may have
        left; what must still be ended is issued once more."""
        instance = drive.instance
        halts, instance.halts = instance.halts, []
        if drive.queue:
            unwanted = set(halts)
            drive.queue = deque(p for p in drive.queue if p not in unwanted)
        own = asyncio.current_task()
        effects = instance.state.effects
        for position in halts:
            task = drive.tasks.get(position)
            if task is not None and position not in effects and task is not own:
                task.cancel()
            if position not in effects:
                drive.issued.discard(position)
        again = [p for p in halts if p in instance.leaving and p not in effects]
        instance.asked += sorted(again)
        if instance.withdrawn:
            self._router.withdraw(drive)

    def _start(self, drive: Drive, name: str, command: Command | None, chain: bool) -> None:
        if chain:
            drive.next = (name, command)
            return
        task = asyncio.get_running_loop().create_task(self._work(drive, name, command))
        drive.tasks[name] = task

        def finished(done: asyncio.Task[None]) -> None:
            if done.cancelled():
                for held in [name for name, task in drive.tasks.items() if task is done]:
                    del drive.tasks[held]
                if self._router.drives.get(drive.instance.run_id) is drive:
                    self._queued(drive)
                    if drive.next is not None:
                        following, drive.next = drive.next, None
                        self._start(drive, *following, False)
                return
            error = done.exception()
            if error is not None:
                self._router.stick(drive.instance.run_id, ours(error))
            elif not drive.tasks:
                self._park(drive)

        task.add_done_callback(finished)

    async def _work(self, drive: Drive, name: str, command: Command | None) -> None:
        """Do one step and those that follow on it one by one, in one task."""
        task = drive.tasks[name]
        while True:
            outward = command is not None and self._performer.outward(command, drive)
            drive.outward += outward
            try:
                ahead = outward or drive.firm or drive.unsaved >= UNSAVED_MAX
                if drive.unsaved and ahead and command is not None:
                    await drive.saved()
                if command is None:
                    await self._finish(drive)
                else:
                    await self._performer.perform(drive, command)
            finally:
                drive.outward -= outward
                if drive.tasks.get(name) is task:
                    del drive.tasks[name]
            if outward and drive.moved and not drive.outward:
                self._router.move(drive)
                drive.next = None  # what follows is for the version it is moved to
                return
            if drive.next is None:
                self._queued(drive)
            if drive.next is None:
                return
            (name, command), drive.next = drive.next, None
            drive.tasks[name] = task

    @staticmethod
    def _queued(drive: Drive) -> None:
        """Let the next command that waits for a place be what follows."""
        while drive.queue and drive.next is None:
            position = drive.queue.popleft()
            command = drive.instance.commands.get(position)
            if command is not None and position in drive.issued:
                drive.next = (position, command)

    async def _finish(self, drive: Drive) -> None:
        end = drive.instance.end
        assert end is not None
        if drive.moved:
            return  # how it ends is for the version to say that it is moved to
        if end.type == CONTINUED:
            await self._router.carry_on(drive)
            return
        await self._router.end(drive, end.type, end.payload)

    def rest(self, drive: Drive) -> None:
        """Answer for a run that has ended, and let go of one that waits, now
        that the disk knows it."""
        if drive.instance.ended:
            self._ended(drive)
        elif not drive.tasks:
            self._park(drive)

    def _ended(self, drive: Drive) -> None:
        state = drive.instance.state
        run = state.run
        if run not in self._router.drives:
            return
        outcome = _outcome(drive)
        self._router.close(outcome)
        drive.instance.release()
        if state.parent and not drive.told and state.status != "continued":
            self._router.hold(self._tell_parent(state.parent, outcome), state.parent["run"])

    def _tell_above(self, drive: Drive) -> None:
        """Tell the run above at once, if it is in memory, so that both events
        share a commit."""
        parent = drive.instance.state.parent
        above = self._router.drives.get(parent["run"]) if parent else None
        goes_on = drive.instance.state.status == "continued"
        if drive.told or above is None or not drive.unsaved or goes_on:
            return
        command = above.instance.commands.get(parent["position"])
        if isinstance(command, Child) and command.position not in above.settling:
            told = ended_child(command, drive.instance.run_id, _outcome(drive))
            above.firm |= drive.firm
            drive.told = self._router.note(above, told)
            if drive.told:
                above.settling.add(command.position)

    async def _tell_parent(self, parent: dict[str, Any], outcome: Outcome) -> None:
        drive = await self._router.load(parent["run"])
        if drive is None:
            return
        command = drive.instance.commands.get(parent["position"])
        if isinstance(command, Child):
            await self._performer.child_ended(drive, command, outcome.run, outcome)

    async def close(self) -> None:
        """Drop whatever is under way; the log knows where to go on."""
        drives = self._router.drives
        for drive in drives.values():
            drive.queue.clear()
        tasks = [t for d in drives.values() for t in d.tasks.values()]
        tasks += self._router.background
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(CLOSING_PASSES):  # what has its place gets to the disk
            if any(drive.unsaved for drive in drives.values()):
                await asyncio.sleep(0)
        drives.clear()


def _outcome(drive: Drive) -> Outcome:
    state = drive.instance.state
    return Outcome(run=state.run, status=state.status, output=state.output, error=state.error)
