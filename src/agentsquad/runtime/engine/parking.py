"""Parking: a run that only waits is forgotten and kept as rows; its timer or
the event that ends its wait brings it back."""

from __future__ import annotations

from agentsquad.kernel.errors import MissingError, SquadError, UnavailableError
from agentsquad.runtime.engine.command import Ask, Child, Command, Sleep, WaitSignal
from agentsquad.runtime.engine.drive import Drive
from agentsquad.runtime.engine.router import Router
from agentsquad.runtime.engine.timers import Timers

AGAIN_MS = 1_000  # after which a timer is tried again that the log did not take


class Parking:
    """Lets go of runs that wait, and wakes those whose time has come."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self.timers = Timers(router.world.clock, self.fire, router.drives.__contains__)

    def park(self, drive: Drive) -> None:
        """Forget a run if it only waits."""
        drives = self._router.drives
        instance = drive.instance
        run = instance.run_id
        if (
            drives.get(run) is drive
            and not drive.unsaved
            and instance.end is None
            and instance.commands
            and all(
                self._only_waits(run, c) or p in instance.state.incidents
                for p, c in instance.commands.items()
            )
        ):
            del drives[run]
            instance.forget()
            above = drives.get(run.rpartition("/")[0])
            if above is not None and not above.tasks:
                self.park(above)

    def _only_waits(self, run: str, command: Command) -> bool:
        """Whether a command needs no memory; a child at work soon answers."""
        if isinstance(command, Child):
            return child_id(run, command) not in self._router.drives
        return isinstance(command, (Sleep, WaitSignal, Ask))

    async def fire(self, run: str, position: str) -> None:
        """Tell a run that a wait of it is over; nothing, if it was already."""
        router = self._router
        try:
            drive = await router.load(run)
            if drive is not None and position in drive.instance.commands:
                told = drive.instance.woken(position, router.world.clock.now_ms())
                if told is not None:
                    await router.append(drive, told)
                    await drive.saved()  # if it does not get to the disk, try later, not at once
                due = drive.instance.state.timers.get(position)
                if due is not None and position in drive.instance.commands:
                    self.timers.add(due, run, position)  # the next rung of a ladder
        except MissingError:
            self.timers.forget(run, position)  # the disk never took the run
        except SquadError as error:
            router.stick(run, error)
            # To load the run set its timer again; at once, it would fail again.
            self.timers.forget(run, position)
            if isinstance(error, UnavailableError):
                self.timers.add(router.world.clock.now_ms() + AGAIN_MS, run, position)


def child_id(run: str, command: Child) -> str:
    """Return the id of a child run: its parent's id and its key or position
    there; one that a person had tried again is another run."""
    again = f".again{command.attempt}" if command.attempt else ""
    return f"{run}/{command.key or command.position}{again}"
