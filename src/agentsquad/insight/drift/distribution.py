"""Two samples of numbers: are they from one distribution?

Kolmogorov–Smirnov and Anderson–Darling, both conditional on the ties there are,
since costs, counts and recorded times are discrete: the textbook p-values
assume that no two values are equal. Pure Python on purpose
(docs/decisions/0007); scipy judges it in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from agentsquad.insight.drift.chance import Chance, exceeding, repeated

EXACT_MAX = 250_000  # n * m up to which paths are counted
DRAWS_MAX = 4999
DRAWN_MAX = 2_500_000  # values put in order in all draws of one feature


class Pooled:
    """Two samples put together: how many of each are at every value."""

    def __init__(self, old: Sequence[float], new: Sequence[float]) -> None:
        self.n, self.m = len(old), len(new)
        self.size = self.n + self.m
        rows: dict[float, list[int]] = {}
        for value in old:
            rows.setdefault(value, [0, 0])[0] += 1
        for value in new:
            rows.setdefault(value, [0, 0])[1] += 1
        self.values = sorted(rows)
        self.first = [rows[value][0] for value in self.values]
        self.ties = [sum(rows[value]) for value in self.values]

    @property
    def constant(self) -> bool:
        """Whether there is only one value, so that nothing can differ."""
        return len(self.values) < 2


def kolmogorov_smirnov(pooled: Pooled) -> tuple[float, float]:
    """Return the largest gap between the two distribution functions, and its
    p-value.

    Exact for the ties there are, up to 500 runs a side; beyond, the limit for
    continuous values, which is cautious with ties.
    """
    n, m = pooled.n, pooled.m
    widest = place = seen = 0
    for first, ties in zip(pooled.first, pooled.ties, strict=True):
        place += first
        seen += ties
        widest = max(widest, abs(place * pooled.size - seen * n))
    gap = widest / (n * m)
    if widest == 0:
        return 0.0, 1.0
    if n * m > EXACT_MAX:
        return gap, _limit(gap * math.sqrt(n * m / pooled.size))
    return gap, min(1.0, _reaching(pooled, widest))


def _reaching(pooled: Pooled, widest: int) -> float:
    """Return the share of all orders of labels whose gap reaches `widest`.

    Walks the pooled values; `weights[i]` is the share of orders with i of the
    first sample so far and no gap that wide yet. What reaches it is taken out
    and added up, so that small p-values lose no digits.
    """
    n, m, size = pooled.n, pooled.m, pooled.size
    weights = {0: 1.0}
    out = 0.0
    seen = 0
    for ties in pooled.ties:
        for _ in range(ties):
            left = size - seen
            following: dict[int, float] = {}
            for i, weight in weights.items():
                chosen, other = n - i, m - seen + i
                if chosen:
                    following[i + 1] = following.get(i + 1, 0.0) + weight * chosen / left
                if other:
                    following[i] = following.get(i, 0.0) + weight * other / left
            weights = following
            seen += 1
        kept = {}
        for i, weight in weights.items():
            if abs(i * size - seen * n) >= widest:
                out += weight
            elif weight > 1e-30:
                kept[i] = weight
        weights = kept
    return out


def _limit(scaled: float) -> float:
    """Return Kolmogorov's limiting probability of a wider gap."""
    if scaled < 0.2:
        return 1.0
    terms = (math.exp(-2 * (k * scaled) ** 2) * (1 if k % 2 else -1) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * sum(terms)))


def anderson_darling(
    pooled: Pooled, chance: Chance, *, most: int = DRAWS_MAX
) -> tuple[float, float]:
    """Return the two-sample statistic by midranks, and its permutation
    p-value."""
    weights, centres = _weights(pooled)
    n, size = pooled.n, pooled.size
    scale = (size - 1) / size**2 * (1 / n + 1 / pooled.m)
    terms = list(zip(weights, centres, strict=True))
    ends = list(accumulate(pooled.ties))

    def statistic(upto: Sequence[int]) -> float:
        """Return it for how many of the first sample are up to each value."""
        total, before, half = 0.0, 0, size / 2
        for (weight, centre), now in zip(terms, upto, strict=True):
            distance = half * (before + now) - centre
            total += weight * distance * distance
            before = now
        return total * scale

    def draw() -> float:
        seen = list(accumulate(chance.labels(n, size)))
        return statistic([seen[end - 1] for end in ends])

    observed = statistic(list(accumulate(pooled.first)))
    p, _ = exceeding(observed, repeated(draw), most=most)
    return observed, p


def _weights(pooled: Pooled) -> tuple[list[float], list[float]]:
    size = pooled.size
    weights, centres = [], []
    below = 0.0
    for ties in pooled.ties:
        middle = below + ties / 2
        spread = middle * (size - middle) - size * ties / 4
        weights.append(ties / spread if spread > 0 else 0.0)
        centres.append(middle * pooled.n)
        below += ties
    return weights, centres


def difference_p(old: Sequence[float], new: Sequence[float], chance: Chance) -> dict[str, float]:
    """Return both statistics with their p-values and one p-value for the
    feature.

    That is twice the smaller: two tests of one question are two chances to be
    wrong. Where the exact one has decided already, few draws are enough for the
    other.
    """
    pooled = Pooled(old, new)
    if pooled.constant:
        return {"ks": 0.0, "ks_p": 1.0, "ad": 0.0, "ad_p": 1.0, "p": 1.0}
    gap, ks_p = kolmogorov_smirnov(pooled)
    most = 199 if ks_p < 1e-5 else max(199, min(DRAWS_MAX, DRAWN_MAX // pooled.size))
    weight, ad_p = anderson_darling(pooled, chance, most=most)
    return {"ks": gap, "ks_p": ks_p, "ad": weight, "ad_p": ad_p, "p": min(1.0, 2 * min(ks_p, ad_p))}
