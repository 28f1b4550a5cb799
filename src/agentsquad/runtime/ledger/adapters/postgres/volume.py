"""Volume: the log in tables of PostgreSQL (`ledger.contract.Volume`).

All writers queue for one row, `head`: who has locked it knows the newest head
and the newest fencing token, and nobody can take over between the look and the
commit. A commit is one round trip of prepared statements over whole arrays.
After a connection was lost amid a commit, locking the row again waits until the
old transaction has ended one way or the other; whether the batch is there then
is seen from its last header, which holds a random salt's digest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import merge
from itertools import islice
from typing import Protocol

from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.ledger.adapters.postgres import codec, schema
from agentsquad.runtime.ledger.adapters.postgres.codec import (
    BYTEA,
    BYTEA_ARRAY,
    INT4,
    INT4_ARRAY,
    INT8,
    INT8_ARRAY,
    TEXT,
    TEXT_ARRAY,
    columns,
    int4,
    int8,
    number,
)
from agentsquad.runtime.ledger.adapters.postgres.tenure import LOG, TOLD, Fence, channel
from agentsquad.runtime.ledger.adapters.postgres.wire import (
    BEGIN,
    COMMIT,
    ROLLBACK,
    Command,
    LostError,
    Statement,
    Wire,
)
from agentsquad.runtime.ledger.adapters.witness import Witness
from agentsquad.runtime.ledger.contract import (
    CHAPTER_LENGTH,
    Batch,
    DamagedError,
    Head,
    LapsedError,
    OutcomeUnknownError,
    Row,
    StreamHead,
    UnreachableError,
)

TRIES = 5

_LOCK = Statement("SELECT size, root, token FROM head FOR UPDATE")
_HEAD = Statement("SELECT size, root FROM head")
_EVENTS = Statement(
    "INSERT INTO event SELECT * FROM unnest($1, $2, $3, $4, $5, $6)",
    *(INT8_ARRAY, INT8_ARRAY, INT4_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY),
)
_CREATED = Statement(
    "INSERT INTO stream SELECT * FROM unnest($1, $2, $3, $4, $5)",
    *(INT8_ARRAY, TEXT_ARRAY, INT8_ARRAY, INT8_ARRAY, BYTEA_ARRAY),
)
_MOVED = Statement(
    "UPDATE stream s SET version = m.version, last = m.last, leaf = m.leaf"
    " FROM unnest($1, $2, $3, $4) AS m(id, version, last, leaf) WHERE s.id = m.id",
    *(INT8_ARRAY, INT8_ARRAY, INT8_ARRAY, BYTEA_ARRAY),
)
_LINK = (
    "WITH RECURSIVE link(seq, back, n) AS (SELECT seq, back, 1::int8 FROM event WHERE seq = {0}"
    " UNION ALL SELECT e.seq, e.back, l.n + 1 FROM link l JOIN event e ON e.seq = l.back"
    " WHERE l.n < {1})"
)
_CHAPTER = Statement(
    f"{_LINK.format('$3', CHAPTER_LENGTH)} INSERT INTO chapter"
    " SELECT $1, $2, array_agg(seq ORDER BY n DESC) FROM link",
    *(INT8, INT8, INT8),
)
_LINKS = Statement(
    f"{_LINK.format('$1', '$2')} SELECT seq FROM link ORDER BY n DESC", *(INT8, INT8)
)
_CHAPTERS = Statement(
    "SELECT places FROM chapter WHERE stream = $1 AND number BETWEEN $2 AND $3 ORDER BY number",
    *(INT8, INT8, INT8),
)
_TILES = Statement(
    "INSERT INTO tile SELECT * FROM unnest($1, $2, $3)", *(INT4_ARRAY, INT8_ARRAY, BYTEA_ARRAY)
)
_TILE = Statement("SELECT hashes FROM tile WHERE level = $1 AND number = $2", INT4, INT8)
_MOVE_HEAD = Statement("UPDATE head SET size = $1, root = $2 WHERE id = 1", INT8, BYTEA)
_NOTIFY = Statement("SELECT pg_notify($1, '')", TEXT)
_NEW_TYPES = Statement(
    "INSERT INTO type SELECT (SELECT count(*) FROM type) + n, name"
    " FROM unnest($1) WITH ORDINALITY AS t(name, n)",
    TEXT_ARRAY,
)
_TYPE_IDS = Statement("SELECT id, name FROM type")
_STREAM = Statement("SELECT id, version, last, leaf FROM stream WHERE name = $1", TEXT)
_STREAMS = Statement(
    "SELECT name, version FROM stream WHERE starts_with(name, $1) AND name >= $1 ORDER BY id", TEXT
)
_ROW = "e.seq, e.back, e.type, e.header, e.salt, e.payload"
_ROWS = Statement(
    f"SELECT {_ROW} FROM unnest($1) WITH ORDINALITY AS j(seq, n) JOIN event e USING (seq)"
    " ORDER BY j.n",
    INT8_ARRAY,
)
_SCAN = Statement(f"SELECT {_ROW} FROM event e WHERE seq > $1 ORDER BY seq LIMIT $2", INT8, INT8)
_TYPED = Statement(
    "SELECT seq FROM event WHERE type = $1 AND seq > $2 ORDER BY seq LIMIT $3", INT4, INT8, INT8
)
_COUNTS = Statement("SELECT t.name, count(*) FROM event e JOIN type t ON t.id = e.type GROUP BY 1")
_CHECKS = {
    "the events are not 1 to the size of the head": (
        "SELECT (SELECT count(*) FROM event) <> size OR (SELECT coalesce(max(seq), 0) FROM event)"
        " <> size FROM head"
    ),
    "an event has no stream": (
        "SELECT (SELECT coalesce(sum(version), 0) FROM stream) <> size FROM head"
    ),
    "a page of the events cannot be read": (
        "SELECT coalesce(sum(length(header) + length(salt) + length(payload)), 0) < 0 FROM event"
    ),
}


class Closable(Protocol):
    """What holds a connection."""

    def close(self) -> None:
        """Let go of it."""
        ...


class PostgresVolume:
    """The tables of one log, over one connection."""

    guards_names = True

    def __init__(self, wire: Wire, witness: Witness | None = None) -> None:
        self._wire = wire
        self._witness = witness
        self.fence = Fence(wire)
        self._types: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._start = Head(0, b"")
        self._taken = False  # whether the last commit was refused for what is there
        self.others: list[Closable] = []  # let go of with it
        schema.ensure(wire)
        self._load_types()

    # --- writing

    def begin(self) -> Head:
        """Lock the head and return it; FencedError when another process drives
        the runs by now.
        """
        head, token = self._lock()
        held = self.fence.held
        if held is not None and token != held:
            self.rollback()
            raise self.fence.lost(token)
        self._start = head
        return head

    def _lock(self) -> tuple[Head, int]:
        wire = self._wire
        if wire.inside:
            self.rollback()
        try:
            [_, found] = wire.ask((BEGIN, ()), (_LOCK, ()))
        except SquadError:
            wire.inside = wire.connected  # it began, and then was refused
            self.rollback()
            raise
        wire.inside = True
        [(size, root, token)] = self._one(found)
        return Head(number(size), root), number(token)

    def commit(self, batch: Batch) -> None:
        """Write all in one transaction; returning means it is durable."""
        wire = self._wire
        try:
            for _ in range(TRIES):
                try:
                    wire.run(*self._commands(batch))
                    break
                except LostError as error:
                    if self._settled(batch, error):
                        break
            else:
                raise wire.lapsed(LostError(f"{TRIES} times in a row"))
        except SquadError as error:
            self._names.clear()
            taken = isinstance(error, LapsedError) and error.details.get("taken", False)
            if taken and self._taken:
                raise self._damaged("it holds rows beyond its head") from error
            self._taken = bool(taken)
            raise
        wire.inside = self._taken = False
        if self._witness is not None:
            self._witness.write(batch.head)

    def _commands(self, batch: Batch) -> list[Command]:
        types = self._type_ids(batch.rows)
        rows = batch.rows
        commands: list[Command] = [
            (
                _EVENTS,
                [
                    codec.int8_array([r.seq for r in rows]),
                    codec.int8_array([r.back for r in rows]),
                    codec.int4_array([types[r.type] for r in rows]),
                    codec.bytes_array([r.header for r in rows]),
                    codec.bytes_array([r.salt for r in rows]),
                    codec.bytes_array([r.payload for r in rows]),
                ],
            )
        ]
        if batch.created:
            commands.append((_CREATED, _ends(batch.created, names=True)))
        if batch.moved:
            commands.append((_MOVED, _ends(batch.moved, names=False)))
        for stream, chapter, last in batch.chapters:
            commands.append((_CHAPTER, [int8(stream), int8(chapter), int8(last)]))
        if batch.tiles:
            levels, places, hashes = zip(*batch.tiles, strict=True)
            commands.append(
                (
                    _TILES,
                    [
                        codec.int4_array(levels),
                        codec.int8_array(places),
                        codec.bytes_array(hashes),
                    ],
                )
            )
        name = channel(self._wire.target, TOLD if self.fence.held is None else LOG)
        commands += [
            (_MOVE_HEAD, [int8(batch.head.size), batch.head.root]),
            (_NOTIFY, [name]),
            (COMMIT, ()),
        ]
        return commands

    def _settled(self, batch: Batch, error: LostError) -> bool:
        """Find out whether a commit whose connection was lost was written; if
        not, be ready to write it again.
        """
        start = self._start
        try:
            head, token = self._lock()
            written = False
            if head.size >= batch.head.size:
                last = batch.rows[-1]
                written = any(row.header == last.header for row in self.rows([last.seq]))
        except (UnreachableError, LostError) as still:
            raise OutcomeUnknownError(
                f"{self._wire.target.shown} was lost amid a commit; whether it was written is"
                " unknown",
                hint="when the server answers again, read before you try again",
                private=f"{error}; {still}",
            ) from error
        if written:
            self.rollback()
            return True
        if self.fence.held not in (None, token):
            self.rollback()
            raise self.fence.lost(token)
        if head != start:
            self.rollback()
            raise self._wire.lapsed(error)
        return False

    def rollback(self) -> None:
        """End the transaction without a trace; allowed when there is none."""
        wire = self._wire
        if not wire.inside:
            return
        wire.inside = False
        if wire.connected:
            try:
                wire.run((ROLLBACK, ()))
            except LostError:
                return  # the server ends it

    def _type_ids(self, rows: Sequence[Row]) -> dict[str, int]:
        if not self._names:
            self._load_types()
        wanted = dict.fromkeys(row.type for row in rows)
        new = [name for name in wanted if name not in self._types]
        if new:
            self._load_types()
            new = [name for name in new if name not in self._types]
        if new:
            encoded = codec.bytes_array([name.encode() for name in new], TEXT)
            self._wire.ask((_NEW_TYPES, [encoded]))
            self._load_types()
            self._names.clear()  # until it is sure that they are kept
        return self._types

    def _load_types(self) -> None:
        [found] = self._wire.ask((_TYPE_IDS, ()))
        self._names = {number(id_): name.decode() for id_, name in columns(found)}
        self._types = {name: id_ for id_, name in self._names.items()}

    # --- reading

    def head(self) -> Head:
        """Return the newest committed head, whoever committed it."""
        [found] = self._wire.ask((_HEAD, ()))
        [(size, root)] = self._one(found)
        return Head(number(size), root)

    def witness(self) -> Head | None:
        """Return the newest head this machine has seen, if it notes them."""
        return None if self._witness is None else self._witness.read()

    def stream(self, name: str) -> StreamHead | None:
        """Return the end of a stream."""
        [found] = self._wire.ask((_STREAM, [name.encode()]))
        for id_, version, last, leaf in columns(found):
            return StreamHead(number(id_), name, number(version), number(last), leaf)
        return None

    def streams(self, prefix: str) -> list[tuple[str, int]]:
        """Return (name, version) of every stream whose name starts so, oldest
        first.
        """
        [found] = self._wire.ask((_STREAMS, [prefix.encode()]))
        return [(name.decode(), number(version)) for name, version in columns(found)]

    def seqs(self, head: StreamHead, after: int, limit: int | None) -> list[int]:
        """Return where a stream's events are: whole chapters by note, the rest
        by chain.
        """
        end = head.version if limit is None else min(head.version, after + limit)
        noted = head.version - head.version % CHAPTER_LENGTH
        places: list[int] = []
        commands: list[Command] = []
        first = after // CHAPTER_LENGTH
        if after < noted:
            last = (min(end, noted) - 1) // CHAPTER_LENGTH
            commands.append((_CHAPTERS, [int8(head.id), int8(first), int8(last)]))
        if end > noted:
            commands.append((_LINKS, [int8(head.last), int8(head.version - max(after, noted))]))
        found = self._wire.ask(*commands) if commands else []
        if after < noted:
            for (data,) in columns(found[0]):
                places += codec.int8_list(data)
            places = places[after - first * CHAPTER_LENGTH :]
        if end > noted:
            places += [number(seq) for (seq,) in columns(found[-1])]
        return places[: end - after]

    def rows(self, seqs: Sequence[int]) -> list[Row]:
        """Return the rows at these places in this order; what is absent is left
        out.
        """
        if not seqs:
            return []
        [found] = self._wire.ask((_ROWS, [codec.int8_array(list(seqs))]))
        return self._read(found)

    def scan(self, after: int, limit: int) -> list[Row]:
        """Return at most `limit` rows with `seq` > `after`, in order."""
        [found] = self._wire.ask((_SCAN, [int8(after), int8(limit)]))
        return self._read(found)

    def _read(self, found: object) -> list[Row]:
        names = self._names
        rows = []
        for seq, back, kind, header, salt, payload in columns(found):
            name = names.get(number(kind))
            if name is None:
                self._load_types()
                names = self._names
                name = names.get(number(kind))
                if name is None:
                    raise self._damaged(f"event {number(seq)} has no type")
            rows.append(Row(number(seq), number(back), name, header, salt, payload))
        return rows

    def typed(self, types: Sequence[str], after: int, limit: int) -> list[int]:
        """Return where events of these types are, in order."""
        wanted = list(dict.fromkeys(types))
        if any(name not in self._types for name in wanted):
            self._load_types()
        kinds = [self._types[name] for name in wanted if name in self._types]
        if not kinds:
            return []
        found = self._wire.ask(
            *((_TYPED, [int4(kind), int8(after), int8(limit)]) for kind in kinds)
        )
        ordered = [[number(seq) for (seq,) in columns(one)] for one in found]
        return list(islice(merge(*ordered), limit))

    def tile(self, level: int, index: int) -> bytes | None:
        """Return the hashes of a full tile."""
        [found] = self._wire.ask((_TILE, [int4(level), int8(index)]))
        for (hashes,) in columns(found):
            return bytes(hashes)
        return None

    def types(self) -> dict[str, int]:
        """Return how many events of each type there are."""
        [found] = self._wire.ask((_COUNTS, ()))
        return {name.decode(): number(count) for name, count in sorted(columns(found))}

    def weight(self) -> int:
        """Return how many bytes the tables and indexes take on the server."""
        return schema.weight(self._wire)

    def check(self) -> list[str]:
        """Return which counts do not agree, and whether each event can be
        read.
        """
        found = []
        for what, sql in _CHECKS.items():
            try:
                [said] = self._wire.ask((Statement(sql), ()))
            except SquadError as error:
                found.append(f"{what}: {error.message}")
                continue
            if said.ntuples != 1 or said.get_value(0, 0) != b"\x00":
                found.append(what)
        return found

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Call `heard` after each commit of another process."""
        return self.fence.listen(lambda _: heard(), LOG, TOLD)

    def close(self) -> None:
        """Let go of the connections."""
        if self._witness is not None:
            self._witness.close()
        self.fence.close()
        for other in self.others:
            other.close()
        self._wire.close()

    def _one(self, found: object) -> list[tuple[bytes, ...]]:
        rows = list(columns(found))
        if len(rows) != 1:
            raise self._damaged("the head is missing")
        return rows

    def _damaged(self, what: str) -> DamagedError:
        return DamagedError(f"{self._wire.target.shown}: {what}", hint="restore it from a backup")


def _ends(heads: Sequence[StreamHead], *, names: bool) -> list[bytes]:
    values = [codec.int8_array([head.id for head in heads])]
    if names:
        values.append(codec.bytes_array([head.name.encode() for head in heads], TEXT))
    return [
        *values,
        codec.int8_array([head.version for head in heads]),
        codec.int8_array([head.last for head in heads]),
        codec.bytes_array([head.leaf for head in heads]),
    ]
