"""Laws of drift's statistics: what they promise about being wrong, whatever the
data."""

from __future__ import annotations

import math
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.insight.drift.chance import Chance
from agentsquad.insight.drift.comparison import compare, look
from agentsquad.insight.drift.contingency import category_p, fisher
from agentsquad.insight.drift.correction import class_weights, holm
from agentsquad.insight.drift.distribution import Pooled, difference_p, kolmogorov_smirnov
from agentsquad.insight.drift.interval import share_difference
from agentsquad.testing.drift_population import Drawn

numbers = st.lists(st.integers(0, 6).map(float), min_size=2, max_size=25)
words = st.lists(st.sampled_from("abcd"), min_size=2, max_size=25)


@given(numbers, numbers)
def test_which_sample_is_the_old_one_does_not_matter(old, new):
    one, other = kolmogorov_smirnov(Pooled(old, new)), kolmogorov_smirnov(Pooled(new, old))
    assert one == (pytest.approx(other[0]), pytest.approx(other[1]))


@given(numbers, numbers, st.randoms(use_true_random=False))
def test_the_order_of_runs_does_not_matter(old, new, random):
    one = difference_p(old, new, Chance("s"))
    random.shuffle(old)
    random.shuffle(new)
    assert difference_p(old, new, Chance("s")) == one


@given(words, words, st.permutations("abcd"))
def test_what_categories_are_called_does_not_matter_to_the_exact_part(old, new, names):
    rename = dict(zip("abcd", names, strict=True))
    one = category_p(old, new, Chance("s"))[2]
    other = category_p([rename[v] for v in old], [rename[v] for v in new], Chance("s"))[2]
    if len({*old, *new}) <= 2:
        assert one == pytest.approx(other)
    assert 0 <= one <= 1 and 0 <= other <= 1


@given(st.integers(1, 30), st.integers(1, 30), st.data())
def test_under_no_change_fishers_p_is_at_most_p_with_probability_p(n, m, data):
    both = data.draw(st.integers(0, n + m))
    total = math.comb(n + m, both)
    mass: list[tuple[float, float]] = []
    for a in range(max(0, both - m), min(n, both) + 1):
        weight = math.comb(n, a) * math.comb(m, both - a) / total
        mass.append((fisher(a, n, both - a, m), weight))
    for p, _ in mass:
        assert sum(weight for other, weight in mass if other <= p) <= p * (1 + 1e-6)


@given(st.lists(st.integers(0, 3), min_size=4, max_size=9), st.data())
def test_under_no_change_kolmogorovs_p_is_the_share_of_orders_as_wide(values, data):
    from itertools import combinations

    n = data.draw(st.integers(1, len(values) - 1))
    found = []
    for chosen in combinations(range(len(values)), n):
        old = [float(values[i]) for i in chosen]
        new = [float(v) for i, v in enumerate(values) if i not in chosen]
        found.append(kolmogorov_smirnov(Pooled(old, new)))
    for gap, p in found:
        wider = sum(other >= gap - 1e-12 for other, _ in found) / len(found)
        assert p == pytest.approx(wider)


@given(st.lists(st.floats(1e-9, 1), min_size=1, max_size=20), st.data())
def test_holm_is_never_kinder_than_none_nor_harsher_than_bonferroni(values, data):
    kinds = data.draw(st.lists(st.sampled_from("xyz"), min_size=len(values), max_size=len(values)))
    weights = class_weights(kinds)
    assert sum(weights) == pytest.approx(1)
    for p, weight, corrected in zip(values, weights, holm(values, weights), strict=True):
        assert p <= corrected * (1 + 1e-9)
        assert corrected <= min(1.0, p / weight) * (1 + 1e-9)


@given(st.integers(1, 200), st.integers(1, 200), st.data())
def test_an_interval_holds_what_was_seen_and_turns_with_the_samples(n, m, data):
    a, b = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    difference, low, high = share_difference(a, n, b, m)
    assert -1 <= low <= difference <= high <= 1
    turned = share_difference(b, m, a, n)
    assert turned == (pytest.approx(-difference), pytest.approx(-high), pytest.approx(-low))


@given(st.integers(1, 40), st.integers(0, 40))
def test_labels_are_as_many_as_asked_for(size, more):
    labels = Chance("s").labels(size, size + more)
    assert (len(labels), sum(labels)) == (size + more, size)


def test_every_order_of_labels_is_as_likely_as_any_other():
    chance = Chance("orders")
    seen = Counter(tuple(chance.labels(2, 4)) for _ in range(6000))
    assert len(seen) == 6
    assert sum((count - 1000) ** 2 / 1000 for count in seen.values()) < 20.5  # 0.1 % of chi-square


def test_p_values_of_permutation_are_uniform_or_larger_under_no_change():
    found = []
    for seed in range(300):
        drawn = Chance(f"uniform {seed}")
        values = [float(n % 5) for n in drawn.numbers(40)]
        found.append(difference_p(values[:20], values[20:], Chance(f"p {seed}"))["ad_p"])
    for level in (0.05, 0.1, 0.2, 0.5):
        share = sum(p <= level for p in found) / len(found)
        assert share <= level + 3.1 * math.sqrt(level * (1 - level) / len(found))


def test_a_comparison_is_a_reading_it_comes_out_the_same_every_time():
    drawn = Drawn("again")
    old, new = drawn.runs(60), drawn.runs(60)
    first = compare(old, new, 0.05)
    assert first
    assert msgspec.to_builtins(first) == msgspec.to_builtins(compare(old, new, 0.05))


def test_an_alarm_stays_an_alarm_however_many_runs_follow():
    from agentsquad.testing.drift_population import Drift

    drawn = Drawn("stays")
    old = drawn.runs(150)
    new = drawn.runs(100, Drift(refused=0.5)) + drawn.runs(120)
    early, _ = look(old, new[:100], 0.05)
    late, _ = look(old, new, 0.05)
    assert early[-1].drifted and late == early
