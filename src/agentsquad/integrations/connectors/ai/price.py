"""Price: what a call cost, in integer micro-units, and where the price came
from.

Prices are looked up in a dated table in the package, or in the provider's own
`costTracking`. What is not known is unknown, never free: a budget must not be
told zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from agentsquad.integrations.connectors.ai.contract import Price, ProviderError
from agentsquad.workforce.agents.contract import Usage

PER = 1_000_000
_DATED = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|-latest)$")


class DatedPrices:
    """The package's price list of one vendor."""

    def __init__(self, vendor: str) -> None:
        self._vendor = vendor

    def price(self, model: str) -> Price | None:
        """Return the price of a model, dated versions of it included."""
        table = _table().get(self._vendor, {})
        return table.get(model) or table.get(_DATED.sub("", model))


class OwnPrices:
    """One price for all models of a provider, as its configuration says."""

    def __init__(self, price: Price) -> None:
        self._price = price

    def price(self, model: str) -> Price | None:
        """Return the configured price."""
        return self._price


class NoPrices:
    """Knows no price; what it is asked for stays unknown."""

    def price(self, model: str) -> Price | None:
        """Return None."""
        return None


def own_price(cost_tracking: Mapping[str, Any]) -> Price:
    """Read `costTracking`, whose numbers are dollars per 1,000 tokens."""
    try:
        per_thousand = [
            Decimal(str(cost_tracking[key])) for key in ("inputTokenCost", "outputTokenCost")
        ]
    except (KeyError, ArithmeticError) as error:
        raise ProviderError(
            "costTracking needs inputTokenCost and outputTokenCost, as numbers",
            hint="dollars per 1,000 tokens, e.g. inputTokenCost: 0.03",
        ) from error
    micros = [int((value * 1000 * PER).to_integral_value()) for value in per_thousand]
    if min(micros) < 0:
        raise ProviderError("costTracking has a negative cost")
    return Price(
        input=micros[0], output=micros[1], currency=str(cost_tracking.get("currency", "USD"))
    )


def priced(usage: Usage, price: Price | None) -> Usage:
    """Return the usage with its cost, rounded up to a whole micro-unit.

    A cost that is there already stays. Without a price, or when the provider
    counted nothing, it is unknown.
    """
    if usage.cost_micros is not None or price is None:
        return usage
    if usage.input_tokens <= 0:
        return usage
    cached = min(usage.cached_tokens, usage.input_tokens)
    rates = price.at(usage.input_tokens)
    total = (usage.input_tokens - cached) * rates.input + usage.output_tokens * rates.output
    total += cached * (rates.input if rates.cached is None else rates.cached)
    return msgspec.structs.replace(
        usage,
        cost_micros=-(-total // PER),
        currency=price.currency,
        price_date=price.date,
    )


@cache
def _table() -> dict[str, dict[str, Price]]:
    """Read the table once; it is part of the package and cannot change while we
    run.
    """
    import tomllib
    from importlib import resources

    text = resources.files(__package__).joinpath("prices.toml").read_text("utf-8")
    data = tomllib.loads(text)
    date, currency = data.pop("date"), data.pop("currency")
    del data["source"]
    return {
        vendor: {
            model: Price(**numbers, date=date, currency=currency)
            for model, numbers in models.items()
        }
        for vendor, models in data.items()
    }
