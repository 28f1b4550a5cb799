"""Every reader that the network reaches: 10,000 mutated inputs each, no crash,
no hang.

Mutations are drawn by a fixed seed from inputs that are nearly right. What is
wrong must be an HttpError (a status of 4xx) and nothing else.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from agentsquad.surfaces.gateway.operation import Field
from agentsquad.surfaces.rest import formats
from agentsquad.surfaces.rest.asked import read_text
from agentsquad.surfaces.rest.auth import here
from agentsquad.surfaces.rest.contract import HttpError
from agentsquad.surfaces.rest.negotiation import accepted, coding_for, format_for
from agentsquad.surfaces.rest.reply import matches, tags_in

CASES = 10_000
SLOWEST_S = 2.0
VALUE = {"a": [1, -2.5, None, True, {"b": "x\ny"}], "c": '€\\"<&>', "d": {"e": []}}
PIECES = (
    b"", b"\x00", b"\xff", b"\xc1", b"[" * 300, b"{" * 300, b"(" * 50, b'"', b"\\u", b"\\ud800",
    b"1e999", b"9" * 5000, b"&a", b"*a", b"<<: ", b"!!python/object:os.system", b"- " * 50,
    b"<map>", b"</map>", b'<!DOCTYPE m [<!ENTITY e "x">]>', b"&e;", b"&#0;", b"]]>", b"<![CDATA[",
    b' escaped="true"', b"\\", b"%", b";q=1", b";q=9", b",", b"*/*", b"\xdf\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff", b"NaN", b"-", b"\r\n",
)  # fmt: skip


def mutated(draw: random.Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(draw.randint(1, 4)):
        at = draw.randint(0, len(data))
        match draw.randrange(4):
            case 0:
                data[at:at] = draw.choice(PIECES)
            case 1:
                del data[at : at + draw.randint(1, 8)]
            case 2 if data:
                data[min(at, len(data) - 1)] = draw.randrange(256)
            case _:
                data[at:at] = data[: draw.randint(0, len(data))]
    return bytes(data[:20_000])


def fuzzed(seeds: list[bytes], read: Callable[[bytes], Any]) -> int:
    """Return how many of the inputs were refused."""
    draw, refused = random.Random(7), 0
    for _ in range(CASES):
        data = mutated(draw, draw.choice(seeds))
        began = time.process_time()
        try:
            read(data)
        except HttpError as error:
            assert 400 <= error.status < 500
            refused += 1
        assert time.process_time() - began < SLOWEST_S, data[:200]
    return refused


@pytest.mark.slow
@pytest.mark.parametrize("form", formats.FORMATS, ids=lambda form: form.name)
def test_bodies(form: formats.Format) -> None:
    seeds = [form.write(VALUE), form.write({"n": 1})]

    def read(data: bytes) -> None:
        value = formats.loads(data, form.media_types[0], depth_max=64)
        if data.strip():
            form.write(value)

    refused = fuzzed(seeds, read)
    assert 0 < refused < CASES


@pytest.mark.slow
def test_headers_and_parameters() -> None:
    seeds = [
        b"application/json;q=0.9, text/*, */*;q=0.1", b"gzip;q=1, identity;q=0", b'W/"a.json", "b"',
        b"application/x-www-form-urlencoded; charset=utf-8", b"/docs?x=1#y", b"//evil/..\\",
        b"-12", b"1.5e3",
    ]  # fmt: skip
    fields = [
        Field(name="a", kind=kind, required=False, choices=("x", "y") if kind == "choice" else ())
        for kind in ("text", "integer", "number", "flag", "choice", "json")
    ]

    def read(data: bytes) -> None:
        text = data.decode("latin-1")
        accepted(text)
        coding_for(text, 5000)
        matches(text, '"a"')
        tags_in(text)
        assert here(text).startswith("/") and not here(text).startswith(("//", "/\\"))
        for one in fields:
            try:
                read_text(one, text)
            except HttpError as error:
                assert error.status == 400
        formats.format_of(text)
        format_for(text)

    assert fuzzed(seeds, read) > 0
