"""Two samples of categories: are they from one distribution?

Fisher's exact test for two categories. For more, two tests together: over all
of them chi-square, or, where an expected count is below five, the G statistic
with a permutation p-value; and each against the rest by Fisher's, corrected for
their number, which finds the one that moved among many that did not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from agentsquad.insight.drift.chance import Chance, exceeding, repeated

EXPECTED_MIN = 5.0
DRAWS_MAX = 999
OTHER = "other"


def fold_rare(old: Sequence[str], new: Sequence[str], most: int) -> tuple[list[str], list[str]]:
    """Return both samples with the rarer categories put together.

    Which are rare is judged from both samples as one, so that it cannot favour
    either.
    """
    counts = Counter(old) + Counter(new)
    if len(counts) <= most:
        return list(old), list(new)
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    kept = set(ranked[: most - 1])
    return ([v if v in kept else OTHER for v in old], [v if v in kept else OTHER for v in new])


def fisher(a: int, n: int, b: int, m: int) -> float:
    """Return the two-sided exact p-value of a out of n against b out of m."""
    both = a + b
    low, high = max(0, both - m), min(n, both)
    total = _choose(n + m, both)
    logs = [_choose(n, i) + _choose(m, both - i) - total for i in range(low, high + 1)]
    seen = logs[a - low]
    return min(1.0, sum(math.exp(one) for one in logs if one <= seen + 1e-7))


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def chi_square(first: Mapping[str, int], second: Mapping[str, int]) -> tuple[float, float, float]:
    """Return Pearson's statistic, its p-value and the smallest expected
    count."""
    n, m = sum(first.values()), sum(second.values())
    statistic, least = 0.0, math.inf
    names = {*first, *second}
    for name in names:
        both = first.get(name, 0) + second.get(name, 0)
        for size, seen in ((n, first.get(name, 0)), (m, second.get(name, 0))):
            expected = both * size / (n + m)
            least = min(least, expected)
            statistic += (seen - expected) ** 2 / expected
    return statistic, chi_square_p(statistic, len(names) - 1), least


def chi_square_p(statistic: float, degrees: int) -> float:
    """Return the upper tail of the chi-square distribution, by its finite
    sums."""
    if statistic <= 0:
        return 1.0
    half = statistic / 2
    if degrees % 2 == 0:
        term = total = math.exp(-half)
        for k in range(1, degrees // 2):
            term *= half / k
            total += term
        return min(1.0, total)
    total = math.erfc(math.sqrt(half))
    term = math.exp(-half) * math.sqrt(half / math.pi) * 2
    for k in range(1, (degrees + 1) // 2):
        total += term
        term *= half / (k + 0.5)
    return min(1.0, total)


def likelihood(first: Mapping[str, int], second: Mapping[str, int]) -> float:
    """Return the G statistic."""
    n, m = sum(first.values()), sum(second.values())
    total = 0.0
    for name in {*first, *second}:
        a, b = first.get(name, 0), second.get(name, 0)
        for size, seen in ((n, a), (m, b)):
            if seen:
                total += seen * math.log(seen * (n + m) / ((a + b) * size))
    return max(0.0, 2 * total)


def category_p(old: Sequence[str], new: Sequence[str], chance: Chance) -> tuple[str, float, float]:
    """Return the names of the tests that fit, the statistic, and one p-value
    for the feature: twice the smaller of two."""
    first, second = Counter(old), Counter(new)
    names = sorted({*first, *second})
    n, m = len(old), len(new)
    if len(names) < 2:
        return "constant", 0.0, 1.0
    if len(names) == 2:
        a, b = first[names[0]], second[names[0]]
        return "fisher", a / n - b / m, fisher(a, n, b, m)
    single = len(names) * min(fisher(first[name], n, second[name], m) for name in names)
    statistic, p, least = chi_square(first, second)
    test = "chi-square"
    if least < EXPECTED_MIN:
        test = "G, permuted"
        most = 199 if single < 1e-5 else DRAWS_MAX
        statistic, p = _permuted(old, new, chance, most)
    return f"{test}; fisher", statistic, min(1.0, 2 * min(p, single))


def _permuted(
    old: Sequence[str], new: Sequence[str], chance: Chance, most: int
) -> tuple[float, float]:
    """Return the G statistic and its permutation p-value."""
    pooled, n = [*old, *new], len(old)
    every = Counter(pooled)

    def draw() -> float:
        picked = Counter(pooled[index] for index in chance.subset(n, len(pooled)))
        return likelihood(picked, every - picked)

    observed = likelihood(Counter(old), Counter(new))
    p, _ = exceeding(observed, repeated(draw), most=most)
    return observed, p
