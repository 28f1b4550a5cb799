"""How alike two descriptions are, without a model: shared words, weighted.

Pure. Where an embedding model is installed its cosine is used instead; either
way the score only proposes, rules decide.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"[A-Z]+|\d+")


def words(text: str) -> list[str]:
    """Return the words and numbers of a description, in capitals."""
    return _WORD.findall(text.upper())


def alike(one: str, other: str) -> float:
    """Return 0 to 1: twice the shared letters of words over all of them."""
    left, right = words(one), words(other)
    total = sum(map(len, left)) + sum(map(len, right))
    if not total:
        return 0.0
    rest = list(right)
    shared = 0
    for word in left:
        if word in rest:
            rest.remove(word)
            shared += len(word)
    return round(2 * shared / total, 4)


def table(
    lines: Sequence[tuple[str, str]], others: Sequence[tuple[str, str]]
) -> dict[str, dict[str, float]]:
    """Return the likeness of every line to every other, by their numbers."""
    return {
        number: {other: alike(text, words_of) for other, words_of in others}
        for number, text in lines
    }


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of two unit vectors, rounded so that logs agree."""
    return round(max(0.0, sum(a * b for a, b in zip(one, other, strict=True))), 4)
