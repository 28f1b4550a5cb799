"""Rows of the log in SQLite: in chunks, and one by one as releases before wrote
them.

A log that began one by one goes on in chunks: what it held is not rewritten,
and read for ever. `Chunked` and `Single` answer the same questions, each about
its part of the log; the volume asks the one whose part it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apsw

from agentsquad.runtime.ledger.adapters import database
from agentsquad.runtime.ledger.chunk import CHUNK_LENGTH, Chunk, Packed, pack, unpacked
from agentsquad.runtime.ledger.contract import Row

CHUNKS_KEPT = 32

SCHEMA = """
CREATE TABLE chunk (
    first INTEGER PRIMARY KEY, count INTEGER NOT NULL, kinds INTEGER NOT NULL,
    types BLOB NOT NULL, backs BLOB NOT NULL, salts BLOB NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE chunk_type (
    type INTEGER NOT NULL, first INTEGER NOT NULL, PRIMARY KEY (type, first))
    STRICT, WITHOUT ROWID;
"""
_LINKS = """
WITH RECURSIVE link (seq, back, depth) AS (
    SELECT seq, back, 1 FROM event WHERE seq = ?
    UNION ALL
    SELECT e.seq, e.back, depth + 1 FROM link JOIN event e ON e.seq = link.back WHERE depth < ?)
SELECT seq FROM link
"""
_ALL = "first, count, kinds, types, backs, salts, body"
_HOLDING = f"SELECT {_ALL} FROM chunk WHERE first <= ? ORDER BY first DESC LIMIT 1"
_BACKS = "SELECT first, count, backs FROM chunk WHERE first <= ? ORDER BY first DESC LIMIT 1"
_TYPED = """
SELECT c.first, c.count, c.types FROM chunk_type t JOIN chunk c ON c.first = t.first
WHERE t.type = ? AND t.first > ? ORDER BY t.first
"""

Names = Mapping[int, str]


class Single:
    """The events of a log of format 1, up to `last`; nothing is added to
    them."""

    def __init__(self, connection: apsw.Connection, path: str, last: int) -> None:
        self._db = connection
        self._path = path
        self.last = last

    def rows(self, seqs: Sequence[int], names: Names) -> list[Row]:
        """Return the rows at these places in this order; what is absent is left
        out."""
        found = self._db.execute(
            "SELECT e.seq, e.back, e.type, e.header, e.salt, e.payload"
            " FROM json_each(?) j JOIN event e ON e.seq = j.value ORDER BY j.key",
            (str(list(seqs)),),
        )
        return [self._sound(row, names) for row in found]

    def scan(self, after: int, limit: int, names: Names) -> list[Row]:
        """Return at most `limit` rows with `seq` > `after`, in order."""
        found = self._db.execute(
            "SELECT seq, back, type, header, salt, payload FROM event"
            " WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        )
        return [self._sound(row, names) for row in found]

    def _sound(self, row: Sequence[Any], names: Names) -> Row:
        database.expect(self._path, row, int, int, int, bytes, bytes, bytes)
        return Row(row[0], row[1], names.get(row[2], ""), *row[3:])

    def typed(self, kind: int, after: int, limit: int) -> list[int]:
        """Return where events of a type are, in order."""
        found = self._db.execute(
            "SELECT seq FROM event WHERE type = ? AND seq > ? ORDER BY seq LIMIT ?",
            (kind, after, limit),
        )
        return [seq for (seq,) in found]

    def counts(self) -> dict[int, int]:
        """Return how many events of each type there are."""
        return dict(self._db.execute("SELECT type, count(*) FROM event GROUP BY type"))

    def links(self, last: int, count: int) -> list[int]:
        """Return the places of `count` events of a stream, newest first."""
        return [seq for (seq,) in self._db.execute(_LINKS, (last, count))]


class Chunked:
    """The events after `begin`, in chunks."""

    def __init__(self, connection: apsw.Connection, path: str, begin: int) -> None:
        self._db = connection
        self._path = path
        self.begin = begin
        self._kept: dict[int, Chunk] = {}
        self._firsts: list[int] = []  # of those that are kept, in order
        self._near: tuple[int, tuple[int, ...]] = (0, ())  # the chunk whose links were looked at

    def write(self, rows: Sequence[Row], types: Mapping[str, int]) -> None:
        """Add rows that follow on the last one."""
        packed = [
            pack(rows[start : start + CHUNK_LENGTH], types)
            for start in range(0, len(rows), CHUNK_LENGTH)
        ]
        self._db.executemany(
            "INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(p.first, p.count, p.kinds, p.types, p.backs, p.salts, p.body) for p in packed],
        )
        self._db.executemany(
            "INSERT INTO chunk_type VALUES (?, ?)",
            [(kind, p.first) for p in packed for kind in sorted(set(unpacked(p.types, p.count)))],
        )

    def forget(self) -> None:
        """Keep nothing of what was read: it was not committed."""
        self._kept.clear()
        self._firsts.clear()
        self._near = (0, ())

    def rows(self, seqs: Sequence[int], names: Names) -> list[Row]:
        """Return the rows at these places in this order; what is absent is left
        out."""
        found = []
        chunk: Chunk | None = None
        for seq in seqs:
            if chunk is None or not chunk.first <= seq < chunk.end:
                chunk = self._holding(seq)
            if chunk is not None:
                found.append(chunk.row(seq, names))
        return found

    def scan(self, after: int, limit: int, names: Names) -> list[Row]:
        """Return at most `limit` rows with `seq` > `after`, in order."""
        found: list[Row] = []
        for chunk in self._from(max(after, self.begin) + 1):
            start = max(chunk.first, after + 1)
            end = min(chunk.end, start + limit - len(found))
            found += [chunk.row(seq, names) for seq in range(start, end)]
            if len(found) >= limit:
                break
        return found

    def _from(self, seq: int) -> Iterator[Chunk]:
        first = self._holding(seq)
        if first is not None:
            yield first
            seq = first.end
        for row in self._db.execute(
            f"SELECT {_ALL} FROM chunk WHERE first >= ? ORDER BY first", (seq,)
        ):
            yield self._chunk(row)

    def _holding(self, seq: int) -> Chunk | None:
        """Return the chunk that an event is in, if there is one."""
        at = bisect_right(self._firsts, seq) - 1
        if at >= 0:
            chunk = self._kept[self._firsts[at]]
            if seq < chunk.end:
                return chunk
        row = self._db.execute(_HOLDING, (seq,)).get
        if row is None:
            return None
        chunk = self._chunk(row)
        if not chunk.first <= seq < chunk.end:
            return None
        self._keep(chunk)
        return chunk

    def _keep(self, chunk: Chunk) -> None:
        if len(self._kept) >= CHUNKS_KEPT:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._firsts.remove(oldest)
        self._kept[chunk.first] = chunk
        self._firsts.insert(bisect_right(self._firsts, chunk.first), chunk.first)

    def _chunk(self, row: Sequence[Any]) -> Chunk:
        database.expect(self._path, row, int, int, int, bytes, bytes, bytes, bytes)
        return Chunk(Packed(*row))

    def typed(self, kind: int, after: int, limit: int) -> list[int]:
        """Return where events of a type are, in order."""
        found: list[int] = []
        for first, count, data in self._db.execute(_TYPED, (kind, after - CHUNK_LENGTH)):
            database.expect(self._path, (first, count, data), int, int, bytes)
            types = unpacked(data, count)
            found += [first + at for at, one in enumerate(types) if one == kind]
            if len(found) >= limit + CHUNK_LENGTH:
                break
        return [seq for seq in found if seq > after][:limit]

    def counts(self) -> dict[int, int]:
        """Return how many events of each type there are."""
        found: dict[int, int] = {}
        for count, data in self._db.execute("SELECT count, types FROM chunk"):
            database.expect(self._path, (count, data), int, bytes)
            for kind in unpacked(data, count):
                found[kind] = found.get(kind, 0) + 1
        return found

    def links(self, last: int, count: int) -> tuple[list[int], int]:
        """Return the places of at most `count` events of a stream that are in
        chunks, newest first, and that of the one before them (0: none)."""
        found: list[int] = []
        while last > self.begin and len(found) < count:
            found.append(last)
            back = self._back(last)
            last = last - back if back else 0
        return found, last

    def _back(self, seq: int) -> int:
        """Return how far before an event the one before in its stream is."""
        first, backs = self._near
        if not first <= seq < first + len(backs):
            row = self._db.execute(_BACKS, (seq,)).get
            if row is None:
                return 0
            database.expect(self._path, row, int, int, bytes)
            first, backs = self._near = (row[0], unpacked(row[2], row[1]))
        return backs[seq - first] if seq < first + len(backs) else 0
