"""Drive: one run in memory, its instance and what is under way for it.

Events of a run may be known here before they are on the disk: `unsaved` counts
them, and `saved` waits until there are none.
"""

from __future__ import annotations

import asyncio
from collections import deque

from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.engine.command import Command
from agentsquad.runtime.engine.decider import Instance
from agentsquad.runtime.engine.versions import Version


class Drive:
    """One run in memory: its instance and the steps under way.

    `outward` counts calls under way that change the world; `firm` says that
    what happened last must be on the disk before anything else begins; `moved`,
    that the run is to go on under another version than `version`.
    """

    __slots__ = (
        "_noted",
        "_savers",
        "firm",
        "instance",
        "issued",
        "lost",
        "moved",
        "next",
        "outward",
        "queue",
        "run",
        "settling",
        "stopped",
        "stream",
        "tasks",
        "told",
        "unsaved",
        "version",
    )

    def __init__(self, instance: Instance, version: Version | None = None) -> None:
        self.instance = instance
        self.version = version
        self.moved = False
        self.run = instance.run_id
        self.stream = f"run/{self.run}"
        self.issued: set[str] = set()
        self.settling: set[str] = set()
        self.stopped = False
        self.next: tuple[str, Command | None] | None = None
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.queue: deque[str] = deque()  # positions of commands that wait for a place
        self.outward = 0
        self.unsaved = 0
        self.firm = False
        self.told = False  # its end, to the run above
        self.lost: SquadError | None = None
        self._noted = 0
        self._savers: deque[tuple[int, asyncio.Future[None]]] = deque()

    def note(self) -> None:
        """Count events that are known now and not on the disk yet."""
        self._noted += 1
        self.unsaved += 1

    async def saved(self) -> None:
        """Return when all that is known of the run by now is on the disk;
        raises what kept it from getting there."""
        if self.unsaved:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._savers.append((self._noted, future))
            await future
        elif self.lost is not None:
            raise self.lost

    def settled_one(self) -> bool:
        """Hear that the oldest event is on the disk, if nobody waits for it and
        others follow; False otherwise, and nothing is changed."""
        if self.unsaved < 2 or self._savers:
            return False
        self.unsaved -= 1
        return True

    def settle(self, error: SquadError | None) -> None:
        """Hear that the oldest events not on the disk are there, or lost."""
        self.unsaved -= 1
        self.lost = self.lost or error
        if not self.unsaved:
            self.firm = False
        there = self._noted - self.unsaved
        while self._savers and self._savers[0][0] <= there:
            _, future = self._savers.popleft()
            if future.done():
                continue
            if self.lost is None:
                future.set_result(None)
            else:
                future.set_exception(self.lost)
