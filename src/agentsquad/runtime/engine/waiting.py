"""Waiting: which runs are open, and which of them only wait, as a reading of
the log.

So that an engine that begins with ten thousand waiting runs loads those that
have something to do, and of the others takes only the times at which they must
go on. Deletable like every reading; where there is none it is folded in memory.

Law: a run is called idle only if its journal alone shows that nothing but what
it waits for can move it: its last event is a wait of its first branch, or a
child run of its first branch began after its last event and is open. Runs that
wait in several branches are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.engine.decider import DEADLINE
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.projection import Projection, Row, Table, Tables

WAITS = ("timer.set", "signal.waiting", "approval.requested")
TYPES = ("run.started", "run.adopted", *END_EVENTS, *WAITS)
NAME = "waiting"
BATCH = 5000


def fold(tables: Tables, event: Event) -> None:
    """Keep what each open run waits for, as far as one event says it."""
    run = event.stream.removeprefix("run/")
    body = event.payload or {}
    if event.type in END_EVENTS:
        tables.delete(NAME, run)
        return
    if event.type == "run.started":
        parent = body.get("parent") or {}
        row: Row | None = {
            "run": run,
            "seq": event.seq,
            "workflow": body.get("workflow"),
            "definition": body.get("definition"),
            "parent": parent.get("run"),
            "step": parent.get("position"),
            **{"position": None, "at": 0, "due_ms": None, "limit_at": 0, "limit_ms": None},
        }
    else:
        row = tables.get(NAME, run)
    if row is None:
        return
    if event.type == "run.adopted":
        row["definition"] = body.get("definition")
    elif event.type in WAITS and body.get("position") == DEADLINE:
        row |= {"limit_at": event.stream_seq, "limit_ms": body.get("due_ms")}
    elif event.type in WAITS:
        due = body.get("expires_ms" if event.type == "approval.requested" else "due_ms")
        row |= {"position": body.get("position"), "at": event.stream_seq, "due_ms": due}
    tables.put(NAME, row)


WAITING = Projection(
    NAME,
    1,
    (
        Table(
            NAME,
            ("run",),
            (
                "seq", "workflow", "definition", "parent", "step",
                "position", "at", "due_ms", "limit_at", "limit_ms",
            ),
        ),
    ),
    fold,
    TYPES,
)  # fmt: skip


class _Memory:
    """The one table in memory, for an engine without a place for readings."""

    def __init__(self) -> None:
        self.table: dict[str, Row] = {}

    def get(self, table: str, *key: Any) -> Row | None:
        return self.table.get(key[0])

    def put(self, table: str, row: Mapping[str, Any]) -> None:
        self.table[row["run"]] = dict(row)

    def delete(self, table: str, *key: Any) -> None:
        self.table.pop(key[0], None)


class Waiting:
    """The open runs of a log; parents come before their children."""

    def __init__(self, world: World) -> None:
        self._store: EventStore = world.store
        self._registry: Registry = world.registry
        self._readings = None
        if self.exact and world.ports.has(Ledger):
            self._readings = world.ports.get(Ledger).readings
            self._readings.add(WAITING)
        self._seen = 0

    @property
    def exact(self) -> bool:
        """Whether the store can say where streams end; else every open run is
        loaded."""
        return hasattr(type(self._store), "ends") and getattr(self._store, "ends", None) is not None

    async def rows(self) -> list[Row]:
        """Return what is known of each open run, in the order they started."""
        if self._readings is not None:
            found = await self._readings.rows(NAME)
        else:
            memory, after = _Memory(), 0
            while batch := await self._store.read(after=after, limit=BATCH, types=TYPES):
                for event in batch:
                    fold(memory, event)
                after = batch[-1].seq
            found = list(memory.table.values())
        return sorted(found, key=lambda row: int(row["seq"]))

    async def idle(self, rows: Sequence[Row]) -> set[str]:
        """Return the runs that nothing but what they wait for can move."""
        if not self.exact:
            return set()
        ends = self._store.ends([f"run/{row['run']}" for row in rows])  # type: ignore[attr-defined]
        child: dict[str, int] = {}  # run -> when the newest child of its first branch began
        for row in rows:
            if row["parent"] is not None and _single(row["step"]):
                child[row["parent"]] = int(row["seq"])
        found = set()
        for row, (version, last) in zip(rows, ends, strict=True):
            run = str(row["run"])
            workflow = self._registry.workflows.get(row["workflow"])
            if workflow is None or workflow.digest != row["definition"]:
                continue  # it cannot go on, and that must be said
            limited = row["limit_at"] == version
            waits = row["at"] > 0 and _single(row["position"])
            if (waits and row["at"] == version - limited) or child.get(run, 0) > last:
                found.add(run)
        return found

    async def keep_up(self) -> None:
        """Take in what was written, so that less is left to the next engine."""
        if self._readings is not None:
            size = await self._store.size()
            if size != self._seen:
                self._seen = await self._readings.follow(NAME)


def _single(position: Any) -> bool:
    """Whether a position is in the first branch of a run."""
    return isinstance(position, str) and "." not in position
