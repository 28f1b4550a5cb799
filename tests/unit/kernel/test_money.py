from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.money import Money, sum_money


def usd(text: str) -> Money:
    return Money.parse(text, "USD")


@pytest.mark.parametrize(
    ("text", "micros", "written"),
    [
        ("12.34", 12_340_000, "12.34"),
        ("0", 0, "0.00"),
        ("-0.5", -500_000, "-0.50"),
        ("+7", 7_000_000, "7.00"),
        ("0.000001", 1, "0.000001"),
        ("1.2300000000", 1_230_000, "1.23"),
        ("0.125", 125_000, "0.125"),
        ("-0", 0, "0.00"),
        ("9007199254.740993", None, None),
    ],
)
def test_amounts_are_read_and_written_exactly(
    text: str, micros: int | None, written: str | None
) -> None:
    if micros is None:
        with pytest.raises(InvalidError) as caught:
            usd(text)
        assert caught.value.code == "money.range"
    else:
        assert usd(text).micros == micros
        assert usd(text).decimal() == written


@pytest.mark.parametrize(
    "text", ["", "1,234.50", "1e3", ".5", "5.", "--1", " 1", "1 ", "NaN", "٣", "1_000", "$1", "1\n"]
)
def test_anything_but_a_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        usd(text)
    assert caught.value.code == "money.amount"


def test_more_than_six_places_are_refused_not_rounded() -> None:
    with pytest.raises(InvalidError) as caught:
        usd("0.0000001")
    assert caught.value.code == "money.precision"


@pytest.mark.parametrize("currency", ["", "usd", "US", "USDT", "US1", "ÜSD", "USD\n"])
def test_what_is_not_shaped_like_a_currency_code_is_refused(currency: str) -> None:
    with pytest.raises(InvalidError) as caught:
        Money(1, currency)
    assert caught.value.code == "money.currency"


def test_currencies_do_not_mix() -> None:
    euro = Money.parse("1", "EUR")
    for mix in (
        lambda: usd("1") + euro,
        lambda: usd("1") - euro,
        lambda: usd("1") < euro,
        lambda: usd("1") >= euro,
        lambda: sum_money([usd("1"), euro], "USD"),
    ):
        with pytest.raises(InvalidError) as caught:
            mix()
        assert caught.value.code == "money.currency"
    assert usd("1") != euro


def test_a_large_total_in_whole_units_is_exact_and_has_canonical_json() -> None:
    total = Money.parse("120000000000", "VND")
    assert canonical.loads(canonical.dumps({"micros": total.micros})) == {"micros": total.micros}


def test_products_are_exact_then_rounded_half_to_even() -> None:
    assert usd("19.99").times(3) == usd("59.97")
    assert usd("1").times(Fraction(1, 3)).micros == 333_333
    assert usd("0.05").times(Decimal("0.5"), unit_micros=10_000) == usd("0.02")
    assert usd("0.15").times(Decimal("0.5"), unit_micros=10_000) == usd("0.08")
    for factor in (0.5, Decimal("NaN"), Decimal("Infinity")):
        with pytest.raises(InvalidError) as caught:
            usd("1").times(factor)  # type: ignore[arg-type]
        assert caught.value.code == "money.factor"


def test_what_does_not_divide_goes_to_the_largest_remainders() -> None:
    assert usd("100").allocate([1, 1, 1]) == [usd("33.34"), usd("33.33"), usd("33.33")]
    assert usd("-0.05").allocate([3, 7]) == [usd("-0.02"), usd("-0.03")]
    assert usd("1").allocate([0, 1]) == [usd("0"), usd("1")]
    for weights in ([], [0], [1, -1]):
        with pytest.raises(InvalidError) as caught:
            usd("1").allocate(weights)
        assert caught.value.code == "money.weights"


def test_the_sum_of_nothing_is_zero_of_the_currency() -> None:
    assert sum_money([], "EUR") == Money.zero("EUR")
    assert not Money.zero("EUR")


def test_money_prints_with_its_currency() -> None:
    assert str(usd("1234.5")) == "1234.50 USD"
    assert Money.parse("1234", "JPY").decimal(0) == "1234"
