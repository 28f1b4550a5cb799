"""Schema: hold a value against JSON Schema 2020-12; say what is wrong.

Compiled validators are kept, so checking costs microseconds. Every problem says
where it is, what was expected, what was found and how to fix it, with the
nearest right name for a misspelt one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from agentsquad.kernel.errors import BugError
from agentsquad.kernel.pointer import join, parse
from agentsquad.kernel.resource import SENSITIVE
from agentsquad.kernel.spelling import closest

_WORDS = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a value; `at` is a JSON Pointer into it."""

    at: str
    expected: str
    found: str
    fix: str
    keyword: str = ""

    def within(self, prefix: str) -> Problem:
        """Return the same problem seen from an outer value."""
        return msgspec.structs.replace(self, at=prefix + self.at)


def problems(schema: Mapping[str, Any], value: Any) -> list[Problem]:
    """Return everything wrong with a JSON value, in order of place."""
    validator = _compiled(msgspec.json.encode(schema))
    try:
        if validator.is_valid(value):
            return []
    except ValueError as error:  # bytes, keys that are not strings, lone surrogates
        return [Problem(at="", expected="JSON", found=str(error), fix="give plain JSON values")]
    found = [problem for error in validator.iter_errors(value) for problem in _told(error, schema)]
    return sorted(_without_echoes(found), key=lambda problem: problem.at)


def schema_at(schema: Mapping[str, Any], pointer: str) -> Mapping[str, Any]:
    """Return the schema of a place in a value, as far as it is told by name.

    Follows `properties`, `items`, `additionalProperties` and local references;
    {} where nothing is said.
    """
    current = schema
    for step in parse(pointer):
        current = resolve(schema, current)
        properties = current.get("properties") or {}
        inner = properties.get(step, current.get("items", current.get("additionalProperties")))
        current = inner if isinstance(inner, Mapping) else {}
    return resolve(schema, current)


def resolve(schema: Mapping[str, Any], inner: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part of a schema with its local reference followed."""
    reference = inner.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return inner
    target = _subschema(schema, parse(reference[1:]))
    return {**target, **{key: rule for key, rule in inner.items() if key != "$ref"}}


def found_text(value: Any) -> str:
    """Return a value in a few words, as the "found" of a problem."""
    if isinstance(value, str):
        return f"the string {_short(value)}"
    if isinstance(value, bool) or value is None:
        return _short(value)
    if isinstance(value, (int, float)):
        return f"the number {_short(value)}"
    if isinstance(value, Mapping):
        return f"an object with {', '.join(list(value)[:6])}" if value else "an empty object"
    return f"a list of {len(value)}"


@lru_cache(maxsize=512)
def _compiled(text: bytes) -> Any:
    import jsonschema_rs

    try:
        return jsonschema_rs.Draft202012Validator(msgspec.json.decode(text))
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise BugError(f"not a JSON Schema: {error}", code="schema.invalid") from None


def _told(error: Any, schema: Mapping[str, Any]) -> list[Problem]:
    """Return the problems that one error of the validator stands for."""
    rule = error.kind.name
    at = join(*error.instance_path)
    inner = _subschema(schema, error.schema_path[:-1])
    match rule:
        case "additionalProperties" | "unevaluatedProperties":
            return [_unknown(at, name, inner) for name in error.kind.unexpected]
        case "propertyNames":
            return [
                Problem(at=at, expected=problem.expected, found=problem.found, fix=problem.fix)
                for problem in _told(error.kind.error, schema)
            ]
        case "anyOf" | "oneOf":
            return _of_branches(error, at, inner, schema)
    expected, fix = _wish(rule, error, inner)
    if rule == "required":
        found = "nothing"
    else:
        found = "something else" if inner.get(SENSITIVE) else found_text(error.instance)
    return [Problem(at=at, expected=expected, found=found, fix=fix, keyword=rule)]


def _wish(rule: str, error: Any, inner: Mapping[str, Any]) -> tuple[str, str]:
    """Return (expected, fix) for one failed keyword."""
    example = _example(inner)
    match rule:
        case "required":
            name = error.kind.property
            wanted = (inner.get("properties") or {}).get(name) or {}
            return f"the property {name!r}", f"add {name}: {_example(wanted) or '…'}"
        case "type":
            types = sorted(error.kind.types, key=list(_WORDS).index)
            expected = " or ".join(_WORDS[name] for name in types)
            return expected, f"write e.g. {example}" if example else f"give {expected}"
        case "enum":
            options = list(error.kind.options)
            expected = "one of " + ", ".join(map(_short, options))
            texts = [option for option in options if isinstance(option, str)]
            return expected, _guess(str(error.instance), texts) or f"choose {expected}"
        case "const":
            expected = _short(error.kind.expected_value)
            return expected, f"write {expected}"
        case "pattern":
            expected = str(inner.get("title") or f"text matching {error.kind.pattern}")
            return expected, f"write e.g. {example}" if example else f"give {expected}"
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            least = "least" if rule == "minimum" else "most"
            bound = (
                f"more than {error.kind.limit}"
                if "exclusiveMin" in rule
                else (
                    f"less than {error.kind.limit}"
                    if "exclusiveMax" in rule
                    else f"at {least} {error.kind.limit}"
                )
            )
            return bound, f"give a number of {bound}" if " " in bound else bound
    expected = str(error.message)
    return expected, f"write e.g. {example}" if example else "change it so that this holds"


def _unknown(at: str, name: str, inner: Mapping[str, Any]) -> Problem:
    known = [key for key, rule in (inner.get("properties") or {}).items() if rule is not False]
    return Problem(
        at=at + join(name),
        expected=_listing(known),
        found=f"the unknown property {name!r}",
        fix=_guess(name, known) or f"remove {name!r} or rename it",
        keyword="additionalProperties",
    )


def _guess(name: str, known: list[str]) -> str | None:
    meant = closest(name, known)
    return f"did you mean {meant!r}?" if meant is not None else None


def _listing(names: list[str]) -> str:
    if not names:
        return "no property"
    return "one of " + ", ".join(names) if len(names) <= 8 else "a property that is known here"


def _of_branches(
    error: Any, at: str, inner: Mapping[str, Any], schema: Mapping[str, Any]
) -> list[Problem]:
    """Return the problems of the alternative that fits best."""
    rule = error.kind.name
    branches = [
        [problem for one in branch for problem in _told(one, schema)]
        for branch in error.kind.context
        if branch
    ]
    if not branches:
        return [
            Problem(
                at=at,
                expected=str(inner.get("description") or "exactly one of the alternatives"),
                found=found_text(error.instance),
                fix="keep what belongs to one of them",
                keyword=rule,
            )
        ]
    if all(len(branch) == 1 and branch[0].keyword == "type" for branch in branches):
        expected = " or ".join(dict.fromkeys(branch[0].expected for branch in branches))
        example = _example(inner)
        fix = f"write e.g. {example}" if example else f"give {expected}"
        found = found_text(error.instance)
        return [Problem(at=at, expected=expected, found=found, fix=fix, keyword="type")]
    return max(
        branches,
        key=lambda branch: (
            -any(problem.keyword == "type" and problem.at == at for problem in branch),
            max(len(problem.at) for problem in branch),
            -len(branch),
        ),
    )


def _without_echoes(found: Iterable[Problem]) -> list[Problem]:
    """Drop "missing x" where a misspelt x was found in the same object."""
    listed = list(dict.fromkeys(found))
    guessed = {
        (problem.at.rpartition("/")[0], problem.fix)
        for problem in listed
        if problem.keyword == "additionalProperties"
    }
    return [
        problem
        for problem in listed
        if problem.keyword != "required"
        or (problem.at, f"did you mean {problem.expected.removeprefix('the property ')}?")
        not in guessed
    ]


def _subschema(schema: Any, path: Iterable[Any]) -> Mapping[str, Any]:
    for step in path:
        try:
            schema = schema[step]
        except (KeyError, IndexError, TypeError):
            return {}
    return schema if isinstance(schema, Mapping) else {}


def _example(inner: Mapping[str, Any]) -> str | None:
    for values in (inner.get("examples"), inner.get("enum")):
        if values:
            return _short(values[0])
    if "const" in inner:
        return _short(inner["const"])
    return _short(inner["default"]) if "default" in inner else None


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode("utf-8", "replace")
    return text if len(text) <= 80 else text[:77] + "…"
