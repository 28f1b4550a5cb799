"""Leaves: a JSON value as named numbers and words that can be counted.

Indexes of arrays, and keys that are numbers, are left out of names, so that the
third line of an order is compared with all lines. What names one thing only
(ids, digests, times) says nothing about behaviour and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

LEAVES_MAX = 400
WORD_MAX = 120
UNIQUE = re.compile(r"sha256:|\d{4}-\d\d-\d\d|[0-9a-f]{16,}$|[a-z2-7]{26}(/|$)")


def leaves(value: Any) -> Iterator[tuple[str, str | float]]:
    """Yield (name, word or number) of every leaf, and the length of every
    array."""
    yield from islice(_walk(value, ""), LEAVES_MAX)


def _walk(value: Any, at: str) -> Iterator[tuple[str, str | float]]:
    if isinstance(value, Mapping):
        if "$blob" in value or "$erased" in value:
            return
        for key in sorted(value, key=str):
            name = "*" if str(key).isdigit() else str(key)
            yield from _walk(value[key], f"{at}.{name}" if at else name)
    elif isinstance(value, (list, tuple)):
        yield f"{at or 'value'}, how many", float(len(value))
        for item in value:
            yield from _walk(item, f"{at}[]")
    elif isinstance(value, bool):
        yield at, "yes" if value else "no"
    elif isinstance(value, (int, float)):
        yield at, float(value)
    elif isinstance(value, str):
        if not UNIQUE.match(value):
            yield at, value if len(value) <= WORD_MAX else f"{value[:WORD_MAX]}…"
    elif value is None:
        yield at, "none"
