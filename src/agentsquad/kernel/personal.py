"""Personal values: which fields of a type are about a person, and where they
then stand.

A field is marked in its type, `name: Annotated[str, PERSONAL]`. Whoever records
a value of that type seals the marked texts, and every other text in the same
run that contains one of them, so that erasing the person erases all of it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import msgspec

from agentsquad.kernel.pointer import walk

PERSONAL = msgspec.Meta(extra={"personal": True})
LENGTH_MIN = 3  # shorter texts would seal what has nothing to do with the person


def values_in(shape: Any, value: Any) -> set[str]:
    """Return the marked texts in a plain JSON value of a type."""
    if not marked(shape):
        return set()
    return {text for text in _texts(shape, value) if len(text.strip()) >= LENGTH_MIN}


def pointers(payload: Any, known: Mapping[str, str]) -> dict[str, str]:
    """Return pointer -> subject for every text that contains a known personal
    value."""
    if not known:
        return {}
    found = {}
    for pointer, leaf in walk(payload):
        if isinstance(leaf, str) and len(leaf) >= LENGTH_MIN:
            for value, subject in known.items():
                if value in leaf:
                    found[pointer] = subject
                    break
    return found


@cache
def marked(shape: Any) -> bool:
    """Return whether a type has a marked field anywhere."""
    return _marked(shape, set())


def _marked(shape: Any, seen: set[Any]) -> bool:
    meta, plain = _unwrapped(shape)
    if meta:
        return True
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
        if plain in seen:
            return False
        seen.add(plain)
        return any(_marked(hint, seen) for hint in _hints(plain).values())
    return any(_marked(inner, seen) for inner in typing.get_args(plain) if inner is not ...)


@cache
def _hints(shape: type) -> dict[str, Any]:
    return typing.get_type_hints(shape, include_extras=True)


def _unwrapped(shape: Any) -> tuple[bool, Any]:
    if typing.get_origin(shape) is typing.Annotated:
        plain, *notes = typing.get_args(shape)
        own = any(
            isinstance(note, msgspec.Meta) and (note.extra or {}).get("personal") for note in notes
        )
        inner, plain = _unwrapped(plain)
        return own or inner, plain
    return False, shape


def _texts(shape: Any, value: Any) -> Iterator[str]:
    own, plain = _unwrapped(shape)
    if own:
        if isinstance(value, str):
            yield value
        return
    if value is None or not marked(plain):
        return
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
        if isinstance(value, Mapping):
            for name, hint in _hints(plain).items():
                yield from _texts(hint, value.get(name))
        return
    origin, args = typing.get_origin(plain), typing.get_args(plain)
    if origin in (typing.Union, types.UnionType):
        for inner in args:
            yield from _texts(inner, value)
    elif origin in (list, tuple, set, frozenset) and isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(args[0], item)
    elif origin is dict and isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(args[1], item)
