"""Chunk: up to 64 events side by side, as small as they can be kept.

What every reader can compute again is not kept: of a header the digest of its
payload, and its link where the event before in its stream lies in the same
chunk. The rest, which is nearly alike from event to event, is compressed as
one. A row that comes out is byte for byte the one that went in: the reader
compares its header with the tree, so a mistake here can only be met as damage.

Apart from the volume that stores chunks: these bytes are the format.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec

from agentsquad.kernel.errors import BugError
from agentsquad.runtime.ledger.contract import DamagedError, Row

CHUNK_LENGTH = 64
SALT_SIZE = 16
_LEVEL = 1  # higher ones take twice the time for a tenth of the bytes
_MEMORY = 6  # 8, as is usual, takes memory anew from the system: 100 us for each chunk
_DIGEST = b'"payload_digest":"sha256:'
_LINK = b'","prev":"sha256:'
_HEX = 64
_WIDTHS = {2: "H", 4: "I", 8: "Q"}


class Packed(msgspec.Struct, frozen=True, gc=False):
    """A chunk as it is stored.

    `types` and `backs` are whole numbers of 2, 4 or 8 bytes, little-endian, one
    an event: the id of its type, and how far before it the event before in its
    stream is (0: none). `kinds` says how many types there are.
    """

    first: int
    count: int
    kinds: int
    types: bytes
    backs: bytes
    salts: bytes
    body: bytes


def pack(rows: Sequence[Row], types: Mapping[str, int]) -> Packed:
    """Return rows that follow on one another as a chunk."""
    first = rows[0].seq
    heads: list[bytes] = []
    for row in rows:
        header = row.header
        at = header.find(_DIGEST) + len(_DIGEST)
        end = at + _HEX
        link = end + len(_LINK)
        if row.back >= first and header[end:link] == _LINK:
            heads.append(header[:at] + header[end:link] + header[link + _HEX :])
        else:
            heads.append(header[:at] + header[end:])
    body = b"\n".join([*heads, *[row.payload for row in rows]])
    small = zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, _MEMORY)
    salts = b"".join([row.salt for row in rows])
    if body.count(b"\n") != 2 * len(rows) - 1 or len(salts) != SALT_SIZE * len(rows):
        raise BugError("an event is not as canonical JSON is", code="ledger.chunk")
    kinds = [types[row.type] for row in rows]
    return Packed(
        first,
        len(rows),
        len(set(kinds)),
        numbers(kinds),
        numbers([row.back and row.seq - row.back for row in rows]),
        salts,
        small.compress(body) + small.flush(),
    )


def numbers(values: Sequence[int]) -> bytes:
    """Return whole numbers side by side, each in as few bytes as the largest
    needs."""
    most = max(values)
    kind = "H" if most < 1 << 16 else "I" if most < 1 << 32 else "Q"
    return struct.pack(f"<{len(values)}{kind}", *values)


def unpacked(data: bytes, count: int) -> tuple[int, ...]:
    """Return the numbers that `numbers` wrote; DamagedError if they are not so
    many."""
    kind = _WIDTHS.get(len(data) // count) if count > 0 else None
    if kind is None or len(data) % count:
        raise DamagedError("a chunk of the log is damaged", hint="restore it from a backup")
    return struct.unpack(f"<{count}{kind}", data)


class Chunk:
    """A chunk that was read; its rows are made when they are asked for."""

    __slots__ = ("_backs", "_headers", "_heads", "_payloads", "_salts", "_types", "end", "first")

    def __init__(self, packed: Packed) -> None:
        count = packed.count
        self.first = packed.first
        self.end = packed.first + count  # of the event after the last
        self._types = unpacked(packed.types, count)
        self._backs = unpacked(packed.backs, count)
        self._salts = packed.salts
        self._headers: dict[int, bytes] = {}
        try:
            parts = zlib.decompress(packed.body).split(b"\n")
        except zlib.error:
            parts = []
        if len(parts) != 2 * count or len(self._salts) != SALT_SIZE * count:
            raise DamagedError(
                f"events {self.first} to {self.end - 1} are not readable",
                hint="restore the log from a backup",
                details={"seq": self.first},
            )
        self._heads, self._payloads = parts[:count], parts[count:]

    def row(self, seq: int, names: Mapping[int, str]) -> Row:
        """Return one row; `names` are the types by their ids."""
        at = seq - self.first
        back = self._backs[at]
        return Row(
            seq,
            back and seq - back,
            names.get(self._types[at], ""),
            self._header(at),
            self._salt(at),
            self._payloads[at],
        )

    def _salt(self, at: int) -> bytes:
        return self._salts[at * SALT_SIZE : (at + 1) * SALT_SIZE]

    def _header(self, at: int) -> bytes:
        """Return a header as it was, those it is linked to before it."""
        wanted = []
        while at not in self._headers:
            wanted.append(at)
            back = self._backs[at]
            if not 0 < back <= at:
                break
            at -= back
        for at in reversed(wanted):
            self._headers[at] = self._whole(at)
        return self._headers[at]

    def _whole(self, at: int) -> bytes:
        head = self._heads[at]
        cut = head.find(_DIGEST) + len(_DIGEST)
        digest = sha256(self._salt(at) + self._payloads[at]).hexdigest().encode()
        back = self._backs[at]
        end = cut + len(_LINK)
        if 0 < back <= at and head[cut:end] == _LINK:
            leaf = sha256(b"\x00" + self._headers[at - back]).hexdigest().encode()
            return head[:cut] + digest + _LINK + leaf + head[end:]
        return head[:cut] + digest + head[cut:]
