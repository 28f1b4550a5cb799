"""Memory: volume, blobs and keys that live as long as the process, for tests
and trials.

They pass the same conformance suites as the durable ones and differ in nothing
but durability.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from agentsquad.kernel.hashing import digest_bytes
from agentsquad.kernel.ports import Entropy
from agentsquad.runtime.ledger.adapters import cipher
from agentsquad.runtime.ledger.adapters.cipher import Entry
from agentsquad.runtime.ledger.contract import (
    Batch,
    BlobMissingError,
    Head,
    Row,
    StreamHead,
)
from agentsquad.runtime.ledger.merkle import EMPTY_ROOT


class MemoryVolume:
    """Rows in lists."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._head = Head(0, EMPTY_ROOT)
        self._streams: dict[str, StreamHead] = {}
        self._places: dict[int, list[int]] = {}
        self._types: dict[str, list[int]] = {}
        self._tiles: dict[tuple[int, int], bytes] = {}

    def begin(self) -> Head:
        """Return the head; there is only one writer."""
        return self._head

    def commit(self, batch: Batch) -> None:
        """Keep everything."""
        for head in (*batch.created, *batch.moved):
            self._streams[head.name] = StreamHead(
                head.id, head.name, head.version, head.last, head.leaf
            )
        for row in batch.rows:
            self._rows.append(row)
            places = self._places[row.back] if row.back else []
            places.append(row.seq)
            # Keyed by the newest event, so that the next one of the stream
            # finds it.
            self._places.pop(row.back, None)
            self._places[row.seq] = places
            self._types.setdefault(row.type, []).append(row.seq)
        for level, index, hashes in batch.tiles:
            self._tiles[level, index] = hashes
        self._head = batch.head

    def rollback(self) -> None:
        """Nothing is kept before `commit`."""

    def head(self) -> Head:
        """Return the newest head."""
        return self._head

    def witness(self) -> Head | None:
        """Return nothing: what is in memory is lost as a whole."""
        return None

    def stream(self, name: str) -> StreamHead | None:
        """Return a copy of the end of a stream."""
        head = self._streams.get(name)
        return head and StreamHead(head.id, head.name, head.version, head.last, head.leaf)

    def streams(self, prefix: str) -> list[tuple[str, int]]:
        """Return matching streams, oldest first."""
        return [(n, head.version) for n, head in self._streams.items() if n.startswith(prefix)]

    def seqs(self, head: StreamHead, after: int, limit: int | None) -> list[int]:
        """Return places of a stream's events."""
        places = self._places[head.last]
        return places[after : None if limit is None else after + limit]

    def rows(self, seqs: Sequence[int]) -> list[Row]:
        """Return the rows at these places."""
        return [self._rows[seq - 1] for seq in seqs if 0 < seq <= len(self._rows)]

    def scan(self, after: int, limit: int) -> list[Row]:
        """Return rows after a place."""
        return self._rows[after : after + limit]

    def typed(self, types: Sequence[str], after: int, limit: int) -> list[int]:
        """Return places of events of these types."""
        found: list[int] = []
        for name in set(types):
            places = self._types.get(name, [])
            start = bisect_right(places, after)
            found += places[start : start + limit]
        return sorted(found)[:limit]

    def tile(self, level: int, index: int) -> bytes | None:
        """Return a full tile."""
        return self._tiles.get((level, index))

    def types(self) -> dict[str, int]:
        """Return how many events of each type there are."""
        return {name: len(places) for name, places in self._types.items()}

    def weight(self) -> int:
        """Return the bytes of headers, salts, payloads and tiles."""
        rows = sum(len(r.header) + len(r.salt) + len(r.payload) for r in self._rows)
        return rows + sum(map(len, self._tiles.values()))

    def check(self) -> list[str]:
        """Return nothing: there are no files."""
        return []

    def close(self) -> None:
        """Nothing to let go of."""


class MemoryKeyRing:
    """Subjects' keys in a dictionary."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._entries: dict[str, Entry] = {}

    def encrypt(self, subject: str, data: bytes) -> bytes:
        """Return a box only the subject's key opens."""
        entry = self._entries.get(subject, Entry(None, 0))
        key = entry.key or self._entropy.token(cipher.KEY_SIZE)
        self._entries[subject] = Entry(key, entry.erasures)
        return cipher.encrypt(key, subject, data, self._entropy)

    def decrypt(self, subject: str, box: bytes) -> bytes | None:
        """Return what is in a box, None when its key was destroyed."""
        return cipher.decrypt(self._entries.get(subject), subject, box)

    def destroy(self, subject: str) -> int:
        """Forget a subject's key."""
        entry = self._entries.get(subject, Entry(None, 0))
        if entry.key is not None or not entry.erasures:
            self._entries[subject] = Entry(None, entry.erasures + 1)
        return 0 if entry.key is None else 1

    def erasures(self, subject: str) -> int | None:
        """Return how often a key of the subject was destroyed."""
        entry = self._entries.get(subject)
        return None if entry is None else entry.erasures

    def subjects(self) -> list[str]:
        """Return every subject with a key."""
        return sorted(name for name, entry in self._entries.items() if entry.key)

    def close(self) -> None:
        """Forget all keys."""
        self._entries.clear()


class MemoryBlobStore:
    """Blobs in a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def put(
        self, data: bytes, media_type: str = "application/octet-stream"
    ) -> dict[str, Any]:
        """Store bytes and return their reference."""
        digest = digest_bytes(data)
        self._blobs[digest] = bytes(data)
        return {"$blob": digest, "size": len(data), "media_type": media_type}

    async def get(self, digest: str) -> bytes:
        """Return the bytes."""
        try:
            return self._blobs[digest]
        except KeyError:
            raise BlobMissingError(f"there is no blob {digest!r}") from None

    async def digests(self) -> list[str]:
        """Return the digests of all blobs."""
        return sorted(self._blobs)

    async def delete(self, digest: str) -> None:
        """Forget the bytes."""
        self._blobs.pop(digest, None)
