"""Laws of quotas: nothing beyond the limit that the log knows of, whoever
counted it; a restart forgets nothing that was written."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentsquad.runtime.ledger.adapters.memory import MemoryKeyRing, MemoryVolume
from agentsquad.runtime.ledger.log import EventLog
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.trust.threats.contract import Hit
from agentsquad.trust.threats.quota import USED, period_of
from agentsquad.trust.threats.ratelimit import KIND, limit_of
from agentsquad.trust.threats.shield import SquadShield

LIMIT = 20
DAILY = limit_of("daily", {"limit": LIMIT, "per": "day", "by": ["actor"]})
DAY_MS = 86_400_000
START_MS = ManualClock().now_ms()


def call(actor: str, cost: int) -> Hit:
    return Hit(surface="rest", method="CALL", path="a.b", route="a.b", actor=actor, cost=cost)


class Servers:
    """Two servers of one log; each can be started anew."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = EventLog(
            MemoryVolume(), self.clock, SeededEntropy(), MemoryKeyRing(SeededEntropy())
        )
        self.starts = 0
        self.shields = [self._new(), self._new()]

    def _new(self) -> SquadShield:
        self.starts += 1
        made = SquadShield(self.clock, SeededEntropy(str(self.starts)))
        made._counters.replace([DAILY])
        return made

    async def refresh(self, number: int) -> None:
        """Once a second, as a server does; limits stay as they are."""
        await self.shields[number]._keep_quotas(self.log)

    async def restart(self, number: int, crash: bool) -> None:
        if not crash:
            await self.refresh(number)
        self.shields[number] = self._new()
        await self.refresh(number)


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("call"), st.integers(0, 1), st.sampled_from(("a", "b")), st.integers(1, 4)
        ),
        st.tuples(st.just("second")),
        st.tuples(st.just("restart"), st.integers(0, 1), st.booleans()),
        st.tuples(st.just("day")),
    ),
    max_size=60,
)


@given(steps=steps)
def test_what_the_log_knows_of_is_never_passed_and_never_forgotten(steps: list[Any]) -> None:
    async def run() -> None:
        servers = Servers()
        for number in (0, 1):
            await servers.refresh(number)
        passed: Counter[tuple[str, str]] = Counter()
        written: Counter[tuple[str, str]] = Counter()  # what both servers have heard of
        for step in steps:
            day = period_of(servers.clock.now_ms(), "day")[0]
            if step[0] == "call":
                _, number, actor, cost = step
                if servers.shields[number].inner(call(actor, cost)).answer == "pass":
                    assert written[day, actor] + cost <= LIMIT
                    passed[day, actor] += cost
            elif step[0] == "day":
                await servers.clock.advance(DAY_MS)
            else:
                for number in (0, 1, 0):
                    await servers.refresh(number)
                written = Counter(passed)
                if step[0] == "restart":
                    await servers.restart(step[1], step[2])
        for number in (0, 1):
            await servers.refresh(number)
        kept: Counter[tuple[str, str]] = Counter()
        for event in await servers.log.read(types=(USED,)):
            day = event.stream.rpartition("/")[2]
            kept[day, event.payload["by"][0]] += event.payload["amount"]
        assert kept == passed

    asyncio.run(run())


def test_a_quota_says_when_it_begins_anew() -> None:
    clock = ManualClock()
    shield = SquadShield(clock, SeededEntropy())
    shield._counters.replace([DAILY])
    for _ in range(LIMIT):
        assert shield.inner(call("a", 1)).answer == "pass"
    verdict = shield.inner(call("a", 1))
    assert verdict.rules == ("rate.daily",)
    assert verdict.retry_after_ms == DAY_MS  # the clock stands at midnight
    assert shield.inner(call("b", 1)).answer == "pass"


def test_days_and_months_end_by_the_calendar() -> None:
    assert period_of(START_MS, "day") == ("2026-01-01", START_MS + DAY_MS)
    assert period_of(START_MS + 30 * DAY_MS, "month") == ("2026-01", START_MS + 31 * DAY_MS)
    assert period_of(START_MS + 58 * DAY_MS, "month") == ("2026-02", START_MS + 59 * DAY_MS)
    assert period_of(START_MS + 364 * DAY_MS, "month")[0] == "2026-12"


def test_a_quota_keeps_no_addresses_and_has_no_algorithm() -> None:
    assert KIND.check is not None
    assert KIND.check({"limit": 1, "per": "month", "by": ["namespace"]}) == []
    assert [one[0] for one in KIND.check({"limit": 1, "per": "day", "by": ["address"]})] == ["/by"]
    wrong = {"limit": 1, "per": "day", "algorithm": "leaky-bucket"}
    assert [one[0] for one in KIND.check(wrong)] == ["/per"]
