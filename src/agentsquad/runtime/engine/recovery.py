"""Recovery: brings back the runs that were in the middle of something when the
engine before ended.

Runs that only wait are left on the disk. The others are loaded one by one, the
most urgent first, beside the work that comes meanwhile: whoever starts,
answers or waits for a run has it loaded at once and need not wait for this.
Only as many are brought back at a time as the engine keeps up with.
"""

from __future__ import annotations

import asyncio

from agentsquad.kernel.errors import SquadError, UnavailableError
from agentsquad.runtime.engine.router import Router
from agentsquad.runtime.engine.timers import Timers
from agentsquad.runtime.engine.waiting import Waiting
from agentsquad.runtime.ledger.contract import ClosedError

PAGE = 256
AT_ONCE = 8  # runs loaded before others have their turn
FEW = 64  # runs in memory up to which more are always brought back
TURN_MS = 4.0  # a turn of the loop that takes longer is a sign of much work
TURNS_MAX = 50  # after which some are brought back all the same
AGAIN_MS = 1_000  # after which a log is read again that could not be


class Recovery:
    """Brings back open runs, once for each time it is asked."""

    def __init__(self, router: Router, waiting: Waiting, timers: Timers) -> None:
        self._router = router
        self._waiting = waiting
        self._timers = timers
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin to bring back what was at work, unless that is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._in_background())

    async def _in_background(self) -> None:
        while True:
            try:
                await self.bring_back()
            except UnavailableError as error:
                if isinstance(error, ClosedError):
                    return
                await self._router.world.clock.sleep_ms(AGAIN_MS)
            else:
                return

    async def bring_back(self) -> list[str]:
        """Bring back what was at work; return those runs."""
        size = await self._waiting.follow()
        await self._timers.read(self._waiting.due)
        await self._report_changed()
        found: list[str] = []
        after: tuple[int, int] | None = None
        while page := await self._waiting.busy(after, PAGE):
            for row in page:
                run = str(row["run"])
                if row["seq"] > size or run in self._router.drives:
                    continue
                await self._load(run)
                found.append(run)
                if len(found) % AT_ONCE == 0:
                    await self._pace()
            after = (page[-1]["urgent"], page[-1]["seq"])
        return found

    async def _report_changed(self) -> None:
        """Say of runs whose version is not there that they cannot go on."""
        for row in await self._waiting.changed():
            await self._load(str(row["run"]))

    async def _load(self, run: str) -> None:
        try:
            await self._router.load(run)
        except SquadError as error:
            self._router.stick(run, error)

    async def _pace(self) -> None:
        """Give others their turn, and wait while there is much to do."""
        clock = self._router.world.clock
        for _ in range(TURNS_MAX):
            begin = clock.monotonic_ms()
            await asyncio.sleep(0)
            quick = clock.monotonic_ms() - begin < TURN_MS
            if quick or len(self._router.drives) < FEW:
                return

    async def close(self) -> None:
        """Stop; what was not brought back waits for the next engine."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
