"""Devices: how often somebody may begin to connect one, and how often somebody
may mistype what one shows.

Beginning is open to everybody and leaves an event, so an address may do it only
so often, and all of them together too. Typing codes is how a stranger would
find one that waits (RFC 8628 section 5.1), so mistakes are counted for each
account. Each process counts for itself.
"""

from __future__ import annotations

from agentsquad.runtime.resilience.rate import NOTHING, Rate, Spent, earliest, reserve
from agentsquad.trust.identity.contract import DeviceLimitError

WINDOW_MS = 600_000
EACH = Rate(20, WINDOW_MS)  # beginnings of one address
ALL = Rate(600, WINDOW_MS)  # beginnings of all of them
MISTYPED = Rate(10, WINDOW_MS)  # wrong codes of one account
KEPT_MAX = 10_000


class DeviceLimits:
    """What was begun and mistyped lately; the oldest are forgotten when there
    are too many."""

    def __init__(self) -> None:
        self._spent: dict[str, Spent] = {}

    def begin(self, address: str, now_ms: int) -> None:
        """Count one beginning, or raise DeviceLimitError."""
        keys = (("all", ALL), (f"address|{address}", EACH))
        for key, rate in keys:
            self._check(key, rate, now_ms)
        for key, rate in keys:
            self._count(key, rate, now_ms)

    def may_type(self, who: str, now_ms: int) -> None:
        """Raise DeviceLimitError where somebody mistyped too often."""
        self._check(f"typed|{who}", MISTYPED, now_ms)

    def mistyped(self, who: str, now_ms: int) -> None:
        """Count one mistake."""
        self._count(f"typed|{who}", MISTYPED, now_ms)

    def _check(self, key: str, rate: Rate, now_ms: int) -> None:
        moment = earliest(rate, self._spent.get(key, NOTHING), now_ms, 1)
        if moment is None or moment > now_ms:
            wait_ms = rate.window_ms if moment is None else moment - now_ms
            raise DeviceLimitError(retry_after_ms=wait_ms)

    def _count(self, key: str, rate: Rate, now_ms: int) -> None:
        spent = self._spent.pop(key, NOTHING)
        self._spent[key] = reserve(rate, spent, now_ms, 1)
        if len(self._spent) > KEPT_MAX:
            del self._spent[next(iter(self._spent))]
