from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel import pointer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("a~/0-é", max_size=4), inner)
    ),
    max_leaves=20,
)


@given(st.lists(st.text("ab~/01-é")))
def test_joined_steps_parse_back(steps: list[str]) -> None:
    assert pointer.parse(pointer.join(*steps)) == steps


@given(JSON)
def test_every_leaf_walked_is_found_by_its_pointer(doc: Any) -> None:
    for at, leaf in pointer.walk(doc):
        assert pointer.get(doc, at) is leaf


@given(JSON, st.data())
def test_what_is_put_is_got_and_is_the_only_difference(doc: Any, data: st.DataObject) -> None:
    at, leaf = data.draw(st.sampled_from(list(pointer.walk(doc))))
    changed = pointer.put(doc, at, "a new value")
    assert pointer.get(changed, at) == "a new value"
    assert pointer.diff(doc, changed) == [(at, leaf, "a new value")]


@given(JSON)
def test_nothing_differs_from_itself(doc: Any) -> None:
    assert pointer.diff(doc, doc) == []


@given(JSON, JSON)
def test_differences_read_the_same_backwards(old: Any, new: Any) -> None:
    forward = {(at, repr(a), repr(b)) for at, a, b in pointer.diff(old, new)}
    backward = {(at, repr(b), repr(a)) for at, a, b in pointer.diff(new, old)}
    assert forward == backward
