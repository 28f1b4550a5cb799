from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel.spelling import closest, distance


@pytest.mark.parametrize(
    ("one", "two", "slips"),
    [("", "", 0), ("pcu", "cpu", 1), ("cpuu", "cpu", 1), ("", "abc", 3), ("kitten", "sitting", 3)],
)
def test_slips_are_counted(one: str, two: str, slips: int) -> None:
    assert distance(one, two) == slips


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("pcu", ["gpu", "cpu"], "cpu"),
        ("di", ["id", "agent"], "id"),
        ("DEPENDSON", ["dependsOn"], "dependsOn"),
        ("latency", ["maxLatency", "maxCost"], "maxLatency"),
        ("xyz", ["id", "agent"], None),
        ("a", [], None),
    ],
)
def test_the_nearest_name_is_the_one_with_the_fewest_slips(
    name: str, known: list[str], meant: str | None
) -> None:
    assert closest(name, known) == meant


WORDS = st.text("abc", max_size=8)


@given(WORDS, WORDS)
def test_slips_are_symmetric_and_none_only_between_equals(one: str, two: str) -> None:
    assert distance(one, two) == distance(two, one)
    assert (distance(one, two) == 0) == (one == two)
    assert abs(len(one) - len(two)) <= distance(one, two) <= max(len(one), len(two))
