"""Reading: one projection as code looks at it, kept beside the log where the
log has a place for readings, else folded in memory.

Either way what was read once is not read again, and a page costs what it holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine.door import Ports
from agentsquad.runtime.ledger.contract import Ledger, Query, ReadingSet
from agentsquad.runtime.ledger.projection import Projection, Row

BATCH = 5000
PAGE = 500


class MemoryTables:
    """The tables of a projection in memory."""

    def __init__(self, projection: Projection) -> None:
        self._keys = {table.name: table.key for table in projection.tables}
        self._rows: dict[str, dict[tuple[Any, ...], Row]] = {name: {} for name in self._keys}

    def get(self, table: str, *key: Any) -> Row | None:
        """Return a copy of a row."""
        found = self._rows[table].get(key)
        return None if found is None else dict(found)

    def put(self, table: str, row: Mapping[str, Any]) -> None:
        """Insert a row or replace the one with its key."""
        self._rows[table][tuple(row[name] for name in self._keys[table])] = dict(row)

    def delete(self, table: str, *key: Any) -> None:
        """Remove a row, if it is there."""
        self._rows[table].pop(key, None)

    def select(self, table: str, query: Query) -> list[Row]:
        """Return a page of a table."""

        def place(row: Row) -> tuple[Any, ...]:
            return tuple(row[name] for name in query.order)

        found = [
            row
            for row in self._rows[table].values()
            if all(row[name] == value for name, value in query.equal.items())
            and (query.after is None or place(row) > query.after)
        ]
        return sorted(found, key=place)[: query.limit]


class Reading:
    """One projection of a log."""

    def __init__(
        self, projection: Projection, store: EventStore, readings: ReadingSet | None = None
    ) -> None:
        self._projection = projection
        self._store = store
        self._readings = readings
        self._memory = MemoryTables(projection)
        self._after = 0
        if readings is not None:
            readings.add(projection)

    @classmethod
    def of(cls, projection: Projection, store: EventStore, ports: Ports) -> Reading:
        """Return a projection kept where an installation keeps its own."""
        there = ports.has(Ledger)
        return cls(projection, store, ports.get(Ledger).readings if there else None)

    async def select(self, query: Query, table: str | None = None) -> list[Row]:
        """Return a page of a table as of the newest event."""
        name = self._projection.name
        if self._readings is not None:
            return await self._readings.select(name, query, table)
        types = self._projection.types
        while batch := await self._store.read(after=self._after, limit=BATCH, types=types):
            for event in batch:
                self._projection.fold(self._memory, event)
            self._after = batch[-1].seq
        return self._memory.select(table or name, query)

    async def each(
        self, order: tuple[str, ...], table: str | None = None, **equal: Any
    ) -> AsyncIterator[Row]:
        """Yield all rows whose columns have these values, in order."""
        after = None
        while True:
            query = Query(equal=equal, order=order, after=after, limit=PAGE)
            rows = await self.select(query, table)
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            after = tuple(rows[-1][name] for name in order)
