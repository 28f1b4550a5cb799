"""Readings in SQLite: the tables of projections, in a file that may be deleted
at any time.

Every column holds JSON text, so that a row comes back exactly as it was put;
columns of an index hold the value itself, so that they are in its order. A
damaged file is not repaired but dropped: everything in it can be folded
again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import apsw
import msgspec

from agentsquad.kernel.errors import BugError, IntegrityError
from agentsquad.runtime.ledger.adapters import database
from agentsquad.runtime.ledger.adapters.disk import SYSTEM
from agentsquad.runtime.ledger.contract import DamagedError, Query, ReadFailedError
from agentsquad.runtime.ledger.disk import Disk
from agentsquad.runtime.ledger.merkle import EMPTY_ROOT
from agentsquad.runtime.ledger.projection import Position, Projection, Row, Table

APPLICATION = 0x53514C52  # "SQLR"
PAGE_SIZE = 4096

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode
_POSITION = """
CREATE TABLE IF NOT EXISTS "position" (
    projection TEXT PRIMARY KEY, version INTEGER NOT NULL, seq INTEGER NOT NULL,
    root BLOB NOT NULL, tables TEXT NOT NULL) STRICT
"""


class SqliteReadingStore:
    """Tables in a file, or in memory when the path is `:memory:`."""

    def __init__(self, path: str, disk: Disk = SYSTEM) -> None:
        self._path = path
        self._disk = disk
        self._tables: dict[str, Table] = {}
        self._changes: dict[str, dict[tuple[Any, ...], Row | None]] = {}
        try:
            self._db = _open(path, disk)
        except (IntegrityError, ReadFailedError):  # a power failure may leave it too short
            self._remove()
            self._db = _open(path, disk)

    def reset(self) -> None:
        """Drop everything, damaged files included, and start empty."""
        self.close()
        self._remove()
        self._tables.clear()
        self._changes.clear()
        self._db = _open(self._path, self._disk)

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            if self._disk.size(self._path + suffix) is not None:
                self._disk.remove(self._path + suffix)

    def position(self, projection: str) -> Position | None:
        """Return how far a projection is."""
        with database.translated(self._path):
            found = self._db.execute(
                'SELECT version, seq, root, tables FROM "position" WHERE projection = ?',
                (projection,),
            ).get
        if found is None:
            return None
        for table in msgspec.json.decode(found[3], type=list[Table]):
            self._know(table)
        return Position(*found[:3])

    def create(self, projection: Projection) -> None:
        """Drop whatever there is of a projection and make its tables anew."""
        self.position(projection.name)
        with self._transaction():
            for table in projection.tables:
                plain = _plain(table)
                columns = ", ".join(
                    f'"{name}" {"ANY" if name in plain else "TEXT"}'
                    for name in (*table.key, *table.columns)
                )
                key = ", ".join(f'"{name}"' for name in table.key)
                self._db.execute(f'DROP TABLE IF EXISTS "{table.name}"')
                self._db.execute(
                    f'CREATE TABLE "{table.name}" ({columns}, PRIMARY KEY ({key}))'
                    " STRICT, WITHOUT ROWID"
                )
                for number, index in enumerate(table.indexes):
                    order = ", ".join(f'"{name}"' for name in index)
                    self._db.execute(
                        f'CREATE INDEX "{table.name} {number}" ON "{table.name}" ({order})'
                    )
                self._know(table)
            tables = _encode(projection.tables).decode()
            self._db.execute(
                'INSERT OR REPLACE INTO "position" VALUES (?, ?, 0, ?, ?)',
                (projection.name, projection.version, EMPTY_ROOT, tables),
            )

    def get(self, table: str, *key: Any) -> Row | None:
        """Return a copy of a row, changes not yet committed included."""
        changes = self._changes[table]
        if key in changes:
            row = changes[key]
            return None if row is None else dict(row)
        spec = self._tables[table]
        where = " AND ".join(f'"{name}" = ?' for name in spec.key)
        with database.translated(self._path):
            found = self._db.execute(
                f'SELECT * FROM "{table}" WHERE {where}', _stored(spec, spec.key, key)
            ).get
        return None if found is None else _row(spec, found)

    def put(self, table: str, row: Mapping[str, Any]) -> None:
        """Insert a row or replace the one with its key."""
        spec = self._tables[table]
        self._changes[table][tuple(row[name] for name in spec.key)] = dict(row)

    def delete(self, table: str, *key: Any) -> None:
        """Remove a row, if it is there."""
        self._changes[table][key] = None

    def commit(self, projection: str, position: Position, *, start: int) -> bool:
        """Keep all changes since the last commit together with the position."""
        try:
            with self._transaction():
                found = self._db.execute(
                    'SELECT seq FROM "position" WHERE projection = ?', (projection,)
                ).get
                if found != start:
                    return False
                for name, changes in self._changes.items():
                    self._write(self._tables[name], changes)
                self._db.execute(
                    'UPDATE "position" SET version = ?, seq = ?, root = ? WHERE projection = ?',
                    (position.version, position.seq, position.root, projection),
                )
                return True
        finally:
            for changes in self._changes.values():
                changes.clear()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except apsw.Error as error:
            raise database.write_error(error, self._path) from error
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def rows(self, table: Table) -> list[Row]:
        """Return all rows of a table in the order of its key."""
        order = ", ".join(f'"{name}"' for name in table.key)
        with database.translated(self._path):
            found = self._db.execute(f'SELECT * FROM "{table.name}" ORDER BY {order}')
            return [_row(table, row) for row in found]

    def select(self, table: Table, query: Query) -> list[Row]:
        """Return a page of a table."""
        where = [f'"{name}" IS ?' for name in query.equal]
        bounds = _stored(table, tuple(query.equal), tuple(query.equal.values()))
        order = ", ".join(f'"{name}"' for name in query.order)
        if query.after is not None:
            marks = ", ".join("?" * len(query.order))
            where.append(f"({order}) {'<' if query.descending else '>'} ({marks})")
            bounds += _stored(table, query.order, query.after)
        where += [f'"{name}" IS NOT NULL' for name in query.order if name in table.columns]
        way = " DESC" if query.descending else ""
        sort = ", ".join(f'"{name}"{way}' for name in query.order)
        with database.translated(self._path):
            found = self._db.execute(
                f'SELECT * FROM "{table.name}" WHERE {" AND ".join(where) or "1"}'
                f" ORDER BY {sort} LIMIT ?",
                (*bounds, query.limit),
            )
            return [_row(table, row) for row in found]

    def fresh(self) -> SqliteReadingStore:
        """Return an empty store in memory."""
        return SqliteReadingStore(":memory:")

    def close(self) -> None:
        """Close the file."""
        database.let_go(self._db)

    def _know(self, table: Table) -> None:
        self._tables[table.name] = table
        self._changes.setdefault(table.name, {})

    def _write(self, table: Table, changes: dict[tuple[Any, ...], Row | None]) -> None:
        names = (*table.key, *table.columns)
        marks = ", ".join("?" * len(names))
        where = " AND ".join(f'"{name}" = ?' for name in table.key)
        self._db.executemany(
            f'INSERT OR REPLACE INTO "{table.name}" VALUES ({marks})',
            [
                _stored(table, names, [row.get(n) for n in names])
                for row in changes.values()
                if row is not None
            ],
        )
        self._db.executemany(
            f'DELETE FROM "{table.name}" WHERE {where}',
            [_stored(table, table.key, key) for key, row in changes.items() if row is None],
        )


def _open(path: str, disk: Disk) -> apsw.Connection:
    if path == ":memory:":
        connection = apsw.Connection(path)
    elif (disk.size(path) or 0) % PAGE_SIZE:
        # SQLite fills the rest of a page up with zeros, which no checksum sees:
        # a page of which only the first bytes are left may read as empty.
        raise DamagedError(f"{path} ends within a page", hint="squad rebuild makes it anew")
    else:
        connection = database.connect(path, application=APPLICATION, disk=disk)
    try:
        with database.translated(path):
            # What a power failure takes is folded again: no sync at each
            # commit.
            connection.pragma("synchronous", "normal")
            if path != ":memory:":  # nor one when it is let go of
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.pragma("application_id", APPLICATION)
            connection.execute(_POSITION)
    except BaseException:
        database.let_go(connection)  # its locks would be in everybody's way
        raise
    return connection


@lru_cache(maxsize=256)
def _plain(table: Table) -> frozenset[str]:
    """Return the columns that are in an index."""
    return frozenset(name for index in table.indexes for name in index)


def _stored(table: Table, names: Sequence[str], values: Sequence[Any]) -> list[Any]:
    """Return values of columns as they are kept."""
    plain = _plain(table)
    return [
        _indexed(value) if name in plain else _encode(value).decode()
        for name, value in zip(names, values, strict=True)
    ]


def _indexed(value: Any) -> str | int | None:
    if value is None or type(value) in (str, int):
        return value  # type: ignore[no-any-return]
    raise BugError(f"a column of an index holds a {type(value).__name__}")


def _row(table: Table, found: Sequence[Any]) -> Row:
    names = (*table.key, *table.columns)
    plain = _plain(table)
    try:
        return {
            name: value if name in plain else _decode(value)
            for name, value in zip(names, found, strict=True)
        }
    except (TypeError, ValueError, msgspec.DecodeError) as error:
        raise DamagedError(
            f"a row of the reading {table.name} is not as it was written",
            hint="squad rebuild makes the readings anew from the log",
        ) from error
