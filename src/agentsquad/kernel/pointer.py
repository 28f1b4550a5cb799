"""Pointer: JSON Pointer (RFC 6901): read, replace, walk, compare values.

Documents are never changed in place: `put` returns a new one that shares what
stayed the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from agentsquad.kernel.errors import InvalidError, MissingError

_INDEX = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_BAD_TILDE = re.compile(r"~(?![01])")


class _Absent:
    """The value of what is not there; falsy, and one object only."""

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


ABSENT: Final = _Absent()


def parse(pointer: str) -> list[str]:
    """Return a pointer's steps, unescaped; "" is the whole document."""
    if pointer and not pointer.startswith("/"):
        raise InvalidError(
            f"{pointer!r} is not a JSON Pointer",
            code="pointer.invalid",
            hint="start with a slash, e.g. /vendor/name",
        )
    if _BAD_TILDE.search(pointer):
        raise InvalidError(
            f"{pointer!r} has a stray '~'",
            code="pointer.invalid",
            hint="write ~0 for '~' and ~1 for '/'",
        )
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def join(*steps: str | int) -> str:
    """Return the pointer made of steps; the reverse of `parse`."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def get(doc: Any, pointer: str) -> Any:
    """Return the value a pointer names, else MissingError `pointer.missing`."""
    value = doc
    for step in parse(pointer):
        value = _child(value, step, pointer)
    return value


def put(doc: Any, pointer: str, value: Any) -> Any:
    """Return a document in which the pointer names `value`.

    A new key is added, "-" appends to an array; every step before the last must
    exist.
    """
    return _put(doc, parse(pointer), value, pointer)


def walk(doc: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (pointer, leaf) in order; an empty object or array is a leaf."""
    found: list[tuple[str, Any]] = []
    _collect(doc, at, found)
    return iter(found)


def _collect(doc: Any, at: str, found: list[tuple[str, Any]]) -> None:
    """Add every leaf; nearly all values are of the plain kinds looked at
    first."""
    kind = type(doc)
    if kind is str or kind is int or not doc:
        found.append((at, doc))
    elif kind is dict or isinstance(doc, Mapping):
        for key, item in doc.items():
            plain = type(key) is str and "~" not in key and "/" not in key
            _collect(item, f"{at}/{key}" if plain else at + join(key), found)
    elif kind is list or _is_array(doc):
        for index, item in enumerate(doc):
            _collect(item, f"{at}/{index}", found)
    else:
        found.append((at, doc))


def diff(old: Any, new: Any, at: str = "") -> list[tuple[str, Any, Any]]:
    """Return (pointer, old, new) of each difference, `ABSENT` where nothing.

    Objects are compared by key, arrays by index; numbers by value (1 equals
    1.0), and true is not 1.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [*old, *(key for key in new if key not in old)]
        pairs = [(key, old.get(key, ABSENT), new.get(key, ABSENT)) for key in keys]
    elif _is_array(old) and _is_array(new):
        size = max(len(old), len(new))
        pairs = [
            (
                str(index),
                old[index] if index < len(old) else ABSENT,
                new[index] if index < len(new) else ABSENT,
            )
            for index in range(size)
        ]
    else:
        return [] if _equal(old, new) else [(at, old, new)]
    return [found for key, a, b in pairs for found in diff(a, b, at + join(key))]


def _equal(old: Any, new: Any) -> bool:
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    return bool(old == new)


def _is_array(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def _child(value: Any, step: str, pointer: str) -> Any:
    if isinstance(value, Mapping):
        if step in value:
            return value[step]
    elif _is_array(value) and _INDEX.fullmatch(step) and int(step) < len(value):
        return value[int(step)]
    raise _missing(pointer, step, value)


def _missing(pointer: str, step: str, value: Any) -> MissingError:
    if isinstance(value, Mapping):
        hint = f"there are: {', '.join(str(key) for key in list(value)[:10]) or 'no keys'}"
    elif _is_array(value):
        hint = f"the array has {len(value)} items, counted from 0"
    else:
        hint = "the step before it is neither object nor array"
    return MissingError(f"nothing at {pointer!r}: no {step!r}", code="pointer.missing", hint=hint)


def _put(doc: Any, steps: list[str], value: Any, pointer: str) -> Any:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(doc, Mapping):
        inner = _child(doc, step, pointer) if rest else None
        return {**doc, step: _put(inner, rest, value, pointer)}
    if _is_array(doc):
        if step == "-" and not rest:
            return [*doc, value]
        inner = _child(doc, step, pointer)
        index = int(step)
        return [*doc[:index], _put(inner, rest, value, pointer), *doc[index + 1 :]]
    raise _missing(pointer, step, doc)


def shown(value: Any) -> Any:
    """Return a side of a difference as JSON: None where there was nothing."""
    return None if value is ABSENT else value
