"""Shelter: the guards and pools of a simulated squad, drawn anew for each
seed.

They refuse, hold back, repeat and answer otherwise; the laws of the world must
hold all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentsquad.runtime.resilience.breaker import BreakerRule
from agentsquad.runtime.resilience.bulkhead import BulkheadRule
from agentsquad.runtime.resilience.guard import GuardRule, HedgeRule
from agentsquad.runtime.resilience.places import Need, Node, PlacesRule
from agentsquad.runtime.resilience.pools import PoolRule, Priority
from agentsquad.runtime.resilience.ration import RationRule
from agentsquad.testing.simulator.chance import Chance


class Shelter:
    """The declared guards and pools (`GuardSource`, `PoolSource`)."""

    def __init__(self, chance: Chance) -> None:
        self._guards = [_guard(name, chance) for name in chance.some(("bank.*", "*"), 0.6)]
        self._pools = [_pool(name, chance) for name in chance.some(("*.pay", "*"), 0.5)]

    async def guards(self) -> Sequence[GuardRule]:
        """Return every guard."""
        return self._guards

    async def pools(self) -> Sequence[PoolRule]:
        """Return every pool."""
        return self._pools

    async def needs(self) -> Mapping[str, Need]:
        """Agents need nothing of their own."""
        return {}


def _guard(match: str, chance: Chance) -> GuardRule:
    breaker = BreakerRule(
        window_ms=chance.between(100, 5_000),
        calls=chance.between(2, 20),
        minimum=chance.between(1, 4),
        error_rate=chance.between(3, 10) / 10,
        latency_ms=chance.pick((None, 50.0, 1_000.0)),
        concurrency=chance.pick((None, 2, 8)),
        adaptive=chance.pick((None, 3.0)),
        open_ms=chance.between(5, 400),
        probes=chance.between(1, 3),
    )
    places = BulkheadRule(
        limit=chance.between(1, 4), waiting=chance.between(0, 8), patience_ms=chance.between(5, 900)
    )
    return GuardRule(
        name=f"guard-{len(match)}",
        match=(match,),
        by=chance.pick((None, "/n")),
        breaker=breaker if chance.happens(0.8) else None,
        bulkhead=places if chance.happens(0.5) else None,
        hedge=HedgeRule(after_ms=chance.between(1, 60), share=1.0) if chance.happens(0.4) else None,
        retries=RationRule(share=0.5, minimum=2) if chance.happens(0.4) else None,
    )


def _pool(match: str, chance: Chance) -> PoolRule:
    nodes = tuple(
        Node(name=f"node-{n}", slots=chance.between(1, 3), cpu=chance.pick((None, 2)), cost=n)
        for n in range(chance.between(1, 3))
    )
    return PoolRule(
        name=f"pool-{len(match)}",
        match=(match,),
        places=PlacesRule(
            nodes=nodes,
            quotas={"person:ada": 1} if chance.happens(0.3) else {},
            overflow=chance.happens(0.7),
            aging_ms=chance.between(1, 500),
        ),
        each=Need(cpu=chance.below(3)),
        by=chance.pick(("actor", "run", "workflow")),
        patience_ms=chance.pick((None, 500)),
        overflow_to=chance.pick((None, "pool-1", "pool-5")),
        overflow_after_ms=chance.between(1, 100),
        steals_from=tuple(chance.some(("pool-1", "pool-5"), 0.3)),
        priorities=(Priority(match=("bank.*",), level=chance.below(10)),),
    )
