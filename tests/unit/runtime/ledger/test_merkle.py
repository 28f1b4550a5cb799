"""The tree against published vectors and against the definition in RFC 6962,
written out naively.
"""

from __future__ import annotations

import hashlib

import pytest

from agentsquad.kernel.errors import InvalidError
from agentsquad.runtime.ledger import merkle

# The eight leaves and the roots used by the reference implementation of
# Certificate Transparency.
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# (index from 1, size, path) and (old, new, path) from the same suite.
CT_PATHS = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (3, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        2,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CT_CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(b"%d" % number) for number in range(count)]


def naive_root(items: list[bytes]) -> bytes:
    if not items:
        return hashlib.sha256(b"").digest()
    if len(items) == 1:
        return items[0]
    k = 1
    while k * 2 < len(items):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(items[:k]) + naive_root(items[k:])).digest()


def naive_path(index: int, items: list[bytes]) -> list[bytes]:
    if len(items) == 1:
        return []
    k = 1
    while k * 2 < len(items):
        k *= 2
    if index < k:
        return [*naive_path(index, items[:k]), naive_root(items[k:])]
    return [*naive_path(index - k, items[k:]), naive_root(items[:k])]


def naive_consistency(old: int, items: list[bytes], whole: bool = True) -> list[bytes]:
    if old == len(items):
        return [] if whole else [naive_root(items)]
    k = 1
    while k * 2 < len(items):
        k *= 2
    if old <= k:
        return [*naive_consistency(old, items[:k], whole), naive_root(items[k:])]
    return [*naive_consistency(old - k, items[k:], False), naive_root(items[:k])]


def test_the_empty_tree_and_one_leaf_hash_as_the_rfc_says():
    assert merkle.EMPTY_ROOT.hex() == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    assert merkle.root_of([]) == merkle.EMPTY_ROOT
    assert merkle.leaf_hash(b"").hex() == CT_ROOTS[0]
    assert merkle.leaf_hash(b"L123456").hex() == (
        "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    )
    assert merkle.node_hash(b"N123", b"N456").hex() == (
        "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
    )


def test_roots_match_the_certificate_transparency_vectors():
    hashed = [merkle.leaf_hash(leaf) for leaf in CT_LEAVES]
    for size, expected in enumerate(CT_ROOTS, 1):
        assert merkle.root_of(hashed[:size]).hex() == expected


@pytest.mark.parametrize(("index", "size", "path"), CT_PATHS)
def test_audit_paths_match_the_certificate_transparency_vectors(index, size, path):
    source = merkle.Levels(merkle.leaf_hash(leaf) for leaf in CT_LEAVES)
    proof = merkle.inclusion_proof(index - 1, size, source)
    assert [step.hex() for step in proof] == path
    leaf, root = merkle.leaf_hash(CT_LEAVES[index - 1]), bytes.fromhex(CT_ROOTS[size - 1])
    assert merkle.verify_inclusion(leaf, index - 1, size, proof, root)


@pytest.mark.parametrize(("old", "new", "path"), CT_CONSISTENCY)
def test_consistency_proofs_match_the_certificate_transparency_vectors(old, new, path):
    source = merkle.Levels(merkle.leaf_hash(leaf) for leaf in CT_LEAVES)
    proof = merkle.consistency_proof(old, new, source)
    assert [step.hex() for step in proof] == path
    roots = [bytes.fromhex(CT_ROOTS[size - 1]) for size in (old, new)]
    assert merkle.verify_consistency(old, new, *roots, proof)


@pytest.mark.slow
def test_every_tree_up_to_64_leaves_equals_the_naive_definition():
    items = leaves(64)
    source, frontier = merkle.Levels(items), merkle.Frontier()
    for size in range(1, 65):
        frontier.append(items[size - 1])
        root = naive_root(items[:size])
        assert frontier.root() == root == merkle.root_at(size, source)
        tiles = merkle.TileNodes(source, size)
        for index in range(size):
            expected = naive_path(index, items[:size])
            assert merkle.inclusion_proof(index, size, source) == expected
            assert merkle.inclusion_proof(index, size, tiles) == expected
            assert merkle.verify_inclusion(items[index], index, size, expected, root)
        for old in range(1, size + 1):
            expected = naive_consistency(old, items[:size])
            assert merkle.consistency_proof(old, size, source) == expected
            assert merkle.verify_consistency(old, size, naive_root(items[:old]), root, expected)


def test_no_proof_of_a_small_tree_serves_another_leaf_place_size_or_root():
    items = leaves(17)
    source = merkle.Levels(items)
    for size in range(1, 18):
        root = merkle.root_at(size, source)
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, source)
            for other in range(size):
                same = other == index
                assert merkle.verify_inclusion(items[index], other, size, proof, root) == same
                assert merkle.verify_inclusion(items[other], index, size, proof, root) == same
            assert not merkle.verify_inclusion(items[index], index, size, proof, merkle.EMPTY_ROOT)
            assert not merkle.verify_inclusion(items[index], index, size, [*proof, root], root)
            if proof:
                assert not merkle.verify_inclusion(items[index], index, size, proof[:-1], root)


def test_a_flipped_bit_anywhere_in_a_consistency_proof_is_noticed():
    source = merkle.Levels(leaves(23))
    for old in range(1, 23):
        proof = merkle.consistency_proof(old, 23, source)
        roots = merkle.root_at(old, source), merkle.root_at(23, source)
        for place in range(len(proof)):
            for byte in range(32):
                bad = list(proof)
                step = bytearray(bad[place])
                step[byte] ^= 1
                bad[place] = bytes(step)
                assert not merkle.verify_consistency(old, 23, *roots, bad)
        assert not merkle.verify_consistency(old, 23, *roots, [*proof, roots[1]])
        assert not merkle.verify_consistency(old, 23, *roots, proof[:-1])


def test_the_empty_tree_is_extended_by_everything_and_proves_nothing_else():
    root = merkle.root_of(leaves(3))
    assert merkle.consistency_proof(0, 3, merkle.Levels(leaves(3))) == []
    assert merkle.verify_consistency(0, 3, merkle.EMPTY_ROOT, root, [])
    assert not merkle.verify_consistency(0, 3, root, root, [])
    assert not merkle.verify_consistency(3, 0, root, merkle.EMPTY_ROOT, [])
    assert not merkle.verify_inclusion(leaves(1)[0], 0, 0, [], merkle.EMPTY_ROOT)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_a_leaf_outside_the_tree_is_refused(index, size):
    with pytest.raises(InvalidError) as caught:
        merkle.inclusion_proof(index, size, merkle.Levels(leaves(3)))
    assert caught.value.code == "merkle.range"


def test_a_frontier_is_restored_from_what_it_says():
    items = leaves(300)
    for size in (0, 1, 2, 7, 255, 256, 299):
        first = merkle.Frontier()
        first.extend(items[:size])
        second = merkle.Frontier.from_hashes(first.size, first.hashes)
        copy = second.copy()
        second.extend(items[size:])
        assert second.root() == merkle.root_of(items)
        assert copy.root() == first.root()


@pytest.mark.parametrize(("size", "hashes"), [(3, [b"x" * 32]), (1, [b"x"]), (-1, [])])
def test_a_frontier_of_the_wrong_shape_is_refused(size, hashes):
    with pytest.raises(InvalidError) as caught:
        merkle.Frontier.from_hashes(size, hashes)
    assert caught.value.code == "merkle.frontier"


def test_a_short_tile_is_refused_before_it_becomes_a_proof():
    class Short:
        def tile(self, level: int, index: int, width: int) -> bytes:
            return b"\0" * 32 * (width - 1)

    with pytest.raises(InvalidError) as caught:
        merkle.inclusion_proof(0, 5, merkle.TileNodes(Short(), 5))
    assert caught.value.code == "merkle.tile"
