"""Comparison: every feature of two populations tested, one promise kept.

Pure: observations in, findings out. The corrected p-values bound the chance of
any false alarm by alpha; `looks` spends it over a population that grows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import fmean

import msgspec

from agentsquad.insight.drift.chance import Chance
from agentsquad.insight.drift.contingency import category_p
from agentsquad.insight.drift.contract import Finding, Look
from agentsquad.insight.drift.correction import (
    LOOKS,
    benjamini_hochberg,
    class_weights,
    holm,
    look_sizes,
)
from agentsquad.insight.drift.distribution import difference_p
from agentsquad.insight.drift.feature import CLASSES, Column, columns
from agentsquad.insight.drift.interval import mean_difference, share_difference
from agentsquad.insight.drift.population import Observation

LEAST_VALUES = 5  # a side, below which a column is not tested


def compare(
    old: Sequence[Observation],
    new: Sequence[Observation],
    alpha: float,
    kinds: Sequence[str] = CLASSES,
    looks: int = 1,
) -> list[Finding]:
    """Return what was found for every feature, what differs most first.

    `looks` is how often a population like this is looked at in all; p-values
    are corrected for that too.
    """
    tested = [
        column
        for column in columns(old, new, kinds)
        if min(len(column.old), len(column.new)) >= LEAST_VALUES
    ]
    found = [_find(column) for column in tested]
    if not found:
        return []
    values = [one.p for one in found]
    by_holm = holm(values, class_weights([one.kind for one in found]))
    corrected = [min(1.0, looks * p) for p in by_holm]
    rates = benjamini_hochberg(values)
    judged = [
        msgspec.structs.replace(one, corrected=p, rate=rate, drifted=p <= alpha)
        for one, p, rate in zip(found, corrected, rates, strict=True)
    ]
    return sorted(judged, key=lambda one: (one.corrected, one.p, CLASSES_AND.index(one.kind)))


CLASSES_AND = (*CLASSES, "input")


def look(
    old: Sequence[Observation],
    new: Sequence[Observation],
    alpha: float,
    progress: Callable[[str], None] = lambda text: None,
) -> tuple[list[Look], list[Finding]]:
    """Look at a growing population at the sizes fixed beforehand.

    Return the looks and the findings of the first that alarms, else of the
    last. Later ones are not needed then: an alarm stays an alarm.
    """
    looks: list[Look] = []
    findings: list[Finding] = []
    for size in look_sizes(len(new)):
        progress(f"comparing {size} runs with {len(old)}")
        findings = compare(old, new[:size], alpha, looks=LOOKS)
        drifted = sum(one.drifted for one in findings)
        looks.append(Look(runs=size, alpha=alpha / LOOKS, drifted=drifted, tested=len(findings)))
        if drifted:
            break
    return looks, findings


def _find(column: Column) -> Finding:
    seed = f"{column.kind}/{column.name}/{len(column.old)}/{len(column.new)}"
    chance = Chance(seed)
    if column.words:
        return _find_words(column, chance)
    old, new = [float(v) for v in column.old], [float(v) for v in column.new]
    tests = difference_p(old, new, chance)
    difference, low, high = mean_difference(old, new)
    return Finding(
        kind=column.kind,
        name=column.name,
        test="KS and AD",
        statistics={name: tests[name] for name in ("ks", "ks_p", "ad", "ad_p")},
        p=tests["p"],
        old=fmean(old),
        new=fmean(new),
        difference=difference,
        low=low,
        high=high,
        old_count=len(old),
        new_count=len(new),
        clustered=column.clustered,
        bins=_bins(old, new),
    )


def _find_words(column: Column, chance: Chance) -> Finding:
    old, new = [str(v) for v in column.old], [str(v) for v in column.new]
    test, statistic, p = category_p(old, new, chance)
    first, second = Counter(old), Counter(new)
    n, m = len(old), len(new)
    names = sorted({*first, *second})
    most = max(names, key=lambda name: (_moved(first, second, name, n, m), name))
    difference, low, high = share_difference(first[most], n, second[most], m)
    return Finding(
        kind=column.kind,
        name=column.name,
        test=test,
        statistics={"statistic": statistic},
        p=p,
        category=most,
        old=first[most] / n,
        new=second[most] / m,
        difference=difference,
        low=low,
        high=high,
        old_count=n,
        new_count=m,
        categories={name: (first[name], second[name]) for name in names},
    )


def _moved(first: Counter[str], second: Counter[str], name: str, n: int, m: int) -> float:
    """Return by how much a share moved; what people do not hope for goes first
    where two moved alike."""
    moved = abs(second[name] / m - first[name] / n)
    return round(moved, 9) + (1e-10 if second[name] / m > first[name] / n else 0)


def _bins(old: Sequence[float], new: Sequence[float], count: int = 16) -> list[tuple[int, int]]:
    """Return a histogram of both, in equal steps from the least to the
    largest."""
    low, high = min(*old, *new), max(*old, *new)
    width = (high - low) / count or 1.0
    rows = [[0, 0] for _ in range(count)]
    for side, values in ((0, old), (1, new)):
        for value in values:
            rows[min(count - 1, int((value - low) / width))][side] += 1
    return [(a, b) for a, b in rows]
