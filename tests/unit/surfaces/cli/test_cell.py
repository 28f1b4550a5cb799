"""Cells: times, money, digests and ids as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.surfaces.cli.cell import amount, counted, cut, inline, short_ids, took, when


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-11-23T13:17:01.123Z", "2026-11-23 13:17:01"),
        ("2026-11-23T13:17:01Z/000f", "2026-11-23 13:17:01"),
        ("", ""),
        (None, ""),
        ("tomorrow", "tomorrow"),
    ],
)
def test_a_time_loses_its_fraction_and_nothing_else(text: str | None, shown: str) -> None:
    assert when(text) == shown


@pytest.mark.parametrize(
    ("micros", "shown"),
    [
        (48_740_800_000, "48740.80 USD"),
        (-147_040_000, "-147.04 USD"),
        (1, "0.000001 USD"),
        (0, "0.00 USD"),
        (1_250_000, "1.25 USD"),
    ],
)
def test_an_amount_keeps_every_digit_that_counts(micros: int, shown: str) -> None:
    assert amount({"micros": micros, "currency": "USD"}) == shown


@pytest.mark.parametrize(
    ("duration", "shown"),
    [(0.52, "0.5 ms"), (151, "151 ms"), (1300, "1.3 s"), (61_000, "1:01 min"),
     (3_725_000, "1:02:05"), (None, "")],
)  # fmt: skip
def test_a_duration_has_the_unit_it_is_read_in(duration: float | None, shown: str) -> None:
    assert took(duration) == shown


ids = st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=26, max_size=26)


@given(st.lists(ids, min_size=1, max_size=30, unique=True))
def test_short_ids_are_beginnings_that_tell_every_run_apart(runs: list[str]) -> None:
    short = short_ids(iter(runs))
    assert set(short) == set(runs)
    for run in runs:
        assert run.startswith(short[run])
        assert [other for other in runs if other.startswith(short[run])] == [run]


def test_ids_that_begin_alike_are_shown_longer() -> None:
    one, two = "a" * 20 + "bbbbbb", "a" * 20 + "cccccc"
    assert short_ids([one, two]) == {one: "a" * 20 + "b", two: "a" * 20 + "c"}
    assert short_ids([one]) == {one: "a" * 10}


def test_a_child_run_keeps_its_words_and_loses_its_hash() -> None:
    child = "kooa4lnr33pvumk24e5vmrb6tg/4500210010-a95e9b00b9107322/7"
    assert short_ids([child])[child] == "kooa4lnr33/4500210010-a95e/7"


def test_deep_values_are_counted_and_money_is_recognised() -> None:
    value = {
        "due": {"currency": "CAD", "micros": 3_621_620_000},
        "lines": [{"a": 1}, {"a": 2}],
        "nothing": [],
        "sure": True,
        "paid": {"USD": "12.30"},
    }
    shown = "due 3621.62 CAD, lines 2 items, sure yes, paid 12.30 USD"
    assert inline(value) == shown
    assert inline({"x": {"y": {"z": 1}}}, 1) == "x 1 fields"


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
))  # fmt: skip
def test_any_value_fits_a_cell(value: object) -> None:
    shown = cut(inline(value), 40)
    assert len(shown) <= 40
    assert "\n" not in shown


def test_one_of_something_takes_no_s() -> None:
    assert [counted(n, "error") for n in (0, 1, 2)] == ["0 errors", "1 error", "2 errors"]
