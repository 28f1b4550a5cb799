"""Drive: one run in memory, its instance and what is under way for it.

Events of a run may be known here before they are on the disk: `unsaved` counts
them, and `saved` waits until there are none.
"""

from __future__ import annotations

import asyncio

from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.engine.command import Command
from agentsquad.runtime.engine.decider import Instance


class Drive:
    """One run in memory: its instance and the steps under way.

    `outward` counts calls under way that change the world; `firm` says that
    what happened last must be on the disk before anything else begins.
    """

    __slots__ = (
        "firm",
        "instance",
        "issued",
        "lost",
        "next",
        "outward",
        "savers",
        "settling",
        "stopped",
        "stream",
        "tasks",
        "told",
        "unsaved",
    )

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.stream = f"run/{instance.run_id}"
        self.issued: set[str] = set()
        self.settling: set[str] = set()
        self.stopped = False
        self.next: tuple[str, Command | None] | None = None
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.outward = 0
        self.unsaved = 0
        self.firm = False
        self.told = False  # its end, to the run above
        self.lost: SquadError | None = None
        self.savers: list[asyncio.Future[None]] = []

    async def saved(self) -> None:
        """Return when all that is known of the run is on the disk; raises what
        kept it from getting there."""
        if self.unsaved:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.savers.append(future)
            await future
        if self.lost is not None:
            raise self.lost

    def settle(self) -> None:
        """Let those go on who wait for the disk; all is there, or lost."""
        self.firm = False
        savers, self.savers = self.savers, []
        for future in savers:
            if not future.done():
                future.set_result(None)
