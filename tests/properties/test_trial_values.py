"""Drawn values fit the schema they were drawn for, whatever choices are
made."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from agentsquad.kernel.money import Money
from agentsquad.kernel.schema import problems
from agentsquad.operations.trials.contract import Draw, TrialSchemaError
from agentsquad.operations.trials.scenario import replaying, turning
from agentsquad.operations.trials.value import Values, schema_of


class Line(msgspec.Struct):
    sku: str
    quantity: Annotated[int, Meta(ge=1, le=50)]
    price: Money


class Deep(msgspec.Struct):
    lines: Annotated[list[Line], Meta(min_length=1, max_length=3)]
    kind: Literal["a", "b"]
    on: datetime.date
    at: datetime.datetime | None = None
    rate: Annotated[float, Meta(gt=0, lt=2)] = 1.0
    total: Decimal = Decimal(0)
    notes: dict[str, str] = {}
    nested: Deep | None = None
    short: Annotated[str, Meta(max_length=3)] = ""
    long: Annotated[str, Meta(min_length=40)] = "x" * 40
    even: Annotated[int, Meta(multiple_of=5, ge=0)] = 0
    pair: tuple[int, str] = (0, "")


SHAPES: tuple[Any, ...] = (
    Deep, Line, Money, list[int], dict[str, list[bool]], int, str, float, bool, Decimal,
    datetime.date, int | str | None, Any,
)  # fmt: skip
choices = st.lists(st.integers(0, 10**6), max_size=300)


@given(choices, st.sampled_from(SHAPES))
def test_a_drawn_value_fits_its_type(drawn, shape):
    value = Values(turning(drawn), schema_of(shape)).fit()
    plain = msgspec.json.decode(msgspec.json.encode(value))
    if shape is not Any:
        msgspec.convert(plain, shape, strict=False)


SCHEMA = {
    "type": "object",
    "required": ["order", "tags"],
    "properties": {
        "order": {"type": "string", "pattern": "^A-[0-9]+$", "examples": ["A-1", "A-22"]},
        "tags": {"type": "array", "items": {"enum": ["x", "y"]}, "uniqueItems": True},
        "size": {"type": ["integer", "null"], "minimum": -5, "exclusiveMaximum": 5},
        "any": {"oneOf": [{"type": "boolean"}, {"type": "number", "minimum": 1, "maximum": 2}]},
        "all": {"allOf": [{"type": "string"}, {"maxLength": 5}]},
        "place": {"$ref": "#/$defs/place"},
        "fixed": {"const": {"a": [1]}},
    },
    "additionalProperties": False,
    "$defs": {"place": {"type": "object", "additionalProperties": {"type": "integer"}}},
}


@given(choices)
def test_a_drawn_value_fits_its_json_schema(drawn):
    value = Values(turning(drawn), SCHEMA).fit()
    assert problems(SCHEMA, value) == []


@given(choices)
def test_the_same_choices_make_the_same_value(drawn):
    first = turning(drawn)
    value = Values(first, schema_of(Deep)).fit()
    assert Values(replaying(first.choices), schema_of(Deep)).fit() == value


def test_the_simplest_choices_make_the_simplest_value():
    value = Values(Draw(lambda low, high: low), schema_of(Deep)).fit()
    assert value == {
        "lines": [{"sku": "a", "quantity": 1, "price": {"micros": 10_000_000, "currency": "USD"}}],
        "kind": "a",
        "on": "2026-01-02",
    }


def test_a_pattern_nobody_knows_a_text_for_says_what_to_do():
    with pytest.raises(TrialSchemaError) as unknown:
        Values(Draw(lambda low, high: low), {"type": "string", "pattern": "^Q{7}$"}).fit()
    assert "examples" in (unknown.value.hint or "")
