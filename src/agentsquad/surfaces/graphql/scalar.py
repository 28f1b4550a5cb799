"""The scalars that GraphQL lacks: whole numbers of 64 bits, and JSON."""

from __future__ import annotations

from typing import Any

from graphql import (
    GraphQLError,
    GraphQLScalarType,
    ValueNode,
    value_from_ast_untyped,
)
from graphql.language import ast

LONG_MAX = 2**63


def _long(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise GraphQLError(f"Long cannot represent {value!r}")
    try:
        number = int(value)
    except (ValueError, OverflowError):
        raise GraphQLError(f"Long cannot represent {value!r}") from None
    if (isinstance(value, float) and number != value) or not -LONG_MAX <= number < LONG_MAX:
        raise GraphQLError(f"Long cannot represent {value!r}")
    return number


def _long_given(value: Any) -> int:
    if not isinstance(value, int):
        raise GraphQLError(f"Long cannot represent {value!r}")
    return _long(value)


def _long_written(node: ValueNode, variables: dict[str, Any] | None = None) -> int:
    if not isinstance(node, ast.IntValueNode):
        raise GraphQLError("Long is written as a whole number", node)
    return _long(node.value)


LONG = GraphQLScalarType(
    "Long",
    description="A whole number of at most 64 bits, such as the number of an event or an amount "
    "in millionths of a unit.",
    serialize=_long,
    parse_value=_long_given,
    parse_literal=_long_written,
)


def _json_written(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
    return value_from_ast_untyped(node, variables)


def _same(value: Any) -> Any:
    return value


JSON = GraphQLScalarType(
    "JSON",
    description="Any JSON value.",
    specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
    parse_value=_same,
    parse_literal=_json_written,
)
ANY = GraphQLScalarType("_Any", parse_value=_same, parse_literal=_json_written)
FIELD_SET = GraphQLScalarType("FieldSet")
