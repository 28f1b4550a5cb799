"""Verdict: whether a history is linearizable, key by key, within bounds.

Keys are checked apart (see `lane`). Each gets a small share of the steps first
and more in later rounds, so that one key nobody can decide does not hide
another that is plainly wrong. One wrong key settles the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from agentsquad.operations.consistency.contract import (
    Explanation,
    History,
    Operation,
    Order,
    Scalar,
    Witness,
)
from agentsquad.operations.consistency.explanation import explain, order_of
from agentsquad.operations.consistency.lane import Lane
from agentsquad.operations.consistency.search import Search

FIRST_ROUND = 5_000
GROWTH = 4
SLICE = 1_000  # steps between two looks at the clock
EXPLAINING = 0.5  # of the time given, on top of it, at most


class Bounds:
    """How long to search: until a moment, and so many configurations in all; 0
    steps means no limit."""

    def __init__(self, clock: Callable[[], float], timeout_ms: float, steps: int = 0) -> None:
        self._clock = clock
        self._began: float | None = None
        self.timeout_ms = timeout_ms
        self.steps = steps
        self.taken = 0

    @property
    def elapsed_ms(self) -> float:
        """Return how long it has taken since it was first looked at."""
        now = self._clock()
        if self._began is None:
            self._began = now
        return now - self._began

    def extended(self) -> Bounds:
        """Return bounds for explaining a failure that was found."""
        return Bounds(self._clock, max(1_000.0, self.timeout_ms * EXPLAINING), self.steps)

    def run(self, search: Search, steps_max: int) -> bool | None:
        """Search further, within both bounds."""
        last = search.steps + steps_max
        while search.verdict is None and search.steps < last and not self.spent():
            before = search.steps
            slice_ = min(SLICE, last - before)
            search.run(slice_ if not self.steps else min(slice_, self.steps - self.taken))
            self.taken += search.steps - before
        return search.verdict

    def spent(self) -> str | None:
        """Return which bound was reached, if one was."""
        if self.steps and self.taken >= self.steps:
            return f"{self.steps:,} steps"
        if self.elapsed_ms >= self.timeout_ms:
            return f"{self.timeout_ms:g} ms"
        return None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: None where a bound was reached first.

    `undecided` are the keys not known, `orders` one order for each key when all
    are linearizable, `explanation` says why one is not.
    """

    linearizable: bool | None
    keys: int
    steps: int
    bound: str | None = None
    undecided: list[Scalar | None] = []
    orders: list[Order] = []
    explanation: Explanation | None = None

    def witness(self, operations_max: int) -> Witness:
        """Return what shows that the verdict is right, orders cut to so many
        operations in all."""
        orders, left = [], operations_max
        for order in self.orders:
            shown = order.operations[:left]
            left -= len(shown)
            if shown:
                orders.append(Order(key=order.key, operations=shown))
        return Witness(
            orders=orders,
            placed=sum(len(order.operations) for order in self.orders),
            shown=operations_max - left,
            failure=self.explanation,
            undecided=self.undecided,
        )


def judge(
    history: History, bounds: Bounds, tell: Callable[[int, int], Any] = lambda done, total: None
) -> Verdict:
    """Return the verdict on a history; `tell` hears how many keys are done."""
    parts: dict[Scalar | None, list[Operation]] = {}
    for one in history.operations:
        parts.setdefault(one.key, []).append(one)
    waiting = {key: Search(Lane(history.model, part)) for key, part in parts.items()}
    done: dict[Scalar | None, Search] = {}
    share = FIRST_ROUND
    while waiting and not bounds.spent():
        for key, search in list(waiting.items()):
            found = bounds.run(search, share)
            if found is None:
                continue
            done[key] = waiting.pop(key)
            tell(len(done), len(parts))
            if not found:
                why = explain(history.model, parts[key], done[key], bounds.extended())
                return _said(False, parts, bounds, explanation=why)
        share *= GROWTH
    if waiting:
        return _said(None, parts, bounds, bound=bounds.spent(), undecided=list(waiting))
    return _said(True, parts, bounds, orders=[order_of(key, done[key]) for key in parts])


def _said(
    linearizable: bool | None, parts: dict[Scalar | None, Any], bounds: Bounds, **rest: Any
) -> Verdict:
    return Verdict(linearizable=linearizable, keys=len(parts), steps=bounds.taken, **rest)
