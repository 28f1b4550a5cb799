from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel.money import Money, sum_money

MICROS = st.integers(-(2**52), 2**52)
AMOUNTS = MICROS.map(lambda micros: Money(micros, "USD"))


@given(AMOUNTS)
def test_what_is_written_reads_back(amount: Money) -> None:
    assert Money.parse(amount.decimal(), "USD") == amount
    assert Decimal(amount.decimal()) * 1_000_000 == amount.micros


@given(st.integers(-(2**51), 2**51), st.integers(-(2**51), 2**51))
def test_addition_and_order_are_those_of_integers(a: int, b: int) -> None:
    one, two = Money(a, "USD"), Money(b, "USD")
    assert (one + two).micros == a + b
    assert one + two - two == one
    assert (one < two, one <= two, one > two) == (a < b, a <= b, a > b)


@given(
    AMOUNTS,
    st.lists(st.integers(0, 1000), min_size=1, max_size=12).filter(any),
    st.sampled_from([1, 10_000, 1_000_000]),
)
def test_a_split_adds_up_and_no_part_is_unfair_by_more_than_a_unit(
    amount: Money, weights: list[int], unit: int
) -> None:
    parts = amount.allocate(weights, unit_micros=unit)
    assert sum_money(parts, "USD") == amount
    for part, weight in zip(parts, weights, strict=True):
        exact = Decimal(amount.micros) * weight / sum(weights)
        assert abs(part.micros - exact) < 3 * unit
        assert weight or not part
