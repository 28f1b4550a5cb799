"""Populations drawn from a seed, with or without one drift of known size.

Observations as the log would give them, without a log: enough to count false
alarms and misses over thousands of populations. Values are discrete and
skewed, many features hang together, as real ones do.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import msgspec

from agentsquad.insight.drift.chance import Chance
from agentsquad.insight.drift.population import Observation

NORMAL = NormalDist()


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """What is different: shares in points, the others in standard
    deviations."""

    refused: float = 0.0
    denied: float = 0.0
    calls: float = 0.0
    cost: float = 0.0
    tokens: float = 0.0
    latency: float = 0.0


# The sizes of drift that are found in nine cases of ten within 200 decisions.
SIZES: dict[str, Drift] = {
    "outcome": Drift(refused=0.15),
    "decision": Drift(denied=0.18),
    "tool": Drift(calls=0.75),
    "cost": Drift(cost=0.6),
    "tokens": Drift(tokens=0.6),
    "latency": Drift(latency=0.6),
}


class Drawn:
    """Draws runs one after the other; the same seed draws the same ones."""

    def __init__(self, seed: str) -> None:
        self._chance = Chance(seed)
        self._count = 0

    def runs(self, count: int, drift: Drift | None = None) -> list[Observation]:
        """Return the next runs."""
        return [self._run(drift or Drift()) for _ in range(count)]

    def _run(self, drift: Drift) -> Observation:
        self._count += 1
        draws = [(number + 0.5) / 2**64 for number in self._chance.numbers(12)]
        normal = [NORMAL.inv_cdf(min(max(one, 1e-12), 1 - 1e-12)) for one in draws]
        name = f"run{self._count:06d}"
        one = Observation(
            run=name,
            root=name,
            started=f"2026-01-01T00:{self._count // 60 % 60:02d}:{self._count % 60:02d}.000Z",
            seq=self._count,
            status="completed",
            numbers={},
            words={},
            versions={},
        )
        # One size of the case moves money, tokens and time together.
        size = normal[0]
        refused = draws[1] < 0.04 + drift.refused
        one.say("outcome", "status", "failed" if draws[2] < 0.02 else "completed")
        one.say("outcome", "verdict", "refused" if refused else _pick(draws[3], ("paid", "held")))
        one.add("outcome", "lines, how many", _poisson(draws[4], 3.0))
        for index, place in enumerate(("north", "south", "west")):
            if index == int(draws[5] * 3):
                one.say("outcome", "region", place)
        denied = draws[6] < 0.10 + drift.denied
        one.say("decision", "policy on claims.pay", "deny (limit)" if denied else "allow (within)")
        one.add("decision", "approvals asked", float(draws[7] < 0.3))
        for index, tool in enumerate(("lookup", "search", "compare")):
            mean = 2.0 + drift.calls * math.sqrt(2.0) * (index == 0)
            one.add("tool", f"judge: {tool}", _poisson(draws[8 + index], mean))
        tokens = math.exp(6.5 + 0.35 * size + 0.36 * (normal[11] + drift.tokens * 1.39))
        one.add("tokens", "in", round(tokens))
        one.add("tokens", "out", round(20 * math.exp(0.3 * normal[4])))
        cost = 0.5 * size + 0.5 * normal[5] + drift.cost * 0.7071
        one.add("cost", "USD", 100 * round(30 * math.exp(0.6 * cost)))
        for index, step in enumerate(("read", "judge", "pay", "file")):
            wait = 0.4 * size + 0.9165 * normal[6 + index % 4] + drift.latency * (index == 1)
            one.numbers["latency", f"step {step}"] = round(40 * math.exp(0.5 * wait), 1)
        one.numbers["latency", "working"] = round(300 * math.exp(0.4 * (size + normal[3])))
        return one


def _pick(draw: float, names: tuple[str, str]) -> str:
    return names[draw < 0.1]


def _poisson(draw: float, mean: float) -> float:
    total = term = math.exp(-mean)
    count = 0
    while draw > total and count < 60:
        count += 1
        term *= mean / count
        total += term
    return float(count)
