"""Spelling: the name somebody probably meant.

Counts slips of the pen (a letter too many, missing, wrong, or two exchanged)
and disregards case; for larger differences it falls back to likeness.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name nearest to a misspelt one, None if none is near."""
    names = list(known)
    slips = [(distance(name.lower(), other.lower()), other) for other in names]
    allowed = max(1, len(name) // 3)
    near = [(count, other) for count, other in slips if count <= allowed and count < len(other)]
    if near:
        return min(near, key=lambda pair: pair[0])[1]
    alike = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return alike[0] if alike else None


def distance(one: str, two: str) -> int:
    """Return the least number of slips between two words.

    A slip adds, drops or replaces a letter or exchanges two neighbours; no
    place is changed twice (optimal string alignment).
    """
    if abs(len(one) - len(two)) > 40 or len(one) > 200:
        return max(len(one), len(two))
    before: list[int] = []
    above = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(two, 1):
            best = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == two[j - 2] and one[i - 2] == b:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, above = above, row
    return above[-1]
