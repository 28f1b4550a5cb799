"""Laws of the tree at sizes beyond exhaustive checking."""

from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.runtime.ledger import merkle

SIZE_MAX = 5_000


@cache
def leaf(number: int) -> bytes:
    return merkle.leaf_hash(b"%d" % number)


@cache
def source() -> merkle.Levels:
    return merkle.Levels(leaf(number) for number in range(SIZE_MAX))


@cache
def root(size: int) -> bytes:
    return merkle.root_at(size, source())


@st.composite
def places(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(st.integers(65, SIZE_MAX))
    return draw(st.integers(0, size - 1)), size


@st.composite
def growth(draw: st.DrawFn) -> tuple[int, int]:
    new = draw(st.integers(65, SIZE_MAX))
    return draw(st.integers(1, new)), new


@given(places())
def test_every_leaf_is_provable_from_tiles_and_only_at_its_place(place):
    index, size = place
    proof = merkle.inclusion_proof(index, size, merkle.TileNodes(source(), size))
    assert proof == merkle.inclusion_proof(index, size, source())
    assert len(proof) <= (size - 1).bit_length()
    assert merkle.verify_inclusion(leaf(index), index, size, proof, root(size))
    other = (index + 1) % size
    assert not merkle.verify_inclusion(leaf(index), other, size, proof, root(size))
    assert not merkle.verify_inclusion(leaf(other), index, size, proof, root(size))


@given(growth())
def test_every_older_head_is_provably_extended(sizes):
    old, new = sizes
    proof = merkle.consistency_proof(old, new, merkle.TileNodes(source(), new))
    assert proof == merkle.consistency_proof(old, new, source())
    assert merkle.verify_consistency(old, new, root(old), root(new), proof)
    if old < new:
        assert not merkle.verify_consistency(old, new, root(new), root(new), proof)
        assert not merkle.verify_consistency(old, new, root(old), root(new - 1), proof) or (
            root(new - 1) == root(new)
        )


@given(places(), st.data())
def test_one_flipped_bit_in_leaf_proof_or_root_is_noticed(place, data):
    index, size = place
    proof = merkle.inclusion_proof(index, size, source())
    parts = [leaf(index), *proof, root(size)]
    at = data.draw(st.integers(0, len(parts) - 1))
    byte, bit = data.draw(st.integers(0, 31)), data.draw(st.integers(0, 7))
    changed = bytearray(parts[at])
    changed[byte] ^= 1 << bit
    parts[at] = bytes(changed)
    assert not merkle.verify_inclusion(parts[0], index, size, parts[1:-1], parts[-1])


@settings(max_examples=30)
@given(st.lists(st.integers(0, 700), max_size=12))
def test_growing_in_any_batches_gives_the_same_tree(batches):
    frontier, start = merkle.Frontier(), 0
    for count in batches:
        batch = [leaf(number) for number in range(start, min(start + count, SIZE_MAX))]
        start += len(batch)
        frontier.extend(batch)
        assert frontier.root() == root(start)
