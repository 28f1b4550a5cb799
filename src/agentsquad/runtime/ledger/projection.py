"""Projections: tables folded from the log, to be deleted and rebuilt at will.

A projection is a name, a version, its tables and a pure fold. It sees personal
values sealed, so erasing a person changes no reading and a rebuild gives the
same bytes before and after. It never asks a clock, chance or another table
than its own: what it holds is a function of the events up to its position.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec

from agentsquad.kernel.errors import IntegrityError
from agentsquad.kernel.event import Event
from agentsquad.kernel.hashing import digest_bytes
from agentsquad.runtime.ledger.contract import (
    LostError,
    Query,
    ReadFailedError,
    ReadingDamagedError,
    ReadingDiffersError,
    RebuildReport,
    RecordStore,
)
from agentsquad.runtime.ledger.merkle import TileNodes, root_at

BATCH = 500
FEW, FIRST = 64, 128  # so few in each of the first turns: what begins again waits for others
TAIL_MAX = 4096

Row = dict[str, Any]
Fold = Callable[["Tables", Event], None]


class Table(msgspec.Struct, frozen=True):
    """A table: its name, the columns of its key, and the others.

    Every value is JSON; rows are found by their whole key, or in the order of
    an index. What a column of an index holds is text, a whole number or null.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = ()


class Projection(msgspec.Struct, frozen=True):
    """What to fold, from events of which types (None: all), into which tables;
    what it does not `heed` changes nothing.

    Raise `version` whenever the fold or a table changes: what an older version
    left is then dropped and built again.
    """

    name: str
    version: int
    tables: tuple[Table, ...]
    fold: Fold
    types: tuple[str, ...] | None = None
    heeds: Callable[[Event], bool] | None = None


class Position(msgspec.Struct, frozen=True):
    """How far a projection has read, and the root of the log it read."""

    version: int
    seq: int
    root: bytes


class Tables(Protocol):
    """What a fold may do: look at and change rows of its own tables."""

    def get(self, table: str, *key: Any) -> Row | None:
        """Return a copy of a row."""
        ...

    def put(self, table: str, row: Mapping[str, Any]) -> None:
        """Insert a row or replace the one with its key."""
        ...

    def delete(self, table: str, *key: Any) -> None:
        """Remove a row, if it is there."""
        ...


class ReadingStore(Tables, Protocol):
    """Where tables lie; an adapter keeps them, and may lose them as a whole."""

    def position(self, projection: str) -> Position | None:
        """Return how far a projection is; None when it was never built."""
        ...

    def create(self, projection: Projection) -> None:
        """Drop whatever there is of a projection and make its tables anew."""
        ...

    def commit(self, projection: str, position: Position, *, start: int) -> bool:
        """Keep all changes since the last commit together with the position.

        Keeps nothing and returns False when the projection is not at `start`
        any more, because another process followed the log meanwhile.
        """
        ...

    def reset(self) -> None:
        """Drop everything, damaged files included, and start empty."""
        ...

    def rows(self, table: Table) -> list[Row]:
        """Return all rows of a table in the order of its key."""
        ...

    def select(self, table: Table, query: Query) -> list[Row]:
        """Return a page of a table."""
        ...

    def fresh(self) -> ReadingStore:
        """Return an empty store in memory, to build beside this one."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


class Tail:
    """What this process appended lately and a projection has not folded yet, so
    that it need not be read again; gives up where it grows too long or another
    process wrote in between.
    """

    def __init__(
        self, types: Sequence[str] | None, heeds: Callable[[Event], bool] | None = None
    ) -> None:
        self._types = None if types is None else frozenset(types)
        self._heeds = heeds
        self._after = self._upto = 0
        self._events: list[Event] = []

    def __len__(self) -> int:
        return len(self._events)

    def hear(self, events: Sequence[Event]) -> None:
        """Take in what one commit wrote."""
        if events[0].seq != self._upto + 1 or len(self._events) > TAIL_MAX:
            self._after = events[0].seq - 1
            self._events.clear()
        self._upto = events[-1].seq
        types, heeds = self._types, self._heeds
        if types is not None:
            events = [event for event in events if event.type in types]
        self._events += events if heeds is None else filter(heeds, events)

    def take(self, start: int, until: int) -> list[Event] | None:
        """Return what is beyond `start` and forget it; None if that is not all
        there.
        """
        if start < self._after or until > self._upto:
            return None
        found = [event for event in self._events if start < event.seq <= until]
        self._events = [event for event in self._events if event.seq > until]
        self._after = until
        return found


class Readings:
    """All projections of one ledger, kept up with its log."""

    def __init__(
        self,
        log: RecordStore,
        opened: Callable[[], ReadingStore],
        projections: Sequence[Projection],
    ) -> None:
        self._log = log
        self._open = opened
        self._store: ReadingStore | None = None
        self._projections = {projection.name: projection for projection in projections}
        self._tails: dict[str, Tail] = {}
        self._folding = asyncio.Lock()

    def add(self, *projections: Projection) -> None:
        """Offer more projections; they are built when first asked for."""
        self._projections.update((projection.name, projection) for projection in projections)

    def attend(self, projection: str) -> Tail | None:
        """Have what this process appends kept for a projection until it is
        followed; None where the log does not tell.
        """
        hear = getattr(self._log, "hear", None)
        if hear is None:
            return None
        if projection not in self._tails:
            told = self._projections[projection]
            tail = self._tails[projection] = Tail(told.types, told.heeds)
            hear(tail.hear)
        return self._tails[projection]

    @property
    def names(self) -> list[str]:
        """The names of all projections."""
        return sorted(self._projections)

    async def rows(self, projection: str, table: str | None = None) -> list[Row]:
        """Return a table as of the newest event, in the order of its key."""
        spec = self._table(projection, table)
        return await self._looked(projection, lambda store: store.rows(spec))

    def _table(self, projection: str, table: str | None) -> Table:
        tables = {one.name: one for one in self._projections[projection].tables}
        return tables[table or projection]

    async def _looked(
        self, projection: str, look: Callable[[ReadingStore], list[Row]]
    ) -> list[Row]:
        """Look at tables as of the newest event; damaged ones are made anew."""
        await self.follow(projection)
        try:
            return look(self._stored())
        except (IntegrityError, ReadFailedError):
            self._stored().reset()
        await self.follow(projection)
        return look(self._stored())

    async def select(self, projection: str, query: Query, table: str | None = None) -> list[Row]:
        """Return a page of a table as of the newest event."""
        spec = self._table(projection, table)
        return await self._looked(projection, lambda store: store.select(spec, query))

    async def follow(self, *names: str) -> int:
        """Take in what was appended; return the log's size then."""
        head = await self._log.head()
        for name in names or self.names:
            projection = self._projections[name]
            await self._fold(self._stored(), projection, head.size)
        return head.size

    async def rebuild(self, *names: str) -> RebuildReport:
        """Drop projections and build them from the first event on."""
        head = await self._log.head()
        digests: dict[str, str] = {}
        if not names:
            self._stored().reset()
        for name in names or self.names:
            projection = self._projections[name]
            self._stored().create(projection)
            await self._fold(self._stored(), projection, head.size)
            digests |= _digests(self._stored(), projection)
        return RebuildReport(events=head.size, tables=digests)

    async def check(self, *names: str) -> RebuildReport:
        """Build projections beside the existing ones and compare every byte.

        Raises ReadingDiffersError naming the first table and row that differ.
        """
        size = await self.follow(*names)
        digests: dict[str, str] = {}
        beside = self._stored().fresh()
        try:
            for name in names or self.names:
                projection = self._projections[name]
                beside.create(projection)
                await self._fold(beside, projection, size)
                for table in projection.tables:
                    _compare(table, self._stored().rows(table), beside.rows(table))
                digests |= _digests(beside, projection)
        finally:
            beside.close()
        return RebuildReport(events=size, tables=digests)

    def close(self) -> None:
        """Let go of the tables."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _stored(self) -> ReadingStore:
        if self._store is None:
            self._store = self._open()
        return self._store

    async def _trusted(self, projection: Projection, position: Position | None) -> int | None:
        """Return where to continue; None when what is there is of another
        version or read another log.
        """
        if position is None or position.version != projection.version:
            return None
        try:
            return position.seq if await self._root(position.seq) == position.root else None
        except LostError:
            return None

    async def _root(self, size: int) -> bytes:
        head = await self._log.head()
        if size > head.size:
            raise LostError(f"the log has {head.size} events, a reading saw {size}")
        return head.root if size == head.size else root_at(size, TileNodes(self._log, size))

    async def _fold(self, store: ReadingStore, projection: Projection, until: int) -> None:
        """Bring a projection up to a place; a store that is damaged is dropped
        as a whole first, since all of it can be folded again.
        """
        try:
            await self._fold_on(store, projection, until)
        except ReadingDamagedError:
            if store is not self._store:
                raise
            store.reset()
            await self._fold_on(store, projection, until)

    async def _fold_on(self, store: ReadingStore, projection: Projection, until: int) -> None:
        start = await self._start(store, projection)
        turns = 0
        while start < until:
            async with self._folding:
                limit = FEW if turns < FIRST else BATCH
                after = await self._fold_batch(store, projection, start, until, limit)
            turns += 1
            start = await self._start(store, projection) if after is None else after
            if start < until:
                await asyncio.sleep(0)  # others go on while much is read

    async def _fold_batch(
        self, store: ReadingStore, projection: Projection, start: int, until: int, limit: int
    ) -> int | None:
        """Fold what comes next and return how far that went; None if another
        process was faster.
        """
        with _own():
            there = store.position(projection.name)
        if there is None or there.seq != start:
            return None
        tail = self._tails.get(projection.name) if store is self._store else None
        events = tail.take(start, until) if tail is not None else None
        after = until
        if events is None:
            events = await self._log.read_sealed(after=start, limit=limit, types=projection.types)
            events = [event for event in events if event.seq <= until]
            if len(events) == limit:
                after = events[-1].seq
        position = Position(projection.version, after, await self._root(after))
        with _own():
            for event in events:
                projection.fold(store, event)
            return after if store.commit(projection.name, position, start=start) else None

    async def _start(self, store: ReadingStore, projection: Projection) -> int:
        """Return where to continue, after making the tables if need be."""
        with _own():
            position = store.position(projection.name)
        start = await self._trusted(projection, position)
        if start is None:
            with _own():
                store.create(projection)
            return 0
        return start


@contextmanager
def _own() -> Iterator[None]:
    """Tell damage of readings, which can be mended, from damage of the log."""
    try:
        yield
    except (IntegrityError, ReadFailedError) as error:
        raise ReadingDamagedError(
            error.message, hint=error.hint, details=dict(error.details), private=error.private
        ) from error


def dump(table: Table, rows: Sequence[Row]) -> bytes:
    """Return a table's content as bytes that are equal when the content is."""
    encode = msgspec.json.Encoder(order="deterministic").encode
    return b"\n".join(encode(row) for row in rows)


def _digests(store: ReadingStore, projection: Projection) -> dict[str, str]:
    return {
        f"{projection.name}.{table.name}": digest_bytes(dump(table, store.rows(table)))
        for table in projection.tables
    }


def _compare(table: Table, old: Sequence[Row], new: Sequence[Row]) -> None:
    if dump(table, old) == dump(table, new):
        return
    for left, right in zip([*old, *[None] * len(new)], [*new, *[None] * len(old)], strict=True):
        if left != right:
            shown = left or right or {}
            raise ReadingDiffersError(
                f"differs: table {table.name!r} is not as a fresh build has it at "
                + ", ".join(f"{name} {shown[name]!r}" for name in table.key),
                hint="run 'squad rebuild'; if it differs again a fold is not a function",
                details={"table": table.name, "kept": left, "fresh": right},
            )
