"""SQLite: the volume of the default profile, one file with a write-ahead log.

A commit is one transaction and one fsync. Rows lie in order of `seq`, in chunks
(`rows`); a stream is a chain of `back` references with a note of places every
chapter, so that appending to a thousand streams writes to the end of the file
instead of a thousand pages of an index (docs/decisions/0003-ledger-store.md).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from heapq import merge
from itertools import groupby, islice

import apsw

from agentsquad.runtime.ledger.adapters import database
from agentsquad.runtime.ledger.adapters.disk import SYSTEM
from agentsquad.runtime.ledger.adapters.reserve import Reserve
from agentsquad.runtime.ledger.adapters.rows import SCHEMA, Chunked, Single
from agentsquad.runtime.ledger.adapters.witness import Witness
from agentsquad.runtime.ledger.contract import (
    CHAPTER_LENGTH,
    Batch,
    DamagedError,
    Head,
    LostError,
    PoisonedError,
    Row,
    StreamHead,
)
from agentsquad.runtime.ledger.disk import Disk
from agentsquad.runtime.ledger.merkle import EMPTY_ROOT

APPLICATION = 0x53514C47  # "SQLG"
FORMAT = 2
SINGLE = 1  # the format before, with a row for each event
CACHE_KIB = 2 * 1024
SLACK_PAGES = 16
COUNTED_MAX = 200_000  # events; counting them takes about 20 ms

_SCHEMA = """
CREATE TABLE type (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE stream (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version INTEGER NOT NULL,
    last INTEGER NOT NULL, leaf BLOB NOT NULL) STRICT;
CREATE TABLE chapter (
    stream INTEGER NOT NULL, number INTEGER NOT NULL, places BLOB NOT NULL,
    PRIMARY KEY (stream, number)) STRICT, WITHOUT ROWID;
CREATE TABLE tile (id INTEGER PRIMARY KEY, hashes BLOB NOT NULL) STRICT;
CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL,
    root BLOB NOT NULL) STRICT;
"""
_COUNTS = """
WITH total (size) AS (SELECT size FROM head WHERE id = 1 AND size <= ?)
SELECT (SELECT size FROM head WHERE id = 1),
    (SELECT coalesce(sum(count), 0) FROM chunk JOIN total),
    (SELECT coalesce(sum(kinds), 0) FROM chunk JOIN total),
    (SELECT count(*) FROM chunk_type JOIN total),
    (SELECT coalesce(sum(version), 0) FROM stream NOT INDEXED JOIN total),
    (SELECT count(*) FROM stream NOT INDEXED JOIN total),
    (SELECT count(*) FROM stream INDEXED BY sqlite_autoindex_stream_1 JOIN total),
    (SELECT count(DISTINCT type) FROM chunk_type JOIN total),
    (SELECT count(*) FROM type t NOT INDEXED WHERE EXISTS
        (SELECT 1 FROM chunk_type c JOIN total WHERE c.type = t.id) AND EXISTS
        (SELECT 1 FROM type u INDEXED BY sqlite_autoindex_type_1
            WHERE u.name = t.name AND u.id = t.id))
"""
_COUNTS_SINGLE = """
SELECT (SELECT count(*) FROM event INDEXED BY event_type),
    (SELECT count(DISTINCT type) FROM event INDEXED BY event_type),
    (SELECT count(*) FROM type t NOT INDEXED WHERE EXISTS
        (SELECT 1 FROM event e WHERE e.type = t.id) AND EXISTS
        (SELECT 1 FROM type u INDEXED BY sqlite_autoindex_type_1
            WHERE u.name = t.name AND u.id = t.id))
"""


class SqliteVolume:
    """Rows in a SQLite file, shared by any number of processes."""

    def __init__(self, path: str, disk: Disk = SYSTEM) -> None:
        self._path = path
        self._disk = disk
        self._witness = Witness(path + ".head", disk)
        self._reserve = Reserve(path + "-wal", disk)
        self._pages = 0
        self._types: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._known: tuple[int, Head] | None = None  # as of which version of the file
        self._trusted = False
        noted = self._witness.read()
        if noted is not None and noted.size and not disk.size(path):
            raise LostError(
                f"{path} is empty or gone, but held {noted.size} events",
                hint=f"restore it from a backup; to start anew delete {path}.head",
                details={"size": noted.size},
            )
        self._db = database.connect(path, application=APPLICATION, disk=disk)
        try:
            with database.translated(path):
                self._prepare()
        except BaseException:
            database.let_go(self._db)
            raise

    def _prepare(self) -> None:
        db = self._db
        db.pragma("cache_size", -CACHE_KIB)
        db.set_wal_hook(self._committed)
        if db.pragma("user_version") == 0:
            db.execute("BEGIN IMMEDIATE")
            with db:  # a savepoint; the version is looked at again now that we are alone
                if db.pragma("user_version") == 0:
                    db.execute(_SCHEMA + SCHEMA)
                    db.execute("INSERT INTO head VALUES (1, 0, ?)", (EMPTY_ROOT,))
                    db.pragma("application_id", APPLICATION)
                    db.pragma("user_version", FORMAT)
            db.execute("COMMIT")
        if db.pragma("user_version") == SINGLE:
            self._go_on_in_chunks()
        version = db.pragma("user_version")
        if version != FORMAT:
            raise DamagedError(
                f"{self._path} has format {version}, expected {FORMAT}",
                hint="it was written by a newer release, or is not a ledger",
            )
        database.checkpoint(db)
        single = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'event'").get
        last = db.execute("SELECT coalesce(max(seq), 0) FROM event").get if single else 0
        self._single = Single(db, self._path, last)
        self._chunked = Chunked(db, self._path, last)

    def _go_on_in_chunks(self) -> None:
        """Let a log that was begun one event a row go on in chunks."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        with db:
            if db.pragma("user_version") == SINGLE:
                db.execute(SCHEMA)
                db.pragma("user_version", FORMAT)
        db.execute("COMMIT")

    # --- writing ---

    def begin(self) -> Head:
        """Start the only write transaction there may be and return the head it
        starts from.
        """
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            known = self._known
            if known is not None and db.data_version() == known[0]:
                return known[1]  # nobody has written since our own commit
        except (apsw.Error, OSError) as error:
            raise database.failed(error, self._path) from error
        return self.head()

    def commit(self, batch: Batch) -> None:
        """Write all in one transaction; returning means fsync succeeded."""
        db = self._db
        try:
            self._chunked.write(batch.rows, self._type_ids(batch.rows))
            if batch.created:
                db.executemany(
                    "INSERT INTO stream VALUES (?, ?, ?, ?, ?)",
                    [(s.id, s.name, s.version, s.last, s.leaf) for s in batch.created],
                )
            if batch.moved:
                db.executemany(
                    "UPDATE stream SET version = ?, last = ?, leaf = ? WHERE id = ?",
                    [(s.version, s.last, s.leaf, s.id) for s in batch.moved],
                )
            for stream, number, last in batch.chapters:
                places = self._links(last, CHAPTER_LENGTH)
                db.execute(
                    "INSERT INTO chapter VALUES (?, ?, ?)",
                    (stream, number, struct.pack(f"<{len(places)}q", *places)),
                )
            for level, index, hashes in batch.tiles:
                db.execute("INSERT INTO tile VALUES (?, ?)", (_tile_id(level, index), hashes))
            db.execute("UPDATE head SET size = ?, root = ?", (batch.head.size, batch.head.root))
            self._reserve.ensure(self._pages + SLACK_PAGES)
            db.execute("COMMIT")
        except apsw.Error as error:
            raise database.write_error(error, self._path) from error
        with suppress(apsw.Error):  # it is committed, whatever this says
            self._known = (db.data_version(), batch.head)
        self._witness.write(batch.head)

    def _committed(self, connection: apsw.Connection, name: str, pages: int) -> int:
        """Note how long the write-ahead log is; move it into the database now
        and then. A checkpoint that fails is tried again after the next commit.
        """
        self._pages = pages
        if pages >= self._disk.habits.checkpoint_pages:
            with suppress(apsw.Error):
                connection.wal_checkpoint(name)
        return apsw.SQLITE_OK

    def rollback(self) -> None:
        """End the transaction without a trace; allowed when there is none."""
        self._known = None
        self._types.clear()
        self._names.clear()
        self._chunked.forget()
        if not self._db.in_transaction:
            return
        try:
            self._db.execute("ROLLBACK")
        except apsw.Error as error:
            raise PoisonedError(
                f"{self._path}: a failed write could not be undone",
                hint="open the ledger again",
                private=str(error),
            ) from error

    def _type_ids(self, rows: Sequence[Row]) -> dict[str, int]:
        types = self._types
        for name in dict.fromkeys([row.type for row in rows]):
            if name in types:
                continue
            found = self._db.execute("SELECT id FROM type WHERE name = ?", (name,)).get
            if found is None:
                self._db.execute("INSERT INTO type (name) VALUES (?)", (name,))
                found = self._db.last_insert_rowid()
            types[name] = found
        return types

    # --- reading ---

    def head(self) -> Head:
        """Return the newest committed head, whoever committed it."""
        with database.translated(self._path):
            row = self._db.execute("SELECT size, root FROM head WHERE id = 1").get
        if row is None:
            raise DamagedError(f"{self._path}: the head is missing")
        database.expect(self._path, row, int, bytes)
        return Head(*row)

    def witness(self) -> Head | None:
        """Return the newest head noted in the witness file."""
        return self._witness.read()

    def stream(self, name: str) -> StreamHead | None:
        """Return the end of a stream."""
        try:
            if not self._trusted:
                self._trust()
            row = self._db.execute(
                "SELECT id, name, version, last, leaf FROM stream WHERE name = ?", (name,)
            ).get
        except (apsw.Error, OSError) as error:
            raise database.failed(error, self._path) from error
        if row is None:
            return None
        database.expect(self._path, row, int, str, int, int, bytes)
        return StreamHead(*row)

    def streams(self, prefix: str) -> list[tuple[str, int]]:
        """Return (name, version) of every stream whose name starts so, oldest
        first.
        """
        where, bounds = "name >= ?", [prefix]
        if after := _successor(prefix):
            where, bounds = "name >= ? AND name < ?", [prefix, after]
        with database.translated(self._path):
            self._trust()
            return list(
                self._db.execute(
                    f"SELECT name, version FROM stream WHERE {where} ORDER BY id", bounds
                )
            )

    def seqs(self, head: StreamHead, after: int, limit: int | None) -> list[int]:
        """Return where a stream's events are: whole chapters by note, the rest
        by chain.
        """
        end = head.version if limit is None else min(head.version, after + limit)
        noted = head.version - head.version % CHAPTER_LENGTH
        places: list[int] = []
        with database.translated(self._path):
            first = after // CHAPTER_LENGTH
            if after < noted:
                for (blob,) in self._db.execute(
                    "SELECT places FROM chapter WHERE stream = ? AND number BETWEEN ? AND ?"
                    " ORDER BY number",
                    (head.id, first, (min(end, noted) - 1) // CHAPTER_LENGTH),
                ):
                    database.expect(self._path, (blob,), bytes)
                    places += struct.unpack(f"<{len(blob) // 8}q", blob[: len(blob) // 8 * 8])
                places = places[after - first * CHAPTER_LENGTH :]
            if end > noted:
                places += self._links(head.last, head.version - max(after, noted))
        return places[: end - after]

    def rows(self, seqs: Sequence[int]) -> list[Row]:
        """Return the rows at these places in this order; what is absent is left
        out.
        """
        begin = self._chunked.begin
        with database.translated(self._path):
            names = self._named()
            if not begin or min(seqs, default=0) > begin:
                return self._chunked.rows(seqs, names)
            found: list[Row] = []
            for single, part in groupby(seqs, lambda seq: seq <= begin):
                found += (self._single if single else self._chunked).rows(list(part), names)
            return found

    def scan(self, after: int, limit: int) -> list[Row]:
        """Return at most `limit` rows with `seq` > `after`, in order."""
        found: list[Row] = []
        with database.translated(self._path):
            names = self._named()
            if after < self._single.last:
                found = self._single.scan(after, limit, names)
            if len(found) < limit:
                found += self._chunked.scan(after, limit - len(found), names)
        return found

    def typed(self, types: Sequence[str], after: int, limit: int) -> list[int]:
        """Return where events of these types are, in order."""
        places: list[list[int]] = []
        with database.translated(self._path):
            self._trust()
            for name in dict.fromkeys(types):
                kind = self._type_id(name)
                if kind is None:
                    continue
                found = []
                if after < self._single.last:
                    found = self._single.typed(kind, after, limit)
                if len(found) < limit:
                    found += self._chunked.typed(kind, after, limit - len(found))
                places.append(found)
        return list(islice(merge(*places), limit))

    def _type_id(self, name: str) -> int | None:
        found: int | None = self._types.get(name)
        if found is None:
            found = self._db.execute("SELECT id FROM type WHERE name = ?", (name,)).get
        return found

    def _named(self) -> dict[int, str]:
        """Return the names of all types by their ids."""
        newest = self._db.execute("SELECT coalesce(max(id), 0) FROM type").get
        if newest not in self._names:
            self._names = dict(self._db.execute("SELECT id, name FROM type"))
        return self._names

    def _trust(self) -> None:
        """Count once what no hash covers, where a page that is whole but older
        would leave something out: ends of streams and indexes.

        A log too long to be counted in passing is left to `squad log verify`.
        """
        if self._trusted:
            return
        size, held, kinds, indexed, ends, *pairs = self._db.execute(_COUNTS, (COUNTED_MAX,)).get
        if size <= COUNTED_MAX:
            if self._single.last:
                single, *more = self._db.execute(_COUNTS_SINGLE).get
                held, pairs = held + single, [*pairs, *more]
            if (held, ends, kinds) != (size, size, indexed) or pairs[::2] != pairs[1::2]:
                raise DamagedError(
                    f"{self._path}: its indexes do not hold all of its {size} events",
                    hint="restore it from a backup",
                    private=f"{held} {ends} {kinds} {indexed} {pairs}",
                )
        self._trusted = True

    def tile(self, level: int, index: int) -> bytes | None:
        """Return the hashes of a full tile."""
        with database.translated(self._path):
            found = self._db.execute(
                "SELECT hashes FROM tile WHERE id = ?", (_tile_id(level, index),)
            ).get
        return found if isinstance(found, bytes) else None

    def types(self) -> dict[str, int]:
        """Return how many events of each type there are."""
        with database.translated(self._path):
            names, counts = self._named(), self._chunked.counts()
            if self._single.last:
                for kind, count in self._single.counts().items():
                    counts[kind] = counts.get(kind, 0) + count
            return dict(sorted((names.get(kind, ""), count) for kind, count in counts.items()))

    def weight(self) -> int:
        """Return how many bytes the database and its write-ahead log occupy."""
        paths = (self._path, self._path + "-wal")
        return sum(self._disk.size(path) or 0 for path in paths)

    def check(self) -> list[str]:
        """Return what SQLite's integrity check finds wrong, page checksums
        included.
        """
        try:
            lines = [line for (line,) in self._db.execute("PRAGMA integrity_check")]
        except apsw.Error as error:
            return [f"{self._path}: {database.read_error(error, self._path).message}"]
        return [] if lines == ["ok"] else lines

    def close(self) -> None:
        """Close the file; the last one out empties the write-ahead log."""
        self._witness.close()
        self._reserve.close()
        database.let_go(self._db)

    def _links(self, last: int, count: int) -> list[int]:
        """Return the places of `count` events of a stream up to `last`, oldest
        first.
        """
        places, last = self._chunked.links(last, count)
        if last and len(places) < count:
            places += self._single.links(last, count - len(places))
        return places[::-1]


def _tile_id(level: int, index: int) -> int:
    return level << 48 | index


def _successor(prefix: str) -> str:
    """Return the least text greater than all that start with `prefix`; "" if
    there is none.
    """
    while prefix:
        point = ord(prefix[-1]) + 1
        if 0xD800 <= point <= 0xDFFF:
            point = 0xE000
        if point <= 0x10FFFF:
            return prefix[:-1] + chr(point)
        prefix = prefix[:-1]
    return ""
