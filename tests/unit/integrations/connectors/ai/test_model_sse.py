"""Server-sent events: the same events however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.integrations.connectors.ai.contract import ModelReplyError
from agentsquad.integrations.connectors.ai.sse import ServerEvent, SseParser

STREAM = (
    "\ufeffdata: first\n\n"
    ": a comment\r\n"
    "event: named\r\ndata: two\r\ndata: lines\r\n\r\n"
    "id: 7\rdata:without a space\r\r"
    "event: empty\n\n"
    "data\n\n"
    "data:  ünï 🎉\n\n"
    "data: never ended"
).encode()
EVENTS = [
    ServerEvent("message", "first"),
    ServerEvent("named", "two\nlines"),
    ServerEvent("message", "without a space"),
    ServerEvent("message", ""),
    ServerEvent("message", " ünï 🎉"),
]


def parse(pieces: list[bytes]) -> list[ServerEvent]:
    parser = SseParser()
    return [event for piece in pieces for event in parser.feed(piece)]


def test_the_whole_stream_at_once() -> None:
    assert parse([STREAM]) == EVENTS


def test_the_stream_byte_by_byte() -> None:
    assert parse([STREAM[i : i + 1] for i in range(len(STREAM))]) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_the_stream_cut_anywhere(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert parse([STREAM[a:b] for a, b in pairwise(edges)]) == EVENTS


@given(st.lists(st.text(st.characters(exclude_characters="\r\n"))), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_read(texts: list[str], end: str) -> None:
    data = "".join(f"data: {text}{end}{end}" for text in texts).encode("utf-8", "surrogatepass")
    try:
        data.decode()
    except UnicodeDecodeError:
        return
    assert [event.data for event in parse([data])] == texts


def test_bytes_that_are_not_text_are_refused() -> None:
    with pytest.raises(ModelReplyError):
        parse([b"data: \xff\n\n"])


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    parser = SseParser()
    with pytest.raises(ModelReplyError):
        for _ in range(18):
            parser.feed(b"x" * 2**20)
