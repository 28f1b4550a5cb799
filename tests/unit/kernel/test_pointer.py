from __future__ import annotations

from typing import Any

import pytest

from agentsquad.kernel import pointer
from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.pointer import ABSENT

RFC = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("", RFC),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_the_examples_of_section_5_are_found(path: str, value: Any) -> None:
    assert pointer.get(RFC, path) == value


@pytest.mark.parametrize("path", ["foo", "/a~", "/a~2b", "#/foo"])
def test_what_is_not_a_pointer_is_refused(path: str) -> None:
    with pytest.raises(InvalidError) as caught:
        pointer.get(RFC, path)
    assert caught.value.code == "pointer.invalid"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/fou", "there are: foo"),
        ("/foo/2", "2 items"),
        ("/foo/01", "2 items"),
        ("/foo/-", "2 items"),
        ("/foo/0/x", "neither object nor array"),
    ],
)
def test_what_is_not_there_is_missing_and_says_what_is(path: str, hint: str) -> None:
    with pytest.raises(MissingError) as caught:
        pointer.get(RFC, path)
    assert caught.value.code == "pointer.missing"
    assert hint in (caught.value.hint or "")


def test_putting_returns_a_new_document_and_leaves_the_old_one() -> None:
    old = {"a": {"b": [1, 2]}, "c": {"d": 1}}
    new = pointer.put(old, "/a/b/1", 3)
    assert new == {"a": {"b": [1, 3]}, "c": {"d": 1}}
    assert old == {"a": {"b": [1, 2]}, "c": {"d": 1}}
    assert new["c"] is old["c"]


def test_putting_adds_a_key_appends_and_replaces_the_whole() -> None:
    assert pointer.put({}, "/a", 1) == {"a": 1}
    assert pointer.put({"a": [1]}, "/a/-", 2) == {"a": [1, 2]}
    assert pointer.put({"a": 1}, "", 2) == 2


@pytest.mark.parametrize("path", ["/x/y", "/a/3", "/a/-/b", "/s/0"])
def test_putting_below_what_is_not_there_is_missing(path: str) -> None:
    with pytest.raises(MissingError):
        pointer.put({"a": [1], "s": "text"}, path, 1)


def test_walking_yields_leaves_with_escaped_pointers_in_order() -> None:
    doc = {"b": [1, {}], "a/~": {"x": None}, "e": []}
    assert list(pointer.walk(doc)) == [("/b/0", 1), ("/b/1", {}), ("/a~1~0/x", None), ("/e", [])]
    assert list(pointer.walk(5)) == [("", 5)]


def test_differences_name_what_changed_what_came_and_what_went() -> None:
    old = {"same": 1, "changed": {"x": 1}, "gone": [1, 2]}
    new = {"same": 1.0, "changed": {"x": "1"}, "gone": [1], "new": None}
    assert pointer.diff(old, new) == [
        ("/changed/x", 1, "1"),
        ("/gone/1", 2, ABSENT),
        ("/new", ABSENT, None),
    ]


def test_true_differs_from_1_and_an_object_from_an_array() -> None:
    assert pointer.diff({"a": True}, {"a": 1}) == [("/a", True, 1)]
    assert pointer.diff({"a": {}}, {"a": []}) == [("/a", {}, [])]
    assert not ABSENT
