"""The formats a log may have in SQLite: one event a row, as releases before
wrote it, and chunks; and edits of single events in either, checksums right.

Loaded by path, since test folders are no packages.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import msgspec

from agentsquad.runtime.ledger.adapters.disk import SYSTEM
from agentsquad.runtime.ledger.adapters.sqlite import SqliteVolume
from agentsquad.runtime.ledger.chunk import CHUNK_LENGTH, Chunk, Packed, pack, unpacked
from agentsquad.runtime.ledger.contract import Row

_SINGLE = """
CREATE TABLE event (
    seq INTEGER PRIMARY KEY, back INTEGER NOT NULL, type INTEGER NOT NULL,
    header BLOB NOT NULL, salt BLOB NOT NULL, payload BLOB NOT NULL) STRICT;
CREATE INDEX event_type ON event (type);
"""


def to_single(path: Path) -> None:
    """Make of a closed log in chunks what format 1 would have been."""
    volume = SqliteVolume(str(path), SYSTEM)
    rows = volume.scan(0, 1_000_000)
    types = volume._db.execute("SELECT name, id FROM type")
    names = dict(types)
    volume.close()
    connection = apsw.Connection(str(path))
    connection.execute("BEGIN;" + _SINGLE)
    connection.executemany(
        "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)",
        [(r.seq, r.back, names[r.type], r.header, r.salt, r.payload) for r in rows],
    )
    connection.execute("DROP TABLE chunk; DROP TABLE chunk_type")
    connection.pragma("user_version", 1)
    connection.execute("COMMIT")
    connection.close()


Change = Callable[[list[Row]], list[Row]]


def edit(connection: apsw.Connection, seq: int, change: Change) -> None:
    """Change the rows of the chunk that an event is in, and store it as a
    volume would."""
    found = connection.execute(
        "SELECT * FROM chunk WHERE first <= ? ORDER BY first DESC LIMIT 1", (seq,)
    ).get
    packed = Packed(*found)
    chunk = Chunk(packed)
    ids = dict(connection.execute("SELECT id, name FROM type"))
    rows = change([chunk.row(n, ids) for n in range(chunk.first, chunk.end)])
    connection.execute("DELETE FROM chunk WHERE first = ?", (packed.first,))
    connection.execute("DELETE FROM chunk_type WHERE first = ?", (packed.first,))
    for start in range(0, len(rows), CHUNK_LENGTH):
        made = pack(rows[start : start + CHUNK_LENGTH], {name: one for one, name in ids.items()})
        connection.execute(
            "INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(made)
        )
        for kind in set(unpacked(made.types, made.count)):
            connection.execute("INSERT INTO chunk_type VALUES (?, ?)", (kind, made.first))


def replaced(seq: int, **changes: Any) -> Change:
    """Return what gives one row other values; a function makes one of the value
    there was."""

    def change(rows: list[Row]) -> list[Row]:
        return [_changed(row, changes) if row.seq == seq else row for row in rows]

    return change


def _changed(row: Row, changes: dict[str, Any]) -> Row:
    made = {
        name: value(getattr(row, name)) if callable(value) else value
        for name, value in changes.items()
    }
    return msgspec.structs.replace(row, **made)
