"""Candidates: changes of a value worth trying, the smallest first.

Pure. A number is tried at the values that stand elsewhere under the same name
(an invoice's price at the order's), then at nothing; a truth at its opposite; a
text at the texts elsewhere under the same name; a list without one of its
elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from agentsquad.kernel.pointer import walk

_PARTNERS = 4  # values of the same name tried for one leaf


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One change: `size` orders them, 0 for none, about 1 for another value."""

    path: str
    was: Any
    value: Any
    size: float


def candidates(value: Any, relevant: Iterable[Any] = ()) -> list[Candidate]:
    """Return single changes of a JSON value; those of relevant leaves come
    first."""
    leaves = list(walk(value))
    named: dict[str, list[Any]] = {}
    for pointer, leaf in leaves:
        bucket = named.setdefault(_name(pointer), [])
        if not any(_same(leaf, known) for known in bucket):
            bucket.append(leaf)
    important = {_key(one) for one in relevant}
    found: list[tuple[bool, Candidate]] = []
    for pointer, leaf in leaves:
        others = [v for v in named[_name(pointer)] if not _same(v, leaf)][:_PARTNERS]
        for new, size in _changes(leaf, others):
            one = Candidate(path=pointer, was=leaf, value=new, size=size)
            found.append((_key(leaf) not in important, one))
    found.sort(key=lambda pair: (pair[0], pair[1].size))
    return [one for _, one in found] + list(_shorter(value))


def _changes(leaf: Any, others: list[Any]) -> Iterator[tuple[Any, float]]:
    if isinstance(leaf, bool):
        yield not leaf, 0.5
    elif isinstance(leaf, (int, float)):
        for other in others:
            if isinstance(other, (int, float)) and not isinstance(other, bool):
                yield other, distance(leaf, other)
        if leaf != 0:
            yield 0, 1.5
            yield leaf * 2, 1.6
    elif isinstance(leaf, str):
        for other in others:
            if isinstance(other, str) and other:
                yield other, 1.0


def distance(was: float, now: float) -> float:
    """Return how far a number moved, relative to the larger of the two; below
    1."""
    largest = max(abs(was), abs(now))
    return abs(was - now) / largest / 1.0001 if largest else 0.0


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


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)


def _key(value: Any) -> str:
    return f"{type(value).__name__}:{value}"
