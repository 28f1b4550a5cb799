"""Recovery: has Temporal drive every open run of a log that it does not drive.

After a crash of whatever it was: the log says which runs are open, Temporal
which of them it has an execution of. Where it has none, one is started, and
goes on from the log.
"""

from __future__ import annotations

from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.runtime.temporal.adapters.client import Cluster

OPENING = ("run.started", *END_EVENTS)
BATCH = 5000


class OpenRuns:
    """The runs of a log that have not ended, followed from where it last
    read."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._after = 0
        self._open: dict[str, None] = {}

    async def read(self) -> list[str]:
        """Return them, parents before children."""
        store = self._world.store
        while batch := await store.read(after=self._after, limit=BATCH, types=OPENING):
            for event in batch:
                run = event.stream.removeprefix("run/")
                if event.type == "run.started":
                    self._open[run] = None
                else:
                    self._open.pop(run, None)
            self._after = batch[-1].seq
        return list(self._open)


async def recover(cluster: Cluster, runs: OpenRuns) -> list[str]:
    """Return the open runs, each of them driven."""
    found = await runs.read()
    driven = await cluster.driven() if found else set()
    for run in found:
        if run not in driven:
            await cluster.launch(run)
    return found
