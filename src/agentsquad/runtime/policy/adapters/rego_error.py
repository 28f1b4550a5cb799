"""Turns the engine's error texts into problems a rule author can act on.

The engine prints file, line, a drawing of the source and then a native stack
trace; only the first two and the sentence leave this file.
"""

from __future__ import annotations

import re

from agentsquad.runtime.policy.contract import Problem

_PLACE = re.compile(r"^--> (?P<file>.+):(?P<line>\d+):(?P<column>\d+)$", re.MULTILINE)
_SENTENCE = re.compile(r"^error: (?P<text>.+)$", re.MULTILINE)

_HINTS = (
    ("`if` keyword is required", "write `name if { … }`; sets are `name contains x if { … }`"),
    ("expecting expression", "something is missing before this place"),
    ("is unsafe", "give the variable a value before it is used, or declare it with `some`"),
    ("could not find function", "there is no such function: check its name and its import"),
    ("conflicts with rule", "a complete rule has one value: use `else`, or a set with `contains`"),
    ("recursion detected", "rules may not depend on themselves"),
    ("binding plan not found", "use the same parameter names in every clause of a function"),
    ("expects", "check the number of arguments"),
    ("divide by zero", "test the divisor first"),
    ("multiple values", "a complete rule has one value: use `else`, or a set with `contains`"),
)

STATIC = ("is unsafe", "conflicts with rule", "recursion detected", "binding plan not found")
"""What is wrong whatever the input: these are refused when rules are loaded."""


def sentence(error: BaseException) -> str:
    """Return what went wrong in one line, without drawing or stack trace."""
    text = str(error).partition("Stack backtrace:")[0]
    found = _SENTENCE.search(text)
    if found:
        return found["text"].strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "the policy engine gave no reason"


def problem(error: BaseException, file: str = "") -> Problem:
    """Return file, line, what is wrong and how to fix it."""
    place = _PLACE.search(str(error))
    message = sentence(error)
    return Problem(
        file=place["file"] if place else file,
        line=int(place["line"]) if place else 1,
        column=int(place["column"]) if place else 1,
        message=message,
        hint=hint_for(message),
    )


def hint_for(message: str) -> str:
    """Return advice for a message, or where the language is described."""
    for part, hint in _HINTS:
        if part in message:
            return hint
    return "docs/reference/policy.md shows the Rego that is understood"


def located(error: BaseException) -> str:
    """Return `file:line: sentence`, for the reason of a decision."""
    found = problem(error)
    return f"{found.file}:{found.line}: {found.message}" if found.file else found.message
