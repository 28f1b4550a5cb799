"""The Merkle tree over the log: RFC 6962 section 2.1 hashing, roots and proofs,
as pure functions.

Apart from storage so that every store, the exporter and the prover share one
definition of "the root". Laws: a root is a function of the leaves in order; an
inclusion proof shows that one leaf is at one place under a root; a consistency
proof shows that a larger tree only appended to a smaller one. Nothing here
signs, stores or reads a log; the verifier that travels with a proof repeats
this from the RFC.

Leaves are numbered from 0 (the event with `seq` s is leaf s - 1). A *node*
(level, index) is the root of the complete subtree over leaves [index *
2**level, (index + 1) * 2**level).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Protocol

from agentsquad.kernel.errors import InvalidError

HASH_SIZE = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
EMPTY_ROOT = hashlib.sha256(b"").digest()

_sha256 = hashlib.sha256


def leaf_hash(data: bytes) -> bytes:
    """Return SHA-256(0x00 || data); `data` is the canonical header of
    an event.
    """
    return _sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right)."""
    return _sha256(b"\x01" + left + right).digest()


class NodeSource(Protocol):
    """Where proofs find the roots of complete subtrees."""

    def node(self, level: int, index: int) -> bytes:
        """Return the 32 bytes of a node; only nodes complete at the asked size
        are requested.
        """
        ...


class TileSource(Protocol):
    """Where `TileNodes` finds tiles, for example rows of a store or files of an
    export.
    """

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first `width` (1 to 256) hashes of a tile, 32 bytes each.

        Hash number i of tile (level, index) is node (8 * level, 256 * index +
        i).
        """
        ...


class Frontier:
    """The compact range over all leaves so far: enough to append and to give
    the root.

    Holds one hash for each set bit of the size, so 20 hashes at a million
    leaves. `append` costs two hashes on average; `root` one for each hash held.
    """

    __slots__ = ("_hashes", "size")

    def __init__(self) -> None:
        self.size = 0
        self._hashes: list[bytes] = []

    @classmethod
    def from_hashes(cls, size: int, hashes: Sequence[bytes]) -> Frontier:
        """Restore from what `size` and `hashes` said before.

        Raises InvalidError `merkle.frontier` when the number or length of the
        hashes cannot be right.
        """
        if size < 0 or len(hashes) != size.bit_count() or any(len(h) != HASH_SIZE for h in hashes):
            raise InvalidError(
                f"a frontier of size {size} needs {max(size, 0).bit_count()} hashes of 32 bytes",
                code="merkle.frontier",
                hint="rebuild it from the leaf hashes",
            )
        frontier = cls()
        frontier.size = size
        frontier._hashes = list(hashes)
        return frontier

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The roots of the complete subtrees from left (largest) to right
        (smallest).
        """
        return tuple(self._hashes)

    def copy(self) -> Frontier:
        """Return an independent frontier, to look ahead before committing."""
        return Frontier.from_hashes(self.size, self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        size, hashes = self.size, self._hashes
        while size & 1:
            leaf = _sha256(b"\x01" + hashes.pop() + leaf).digest()
            size >>= 1
        hashes.append(leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes in order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """Return the RFC 6962 root; SHA-256 of nothing for an empty tree."""
        if not self._hashes:
            return EMPTY_ROOT
        root = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            root = node_hash(left, root)
        return root


class Levels:
    """Every complete node in memory: the node source of the memory store and of
    tests.
    """

    __slots__ = ("_levels",)

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaves:
            self.append(leaf)

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash and every node it completes."""
        level = 0
        self._levels[0].append(leaf)
        while len(self._levels[level]) % 2 == 0:
            left, right = self._levels[level][-2:]
            level += 1
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(node_hash(left, right))

    def node(self, level: int, index: int) -> bytes:
        """Return a complete node."""
        return self._levels[level][index]

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile."""
        start = index * TILE_WIDTH
        return b"".join(self._levels[level * TILE_HEIGHT][start : start + width])


class TileNodes:
    """Nodes of a tree of `size` leaves, computed from its tiles; each tile is
    fetched once.
    """

    __slots__ = ("_complete", "_source", "size")

    def __init__(self, source: TileSource, size: int) -> None:
        self._source = source
        # The rows of each tile, hashes side by side: a pair is one slice.
        self._complete: dict[tuple[int, int], list[bytes]] = {}
        self.size = size

    def node(self, level: int, index: int) -> bytes:
        """Return a complete node of the tree."""
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile_index, offset = divmod(index << height, TILE_WIDTH)
        rows = self._rows(tile_level, tile_index)
        at = (offset >> height) * HASH_SIZE
        return rows[height][at : at + HASH_SIZE]

    def _rows(self, level: int, index: int) -> list[bytes]:
        rows = self._complete.get((level, index))
        if rows is None:
            width = tile_width(level, index, self.size)
            data = self._source.tile(level, index, width)
            if len(data) != width * HASH_SIZE:
                raise InvalidError(
                    f"tile {level}/{index} holds {len(data)} bytes, expected {width * HASH_SIZE}",
                    code="merkle.tile",
                    hint="the tree is behind the log or damaged: run 'squad rebuild'",
                )
            rows = [data]
            while len(rows[-1]) > HASH_SIZE:
                rows.append(_pairs(rows[-1]))
            self._complete[level, index] = rows
        return rows


def _pairs(row: bytes) -> bytes:
    """Return the hashes of the pairs of a row; a last one alone is left out."""
    pair = 2 * HASH_SIZE
    ends = range(pair, len(row) + 1, pair)
    return b"".join([_sha256(b"\x01" + row[end - pair : end]).digest() for end in ends])


def tile_width(level: int, index: int, size: int) -> int:
    """Return how many hashes a tile holds in a tree of `size` leaves: 0
    (absent) to 256 (full).
    """
    return max(0, min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH))


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    frontier = Frontier()
    frontier.extend(leaves)
    return frontier.root()


def root_at(size: int, source: NodeSource) -> bytes:
    """Return the root the tree had when it held `size` leaves."""
    return _range_root(0, size, source) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, source: NodeSource) -> list[bytes]:
    """Return the audit path of a leaf in the tree of `size` leaves, from the
    leaf upwards.

    Raises InvalidError `merkle.range` unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise InvalidError(
            f"leaf {index} is not in a tree of {size} leaves",
            code="merkle.range",
            hint="the index starts at 0 and is below the size",
        )
    low, high, path = 0, size, []
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_range_root(middle, high, source))
            high = middle
        else:
            path.append(_range_root(low, middle, source))
            low = middle
    path.reverse()
    return path


def consistency_proof(old: int, new: int, source: NodeSource) -> list[bytes]:
    """Return the proof that the tree of `new` leaves extends the one of `old`
    leaves.

    Empty when the sizes are equal or `old` is 0. Raises InvalidError
    `merkle.range` unless 0 <= old <= new.
    """
    if not 0 <= old <= new:
        raise InvalidError(
            f"a tree of {new} leaves cannot extend one of {old}",
            code="merkle.range",
            hint="give the older, smaller size first",
        )
    if old in (0, new):
        return []
    low, high, path = 0, new, []
    while high != old:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(_range_root(middle, high, source))
            high = middle
        else:
            path.append(_range_root(low, middle, source))
            low = middle
    if low > 0:
        path.append(_range_root(low, high, source))
    path.reverse()
    return path


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Say whether `proof` shows the leaf hash at `index` under `root` (RFC
    9162, 2.1.3.2).
    """
    if not 0 <= index < size:
        return False
    fn, sn, value = index, size - 1, leaf
    for step in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            value = node_hash(step, value)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            value = node_hash(value, step)
        fn >>= 1
        sn >>= 1
    return sn == 0 and value == root


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Say whether `proof` shows that the new root extends the old one (RFC
    9162, 2.1.4.2).
    """
    if not 0 <= old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    first = second = path[0]
    for step in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first, second = node_hash(step, first), node_hash(step, second)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            second = node_hash(second, step)
        fn >>= 1
        sn >>= 1
    return sn == 0 and first == old_root and second == new_root


def _split(size: int) -> int:
    """Return the largest power of two smaller than `size` (which is at least
    2).
    """
    return 1 << (size - 1).bit_length() - 1


def _range_root(low: int, high: int, source: NodeSource) -> bytes:
    """Return the RFC 6962 hash of leaves [low, high), a range the recursion
    there produces.
    """
    size = high - low
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return source.node(level, low >> level)
    middle = low + _split(size)
    return node_hash(_range_root(low, middle, source), _range_root(middle, high, source))
