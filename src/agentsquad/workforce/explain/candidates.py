"""Candidates: changes of a value worth trying, the smallest first.

Pure. A number is tried at the values that stand elsewhere under the same name
(an invoice's price at the order's), then at nothing; a truth at its opposite; a
text at the texts elsewhere under the same name; a list without one of its
elements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from agentsquad.kernel.pointer import walk

_PARTNERS = 4  # values of the same name tried for one leaf
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
IDENTITIES = frozenset(
    {
        "id",
        "ids",
        "number",
        "numbers",
        "po",
        "key",
        "name",
        "file",
        "digest",
        "place",
        "position",
        "control",
        "interchange",
        "group",
        "set",
        "document",
        "vendor",
        "sender",
        "receiver",
    }
)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One change: `size` orders them, 0 for none, about 1 for another value."""

    path: str
    was: Any
    value: Any
    size: float


def candidates(value: Any, keep: Iterable[Any] = ()) -> list[Candidate]:
    """Return single changes of a JSON value, the smallest first.

    Identities are left alone: fields that name things, and the texts in
    `keep`. To call something by another name explains nothing.
    """
    kept = {_key(one) for one in keep}
    leaves = [
        (pointer, leaf)
        for pointer, leaf in walk(value)
        if _last(pointer) not in IDENTITIES and _key(leaf) not in kept
    ]
    named: dict[str, list[Any]] = {}
    for pointer, leaf in leaves:
        bucket = named.setdefault(_name(pointer), [])
        if not any(_same(leaf, known) for known in bucket):
            bucket.append(leaf)
    found = []
    for pointer, leaf in leaves:
        others = [v for v in named[_name(pointer)] if not _same(v, leaf)]
        for new, size in _changes(leaf, others):
            found.append(Candidate(path=pointer, was=leaf, value=new, size=size))
    found.sort(key=lambda one: one.size)
    return found + list(_shorter(value))


def _changes(leaf: Any, others: list[Any]) -> Iterator[tuple[Any, float]]:
    number = as_number(leaf)
    if isinstance(leaf, bool):
        yield not leaf, 0.5
    elif number is not None:
        near = [(distance(number, n), o) for o in others if (n := as_number(o)) is not None]
        for size, other in sorted(near, key=lambda pair: pair[0])[:_PARTNERS]:
            yield other, size
        if number != 0:
            yield like(leaf, Decimal(0)), 1.5
            yield like(leaf, number * 2), 1.6
    elif isinstance(leaf, str):
        for other in others[:_PARTNERS]:
            if isinstance(other, str) and other and as_number(other) is None:
                yield other, 1.2


def as_number(value: Any) -> Decimal | None:
    """Return a number, or a text that is a plain decimal, as Decimal; else
    None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return Decimal(str(value))
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    return None


def like(was: Any, number: Decimal) -> Any:
    """Return a number written the way `was` is."""
    if isinstance(was, int):
        return int(number)
    if isinstance(was, float):
        return float(number)
    places = len(was.partition(".")[2])
    return str(round(number, places))


def step(was: Any, other: Any) -> Decimal:
    """Return the smallest difference that the spelling of two numbers can
    show."""
    if isinstance(was, int):
        return Decimal(1)
    places = max(len(str(one).partition(".")[2]) for one in (was, other))
    return Decimal(1).scaleb(-places)


def distance(was: Decimal, now: Decimal) -> float:
    """Return how far a number moved, relative to the larger of the two."""
    largest = max(abs(was), abs(now))
    return float(abs(was - now) / largest) if largest else 0.0


def _shorter(value: Any, at: str = "") -> Iterator[Candidate]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _shorter(inner, f"{at}/{str(name).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index in range(len(value)):
            rest = value[:index] + value[index + 1 :]
            yield Candidate(path=at, was=value, value=rest, size=3.0)
        for index, inner in enumerate(value):
            yield from _shorter(inner, f"{at}/{index}")


def perturbations(output: Any, limit: int = 12) -> list[Candidate]:
    """Return a few changes of a step's output that show whether it matters."""
    found = []
    for pointer, leaf in walk(output):
        if isinstance(leaf, bool):
            found.append(Candidate(path=pointer, was=leaf, value=not leaf, size=0.5))
        elif isinstance(leaf, (int, float)):
            found.append(Candidate(path=pointer, was=leaf, value=0 if leaf else 1, size=1.0))
            found.append(Candidate(path=pointer, was=leaf, value=leaf * 1000 + 1, size=1.1))
        elif isinstance(leaf, str):
            for word in _OPPOSITES.get(leaf, ()):
                found.append(Candidate(path=pointer, was=leaf, value=word, size=0.8))
    found.sort(key=lambda one: one.size)
    lists = [one for one in _shorter(output) if one.path.count("/") <= 2]
    return found[:limit] + lists[:4]


_OPPOSITES: dict[str, tuple[str, ...]] = {
    "hold": ("pay",),
    "pay": ("hold",),
    "short_pay": ("hold", "pay"),
    "reject": ("pay",),
    "yes": ("no",),
    "no": ("yes",),
    "low": ("high",),
    "medium": ("low", "high"),
    "high": ("low",),
    "match": ("mismatch", "no_match"),
    "mismatch": ("match",),
    "clear": ("hit",),
    "hit": ("clear",),
}


def _name(pointer: str) -> str:
    parts = [part for part in pointer.split("/") if part and not part.isdigit()]
    return (
        "/".join(parts[-2:])
        if parts and parts[-1] in ("micros", "value")
        else (parts[-1] if parts else "")
    )


def _last(pointer: str) -> str:
    return pointer.rpartition("/")[2]


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)


def _key(value: Any) -> str:
    return f"{type(value).__name__}:{value}"
