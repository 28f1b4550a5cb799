"""Lock-out: how long to wait after failed attempts to sign in.

Laws: the wait grows with each failure and has an upper bound, so nobody is ever
locked out for good; it depends on what was tried, never on whether the name
exists; failures are forgotten after a quiet time. A stranger can delay the
owner of an account by a minute at most, and not at all from where the owner
signed in before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec


class Attempts(msgspec.Struct, frozen=True):
    """Failures in a row, and when the last one was."""

    count: int = 0
    last_ms: int = 0


class Rule(msgspec.Struct, frozen=True):
    """`free` failures cost nothing; then the wait is `first_ms`, doubled with
    each, at most `most_ms`."""

    free: int
    first_ms: int
    most_ms: int
    quiet_ms: int


HOUR_MS = 3_600_000
RULES: Mapping[str, Rule] = {
    "pair": Rule(5, 1_000, 900_000, HOUR_MS),  # this account from this address
    "account": Rule(20, 1_000, 60_000, HOUR_MS),  # this account from anywhere
    "address": Rule(50, 1_000, 900_000, HOUR_MS),  # any account from this address
}
KEPT_MAX = 50_000


def keys(who: str, address: str) -> tuple[tuple[str, str], ...]:
    """Return what a failure is counted under: rule and key."""
    return (("pair", f"pair|{who}|{address}"), ("account", f"account|{who}")) + (
        (("address", f"address|{address}"),) if address else ()
    )


def failed(attempts: Attempts, rule: Rule, now_ms: int, times: int = 1) -> Attempts:
    """Return the attempts after further failures."""
    count = 0 if now_ms - attempts.last_ms >= rule.quiet_ms else attempts.count
    return Attempts(count + times, now_ms)


def wait_ms(attempts: Attempts, rule: Rule, now_ms: int) -> int:
    """Return how long to wait before the next attempt; 0: not at all."""
    over = attempts.count - rule.free
    passed = now_ms - attempts.last_ms
    if over < 0 or passed >= rule.quiet_ms:
        return 0
    wait = min(rule.first_ms << min(over, 40), rule.most_ms)
    return max(0, min(wait, wait - passed))


class Failures:
    """Failed attempts by account and address; the oldest are forgotten when
    there are too many."""

    def __init__(self) -> None:
        self._kept: dict[str, Attempts] = {}

    def note(self, who: str, address: str, now_ms: int) -> None:
        """Count one failure."""
        for rule, key in keys(who, address):
            before = self._kept.pop(key, Attempts())
            self._kept[key] = failed(before, RULES[rule], now_ms)
        while len(self._kept) > KEPT_MAX:
            del self._kept[next(iter(self._kept))]

    def forgive(self, who: str, address: str) -> None:
        """Forget those of an account after it signed in; not those of the
        address, which may have tried others."""
        for rule, key in keys(who, address):
            if rule != "address":
                self._kept.pop(key, None)

    def wait_ms(
        self, who: str, address: str, now_ms: int, *, known: Iterable[str] = (), pending: int = 0
    ) -> int:
        """Return how long that account must wait at that address.

        `known` are addresses it signed in from before, `pending` attempts that
        are under way and count as failed until they are known to be right.
        """
        longest = 0
        for rule, key in keys(who, address):
            if rule == "account" and address and address in known:
                continue
            attempts = self._kept.get(key, Attempts())
            if pending:
                attempts = failed(attempts, RULES[rule], now_ms, pending)
            longest = max(longest, wait_ms(attempts, RULES[rule], now_ms))
        return longest
