"""AWS event stream frames: any cut is read alike, any damage is found."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.integrations.connectors.ai.bedrock.eventstream import (
    EventStreamParser,
    Frame,
)
from agentsquad.integrations.connectors.ai.bedrock.sigv4 import canonical_path
from agentsquad.integrations.connectors.ai.contract import ModelReplyError


def written(head: bytes, payload: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return body + struct.pack(">I", zlib.crc32(body))


KIND = b"\x0b:event-type\x07\x00\x04ping"
STREAM = written(KIND, b"{}") + written(b"", b"") + written(KIND, b"x" * 50)
FRAMES = [
    Frame({":event-type": "ping"}, b"{}"),
    Frame({}, b""),
    Frame({":event-type": "ping"}, b"x" * 50),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_frames_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    parser, frames, start = EventStreamParser(), [], 0
    for end in [*sorted(cuts), len(STREAM)]:
        frames += parser.feed(STREAM[start:end])
        start = end
    assert frames == FRAMES
    assert parser.idle


@pytest.mark.parametrize("position", range(len(STREAM)))
def test_a_flipped_bit_anywhere_is_never_served(position: int) -> None:
    damaged = bytearray(STREAM)
    damaged[position] ^= 0x10
    parser = EventStreamParser()
    try:
        frames = parser.feed(bytes(damaged))
    except ModelReplyError:
        return
    assert frames == FRAMES[: len(frames)]
    assert len(frames) < len(FRAMES) and not parser.idle


def test_a_damaged_length_is_found_before_it_is_waited_for() -> None:
    damaged = bytearray(STREAM[:12])
    damaged[2] ^= 0x01  # 64 KiB more than there are
    with pytest.raises(ModelReplyError, match="beginning"):
        EventStreamParser().feed(bytes(damaged))


def test_other_kinds_of_headers_are_skipped() -> None:
    head = b"\x01a\x00" + b"\x01b\x04\x00\x00\x00\x07" + b"\x01c\x09" + bytes(16) + KIND
    (frame,) = EventStreamParser().feed(written(head, b"p"))
    assert frame == Frame({":event-type": "ping"}, b"p")


@pytest.mark.parametrize(
    "head", [b"\x05ab", b"\x01a\x63", b"\x01a\x07\x00\x09x", b"\x01a\x07\x00\x01\xff"]
)
def test_headers_that_make_no_sense_are_refused(head: bytes) -> None:
    with pytest.raises(ModelReplyError):
        EventStreamParser().feed(written(head, b""))


def test_an_impossible_length_is_refused_before_it_is_waited_for() -> None:
    prelude = struct.pack(">II", 2**31, 4)
    with pytest.raises(ModelReplyError, match="length"):
        EventStreamParser().feed(prelude + struct.pack(">I", zlib.crc32(prelude)))


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/", "/"),
        ("/model/a.b-v1%3A0/converse", "/model/a.b-v1%253A0/converse"),
        ("/a/../b/./c//d", "/b/c/d"),
        ("/a/..", "/"),
        ("/a/", "/a/"),
        ("/..", "/"),
    ],
)
def test_paths_are_signed_normalised_and_encoded_once_more(path: str, canonical: str) -> None:
    assert canonical_path(path) == canonical
