from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from agentsquad.kernel import normal
from agentsquad.kernel.errors import InvalidError


def test_the_four_unicode_forms_of_one_text() -> None:
    given = "\ufb01 \u00e9 e\u0301 \u2460"  # fi ligature, composed, decomposed, circled one
    assert normal.text(given) == "\ufb01 \u00e9 \u00e9 \u2460"
    assert normal.text(given, "NFD") == "\ufb01 e\u0301 e\u0301 \u2460"
    assert normal.text(given, "NFKC") == "fi \u00e9 \u00e9 1"
    assert normal.text(given, "NFKD") == "fi e\u0301 e\u0301 1"


def test_an_unknown_form_and_a_lone_surrogate_are_refused() -> None:
    with pytest.raises(InvalidError, match="not a Unicode normal form"):
        normal.text("a", "NFX")  # type: ignore[arg-type]
    with pytest.raises(InvalidError) as caught:
        normal.text("ab\ud800")
    assert caught.value.code == "normal.text"


def test_white_space_is_one_space_and_lines_end_with_a_line_feed() -> None:
    assert normal.spaces("\u3000 a\t\u00a0b\r\n c ") == "a b c"
    assert normal.lines("a \r\nb\rc\t\n") == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("given", "style", "expected"),
    [
        ("0012.3400", "plain", "12.34"),
        ("-0.00", "plain", "0"),
        ("+5", "plain", "5"),
        ("12345678901234567890.123456789012345678901", "plain", None),
        (10**30, "plain", "1" + "0" * 30),
        (Decimal("1E+3"), "plain", "1000"),
        (Decimal("-1.50E-7"), "plain", "-0.00000015"),
        (0.1, "plain", "0.1"),
        (1e22, "plain", "1" + "0" * 22),
        ("1,234.50", "1,234.5", "1234.5"),
        ("1.234,50", "1.234,5", "1234.5"),
        ("1.234", "1.234,5", "1234"),
        ("1\u202f234 567,89", "1 234,5", "1234567.89"),
        ("1'234.50", "1'234.5", "1234.5"),
        ("-12,34,567.8", "1,23,456.7", "-1234567.8"),
        ("1234,5", "1.234,5", "1234.5"),
    ],
)
def test_decimals_are_read_without_loss(given: Any, style: Any, expected: str | None) -> None:
    assert normal.decimal(given, style) == (expected or given)


@pytest.mark.parametrize(
    ("given", "style"),
    [
        ("1,234.50", "plain"),
        ("1.234,50", "plain"),
        ("1e3", "plain"),
        ("", "plain"),
        ("1.", "plain"),
        ("٣", "plain"),
        ("1\n", "plain"),
        ("1,23.4", "1,234.5"),
        ("1234,567", "1,234.5"),
        ("1.234,50", "1,234.5"),
        ("1" * 2_001, "plain"),
        (Decimal("1E+100000"), "plain"),
        (Decimal("NaN"), "plain"),
        (float("inf"), "plain"),
        (True, "plain"),
        (None, "plain"),
    ],
)
def test_what_is_not_a_number_in_the_declared_style_is_refused(given: Any, style: Any) -> None:
    with pytest.raises(InvalidError) as caught:
        normal.decimal(given, style)
    assert caught.value.code in ("normal.decimal", "canonical.number")


def test_an_unknown_style_names_the_known_ones() -> None:
    with pytest.raises(InvalidError) as caught:
        normal.decimal("1", "german")  # type: ignore[arg-type]
    assert "1.234,5" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-11-23T12:00:00Z", "2026-11-23T12:00:00Z"),
        ("2026-11-23t13:30:00.1200+01:30", "2026-11-23T12:00:00.12Z"),
        ("2026-01-01 00:30+01:00", "2025-12-31T23:30:00Z"),
        ("2026-11-23T12:00:00.000000001z", "2026-11-23T12:00:00.000000001Z"),
        ("2026-11-23T12:00:00-00:00", "2026-11-23T12:00:00Z"),
        (datetime(2026, 11, 23, 7, tzinfo=timezone(timedelta(hours=-5))), "2026-11-23T12:00:00Z"),
    ],
)
def test_times_become_utc(given: Any, expected: str) -> None:
    assert normal.instant(given) == expected


def test_a_local_time_needs_its_zone() -> None:
    assert normal.instant("2026-07-01T12:00:00", "Europe/Berlin") == "2026-07-01T10:00:00Z"
    assert normal.instant("2026-12-01T12:00", "America/New_York") == "2026-12-01T17:00:00Z"
    with pytest.raises(InvalidError, match="is not a time here") as caught:
        normal.instant("2026-07-01T12:00:00")
    assert "declare the zone" in (caught.value.hint or "")


def test_an_hour_that_happened_twice_must_be_told_apart() -> None:
    with pytest.raises(InvalidError) as caught:
        normal.instant("2026-10-25T02:30:00", "Europe/Berlin")
    assert "twice" in (caught.value.hint or "")
    earlier = normal.instant("2026-10-25T02:30:00", "Europe/Berlin", "earlier")
    later = normal.instant("2026-10-25T02:30:00", "Europe/Berlin", "later")
    assert (earlier, later) == ("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z")


def test_an_hour_that_never_was_is_refused() -> None:
    with pytest.raises(InvalidError) as caught:
        normal.instant("2026-03-29T02:30:00", "Europe/Berlin")
    assert "skipped" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["Europe/Berln", "../../etc/passwd", "", "/etc/localtime"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidError) as caught:
        normal.instant("2026-03-29T12:00:00", name)
    assert caught.value.code == "normal.zone"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "yesterday",
        "2026-02-30T00:00:00Z",
        "2026-11-23",
        "2026-11-23T24:00:00Z",
        "2026-11-23T23:59:60Z",
        "2026-11-23T12:00:00+24:00",
        "0001-01-01T00:00:00+01:00",
        "20261123T120000Z",
    ],
)
def test_what_is_not_a_time_is_refused(given: str) -> None:
    with pytest.raises(InvalidError) as caught:
        normal.instant(given)
    assert caught.value.code == "normal.time"


def test_whole_values_are_normalised_and_colliding_keys_refused() -> None:
    assert normal.value({"e\u0301": ["e\u0301", 1, None]}) == {"\u00e9": ["\u00e9", 1, None]}
    with pytest.raises(InvalidError) as caught:
        normal.value({"a": [{"\u00e9": 1, "e\u0301": 2}]})
    assert caught.value.details == {"at": "/a/0", "key": "\u00e9"}
