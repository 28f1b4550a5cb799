from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from agentsquad.kernel.money import Money
from agentsquad.runtime.control import quantity
from agentsquad.runtime.control.quantity import Clause, Cost, QuantityError


@pytest.mark.parametrize(
    ("reader", "text", "value"),
    [
        (quantity.cpu_millis, "2000m", 2000),
        (quantity.cpu_millis, "0.5", 500),
        (quantity.size_bytes, "4Gi", 4 * 2**30),
        (quantity.size_bytes, "1.5G", 1_500_000_000),
        (quantity.size_bytes, "512", 512),
        (quantity.gpus, "nvidia.com/gpu: 1", ("nvidia.com/gpu", 1)),
        (quantity.gpus, "2", ("nvidia.com/gpu", 2)),
        (quantity.percent, "99.9%", Fraction(999, 1000)),
        (quantity.percent, "0%", 0),
        (quantity.duration_ms, "500ms", 500),
        (quantity.duration_ms, "1h30m", 5_400_000),
        (quantity.duration_ms, "0.25s", 250),
        (quantity.cost, "$1000/month", Cost(Money.parse("1000", "USD"), "month")),
        (quantity.cost, "0.50 EUR / run", Cost(Money.parse("0.5", "EUR"), "run")),
        (quantity.cost, "EUR 2/day", Cost(Money.parse("2", "EUR"), "day")),
        (quantity.version_range, ">=13.0", (Clause(">=", (13, 0)),)),
        (quantity.version_range, ">=1.2, <2", (Clause(">=", (1, 2)), Clause("<", (2,)))),
        (quantity.version_range, "*", ()),
        (quantity.agent_reference, "gpt-4-agent:v1.2.3", ("gpt-4-agent", "1.2.3")),
        (quantity.agent_reference, "matcher", ("matcher", None)),
    ],
)
def test_each_notation_is_read_exactly(reader: Any, text: str, value: Any) -> None:
    assert reader(text) == value


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (quantity.cpu_millis, "2 cores"),
        (quantity.cpu_millis, "0.5m"),
        (quantity.cpu_millis, "-1"),
        (quantity.size_bytes, "4GiB2"),
        (quantity.size_bytes, "4g"),
        (quantity.size_bytes, "0.3"),
        (quantity.gpus, "nvidia.com/gpu"),
        (quantity.percent, "100.1%"),
        (quantity.percent, "99.9"),
        (quantity.duration_ms, "500"),
        (quantity.duration_ms, "1h 30m"),
        (quantity.duration_ms, ""),
        (quantity.duration_ms, "0.1ms"),
        (quantity.cost, "$1000"),
        (quantity.cost, "1000/month"),
        (quantity.cost, "$1000/moon"),
        (quantity.cost, "$5 EUR/run"),
        (quantity.version_range, ">>13"),
        (quantity.version_range, ""),
        (quantity.agent_reference, "a b"),
        (quantity.agent_reference, "agent:"),
        (quantity.duration_ms, "٣s"),
    ],
)
def test_what_is_not_in_the_notation_is_refused_with_an_example(reader: Any, text: str) -> None:
    with pytest.raises(QuantityError) as caught:
        reader(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("version", "text", "holds"),
    [
        ("13.4", ">=13.0", True),
        ("13", ">=13.0", True),
        ("12.9.9", ">=13.0", False),
        ("1.9", ">=1.2,<2", True),
        ("2.0", ">=1.2,<2", False),
        ("1.4.5", "^1.2", True),
        ("0.3.0", "^0.2.1", False),
        ("1.2.9", "~1.2.3", True),
        ("1.3.0", "~1.2.3", False),
        ("1.9", "~=1.2", True),
        ("3.1", "!=3.1", False),
        ("v3.1", "3.1.0", True),
    ],
)
def test_ranges_hold_for_what_they_say(version: str, text: str, holds: bool) -> None:
    assert quantity.in_range(version, text) is holds
