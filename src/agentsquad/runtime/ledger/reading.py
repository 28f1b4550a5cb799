"""Reading: rows become events only after they were checked against the tree.

Every row served is compared with the leaf its tile commits to, every tile with
the tile above, up to the partial tiles in memory whose root was compared with
the stored head; the payload is compared with the header's digest; a stream is
followed link by link and must end where its head says. Damage is therefore met
as DamagedError, never as different data.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import sha256

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.runtime.ledger.contract import (
    DamagedError,
    Head,
    KeyRing,
    Record,
    Row,
    StreamHead,
    Volume,
)
from agentsquad.runtime.ledger.header import Header, parse
from agentsquad.runtime.ledger.merkle import HASH_SIZE, TILE_WIDTH
from agentsquad.runtime.ledger.sealing import MARK, unseal
from agentsquad.runtime.ledger.tree import TILE_SIZE, GrowingTree, fold

TILES_KEPT = 512

_decode = msgspec.json.Decoder().decode


class Reader:
    """Checks what a volume holds against the tree it is told to follow."""

    def __init__(self, volume: Volume, keyring: KeyRing) -> None:
        self._volume = volume
        self._keyring = keyring
        self._tree = GrowingTree()
        self._tiles: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def adopt(self, tree: GrowingTree, head: Head) -> None:
        """Follow a tree that was rebuilt, if it is the one the stored head
        names.
        """
        if tree.size != head.size or tree.root() != head.root:
            raise DamagedError(
                f"the {head.size} events do not have the root the log was left with",
                hint="run 'squad log verify' to find the place, then restore from a backup",
                details={"size": head.size},
            )
        self.follow(tree)

    def follow(self, tree: GrowingTree) -> None:
        """Follow a tree this process extended itself."""
        self._tree = tree

    # --- rows to values ---

    def headers(self, rows: Iterable[Row]) -> list[Header]:
        """Return the headers of rows, each proven to be in the tree with its
        payload.
        """
        headers = []
        for row in rows:
            seq = row.seq
            if sha256(b"\x00" + row.header).digest() != self._leaf(seq):
                raise _damaged(seq, "the header is not the one in the tree")
            header = parse(row.header, seq)
            digest = "sha256:" + sha256(row.salt + row.payload).hexdigest()
            if digest != header.payload_digest:
                raise _damaged(seq, "the payload is not the one the header names")
            if row.type != header.type:
                raise _damaged(seq, f"it is filed as {row.type!r}, the header says {header.type!r}")
            headers.append(header)
        return headers

    def records(self, rows: Sequence[Row]) -> list[Record]:
        """Return rows as records, checked."""
        self.headers(rows)
        return [
            Record(row.seq, row.header, row.salt, row.payload, self._leaf(row.seq)) for row in rows
        ]

    def events(self, rows: Sequence[Row], *, opened: bool = True) -> list[Event]:
        """Return rows as events, checked; personal values opened where their
        key exists.
        """
        return self._events(rows, self.headers(rows), opened)

    def _events(self, rows: Sequence[Row], headers: Sequence[Header], opened: bool) -> list[Event]:
        events = []
        for row, header in zip(rows, headers, strict=True):
            payload = _decode(row.payload)
            if opened and MARK in row.payload:
                payload = unseal(payload, self._keyring.decrypt)
            events.append(
                Event(
                    seq=header.seq,
                    stream=header.stream,
                    stream_seq=header.stream_seq,
                    type=header.type,
                    version=header.version,
                    at=header.at,
                    actor=header.actor,
                    cause=header.cause,
                    correlation=header.correlation,
                    payload_digest=header.payload_digest,
                    prev=header.prev,
                    payload=payload,
                )
            )
        return events

    def stream(self, head: StreamHead, after: int, limit: int | None, size: int) -> list[Event]:
        """Return a stream's events after `after`, each linked to the one
        before.
        """
        count = head.version - after if limit is None else min(limit, head.version - after)
        if head.last > size:
            raise _damaged(head.last, f"stream {head.name!r} ends beyond the log")
        # One event before the first is read as well: the first must link to it.
        before = 1 if after else 0
        seqs = self._volume.seqs(head, after - before, count + before)
        rows = self.exactly(seqs)
        headers = self.headers(rows)
        expected = after - before
        prev: str | None = None
        for row, header in zip(rows, headers, strict=True):
            expected += 1
            if header.stream != head.name or header.stream_seq != expected:
                raise _damaged(row.seq, f"it is not event {expected} of stream {head.name!r}")
            if (expected > after - before + 1 or expected == 1) and header.prev != prev:
                raise _damaged(row.seq, f"it does not follow event {expected - 1} of its stream")
            prev = "sha256:" + sha256(b"\x00" + row.header).hexdigest()
        if len(rows) != count + before:
            raise _damaged(
                head.last, f"stream {head.name!r} has {head.version} events, not all are there"
            )
        if expected == head.version and prev != "sha256:" + head.leaf.hex():
            raise _damaged(head.last, f"stream {head.name!r} does not end as its head says")
        return self._events(rows[before:], headers[before:], opened=True)

    # --- completeness ---

    def exactly(self, seqs: Sequence[int]) -> list[Row]:
        """Return the rows at these places; DamagedError names the first that is
        missing.
        """
        rows = self._volume.rows(seqs)
        if len(rows) != len(seqs):
            there = {row.seq for row in rows}
            raise _damaged(next((seq for seq in seqs if seq not in there), 0), "it is missing")
        return rows

    def gapless(self, rows: list[Row], after: int, count: int) -> list[Row]:
        """Return rows that must be the `count` after `after`, without a gap."""
        for expected, row in enumerate(rows, start=after + 1):
            if row.seq != expected:
                raise _damaged(expected, "it is missing")
        if len(rows) != count:
            raise _damaged(after + len(rows) + 1, "it is missing")
        return rows

    # --- the tree ---

    def tile(self, level: int, index: int) -> bytes:
        """Return the hashes of a tile, full or the growing one, proven to be in
        the tree.
        """
        tails = self._tree.tails
        if level < len(tails) and index == self._count(level) // TILE_WIDTH:
            return b"".join(tails[level])
        return self._full(level, index)

    def stored_tile(self, level: int, index: int) -> bytes:
        """Return a full tile as it is stored, not yet proven."""
        data = self._volume.tile(level, index)
        if data is None or len(data) != TILE_SIZE:
            first = (index << (8 * (level + 1))) + 1
            raise DamagedError(
                f"tile {level}/{index} of the tree is missing or cut",
                hint="run 'squad log verify'",
                details={"seq": first, "level": level, "index": index},
            )
        return data

    def _count(self, level: int) -> int:
        return self._tree.size >> (8 * level)

    def _leaf(self, seq: int) -> bytes:
        return self._node(0, seq - 1)

    def _node(self, level: int, number: int) -> bytes:
        """Return hash `number` of a tile level."""
        index, offset = divmod(number, TILE_WIDTH)
        if not 0 <= number < self._count(level):
            raise _damaged(number + 1, "it is beyond the end of the tree")
        if index == self._count(level) // TILE_WIDTH:
            return self._tree.tails[level][offset]
        at = offset * HASH_SIZE
        return self._full(level, index)[at : at + HASH_SIZE]

    def _full(self, level: int, index: int) -> bytes:
        tiles = self._tiles
        data = tiles.get((level, index))
        if data is None:
            data = self.stored_tile(level, index)
            if fold(data) != self._node(level + 1, index):
                raise DamagedError(
                    f"tile {level}/{index} is not the one in the tree",
                    details={"seq": (index << (8 * (level + 1))) + 1, "level": level},
                )
            tiles[level, index] = data
            if len(tiles) > TILES_KEPT:
                tiles.popitem(last=False)
        return data


def _damaged(seq: int, what: str) -> DamagedError:
    return DamagedError(
        f"event {seq}: {what}",
        hint="run 'squad log verify', then restore from a backup",
        details={"seq": seq},
    )
