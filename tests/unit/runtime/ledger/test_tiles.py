"""The tiled layout: the examples of the specification, and building against the
definition.
"""

from __future__ import annotations

import pytest

from agentsquad.kernel.errors import InvalidError
from agentsquad.runtime.ledger import merkle, tiles


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(b"%d" % number) for number in range(count)]


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 999, 256, "tile/0/999"),
        (0, 1000, 256, "tile/0/x001/000"),
        (2, 1234067, 256, "tile/2/x001/x234/067"),
        (0, 273, 112, "tile/0/273.p/112"),
        (63, 0, 1, "tile/63/000.p/1"),
    ],
)
def test_tiles_are_named_as_the_specification_says(level, index, width, path):
    assert tiles.tile_path(level, index, width) == path


def test_entry_bundles_are_named_as_the_specification_says():
    assert tiles.entries_path(1234067) == "tile/entries/x001/x234/067"
    assert tiles.entries_path(0, 8) == "tile/entries/000.p/8"


@pytest.mark.parametrize(
    ("level", "index", "width"), [(64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)]
)
def test_tiles_that_cannot_be_are_not_named(level, index, width):
    with pytest.raises(InvalidError) as caught:
        tiles.tile_path(level, index, width)
    assert caught.value.code == "tiles.path"


def test_a_tree_of_70000_leaves_has_the_tiles_of_the_specifications_example():
    listed = list(tiles.tiles_at(70_000))
    assert [t for t in listed if t[0] == 0] == [(0, n, 256) for n in range(273)] + [(0, 273, 112)]
    assert [t for t in listed if t[0] == 1] == [(1, 0, 256), (1, 1, 17)]
    assert [t for t in listed if t[0] >= 2] == [(2, 0, 1)]


def test_a_tree_of_256_leaves_has_one_full_tile_and_one_hash_above():
    assert list(tiles.tiles_at(256)) == [(0, 0, 256), (1, 0, 1)]
    assert list(tiles.tiles_at(0)) == []


def test_an_incremental_export_names_only_what_changed():
    before, after = set(tiles.tiles_at(70_000)), set(tiles.tiles_at(70_300))
    assert set(tiles.tiles_at(70_300, after=70_000)) == after - before
    assert list(tiles.tiles_at(70_000, after=70_000)) == []


@pytest.mark.slow
def test_tiles_are_the_hashes_the_definition_names():
    items = leaves(70_000)
    source = merkle.Levels(items)
    for level, index, width in tiles.tiles_at(70_000):
        span, step = 256**level, 1 if level == 0 else 16
        starts = [(index * 256 + i) * span for i in range(0, width, step)]
        expected = [merkle.root_of(items[start : start + span]) for start in starts]
        data = source.tile(level, index, width)
        assert len(data) == width * 32
        assert [data[at : at + 32] for at in range(0, len(data), 32 * step)] == expected


def test_a_bundle_gives_back_its_entries():
    entries = [b"", b"x", b"y" * 65_535]
    data = tiles.encode_bundle(entries)
    assert data[:5] == b"\0\0\0\1x"
    assert tiles.decode_bundle(data) == entries


@pytest.mark.parametrize("entries", [[], [b""] * 257])
def test_a_bundle_holds_one_to_256_entries(entries):
    with pytest.raises(InvalidError) as caught:
        tiles.encode_bundle(entries)
    assert caught.value.code == "tiles.bundle"


def test_an_entry_too_large_for_the_format_is_refused_with_advice():
    with pytest.raises(InvalidError) as caught:
        tiles.encode_bundle([b"x" * 65_536])
    assert caught.value.code == "tiles.entry_size"
    assert caught.value.hint


def test_a_cut_bundle_is_refused_at_every_byte():
    data = tiles.encode_bundle([b"one", b"three"])
    ends = {len(tiles.encode_bundle([b"one"])), len(data)}
    for cut in range(len(data)):
        if cut in ends:
            continue
        with pytest.raises(InvalidError):
            tiles.decode_bundle(data[:cut])
