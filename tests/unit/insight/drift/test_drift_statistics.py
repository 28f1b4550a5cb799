"""The statistics of drift, with scipy as judge."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
import scipy  # loads its statistics when they are first asked for

from agentsquad.insight.drift.chance import Chance, exceeding
from agentsquad.insight.drift.contingency import (
    category_p,
    chi_square,
    chi_square_p,
    fisher,
    fold_rare,
    likelihood,
)
from agentsquad.insight.drift.correction import (
    LOOKS,
    benjamini_hochberg,
    class_weights,
    holm,
    look_sizes,
)
from agentsquad.insight.drift.distribution import (
    Pooled,
    anderson_darling,
    difference_p,
    kolmogorov_smirnov,
)
from agentsquad.insight.drift.interval import (
    mean_difference,
    runs_needed,
    share_difference,
    student_quantile,
    wilson,
)

SEEDS = range(12)


def samples(seed: int, *, ties: bool) -> tuple[list[float], list[float]]:
    draw = random.Random(seed)
    n, m = draw.randint(5, 60), draw.randint(5, 60)
    old = [draw.gauss(0, 1) for _ in range(n)]
    new = [draw.gauss(draw.choice([0, 0.8]), 1) for _ in range(m)]
    if ties:
        old, new = [round(v) for v in old], [round(v) for v in new]
    return old, new


@pytest.mark.parametrize("seed", SEEDS)
def test_kolmogorov_smirnov_is_exact_as_scipys_where_no_values_are_equal(seed):
    old, new = samples(seed, ties=False)
    judged = scipy.stats.ks_2samp(old, new, method="exact")
    gap, p = kolmogorov_smirnov(Pooled(old, new))
    assert gap == pytest.approx(judged.statistic)
    assert p == pytest.approx(judged.pvalue, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_kolmogorov_smirnov_with_ties_is_the_permutation_distribution(seed):
    old, new = samples(seed, ties=True)

    pooled = Pooled(old, new)
    observed, p = kolmogorov_smirnov(pooled)
    draw = random.Random(seed)
    both, reached, times = [*old, *new], 0, 2000
    for _ in range(times):
        draw.shuffle(both)
        one = Pooled(both[: len(old)], both[len(old) :])
        reached += max_gap(one) >= observed - 1e-12
    assert abs(reached / times - p) < 4.5 * math.sqrt(p * (1 - p) / times) + 1e-3


def max_gap(pooled: Pooled) -> float:
    a = b = 0
    widest = 0.0
    for first, ties in zip(pooled.first, pooled.ties, strict=True):
        a, b = a + first, b + ties - first
        widest = max(widest, abs(a / pooled.n - b / pooled.m))
    return widest


def test_beyond_the_exact_limit_the_limiting_distribution_takes_over():
    draw = random.Random(5)
    old = [draw.gauss(0, 1) for _ in range(600)]
    new = [draw.gauss(0.09, 1) for _ in range(600)]
    judged = scipy.stats.ks_2samp(old, new, method="asymp")
    gap, p = kolmogorov_smirnov(Pooled(old, new))
    assert (gap, p) == (pytest.approx(judged.statistic), pytest.approx(judged.pvalue, rel=0.06))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_anderson_darling_is_scipys_statistic_by_midranks(seed, ties):
    old, new = samples(seed, ties=ties)
    both = sorted([*old, *new])
    distinct = sorted(set(both))
    import numpy

    judged = scipy.stats._morestats._anderson_ksamp_midrank(
        [numpy.sort(old), numpy.sort(new)],
        numpy.array(both),
        numpy.array(distinct),
        2,
        numpy.array([len(old), len(new)]),
        len(both),
    )
    found, _ = anderson_darling(Pooled(old, new), Chance("x"), most=1)
    assert found == pytest.approx(float(judged), rel=1e-9)


def test_anderson_darlings_p_value_is_scipys_by_permutation():
    old, new = samples(3, ties=True)
    _, p = anderson_darling(Pooled(old, new), Chance("x"))
    method = scipy.stats.PermutationMethod(n_resamples=1500, rng=1)
    judged = scipy.stats.anderson_ksamp([old, new], variant="midrank", method=method).pvalue
    assert abs(p - judged) < 5 * math.sqrt(p * (1 - p) / 1500) + 0.3 * p


@pytest.mark.parametrize("seed", range(40))
def test_fishers_p_value_is_scipys(seed):
    draw = random.Random(seed)
    n, m = draw.randint(1, 300), draw.randint(1, 300)
    a, b = draw.randint(0, n), draw.randint(0, m)
    judged = scipy.stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue
    assert fisher(a, n, b, m) == pytest.approx(judged, rel=1e-6)


@pytest.mark.parametrize("degrees", range(1, 15))
@pytest.mark.parametrize("statistic", [0.0, 0.3, 2.5, 11.0, 60.0])
def test_the_chi_square_tail_is_scipys(degrees, statistic):
    assert chi_square_p(statistic, degrees) == pytest.approx(
        float(scipy.stats.chi2.sf(statistic, degrees)), rel=1e-9
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_chi_square_and_g_are_scipys(seed):
    draw = random.Random(seed)
    old = draw.choices("abcd", k=draw.randint(30, 90))
    new = draw.choices("abcd", weights=[1, 2, 3, 4], k=draw.randint(30, 90))
    first, second = Counter(old), Counter(new)
    table = [[c[x] for x in "abcd"] for c in (first, second)]
    pearson = scipy.stats.chi2_contingency(table, correction=False)
    g = scipy.stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    statistic, p, least = chi_square(first, second)
    assert statistic == pytest.approx(pearson.statistic)
    assert p == pytest.approx(pearson.pvalue, rel=1e-9)
    assert least == pytest.approx(pearson.expected_freq.min())
    assert likelihood(first, second) == pytest.approx(g.statistic)


def test_few_of_a_kind_are_judged_by_permutation():
    old, new = ["a"] * 30 + ["b"] * 2 + ["c"], ["a"] * 30 + ["b"] * 1 + ["d"] * 2
    name, _, p = category_p(old, new, Chance("x"))
    assert name == "G, permuted; fisher"
    assert p > 0.1


def test_one_category_that_moved_among_many_has_its_exact_p_value():
    old = ["paid"] * 60 + ["held"] * 30 + ["x"] * 2 + ["y"] * 3 + ["z"] * 5
    new = ["paid"] * 90 + ["x"] * 4 + ["y"] * 2 + ["z"] * 4
    _, _, p = category_p(old, new, Chance("x"))
    judged = scipy.stats.fisher_exact([[30, 70], [0, 100]]).pvalue
    assert p == pytest.approx(2 * 5 * judged, rel=1e-6)


def test_rare_categories_are_put_together_whoever_has_them():
    old, new = ["a", "a", "b", "c"], ["a", "b", "b", "d"]
    assert fold_rare(old, new, 3) == (["a", "a", "b", "other"], ["a", "b", "b", "other"])
    assert fold_rare(old, new, 4) == (old, new)


@pytest.mark.parametrize("seed", SEEDS)
def test_wilson_is_scipys_interval(seed):
    draw = random.Random(seed)
    n = draw.randint(1, 200)
    a = draw.randint(0, n)
    judged = scipy.stats.binomtest(a, n).proportion_ci(method="wilson")
    assert wilson(a, n) == (pytest.approx(judged.low, abs=1e-9), pytest.approx(judged.high))


def test_newcombes_published_examples():
    # Newcombe 1998, table II, method 10: 56/70 - 48/80 and 9/10 - 3/10.
    assert share_difference(48, 80, 56, 70)[1:] == (
        pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))  # fmt: skip
    assert share_difference(3, 10, 9, 10)[1:] == (
        pytest.approx(0.1705, abs=1e-4), pytest.approx(0.8090, abs=1e-4))  # fmt: skip


@pytest.mark.parametrize("degrees", [6, 10, 24.5, 48, 400])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_students_quantile_is_scipys(degrees, level):
    judged = scipy.stats.t.ppf(0.5 + level / 2, degrees)
    assert student_quantile(level, degrees) == pytest.approx(judged, rel=3e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_interval_of_means_is_welchs(seed):
    old, new = samples(seed + 50, ties=False)
    old, new = [*old, *old, 3.0], [*new, *new, 4.0]
    judged = scipy.stats.ttest_ind(new, old, equal_var=False).confidence_interval(0.95)
    _, low, high = mean_difference(old, new)
    assert (low, high) == (pytest.approx(judged.low, rel=0.01, abs=1e-3),
                           pytest.approx(judged.high, rel=0.01, abs=1e-3))  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_holm_with_equal_weights_and_the_false_discovery_rate_are_those_of_the_textbook(seed):
    draw = random.Random(seed)
    values = [draw.random() ** 3 for _ in range(draw.randint(1, 12))]
    count = len(values)
    order = sorted(range(count), key=values.__getitem__)
    highest, textbook = 0.0, [0.0] * count
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (count - rank) * values[i]))
        textbook[i] = highest
    assert holm(values, [1 / count] * count) == pytest.approx(textbook)
    judged = scipy.stats.false_discovery_control(values)
    assert benjamini_hochberg(values) == pytest.approx(list(judged))


def test_sixty_step_times_do_not_drown_one_decision():
    classes = ["latency"] * 60 + ["decision"]
    values = [0.5] * 60 + [0.02]
    assert holm(values, class_weights(classes))[60] == pytest.approx(0.04)


def test_looks_double_and_come_to_an_end():
    assert look_sizes(24) == []
    assert look_sizes(230) == [25, 50, 100, 200]
    assert len(look_sizes(10**9)) == LOOKS


def test_the_runs_needed_are_those_of_the_textbook():
    # 5 % to 20 %, alpha 5 %, power 90 %: 97 a side, uncorrected.
    assert runs_needed(0.05, 0.20, alpha=0.05) == pytest.approx(97, abs=4)


def test_nothing_differs_where_all_values_are_equal():
    assert difference_p([1, 1, 1], [1, 1], Chance("x"))["p"] == 1.0
    assert category_p(["a"] * 5, ["a"] * 4, Chance("x"))[2] == 1.0


def test_drawing_ends_early_where_nothing_is_to_be_found():
    assert exceeding(1.0, iter([2.0] * 50), most=1000, enough=20) == (1.0, 20)
    assert exceeding(3.0, iter([2.0] * 50), most=49, enough=20) == (1 / 50, 49)
