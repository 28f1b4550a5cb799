"""What an ordinary request is let pass by at one look is what counting
everything would let pass."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentsquad.trust.threats import shape
from agentsquad.trust.threats.contract import Hit
from agentsquad.trust.threats.shape import Bounds, misshapen

TIGHT = Bounds(path=6, query=6, headers=3, header=12, headers_bytes=20, body=9, depth=2)
NAMES = st.sampled_from(["a", "content-length", "content-type", "x-long-name"])
VALUES = st.sampled_from(["", "0", "7", "99", "application/json", "²", "x" * 12])


@given(
    path=st.text(st.sampled_from("/a\x00\x1f\x7fü\u2028"), max_size=8),
    query=st.text("q", max_size=8),
    headers=st.dictionaries(NAMES, VALUES, max_size=4),
    body=st.sampled_from([b"", b"{}", b"[[[[]]]]", b"x" * 10]),
)
@example(path="/", query="", headers={"content-length": "99"}, body=b"")
@example(path="/\x00", query="", headers={}, body=b"")
@settings(deadline=None)
def test_one_look_finds_what_counting_finds(
    path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    hit = Hit(surface="rest", method="GET", path=path, query=query, headers=headers, body=body)
    found = misshapen(hit, TIGHT)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shape, "_small", lambda hit, bounds: False)
        assert misshapen(hit, TIGHT) == found
