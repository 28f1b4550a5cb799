"""Schemas as providers take them, and JSON as models write it."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import msgspec
import pytest

from agentsquad.integrations.connectors.ai.contract import ModelRefusedError, ModelReplyError
from agentsquad.integrations.connectors.ai.shape import (
    closed,
    decode_object,
    inlined,
    rooted,
)


class Line(msgspec.Struct):
    sku: str
    count: int


class Order(msgspec.Struct, forbid_unknown_fields=True):
    number: str
    lines: list[Line]


def test_a_generated_schema_gets_an_object_at_its_root() -> None:
    schema = rooted(msgspec.json.schema(Order))
    assert schema["type"] == "object"
    assert "number" in schema["properties"]
    jsonschema_rs.validate(schema, {"number": "1", "lines": [{"sku": "a", "count": 2}]})


def test_inlining_removes_every_reference_and_changes_no_verdict() -> None:
    schema = msgspec.json.schema(Order)
    flat = inlined(schema)
    assert "$ref" not in str(flat) and "$defs" not in str(flat)
    good: Any = {"number": "1", "lines": [{"sku": "a", "count": 2}]}
    for value in (good, {"number": 1}, {"number": "1", "lines": [{"sku": "a"}]}):
        assert jsonschema_rs.is_valid(flat, value) == jsonschema_rs.is_valid(schema, value)


def test_a_schema_that_contains_itself_is_refused() -> None:
    tree = {
        "$ref": "#/$defs/Tree",
        "$defs": {"Tree": {"properties": {"left": {"$ref": "#/$defs/Tree"}}}},
    }
    with pytest.raises(ModelRefusedError, match="itself"):
        inlined(tree)


def test_a_reference_to_nothing_is_refused() -> None:
    for reference in ("#/$defs/Gone", "https://example.org/schema"):
        with pytest.raises(ModelRefusedError):
            rooted({"$ref": reference})


def test_only_schemas_that_leave_nothing_open_are_closed() -> None:
    shut = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"type": "string"}}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert closed(shut)
    assert not closed({**shut, "required": []})
    assert not closed({**shut, "additionalProperties": True})
    inner = {**shut, "properties": {"a": {"type": "object", "properties": {"b": {}}}}}
    assert not closed(inner)
    assert not closed({**shut, "$defs": {"X": {"type": "object"}}})
    assert not closed(msgspec.json.schema(Order))


def test_arguments_must_be_an_object() -> None:
    assert decode_object("", "x") == {}
    for text in ("[1]", "{", "3"):
        with pytest.raises(ModelReplyError):
            decode_object(text, "the arguments")
