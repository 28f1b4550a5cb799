"""Correction: many features and repeated looks, one promise about false
alarms.

Holm with weights keeps the chance of any false alarm at alpha whatever depends
on what; each class of features has the same share of it, so that sixty step
times do not drown one decision. Benjamini-Hochberg is shown beside it and
alarms nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

LOOKS = 12
FIRST_LOOK = 25


def class_weights(classes: Sequence[str]) -> list[float]:
    """Return weights that add up to one: equal for each class, and within
    it."""
    sizes = Counter(classes)
    return [1 / (len(sizes) * sizes[name]) for name in classes]


def holm(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm's weighted method, in the order
    given."""
    order = sorted(range(len(values)), key=lambda i: (values[i] / weights[i], i))
    corrected = [1.0] * len(values)
    left = sum(weights)
    highest = 0.0
    for i in order:
        highest = max(highest, min(1.0, values[i] * left / weights[i]))
        corrected[i] = highest
        left -= weights[i]
    return corrected


def benjamini_hochberg(values: Sequence[float]) -> list[float]:
    """Return false discovery rates, in the order given."""
    count = len(values)
    order = sorted(range(count), key=lambda i: values[i], reverse=True)
    found = [1.0] * count
    lowest = 1.0
    for rank, i in zip(range(count, 0, -1), order, strict=True):
        lowest = min(lowest, values[i] * count / rank)
        found[i] = lowest
    return found


def look_sizes(available: int) -> list[int]:
    """Return after how many new runs a growing population is looked at: at 25,
    and each time it has doubled, twelve times in all.

    Each look has a twelfth of alpha, so all looks together, however often
    somebody asks, raise a false alarm with at most the chance alpha.
    """
    sizes = [FIRST_LOOK * 2**k for k in range(LOOKS)]
    return [size for size in sizes if size <= available]
