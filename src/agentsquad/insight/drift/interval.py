"""Intervals: how large a difference is, and how sure one can be of that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, variance


def normal_quantile(level: float) -> float:
    """Return z for a two-sided interval of this level."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def wilson(count: int, size: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a share."""
    z = normal_quantile(level)
    share = count / size
    middle = share + z * z / (2 * size)
    half = z * math.sqrt(share * (1 - share) / size + z * z / (4 * size * size))
    scale = 1 + z * z / size
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def share_difference(
    a: int, n: int, b: int, m: int, level: float = 0.95
) -> tuple[float, float, float]:
    """Return b/m - a/n with Newcombe's interval (his tenth method, from two
    Wilson intervals)."""
    old, new = a / n, b / m
    old_low, old_high = wilson(a, n, level)
    new_low, new_high = wilson(b, m, level)
    low = new - old - math.hypot(new - new_low, old_high - old)
    high = new - old + math.hypot(new_high - new, old - old_low)
    return new - old, max(-1.0, low), min(1.0, high)


def mean_difference(
    old: Sequence[float], new: Sequence[float], level: float = 0.95
) -> tuple[float, float, float]:
    """Return the difference of the means with Welch's interval."""
    difference = fmean(new) - fmean(old)
    first, second = variance(old) / len(old), variance(new) / len(new)
    error = math.sqrt(first + second)
    if error == 0:
        return difference, difference, difference
    degrees = (first + second) ** 2 / (first**2 / (len(old) - 1) + second**2 / (len(new) - 1))
    half = student_quantile(level, degrees) * error
    return difference, difference - half, difference + half


def student_quantile(level: float, degrees: float) -> float:
    """Return Student's quantile for a two-sided interval (Cornish-Fisher, four
    terms; good to 0.1 % from six degrees of freedom)."""
    z = normal_quantile(level)
    v = max(degrees, 1.0)
    return z + (
        (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def runs_needed(old: float, new: float, *, alpha: float, power: float = 0.9) -> int:
    """Return how many runs a side show a change of a share from old to new."""
    a = NormalDist().inv_cdf(1 - alpha / 2)
    b = NormalDist().inv_cdf(power)
    spread = old * (1 - old) + new * (1 - new)
    return math.ceil((a + b) ** 2 * spread / (new - old) ** 2)
