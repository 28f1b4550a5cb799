"""The tiled layout of the tree and of its entries (C2SP tlog-tiles): names,
bundles, building.

Apart from `merkle` because this is a file format others read, not mathematics.
A tile holds up to 256 hashes of one level out of every eight; a bundle holds
the up to 256 entries under a tile of level 0. A full tile never changes again,
so a store writes each once and an export can be copied incrementally.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Sequence

from agentsquad.kernel.errors import InvalidError
from agentsquad.runtime.ledger.merkle import TILE_WIDTH, tile_width

ENTRY_SIZE_MAX = 0xFFFF
LEVEL_MAX = 63


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile, for example "tile/0/x001/234" or
    "tile/0/x001/234.p/17".
    """
    if not 0 <= level <= LEVEL_MAX:
        raise InvalidError(f"a tile level is 0 to {LEVEL_MAX}, not {level}", code="tiles.path")
    return f"tile/{level}/{_index_path(index, width)}"


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of an entry bundle, for example
    "tile/entries/x001/234.p/17".
    """
    return f"tile/entries/{_index_path(index, width)}"


def _index_path(index: int, width: int) -> str:
    if index < 0 or not 1 <= width <= TILE_WIDTH:
        raise InvalidError(
            f"no tile has index {index} and width {width}",
            code="tiles.path",
            hint="the index starts at 0, the width is 1 to 256",
        )
    path = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        path = f"x{index % 1000:03d}/{path}"
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


def tiles_at(size: int, after: int = 0) -> Iterator[tuple[int, int, int]]:
    """Yield (level, index, width) of every tile of a tree of `size` leaves,
    level by level.

    With `after`, only the tiles that a tree of `after` leaves does not have in
    the same width: what an incremental export must write.
    """
    level = 0
    while size >> (8 * level):
        index = (after >> (8 * level)) // TILE_WIDTH
        while (width := tile_width(level, index, size)) > 0:
            if width != tile_width(level, index, after):
                yield level, index, width
            index += 1
        level += 1


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Return entries as big-endian uint16 lengths and bytes; at most 256 of at
    most 65,535 bytes.
    """
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise InvalidError(
            f"a bundle holds 1 to 256 entries, not {len(entries)}", code="tiles.bundle"
        )
    for entry in entries:
        if len(entry) > ENTRY_SIZE_MAX:
            raise InvalidError(
                f"an entry of {len(entry)} bytes does not fit a bundle",
                code="tiles.entry_size",
                hint=f"a header holds at most {ENTRY_SIZE_MAX} bytes: shorten the names in it",
            )
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def decode_bundle(data: bytes) -> list[bytes]:
    """Return the entries of a bundle; InvalidError `tiles.bundle` when it is
    cut or has a tail.
    """
    entries, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise InvalidError("the bundle ends inside an entry", code="tiles.bundle")
        entries.append(data[at + 2 : end])
        at = end
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise InvalidError(
            f"a bundle holds 1 to 256 entries, not {len(entries)}", code="tiles.bundle"
        )
    return entries


def tlog_proof(index: int, proof: Sequence[bytes], checkpoint: bytes) -> bytes:
    """Return an inclusion proof under a signed head as a C2SP
    tlog-proof file.
    """
    lines = ["c2sp.org/tlog-proof@v1", f"index {index}"]
    lines += [base64.b64encode(step).decode() for step in proof]
    return "\n".join([*lines, "", ""]).encode() + checkpoint
