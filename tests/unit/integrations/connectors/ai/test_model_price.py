"""Costs: exact, dated, and unknown rather than free."""

from __future__ import annotations

import datetime
import tomllib
from decimal import Decimal
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.integrations.connectors.ai.contract import Price
from agentsquad.integrations.connectors.ai.price import (
    DatedPrices,
    NoPrices,
    own_price,
    priced,
)
from agentsquad.workforce.agents.contract import Usage

TABLE = tomllib.loads(
    resources.files("agentsquad.integrations.connectors.ai")
    .joinpath("prices.toml")
    .read_text("utf-8")
)
VENDORS = {"openai": "openai", "anthropic": "anthropic", "bedrock": "aws"}


def test_the_document_s_prices_cost_what_it_says() -> None:
    price = own_price({"inputTokenCost": 0.03, "outputTokenCost": 0.06})
    usage = priced(Usage(input_tokens=1000, output_tokens=1000), price)
    assert usage.cost_micros == 90_000  # nine cents


def test_prices_come_with_their_date() -> None:
    price = DatedPrices("openai").price("gpt-4o")
    usage = priced(Usage(input_tokens=1_000_000, output_tokens=0), price)
    assert (usage.cost_micros, usage.price_date) == (2_500_000, TABLE["date"])


def test_a_dated_version_costs_what_the_model_costs() -> None:
    prices = DatedPrices("anthropic")
    assert prices.price("claude-3-haiku-20240307") == prices.price("claude-3-haiku") is not None
    assert DatedPrices("openai").price("gpt-4o-2024-08-06") == DatedPrices("openai").price("gpt-4o")
    early = DatedPrices("openai").price("gpt-4o-2024-05-13")
    assert early is not None and early.input == 5_000_000


def test_an_unknown_model_costs_unknown() -> None:
    for price in (DatedPrices("openai").price("gpt-99"), NoPrices().price("gpt-4o")):
        assert priced(Usage(input_tokens=5, output_tokens=5), price).cost_micros is None


def test_tokens_that_nobody_counted_cost_unknown() -> None:
    assert priced(Usage(), Price(input=1, output=1)).cost_micros is None


def test_an_explicit_cost_stays() -> None:
    free = Usage(input_tokens=10, output_tokens=10, cost_micros=0)
    assert priced(free, Price(input=10**9, output=10**9)) == free


def test_cached_tokens_without_a_price_cost_as_much_as_others() -> None:
    usage = Usage(input_tokens=100, output_tokens=0, cached_tokens=100)
    assert priced(usage, Price(input=1_000_000, output=0)).cost_micros == 100
    assert priced(usage, Price(input=1_000_000, output=0, cached=100_000)).cost_micros == 10


@given(st.integers(1, 10**7), st.integers(0, 10**6), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_cost_is_never_too_low_and_less_than_a_micro_too_high(
    tokens_in: int, tokens_out: int, price_in: int, price_out: int
) -> None:
    usage = priced(
        Usage(input_tokens=tokens_in, output_tokens=tokens_out),
        Price(input=price_in, output=price_out),
    )
    exact = (Decimal(tokens_in) * price_in + Decimal(tokens_out) * price_out) / 10**6
    assert usage.cost_micros is not None
    assert 0 <= usage.cost_micros - exact < 1


@pytest.mark.slow
def test_the_table_agrees_with_its_source() -> None:
    source = pytest.importorskip("genai_prices")
    at = datetime.datetime.fromisoformat(TABLE["date"]).replace(tzinfo=datetime.UTC)
    compared = 0
    for vendor, provider in VENDORS.items():
        for model in TABLE[vendor]:
            for tokens in (1000, 900_000):
                usage = source.Usage(
                    input_tokens=tokens, output_tokens=500, cache_read_tokens=tokens // 4
                )
                try:
                    theirs = source.calc_price(
                        usage, model, provider_id=provider, genai_request_timestamp=at
                    ).total_price
                except LookupError:
                    continue
                ours = priced(
                    Usage(input_tokens=tokens, output_tokens=500, cached_tokens=tokens // 4),
                    DatedPrices(vendor).price(model),
                )
                price = DatedPrices(vendor).price(model)
                assert price is not None and ours.cost_micros is not None
                if price.cached is not None:
                    assert abs(ours.cost_micros - theirs * 10**6) < 1, model
                    compared += 1
    assert compared > 60
