"""The growing tree: what must be kept in memory to extend the Merkle tree and
cut its tiles.

`merkle` defines the tree; this adds the bookkeeping of a writer: a batch of
leaves goes in level by level, full tiles come out to be stored in the same
commit, the partial ones stay here. A copy is extended before a commit and
becomes the tree after it, so a failed commit leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from agentsquad.runtime.ledger.contract import DamagedError
from agentsquad.runtime.ledger.merkle import EMPTY_ROOT, HASH_SIZE, TILE_HEIGHT, TILE_WIDTH

TILE_SIZE = TILE_WIDTH * HASH_SIZE


class GrowingTree:
    """Size, frontier and partial tiles of a tree.

    `tails[k]` holds the hashes of the unfinished tile of tile level k;
    `_carry[l]` the complete node of level l that still waits for its right
    neighbour.
    """

    __slots__ = ("_carry", "size", "tails")

    def __init__(self) -> None:
        self.size = 0
        self.tails: list[list[bytes]] = [[]]
        self._carry: list[bytes | None] = []

    @classmethod
    def restore(
        cls, size: int, leaves: Sequence[bytes], tile: Callable[[int, int], bytes]
    ) -> GrowingTree:
        """Rebuild the tree of `size` from its full tiles and the leaves after
        the last of them.

        `tile(level, index)` returns a full tile. The caller compares `root()`
        with what it expects.
        """
        tree = cls()
        tree.size = size
        tree.tails = [list(leaves)]
        level, count = 1, size // TILE_WIDTH
        while count:
            first = count - count % TILE_WIDTH
            tree.tails.append([fold(tile(level - 1, index)) for index in range(first, count)])
            level, count = level + 1, count // TILE_WIDTH
        for number, tail in enumerate(tree.tails):
            nodes = tail
            for height in range(TILE_HEIGHT):
                if size >> (number * TILE_HEIGHT + height) == 0:
                    break
                tree._carry.append(nodes[-1] if len(nodes) % 2 else None)
                nodes = _pair(nodes)
        return tree

    def copy(self) -> GrowingTree:
        """Return an independent tree."""
        other = GrowingTree()
        other.size = self.size
        other.tails = [tail.copy() for tail in self.tails]
        other._carry = self._carry.copy()
        return other

    def extend(self, leaves: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
        """Add leaf hashes and return the tiles (level, index, hashes) that
        became full.
        """
        full: list[tuple[int, int, bytes]] = []
        nodes, level, carry = list(leaves), 0, self._carry
        while nodes:
            if level % TILE_HEIGHT == 0:
                self._lay(level // TILE_HEIGHT, nodes, full)
            if level == len(carry):
                carry.append(None)
            waiting = carry[level]
            if waiting is not None:
                nodes.insert(0, waiting)
            carry[level] = nodes.pop() if len(nodes) % 2 else None
            nodes = _pair(nodes)
            level += 1
        self.size += len(leaves)
        return full

    def root(self) -> bytes:
        """Return the RFC 6962 root."""
        root: bytes | None = None
        for node in self._carry:
            if node is not None:
                root = node if root is None else sha256(b"\x01" + node + root).digest()
        return EMPTY_ROOT if root is None else root

    def _lay(self, level: int, nodes: list[bytes], full: list[tuple[int, int, bytes]]) -> None:
        if level == len(self.tails):
            self.tails.append([])
        tail = self.tails[level]
        index = (self.size >> (TILE_HEIGHT * level)) // TILE_WIDTH
        tail.extend(nodes)
        start = 0
        while len(tail) - start >= TILE_WIDTH:
            full.append((level, index, b"".join(tail[start : start + TILE_WIDTH])))
            start += TILE_WIDTH
            index += 1
        if start:
            del tail[:start]


def fold(tile: bytes) -> bytes:
    """Return the root of a full tile."""
    if len(tile) != TILE_SIZE:
        raise DamagedError(f"a tile of the tree has {len(tile)} bytes, expected {TILE_SIZE}")
    nodes = [tile[at : at + HASH_SIZE] for at in range(0, TILE_SIZE, HASH_SIZE)]
    while len(nodes) > 1:
        nodes = _pair(nodes)
    return nodes[0]


def _pair(nodes: list[bytes]) -> list[bytes]:
    return [
        sha256(b"\x01" + left + right).digest()
        for left, right in zip(nodes[::2], nodes[1::2], strict=False)
    ]
