"""Waiting: which runs are open, which of them have something to do, and when
the others must go on, as a reading of the log.

So that an engine that begins with a million waiting runs loads only those that
were in the middle of something, and of the timers holds only the next. Kept up
from what the engine itself appends, deletable like every reading; where there
is none it is folded in memory.

Law: a run is called idle (`busy` 0) only if its journal alone shows that
nothing but what it waits for can move it. A wait in its first branch says
`beside` when anything else was under way, one in another branch says `alone`
when nothing was; a child that began in its first branch counts as a wait until
the child ends. Whatever ends a wait makes the run busy again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Sized
from typing import Any

from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine.decider import DEADLINE
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.reading import MemoryTables
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.runtime.engine.timers import Due
from agentsquad.runtime.engine.versions import Versions, versions_of
from agentsquad.runtime.ledger.contract import Ledger, Query, ReadingSet
from agentsquad.runtime.ledger.projection import Projection, Row, Table, Tables

WAITS = ("timer.set", "signal.waiting", "approval.requested")
WOKEN = (
    "run.adopted",
    "run.cancel_requested",
    "timer.fired",
    "signal.received",
    "approval.given",
    "approval.refused",
    "update.accepted",
    "intervention.made",
)
ESCALATED = "wait.escalated"  # it waits on, for others
TYPES = ("run.started", *END_EVENTS, *WAITS, *WOKEN, ESCALATED)
NAME, TIMERS, DEFINITIONS = "waiting", "timers", "definitions"
LAST = 2**62  # the urgency of a run without a time limit
BATCH = 5000
LOOK_EACH = 16  # events after which it is looked how far readings are behind
KEPT_UP = {NAME: 512, "runs": 2048}  # events of our own that a reading may be behind


def fold(tables: Tables, event: Event) -> None:
    """Keep what each open run waits for, as far as one event says it."""
    run = event.stream.removeprefix("run/")
    body = event.payload or {}
    kind = event.type
    if kind == "run.started":
        _started(tables, run, event, body)
        return
    row = tables.get(NAME, run)
    if row is None:
        return
    if kind in END_EVENTS:
        for position in row["timers"]:
            tables.delete(TIMERS, run, position)
        _count(tables, row, -1)
        tables.delete(NAME, run)
        _set_busy(tables, row["parent"])
        return
    if kind in WAITS:
        _waits(tables, row, event, body)
    elif kind == ESCALATED:
        _timer(tables, row, body["position"], body.get("wake_ms"))
    else:
        if kind == "run.adopted":
            _count(tables, row, -1)
            row["definition"] = body.get("definition")
            _count(tables, row, 1)
        elif body.get("position") in row["timers"]:
            _timer(tables, row, body["position"], None)
        row["busy"] = 1
    tables.put(NAME, row)


def _started(tables: Tables, run: str, event: Event, body: Mapping[str, Any]) -> None:
    parent = body.get("parent") or {}
    row: Row = {
        "run": run,
        "seq": event.seq,
        "busy": 1,
        "urgent": LAST,
        "workflow": body.get("workflow"),
        "definition": body.get("definition"),
        "parent": parent.get("run"),
        "timers": [],
    }
    tables.put(NAME, row)
    _count(tables, row, 1)
    if parent and _single(parent.get("position")) and not parent.get("beside"):
        _set_busy(tables, parent["run"], 0)


def _waits(tables: Tables, row: Row, event: Event, body: Mapping[str, Any]) -> None:
    position = str(body.get("position"))
    single = _single(position)
    row["busy"] = int(bool(body.get("beside")) if single else not body.get("alone"))
    branch = position.rpartition(".")[0]
    # The step before in this branch is over, however its wait ended.
    over = {p for p in row["timers"] if p != DEADLINE and p.rpartition(".")[0] == branch}
    for old in sorted(over) if position != DEADLINE else ():
        _timer(tables, row, old, None)
    due = body.get("expires_ms" if event.type == "approval.requested" else "due_ms")
    due = body.get("wake_ms", due)
    _timer(tables, row, position, due)
    if position == DEADLINE and due is not None:
        row["urgent"] = int(due)


def _timer(tables: Tables, row: Row, position: str, due_ms: int | None) -> None:
    """Set one timer of a run, or drop it."""
    rest = [one for one in row["timers"] if one != position]
    if due_ms is not None:
        tables.put(TIMERS, {"run": row["run"], "position": position, "due_ms": int(due_ms)})
        rest.append(position)
    elif len(rest) < len(row["timers"]):
        tables.delete(TIMERS, row["run"], position)
    row["timers"] = rest


def _set_busy(tables: Tables, run: str | None, busy: int = 1) -> None:
    row = None if run is None else tables.get(NAME, run)
    if row is not None and row["busy"] != busy:
        row["busy"] = busy
        tables.put(NAME, row)


def _count(tables: Tables, row: Mapping[str, Any], more: int) -> None:
    """Count the open runs of each version of each workflow."""
    key = (row["workflow"], row["definition"])
    known = tables.get(DEFINITIONS, *key)
    count = (known["open"] if known else 0) + more
    if count > 0:
        names = {"workflow": key[0], "definition": key[1]}
        tables.put(DEFINITIONS, {**names, "open": count})
    else:
        tables.delete(DEFINITIONS, *key)


def _single(position: Any) -> bool:
    """Whether a position is a step in the first branch of a run."""
    return isinstance(position, str) and "." not in position and position != DEADLINE


WAITING = Projection(
    NAME,
    2,
    (
        Table(
            NAME,
            ("run",),
            ("seq", "busy", "urgent", "workflow", "definition", "parent", "timers"),
            (("busy", "urgent", "seq"), ("workflow", "definition", "seq")),
        ),
        Table(TIMERS, ("run", "position"), ("due_ms",), (("due_ms", "run", "position"),)),
        Table(DEFINITIONS, ("workflow", "definition"), ("open",)),
    ),
    fold,
    TYPES,
)


class Waiting:
    """The open runs of a log."""

    def __init__(self, world: World, versions: Versions | None = None) -> None:
        self._store: EventStore = world.store
        self._versions = versions or versions_of(world)
        self._readings: ReadingSet | None = None
        self._memory = MemoryTables(WAITING)
        self._after = 0
        self._behind: asyncio.Task[None] | None = None
        self._tails: dict[str, Sized | None] = {}
        self._heard = 0
        if world.ports.has(Ledger):
            self._readings = world.ports.get(Ledger).readings
            self._readings.add(WAITING)
            self._tails = {name: self._readings.attend(name) for name in KEPT_UP}

    async def follow(self) -> int:
        """Take in what was written; return how long the log is then."""
        if self._readings is not None:
            return await self._readings.follow(NAME)
        while batch := await self._store.read(after=self._after, limit=BATCH, types=TYPES):
            for event in batch:
                fold(self._memory, event)
            self._after = batch[-1].seq
        return await self._store.size()

    async def _select(self, table: str, query: Query) -> list[Row]:
        if self._readings is not None:
            return await self._readings.select(NAME, query, table)
        await self.follow()
        return self._memory.select(table, query)

    async def busy(self, after: tuple[int, int] | None = None, limit: int = 256) -> list[Row]:
        """Return open runs that something else than a wait may move, those
        with the nearest time limit first, then the oldest; `after` is (urgent,
        seq) of the last one known."""
        order = ("urgent", "seq")
        query = Query(equal={"busy": 1}, order=order, after=after, limit=limit)
        return await self._select(NAME, query)

    async def changed(self, limit: int = 256) -> list[Row]:
        """Return open runs, at most so many of each version, that began under
        a version of their workflow that is not the one there is now."""
        found: list[Row] = []
        every = Query(order=("workflow", "definition"), limit=10_000)
        for row in await self._select(DEFINITIONS, every):
            if not self._versions.knows(row["workflow"], row["definition"]):
                pinned = {"workflow": row["workflow"], "definition": row["definition"]}
                query = Query(equal=pinned, order=("seq",), limit=limit)
                found += await self._select(NAME, query)
        return found

    async def due(self, after: Due | None, limit: int) -> Sequence[Due]:
        """Return the next timers of open runs beyond a place, soonest
        first."""
        order = ("due_ms", "run", "position")
        rows = await self._select(TIMERS, Query(order=order, after=after, limit=limit))
        return [(row["due_ms"], row["run"], row["position"]) for row in rows]

    def lag(self, event: Event) -> None:
        """Hear that something was appended: begin to follow, once the reading
        is behind by much."""
        self._heard += 1
        if not self._heard % LOOK_EACH and self._behind is None:
            for name, tail in self._tails.items():
                if tail is not None and len(tail) >= KEPT_UP[name]:
                    self._behind = asyncio.get_running_loop().create_task(self._catch_up(name))
                    self._behind.add_done_callback(self._caught_up)
                    return

    async def _catch_up(self, name: str) -> None:
        if self._readings is not None:
            await self._readings.follow(name)

    def _caught_up(self, done: asyncio.Task[None]) -> None:
        self._behind = None
        if not done.cancelled() and isinstance(done.exception(), Exception):
            return  # a reading that is behind costs only time

    async def keep_up(self) -> None:
        """Take in what was written, so that less is left to the next engine
        and to those who list runs."""
        if self._readings is not None and self._behind is None:
            await self._readings.follow(*KEPT_UP)

    def close(self) -> None:
        """Stop following."""
        if self._behind is not None:
            self._behind.cancel()
