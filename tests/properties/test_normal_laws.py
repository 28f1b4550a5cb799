from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel import normal

TEXTS = st.text(max_size=30) | st.text(
    "e\u0301\u0327\u0345\u03b1\u1fb3 \u00a0\u2002\u2460\ufb01\u1100\u1161\u11a8\uac00\uff11\u037a",
    max_size=12,
)
JSON = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab\u00e9", max_size=3), inner)
    ),
    max_leaves=12,
)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=9) | st.decimals(
    Decimal("-1e20"), Decimal("1e20"), allow_nan=False
)


@pytest.mark.parametrize("form", normal.FORMS)
@given(value=JSON)
def test_every_form_is_idempotent_on_whole_values(form: normal.Form, value: Any) -> None:
    once = normal.value(value, form)
    assert normal.value(once, form) == once


@pytest.mark.parametrize("form", normal.FORMS)
@given(given_text=TEXTS)
def test_canonically_equal_texts_become_one(form: normal.Form, given_text: str) -> None:
    expected = normal.text(given_text, form)
    assert unicodedata.is_normalized(form, expected)
    for other in ("NFC", "NFD"):
        assert normal.text(unicodedata.normalize(other, given_text), form) == expected


@pytest.mark.parametrize("form", normal.FORMS)
@given(given_text=TEXTS)
def test_spaces_are_idempotent_and_keep_the_form(form: normal.Form, given_text: str) -> None:
    once = normal.spaces(normal.text(given_text, form))
    assert normal.spaces(normal.text(once, form)) == once


@given(st.text("ab \t\r\n", max_size=20))
def test_lines_are_idempotent(given_text: str) -> None:
    assert normal.lines(normal.lines(given_text)) == normal.lines(given_text)


@given(DECIMALS)
def test_decimals_keep_their_value_and_are_fixed_points(value: Decimal) -> None:
    once = normal.decimal(value)
    assert Decimal(once) == value
    assert normal.decimal(once) == once
    assert normal.decimal(f"{value:f}") == once


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_their_value(value: float) -> None:
    assert float(normal.decimal(value)) == value


@given(st.integers(-(10**15), 10**15), st.integers(0, 999))
def test_every_style_of_one_number_reads_alike(whole: int, thousandths: int) -> None:
    grouped = f"{whole:,}.{thousandths:03d}"
    expected = normal.decimal(f"{whole}.{thousandths:03d}")
    swapped = grouped.translate({ord(","): ".", ord("."): ","})
    assert normal.decimal(grouped, "1,234.5") == expected
    assert normal.decimal(swapped, "1.234,5") == expected
    assert normal.decimal(swapped.replace(".", "\u202f"), "1 234,5") == expected
    assert normal.decimal(grouped.replace(",", "'"), "1'234.5") == expected


@given(
    st.datetimes(datetime(1902, 1, 2), datetime(2200, 1, 1)),
    st.integers(-23 * 60, 23 * 60),
)
def test_one_moment_has_one_spelling_whatever_the_offset(moment: datetime, minutes: int) -> None:
    utc = moment.replace(tzinfo=UTC)
    shifted = utc.astimezone(timezone(timedelta(minutes=minutes)))
    once = normal.instant(utc)
    assert normal.instant(shifted) == once
    assert normal.instant(once) == once
    assert datetime.fromisoformat(once) == utc


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2037, 1, 1)),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]),
)
def test_a_moment_told_in_local_time_is_found_again(moment: datetime, zone: str) -> None:
    from zoneinfo import ZoneInfo

    utc = moment.replace(tzinfo=UTC)
    local = utc.astimezone(ZoneInfo(zone))
    fold: normal.Fold = "later" if local.fold else "earlier"
    told = local.replace(tzinfo=None).isoformat()
    assert normal.instant(told, zone, fold) == normal.instant(utc)
