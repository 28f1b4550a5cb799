"""Canonical JSON as laws: both paths agree, and the form is a fixed point."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import InvalidError

EXACT_INTS = st.integers(-(2**53), 2**53) | st.floats(2**53, 1e30).map(
    lambda f: int(f) if f >= 1e21 else int(canonical.number(f))
)
SCALARS = (
    st.none()
    | st.booleans()
    | EXACT_INTS
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.text("0123456789.eE+-,:[]{}\"' nul", max_size=40)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
WILD = st.recursive(
    SCALARS | st.floats() | st.integers() | st.binary() | st.text(st.characters()) | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(
            st.text() | st.integers() | st.just("\ue000\U0001f600"), inner, max_size=4
        )
    ),
    max_leaves=10,
)


def outcome(function: Any, value: Any) -> Any:
    try:
        return function(value)
    except InvalidError as error:
        return error.code


def same(a: Any, b: Any) -> bool:
    return repr(a) == repr(b)


def has_large_float(value: Any) -> bool:
    """Whether RFC 8785 writes a float in it as a shorter integer."""
    if isinstance(value, float):
        return abs(value) > 2**53
    if isinstance(value, dict):
        return any(has_large_float(item) for item in value.values())
    return isinstance(value, list) and any(has_large_float(item) for item in value)


@given(JSON)
@example({"\ufb33": 1, "\U0001f600": 2})
@example({"at": "2026-11-23T12:00:00.123Z", "n": [1.0, -0.0, 1e21, 1e-7, 123456789012345680.0]})
@example([None, 9007199254740992, "1234567890123456"])
def test_the_fast_and_the_exact_encoder_agree(value: Any) -> None:
    assert canonical.dumps(value) == canonical.dumps_exactly(value)


@given(WILD)
@example([float("nan")])
@example([2**53 + 1])
@example([b"", None])
def test_the_fast_and_the_exact_encoder_refuse_alike(value: Any) -> None:
    assert outcome(canonical.dumps, value) == outcome(canonical.dumps_exactly, value)


@given(JSON)
def test_reading_the_canonical_form_gives_an_equal_value_and_the_same_bytes(value: Any) -> None:
    data = canonical.dumps(value)
    assert canonical.loads(data) == value or has_large_float(value)
    assert canonical.dumps(canonical.loads(data)) == data


@given(JSON, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_spelling_does_not_matter(value: Any, ascii_only: bool, indent: Any) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert canonical.dumps(canonical.loads(text)) == canonical.dumps(value)


@given(st.dictionaries(st.text(), EXACT_INTS))
def test_the_order_of_insertion_does_not_matter(value: dict[str, int]) -> None:
    backwards = dict(reversed(value.items()))
    assert canonical.dumps(backwards) == canonical.dumps(value)


@given(
    st.text('{}[]:,"\\ud8900aef.-+12nultrsNI \n\U0001f600', max_size=30)
    | JSON.map(lambda value: json.dumps(value, separators=(",", ":")))
)
@example('{"a":1,"a":1}')
@example("1e400")
@example("123456789012345678901234567890")
def test_the_fast_and_the_exact_reader_agree(text: str) -> None:
    assert same(outcome(canonical.loads, text), outcome(canonical.loads_exactly, text))
