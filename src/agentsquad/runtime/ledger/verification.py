"""Verification: everything in a ledger recomputed from its bytes and compared.

Unlike a read, which stops at the first damage, this names all of it. It trusts
nothing that is stored: leaves, tiles, root, chains, stream ends and type counts
are computed from the headers alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.ledger import blob, sealing
from agentsquad.runtime.ledger.contract import Ledger, Row, Volume
from agentsquad.runtime.ledger.header import Header, leaf_of, parse
from agentsquad.runtime.ledger.merkle import HASH_SIZE, TILE_WIDTH
from agentsquad.runtime.ledger.tree import GrowingTree

BATCH = 2_000
FINDINGS_MAX = 100
ERASED_TYPE = "subject.erased"

Progress = Callable[[int, int], None]


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong: what, and at which event (`seq`), if at one."""

    seq: int | None
    what: str


class Verified(msgspec.Struct, kw_only=True):
    """What was looked at, and what is wrong; `valid` when nothing is."""

    valid: bool
    events: int
    streams: int
    tiles: int
    blobs: int
    root: str
    findings: list[Finding]


class _Walk:
    """What is known after each event."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self.tree = GrowingTree()
        self.ends: dict[str, tuple[int, str, int]] = {}
        self.types: dict[str, int] = {}
        self.blobs: dict[str, int] = {}
        self.removed: set[str] = set()
        self.subjects: dict[str, int] = {}
        self.erased: dict[str, int] = {}
        self.tiles = 0
        self.at = ""
        self.findings: list[Finding] = []

    def find(self, seq: int | None, what: str) -> None:
        """Note what is wrong, up to a number a person can read."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(seq, what))

    def take(self, rows: list[Row]) -> None:
        """Look at the next rows and the tiles they fill."""
        leaves: list[bytes] = []
        for row in rows:
            expected = self.tree.size + len(leaves) + 1
            if row.seq != expected:
                self.find(expected, f"missing: the next event is {row.seq}")
            leaves.append(leaf_of(row.header))
            try:
                self._event(row, parse(row.header, row.seq))
            except SquadError as error:
                self.find(row.seq, error.message)
        for level, index, hashes in self.tree.extend(leaves):
            self.tiles += 1
            stored = self.volume.tile(level, index)
            if stored != hashes:
                state = "missing" if stored is None else "not what the headers give"
                self.find((index << (8 * (level + 1))) + 1, f"tile {level}/{index} is {state}")
                if level == 0 and stored is not None and len(stored) == len(hashes):
                    self._compare(index * TILE_WIDTH + 1, stored, hashes)

    def _compare(self, first: int, stored: bytes, hashes: bytes) -> None:
        """Name the events of a tile whose hash is another one, unless it is
        the tile that is wrong."""
        differing = [
            at // HASH_SIZE
            for at in range(0, len(stored), HASH_SIZE)
            if stored[at : at + HASH_SIZE] != hashes[at : at + HASH_SIZE]
        ]
        for at in differing if len(differing) < TILE_WIDTH // 4 else ():
            self.find(first + at, "the event is not the one in the tree")

    def _event(self, row: Row, header: Header) -> None:
        seq = row.seq
        if canonical.dumps(msgspec.structs.asdict(header)) != row.header:
            self.find(seq, "the header is not canonical")
        if "sha256:" + sha256(row.salt + row.payload).hexdigest() != header.payload_digest:
            self.find(seq, "the payload is not the one the header names")
        version, leaf, last = self.ends.get(header.stream, (0, None, 0))
        if header.stream_seq != version + 1 or header.prev != leaf or row.back != last:
            self.find(seq, f"it does not follow event {version} of stream {header.stream!r}")
        link = "sha256:" + leaf_of(row.header).hex()
        self.ends[header.stream] = (header.stream_seq, link, seq)
        if header.at <= self.at:
            self.find(seq, "its clock reading is not after the one before")
        self.at = header.at
        if row.type != header.type:
            self.find(seq, f"it is filed as {row.type!r}, the header says {header.type!r}")
        self.types[header.type] = self.types.get(header.type, 0) + 1
        self._payload(seq, header, canonical.loads(row.payload))

    def _payload(self, seq: int, header: Header, payload: Any) -> None:
        for subject in sealing.subjects(payload):
            self.subjects.setdefault(subject, seq)
            self.erased.pop(subject, None)
        if header.type == ERASED_TYPE:
            self.subjects.pop(payload.get("subject"), None)
            self.erased[payload.get("subject")] = seq
            self.removed.update(payload.get("blobs") or ())
        for reference in blob.references(payload):
            self.blobs.setdefault(reference, seq)


async def verify(ledger: Ledger, progress: Progress) -> Verified:
    """Recompute everything and return what is wrong."""
    volume = ledger.store.volume
    walk = _Walk(volume)
    for line in volume.check():
        walk.find(None, line)
    head = volume.head()
    try:
        while walk.tree.size < head.size:
            rows = volume.scan(walk.tree.size, min(BATCH, head.size - walk.tree.size))
            if not rows:
                walk.find(walk.tree.size + 1, f"the log ends here, not at {head.size}")
                break
            walk.take(rows)
            progress(walk.tree.size, head.size)
            await asyncio.sleep(0)  # others may use the loop between batches
        _compare_ends(walk, volume, head.size)
    except SquadError as error:
        walk.find(walk.tree.size + 1, error.message)
    if walk.tree.root() != head.root:
        walk.find(None, "the root over all headers is not the stored one")
    noted = volume.witness()
    if noted is not None and noted.size > volume.head().size:
        walk.find(None, f"the log once had {noted.size} events")
    await _check_blobs(walk, ledger)
    _compare_keys(walk, set(ledger.keyring.subjects()))
    return Verified(
        valid=not walk.findings,
        events=walk.tree.size,
        streams=len(walk.ends),
        tiles=walk.tiles,
        blobs=len(walk.blobs),
        root="sha256:" + walk.tree.root().hex(),
        findings=walk.findings,
    )


def _compare_ends(walk: _Walk, volume: Volume, size: int) -> None:
    """Compare stream ends, chapters and type counts with what was computed."""
    before = len(walk.findings)
    stored = dict(volume.streams(""))
    for name, (version, leaf, last) in walk.ends.items():
        end = volume.stream(name)
        if end is None or stored.get(name) != version:
            walk.find(last, f"the end of stream {name!r} is not noted, or wrongly")
        elif (end.version, "sha256:" + end.leaf.hex(), end.last) != (version, leaf, last):
            walk.find(last, f"stream {name!r} does not end as its head says")
        elif len(volume.seqs(end, 0, None)) != version:
            walk.find(last, f"the places of stream {name!r} are incomplete")
    for name in stored.keys() - walk.ends.keys():
        walk.find(None, f"stream {name!r} has an end but no events")
    if volume.types() != dict(sorted(walk.types.items())):
        walk.find(None, "the index of types does not list every event")
    if volume.head().size != size:
        # Somebody appended meanwhile, so the ends were ahead of the walk.
        del walk.findings[before:]


def _compare_keys(walk: _Walk, known: set[str]) -> None:
    for subject, seq in walk.subjects.items():
        if subject not in known:
            walk.find(seq, f"the key of {subject!r} is gone, though no event says it was erased")
    for subject, seq in walk.erased.items():
        if subject in known:
            walk.find(seq, f"{subject!r} was erased, but its key is there again")


async def _check_blobs(walk: _Walk, ledger: Ledger) -> None:
    for digest, seq in walk.blobs.items():
        if digest in walk.removed:
            continue
        try:
            await ledger.blobs.get(digest)
        except SquadError as error:
            walk.find(seq, error.message)
