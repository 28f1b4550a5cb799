"""Money in effects: what left, and what would have left, by currency."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agentsquad.kernel.money import Money


def totals(
    was: Iterable[tuple[str, Any]], now: Iterable[tuple[str, Any]]
) -> dict[str, dict[str, str]]:
    """Return {currency: {"was": …, "now": …, "difference": …}} over effects'
    `amount` fields."""
    before, after = _sum(was), _sum(now)
    return {
        currency: {
            "was": Money(before.get(currency, 0), currency).decimal(),
            "now": Money(after.get(currency, 0), currency).decimal(),
            "difference": Money(
                after.get(currency, 0) - before.get(currency, 0), currency
            ).decimal(),
        }
        for currency in sorted({*before, *after})
    }


def _sum(effects: Iterable[tuple[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for _, value in effects:
        amount = value.get("amount") if isinstance(value, Mapping) else None
        for currency, micros in _amounts(amount):
            found[currency] = found.get(currency, 0) + micros
    return found


def _amounts(value: Any) -> Iterator[tuple[str, int]]:
    if isinstance(value, Mapping) and isinstance(value.get("micros"), int):
        yield str(value.get("currency", "")), value["micros"]
