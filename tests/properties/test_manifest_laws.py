from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.manifest import ManifestError, read
from agentsquad.kernel.pointer import walk

TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff"),
    max_size=20,
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=5)


@given(OBJECTS, st.booleans(), st.sampled_from([None, 2]))
@example({"a": "\U0001f600", "/": "\\ud83d\\ude00"}, True, None)
def test_json_reads_as_json(value: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    (document,) = read(text)
    assert document.value == value == canonical.loads(text)


@given(OBJECTS)
def test_what_is_written_as_yaml_reads_back(value: dict[str, Any]) -> None:
    text = yaml.safe_dump(value, allow_unicode=True, default_style='"')
    strings = {at: leaf for at, leaf in walk(value) if isinstance(leaf, str)}
    (document,) = read(text)
    assert {at: leaf for at, leaf in walk(document.value) if at in strings} == strings


@given(OBJECTS)
def test_every_leaf_has_a_line(value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=1)
    (document,) = read(text)
    lines = text.split("\n")
    for at, _ in walk(value):
        assert 1 <= document.line_of(at) <= len(lines)
        assert at in document.lines


@given(st.text("ab:-[]{},&*!|>'\"#%@`?~\n\t 01.\\ud8", max_size=60))
def test_any_text_is_read_or_refused_but_never_crashes(text: str) -> None:
    try:
        documents = read(text)
    except ManifestError as error:
        assert error.details["errors"][0]["line"] >= 1
        return
    for document in documents:
        try:
            canonical.dumps(document.value)
        except InvalidError as error:
            assert error.code == "canonical.number"  # an integer too long for a double
