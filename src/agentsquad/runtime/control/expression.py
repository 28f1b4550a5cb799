"""Expression: the "${…}" parts of texts in manifests, found, not read.

What stands between the braces is CEL; parsing and evaluating it is the
business of the `Expressions` port. A text that is one expression stands for its
value, a text around expressions is joined to a string.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from agentsquad.kernel.pointer import walk
from agentsquad.runtime.control.contract import ExpressionError


class Expression(msgspec.Struct, frozen=True):
    """The CEL between the braces."""

    text: str


def parts(text: str) -> list[str | Expression]:
    """Return a text's literals and expressions; "$${" is a literal "${".

    Raises ExpressionError when an expression is empty or never ends. Braces
    and quotes inside an expression are respected.
    """
    found: list[str | Expression] = []
    literal, index = "", 0
    while index < len(text):
        if text.startswith("$${", index):
            literal, index = literal + "${", index + 3
        elif text.startswith("${", index):
            end = _end(text, index + 2)
            inner = text[index + 2 : end].strip()
            if not inner:
                raise ExpressionError("an expression is empty", hint='write e.g. "${input.order}"')
            found += [literal] if literal else []
            found.append(Expression(inner))
            literal, index = "", end + 1
        else:
            literal, index = literal + text[index], index + 1
    return [*found, literal] if literal or not found else found


def condition(text: str) -> Expression:
    """Return a condition, written as "${a > 1}" or plainly as "a > 1"."""
    pieces = parts(text)
    if len(pieces) == 1:
        only = pieces[0]
        if isinstance(only, Expression):
            return only
        if only.strip():
            return Expression(only.strip())
    raise ExpressionError(
        f"{text!r} is not one expression", hint='write one condition, e.g. "${input.total > 100}"'
    )


def expressions(value: Any) -> Iterator[tuple[str, Expression]]:
    """Yield (JSON Pointer, expression) for every expression in a JSON value."""
    for at, leaf in walk(value):
        if isinstance(leaf, str):
            for part in parts(leaf):
                if isinstance(part, Expression):
                    yield at, part


def _end(text: str, start: int) -> int:
    """Return the index of the brace that closes an expression."""
    depth, quote, index = 0, "", start
    while index < len(text):
        letter = text[index]
        if quote:
            if letter == "\\":
                index += 1
            elif letter == quote:
                quote = ""
        elif letter in "\"'":
            quote = letter
        elif letter == "{":
            depth += 1
        elif letter == "}":
            if depth == 0:
                return index
            depth -= 1
        index += 1
    raise ExpressionError(
        f"the expression {text[start - 2 :][:40]!r} never ends", hint="close it with '}'"
    )
