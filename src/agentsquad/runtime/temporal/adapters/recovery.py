"""Recovery: has Temporal drive every open run of a log that it does not drive.

After a crash of whatever it was: the log says which runs are open, Temporal
which of them it has an execution of. Where it has none, one is started, and
goes on from the log.
"""

from __future__ import annotations

from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine.outside import TOLD
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.runtime.temporal.adapters.client import Cluster

TYPES = ("run.started", *END_EVENTS, *TOLD)
BATCH = 5000


class OpenRuns:
    """The runs of a log that have not ended, and what each was last told,
    followed from where it last read."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._after = 0
        self._open: dict[str, int] = {}

    async def read(self) -> dict[str, int]:
        """Return the `stream_seq` of what each was last told from outside, 0 if
        nothing; parents before children."""
        while batch := await self._store.read(after=self._after, limit=BATCH, types=TYPES):
            for event in batch:
                run = event.stream.removeprefix("run/")
                if event.type == "run.started":
                    self._open[run] = 0
                elif event.type in END_EVENTS:
                    self._open.pop(run, None)
                elif run in self._open:
                    self._open[run] = event.stream_seq
            self._after = batch[-1].seq
        return dict(self._open)

    async def last_told(self, run: str, told: int) -> bool:
        """Whether what a run was told is the last it knows. Whoever drives it
        writes at the end of a journal that he has read, so what stands before
        has been heard."""
        return len(await self._store.read_stream(f"run/{run}", after=told - 1)) == 1


async def recover(cluster: Cluster, runs: OpenRuns) -> list[str]:
    """Return the open runs, each of them driven, and told what it may not have
    heard."""
    found = await runs.read()
    driven = await cluster.driven() if found else set()
    for run, told in found.items():
        if run not in driven:
            await cluster.launch(run)
        elif told and await runs.last_told(run, told):
            await cluster.nudge(run, "told")
    return list(found)
