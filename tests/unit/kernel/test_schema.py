from __future__ import annotations

from typing import Any

import pytest

from agentsquad.kernel.errors import BugError
from agentsquad.kernel.resource import SENSITIVE
from agentsquad.kernel.schema import found_text, problems, schema_at


def told(schema: dict[str, Any], value: Any) -> list[tuple[str, str, str, str]]:
    return [(p.at, p.expected, p.found, p.fix) for p in problems(schema, value)]


def test_a_value_that_fits_has_no_problems() -> None:
    assert problems({"type": "integer"}, 1) == []


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string"}, 1, ("", "a string", "the number 1", "give a string")),
        (
            {"type": ["string", "null"], "examples": ["4Gi"]},
            [1],
            ("", "a string or null", "a list of 1", 'write e.g. "4Gi"'),
        ),
        (
            {"enum": ["a", "b"]},
            "c",
            ("", 'one of "a", "b"', 'the string "c"', 'choose one of "a", "b"'),
        ),
        (
            {"enum": ["formal"]},
            "formel",
            ("", 'one of "formal"', 'the string "formel"', "did you mean 'formal'?"),
        ),
        ({"const": 1}, True, ("", "1", "true", "write 1")),
        ({"maximum": 1}, 2, ("", "at most 1", "the number 2", "give a number of at most 1")),
        (
            {"exclusiveMinimum": 0},
            0,
            ("", "more than 0", "the number 0", "give a number of more than 0"),
        ),
        (
            {"pattern": "^a", "title": "an a", "examples": ["ab"]},
            "b",
            ("", "an a", 'the string "b"', 'write e.g. "ab"'),
        ),
        (
            {"required": ["x"], "properties": {"x": {"examples": [5]}}},
            {},
            ("", "the property 'x'", "nothing", "add x: 5"),
        ),
    ],
)
def test_each_rule_is_told_in_words(schema: Any, value: Any, expected: Any) -> None:
    assert told(schema, value) == [expected]


def test_an_alternative_that_nearly_fits_is_the_one_told_about() -> None:
    schema = {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {"maxLatency": {}},
                "additionalProperties": False,
            },
        ]
    }
    assert told(schema, {"maxLatncy": 1})[0][3] == "did you mean 'maxLatency'?"
    assert told(schema, 5) == [
        ("", "a string or an object", "the number 5", "give a string or an object")
    ]


def test_a_missing_name_is_not_told_again_beside_its_misspelling() -> None:
    schema = {
        "type": "object",
        "required": ["graph"],
        "properties": {"graph": {}},
        "additionalProperties": False,
    }
    assert [at for at, *_ in told(schema, {"grapf": 1})] == ["/grapf"]
    assert len(told(schema, {"other": 1})) == 2


def test_what_is_sensitive_is_never_quoted() -> None:
    schema = {"properties": {"key": {"type": "integer", SENSITIVE: True}}}
    assert told(schema, {"key": "secret"})[0][2] == "something else"


def test_places_are_found_through_references_lists_and_maps() -> None:
    schema = {
        "$defs": {"n": {"properties": {"x": {"type": "string"}}}},
        "properties": {
            "list": {"items": {"$ref": "#/$defs/n"}},
            "map": {"additionalProperties": {"type": "number"}},
        },
    }
    assert schema_at(schema, "/list/3/x") == {"type": "string"}
    assert schema_at(schema, "/map/any") == {"type": "number"}
    assert schema_at(schema, "/other") == {}


def test_values_are_named_in_a_few_words() -> None:
    assert found_text({"a": 1, "b": 2}) == "an object with a, b"
    assert found_text({}) == "an empty object"
    assert found_text(None) == "null"
    assert found_text("x" * 200).endswith("…")


def test_a_broken_schema_is_our_bug() -> None:
    with pytest.raises(BugError):
        problems({"type": "strin"}, 1)


def test_what_is_not_json_is_a_problem_and_no_crash() -> None:
    for value in ({"x": b"bytes"}, {1: 2}):
        assert told({"additionalProperties": {"type": "string"}}, value)[0][1] == "JSON"
