"""Ration: how many extra calls (retries, hedges) may be made, as a share of the
ordinary ones, so that trying again does not drown who is already unwell.

The rule is that of Finagle's and Envoy's retry budgets: in any window at most
`minimum` plus `share` of the calls made.
"""

from __future__ import annotations

import msgspec

_SLOTS = 10


class RationRule(msgspec.Struct, frozen=True, kw_only=True):
    """At most `minimum + share * calls` extra ones in about `window_ms`."""

    share: float = 0.2
    minimum: int = 10
    window_ms: int = 60_000


class Ration:
    """What was called and what was tried again, in slots of time."""

    def __init__(self, rule: RationRule) -> None:
        self._rule = rule
        self._slots: dict[int, list[int]] = {}

    def called(self, now_ms: float) -> None:
        """Count an ordinary call."""
        self._slot(now_ms)[0] += 1

    def allow(self, now_ms: float) -> bool:
        """Count an extra call if one is left; say whether it was."""
        slot = self._slot(now_ms)
        calls = sum(one[0] for one in self._slots.values())
        extra = sum(one[1] for one in self._slots.values())
        if extra + 1 > self._rule.minimum + self._rule.share * calls:
            return False
        slot[1] += 1
        return True

    def _slot(self, now_ms: float) -> list[int]:
        number = int(now_ms // max(1, self._rule.window_ms / _SLOTS))
        if number not in self._slots:
            kept = {n: one for n, one in self._slots.items() if number - _SLOTS < n}
            self._slots = {**kept, number: [0, 0]}
        return self._slots[number]
