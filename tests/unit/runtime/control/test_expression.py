from __future__ import annotations

import pytest

from agentsquad.runtime.control.adapters.cel import CelExpressions
from agentsquad.runtime.control.contract import ExpressionError
from agentsquad.runtime.control.expression import Expression, condition, expressions, parts


def test_a_text_is_split_into_literals_and_expressions() -> None:
    assert parts("a ${x.y} b ${ z }") == ["a ", Expression("x.y"), " b ", Expression("z")]
    assert parts("${x}") == [Expression("x")]
    assert parts("plain $5 {a}") == ["plain $5 {a}"]
    assert parts("") == [""]
    assert parts("$${HOME}") == ["${HOME}"]


def test_braces_and_quotes_inside_an_expression_belong_to_it() -> None:
    assert parts("${ {'a': '}'}['a'] }!") == [Expression("{'a': '}'}['a']"), "!"]
    assert parts(r"${'\'}' + x}") == [Expression(r"'\'}' + x")]


@pytest.mark.parametrize("text", ["${", "${a", "${'}", "${ }", "a ${}"])
def test_an_empty_or_unfinished_expression_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parts(text)


def test_a_condition_may_be_written_with_and_without_braces() -> None:
    assert condition("${a > 1}") == condition("a > 1") == Expression("a > 1")
    for text in ("", "${a} and ${b}", "x ${a}"):
        with pytest.raises(ExpressionError):
            condition(text)


def test_expressions_are_found_with_their_place() -> None:
    value = {"a": ["${x}", 1], "b": {"c": "y ${y} ${z}"}}
    assert [(at, one.text) for at, one in expressions(value)] == [
        ("/a/0", "x"),
        ("/b/c", "y"),
        ("/b/c", "z"),
    ]


def test_cel_tells_what_is_wrong_and_evaluates_what_is_right() -> None:
    cel = CelExpressions()
    assert cel.problem("a.b > 1") is None
    assert "column 4" in (cel.problem("1 +") or "")
    names = {"nodes": {"data-extraction": {"rows": [1, 2]}}}
    assert cel.evaluate('nodes["data-extraction"].rows.size() > 1', names) is True
    assert cel.evaluate("{'rows': nodes['data-extraction'].rows, 'x': null}", names) == {
        "rows": [1, 2],
        "x": None,
    }


@pytest.mark.parametrize(
    "text", ["missing.x", "1/0", "'a' + 1", "a.b", "timestamp('2020-01-01T00:00:00Z')"]
)
def test_an_expression_without_a_json_value_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        CelExpressions().evaluate(text, {"a": {}})
