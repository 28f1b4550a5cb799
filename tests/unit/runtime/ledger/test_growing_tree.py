"""The growing tree agrees with the plain definition at every size and split."""

from __future__ import annotations

import hashlib

import pytest

from agentsquad.runtime.ledger import merkle
from agentsquad.runtime.ledger.contract import DamagedError
from agentsquad.runtime.ledger.tree import GrowingTree, fold

LEAVES = [hashlib.sha256(str(n).encode()).digest() for n in range(70_000)]


def grow(sizes: list[int]) -> tuple[GrowingTree, dict[tuple[int, int], bytes]]:
    tree, tiles = GrowingTree(), {}
    for size in sizes:
        for level, index, hashes in tree.extend(LEAVES[tree.size : tree.size + size]):
            assert (level, index) not in tiles
            tiles[level, index] = hashes
    return tree, tiles


@pytest.mark.parametrize("sizes", [[], [1], [1] * 700, [255, 1, 1], [256, 256], [3, 600, 5]])
def test_the_root_is_the_one_of_rfc_6962(sizes: list[int]) -> None:
    tree, _ = grow(sizes)
    assert tree.size == sum(sizes)
    assert tree.root() == merkle.root_of(LEAVES[: tree.size])


def test_tiles_are_those_of_the_definition_over_two_levels() -> None:
    tree, tiles = grow([66_000, 1000])
    levels = merkle.Levels(LEAVES[: tree.size])
    assert tree.root() == merkle.root_of(LEAVES[: tree.size])
    full = {(0, index) for index in range(tree.size // 256)} | {(1, 0)}
    assert tiles.keys() == full
    for (level, index), hashes in tiles.items():
        assert hashes == levels.tile(level, index, 256)
        assert fold(hashes) == levels.node(8 * (level + 1), index)
    for level, tail in enumerate(tree.tails):
        count = tree.size >> (8 * level)
        assert b"".join(tail) == levels.tile(level, count // 256, count % 256)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 65_535, 65_536, 65_537, 66_100])
def test_a_tree_restored_from_tiles_continues_like_the_one_that_wrote_them(size: int) -> None:
    tree, tiles = grow([size])
    last = size - size % 256
    restored = GrowingTree.restore(size, LEAVES[last:size], lambda *at: tiles[at])
    assert (restored.size, restored.tails, restored.root()) == (size, tree.tails, tree.root())
    more = LEAVES[size : size + 700]
    assert restored.extend(more) == tree.extend(more)
    assert restored.root() == tree.root() == merkle.root_of(LEAVES[: size + 700])


def test_extending_a_copy_leaves_the_tree_alone() -> None:
    tree, _ = grow([300])
    before = tree.root()
    copy = tree.copy()
    copy.extend(LEAVES[300:900])
    assert (tree.size, tree.root(), len(tree.tails[0])) == (300, before, 44)


def test_a_tile_of_the_wrong_size_is_damage() -> None:
    with pytest.raises(DamagedError):
        fold(b"\0" * 8191)
