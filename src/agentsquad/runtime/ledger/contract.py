"""What others may know of the ledger: its records, its ports and its errors.

`EventStore` and `BlobStore` are kernel ports; this adds what only a ledger
needs: raw records for proofs, tiles, the keys of data subjects, and the volume
that an adapter implements. Everything above a volume (numbering, hashing,
sealing, checking) is one code path for every store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from agentsquad.kernel.errors import (
    ConflictError,
    DeniedError,
    IntegrityError,
    InvalidError,
    MissingError,
    UnavailableError,
    UnsupportedError,
)
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.ports import BlobStore, EventStore

SUBJECT_NAMED = "subject.named"
"""Says, sealed, whose a subject is: {"name": …} in the stream
`subject/<subject>`."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """An event as bytes, which is what proofs are made of.

    `header` is canonical JSON and `leaf` SHA-256(0x00 || header); the header's
    `payload_digest` is SHA-256(`salt` || `payload`). `payload` is canonical
    JSON in which personal values are sealed.
    """

    seq: int
    header: bytes
    salt: bytes
    payload: bytes
    leaf: bytes


class Head(msgspec.Struct, frozen=True, gc=False):
    """The state of the log: how many events, and the RFC 6962 root over their
    headers."""

    size: int
    root: bytes


class Row(msgspec.Struct, frozen=True, gc=False):
    """One event as a volume keeps it.

    `back` is the `seq` of the previous event of the same stream (0: none). It
    is an index, not evidence: the chain is proven by the `prev` hash in the
    header.
    """

    seq: int
    back: int
    type: str
    header: bytes
    salt: bytes
    payload: bytes


class StreamHead(msgspec.Struct, gc=False):
    """The end of one stream: the second place that says how long it is.

    `id` is the `seq` of its first event, `last` of its last, `leaf` the
    latter's leaf hash.
    """

    id: int
    name: str
    version: int
    last: int
    leaf: bytes


CHAPTER_LENGTH = 64


class Batch(msgspec.Struct):
    """Everything one commit writes.

    `created` and `moved` are the ends of the streams it touches. `chapters` are
    (stream id, number, seq of the last event) for every `CHAPTER_LENGTH` events
    of a stream that became complete: a volume may note their places, so that
    long streams can be entered in the middle.
    """

    rows: list[Row]
    created: list[StreamHead]
    moved: list[StreamHead]
    chapters: list[tuple[int, int, int]]
    tiles: list[tuple[int, int, bytes]]
    head: Head


class Volume(Protocol):
    """Where rows lie; an adapter keeps them durable and knows nothing of their
    meaning.

    Every method may raise the errors of this module; no vendor error leaves an
    adapter.
    """

    def begin(self) -> Head:
        """Start the only write transaction there may be and return the head it
        starts from."""
        ...

    def commit(self, batch: Batch) -> None:
        """Write everything, make it durable and end the transaction."""
        ...

    def rollback(self) -> None:
        """End the transaction without a trace; allowed when there is none."""
        ...

    def head(self) -> Head:
        """Return the newest committed head, whoever committed it."""
        ...

    def witness(self) -> Head | None:
        """Return the newest head noted outside the volume's own files, if there
        is one."""
        ...

    def stream(self, name: str) -> StreamHead | None:
        """Return the end of a stream, as of now."""
        ...

    def streams(self, prefix: str) -> list[tuple[str, int]]:
        """Return (name, version) of every stream whose name starts so, oldest
        first."""
        ...

    def seqs(self, head: StreamHead, after: int, limit: int | None) -> list[int]:
        """Return where the events of a stream with `stream_seq` > `after` are,
        in order."""
        ...

    def rows(self, seqs: Sequence[int]) -> list[Row]:
        """Return the rows at these places in this order; what is absent is left
        out."""
        ...

    def scan(self, after: int, limit: int) -> list[Row]:
        """Return at most `limit` rows with `seq` > `after`, in order."""
        ...

    def typed(self, types: Sequence[str], after: int, limit: int) -> list[int]:
        """Return where events of these types with `seq` > `after` are, in
        order."""
        ...

    def tile(self, level: int, index: int) -> bytes | None:
        """Return the 256 hashes of a full tile, None when it is absent."""
        ...

    def types(self) -> dict[str, int]:
        """Return how many events of each type there are."""
        ...

    def weight(self) -> int:
        """Return how many bytes the volume occupies."""
        ...

    def check(self) -> list[str]:
        """Return what the technology's own check of its files finds wrong."""
        ...

    def close(self) -> None:
        """Let go of files; the volume cannot be used afterwards."""
        ...


class KeyRing(Protocol):
    """The keys of data subjects, kept apart from the log: dropping one erases a
    person.

    Keys never leave the ring; it encrypts and decrypts for those who ask.
    """

    def encrypt(self, subject: str, data: bytes) -> bytes:
        """Return a box only the subject's key opens; a new key is made durable
        first."""
        ...

    def decrypt(self, subject: str, box: bytes) -> bytes | None:
        """Return what is in a box, None when its key was destroyed.

        Raises KeyLostError when the key is gone though nobody destroyed it.
        """
        ...

    def destroy(self, subject: str) -> int:
        """Overwrite and forget the subject's key for good, remember that it was
        destroyed, and say how many there were (0 or 1)."""
        ...

    def erasures(self, subject: str) -> int | None:
        """Return how often a key of the subject was destroyed; None when there
        never was one."""
        ...

    def subjects(self) -> list[str]:
        """Return every subject with a key."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


class RecordStore(EventStore, Protocol):
    """An event store that also gives out what proofs and readings need."""

    @property
    def volume(self) -> Volume:
        """The volume below, for those who check or weigh it."""
        ...

    async def head(self) -> Head:
        """Return size and root of the log as it stands, events of other
        processes included."""
        ...

    async def record(self, seq: int) -> Record:
        """Return one checked record; MissingError `ledger.missing` beyond the
        end."""
        ...

    async def read_records(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        """Return checked records with `seq` > `after`, in order."""
        ...

    async def read_sealed(
        self, *, after: int = 0, limit: int = 1000, types: Sequence[str] | None = None
    ) -> list[Event]:
        """Return events as `read` does, personal values left sealed: what
        readings are made of."""
        ...

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile of the tree
        (`merkle.TileSource`)."""
        ...

    async def wait(self, after: int, *, timeout_ms: float | None = None) -> int:
        """Return the log's size as soon as it is greater than `after`, or when
        time is up."""
        ...

    def close(self) -> None:
        """Refuse whatever waits and let go of the files."""
        ...


class RebuildReport(msgspec.Struct, kw_only=True):
    """What was rebuilt or compared: digests of tables after so many events."""

    events: int
    tables: dict[str, str]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a table: rows whose columns `equal` these values, in an order
    that tells any two rows apart, beyond the place `after`.

    Swift where an index begins with the columns of `equal` and goes on with
    those of `order`. Rows that hold null in a column of `order` are left out.
    """

    order: tuple[str, ...]
    equal: Mapping[str, Any] = {}
    after: tuple[Any, ...] | None = None
    descending: bool = False
    limit: int = 100


class ReadingSet(Protocol):
    """The projections of a ledger (`projection.Readings`)."""

    @property
    def names(self) -> list[str]:
        """The names of all projections."""
        ...

    def add(self, *projections: Any) -> None:
        """Offer more projections."""
        ...

    def attend(self, projection: str) -> Sized | None:
        """Have what this process appends kept for a projection until it is
        followed: how much that is; None where the log does not tell.
        """
        ...

    async def rows(self, projection: str, table: str | None = None) -> list[dict[str, Any]]:
        """Return a table as of the newest event, in the order of its key."""
        ...

    async def select(
        self, projection: str, query: Query, table: str | None = None
    ) -> list[dict[str, Any]]:
        """Return a page of a table as of the newest event."""
        ...

    async def follow(self, *names: str) -> int:
        """Take in what was appended; return the log's size then."""
        ...

    async def rebuild(self, *names: str) -> RebuildReport:
        """Drop projections and build them from the first event on."""
        ...

    async def check(self, *names: str) -> RebuildReport:
        """Compare projections with a fresh build; ReadingDiffersError."""
        ...

    def close(self) -> None:
        """Let go of the tables."""
        ...


@dataclass(frozen=True)
class Ledger:
    """One opened ledger: the log, its blobs, its keys, and where its readings
    lie."""

    url: str
    store: RecordStore
    blobs: BlobStore
    keyring: KeyRing
    readings: ReadingSet
    files: Mapping[str, str] = field(default_factory=dict)
    tenure: Any = None

    def close(self) -> None:
        """Close the readings, the log and the keys."""
        self.readings.close()
        self.store.close()
        self.keyring.close()


class ExpectError(ConflictError):
    """A stream has moved on since it was read."""

    code = "ledger.expect"


class EventInvalidError(InvalidError):
    """The event cannot be written as it is."""

    code = "ledger.event"


class UrlInvalidError(InvalidError):
    """The address of the ledger is not understood."""

    code = "ledger.url"


class EventMissingError(MissingError):
    """There is no such event."""

    code = "ledger.missing"


class SubjectMissingError(MissingError):
    """Nothing is stored about such a person."""

    code = "ledger.subject_missing"


class BlobMissingError(MissingError):
    """There is no such blob."""

    code = "ledger.blob_missing"


class DamagedError(IntegrityError):
    """What is stored is not what was written."""

    code = "ledger.damaged"


class KeyLostError(DamagedError):
    """A subject's key is gone, though the subject was never erased."""

    code = "ledger.key_lost"


class ReadingDamagedError(DamagedError):
    """What is stored of the readings is not what was written."""


class ReadingDiffersError(IntegrityError):
    """A reading is not what the log says it should be."""

    code = "readings.differ"


class VerifyFailedError(DamagedError):
    """The ledger is not what its own hashes say."""

    code = "ledger.invalid"


class LostError(DamagedError):
    """Events that were acknowledged are gone."""

    code = "ledger.lost"


class PoisonedError(UnavailableError):
    """A write failed and nobody knows how much of it reached the disk: open the
    ledger again."""

    code = "ledger.poisoned"


class FullError(UnavailableError):
    """The disk is full; nothing was written."""

    code = "ledger.full"


class BusyError(UnavailableError):
    """Another process holds the ledger for too long."""

    code = "ledger.busy"


class UnreachableError(UnavailableError):
    """The server of the ledger does not answer; nothing was written."""

    code = "ledger.unreachable"


class LapsedError(UnavailableError):
    """Nothing was written: the connection was lost before the commit while
    others wrote, or what was to be made is there."""

    code = "ledger.lapsed"


class OutcomeUnknownError(UnavailableError):
    """The server was lost amid a commit and stayed away: whether it was written
    shows when the log is read again."""

    code = "ledger.unknown"


class FencedError(UnavailableError):
    """Another process drives the runs now; nothing was written."""

    code = "ledger.fenced"


class ReadOnlyError(UnavailableError):
    """The server of the ledger takes no writes."""

    code = "ledger.read_only"


class AccessDeniedError(DeniedError):
    """The server of the ledger lets nobody in with this name and password, or
    not so far."""

    code = "ledger.access"


class DatabaseMissingError(MissingError):
    """The server of the ledger has no such database."""

    code = "ledger.database"


class ExtraMissingError(UnsupportedError):
    """What this store needs is not installed."""

    code = "ledger.extra"


class SchemaError(UnsupportedError):
    """The store is of another release."""

    code = "ledger.schema"


class ReadFailedError(UnavailableError):
    """The ledger's file cannot be read or opened."""

    code = "ledger.unreadable"


class ClosedError(UnavailableError):
    """The ledger is closed."""

    code = "ledger.closed"


__all__ = [
    "CHAPTER_LENGTH",
    "AccessDeniedError",
    "Batch",
    "BlobMissingError",
    "BusyError",
    "ClosedError",
    "DamagedError",
    "DatabaseMissingError",
    "EventInvalidError",
    "EventMissingError",
    "ExpectError",
    "ExtraMissingError",
    "FencedError",
    "FullError",
    "Head",
    "LapsedError",
    "KeyLostError",
    "KeyRing",
    "Ledger",
    "LostError",
    "NewEvent",
    "OutcomeUnknownError",
    "PoisonedError",
    "ReadFailedError",
    "ReadOnlyError",
    "ReadingDiffersError",
    "ReadingSet",
    "RebuildReport",
    "Record",
    "RecordStore",
    "Row",
    "SchemaError",
    "StreamHead",
    "SubjectMissingError",
    "UnreachableError",
    "UrlInvalidError",
    "VerifyFailedError",
    "Volume",
]
