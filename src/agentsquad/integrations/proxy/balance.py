"""Balance: which target takes the next request. Pure but for what it counts.

Laws:
    1. Round robin: of any n picks in a row, all n targets are picked once.
    2. Weighted (nginx's smooth form): of as many picks in a row as the weights
       add up to, each target is picked as often as its weight says.
    3. Least: a target with no fewer requests under way and no shorter answers
       is never picked before one that has less of both.
    4. Hash: the same key has the same target; without one of n targets only its
       own keys move. With bounded loads no target has more than `bound` times
       its share of what is under way, rounded up.

A target that may not be picked now is left out of `able` by who asks.
"""

from __future__ import annotations

import bisect
import hashlib
import math
from collections.abc import Sequence
from typing import Protocol

import msgspec

POINTS = 100  # of each target on the ring, for each unit of weight
TAU_MS = 10_000.0  # how fast what a target took is forgotten
WAYS = ("round-robin", "weighted", "least", "hash")


class Load(msgspec.Struct):
    """What is known of one target; `ewma_ms` is the peak-sensitive mean of what
    its answers took."""

    name: str
    weight: int = 1
    under_way: int = 0
    ewma_ms: float = 0.0
    at_ms: float = 0.0

    def took(self, ms: float, now_ms: float) -> None:
        """Take in how long an answer took: a peak counts at once, what is
        quicker slowly."""
        if ms > self.ewma_ms:
            self.ewma_ms = ms
        else:
            keep = math.exp(-max(0.0, now_ms - self.at_ms) / TAU_MS)
            self.ewma_ms = self.ewma_ms * keep + ms * (1 - keep)
        self.at_ms = now_ms

    def score(self, now_ms: float) -> float:
        """Return how long one more request would take there, more or less; what
        is long past counts less."""
        mean = self.ewma_ms * math.exp(-max(0.0, now_ms - self.at_ms) / TAU_MS)
        return (mean + 1.0) * (self.under_way + 1) / self.weight


class Balancer(Protocol):
    """Picks one of the targets that are able."""

    def pick(self, able: Sequence[Load], key: str, now_ms: float) -> Load:
        """Return one of them; there is at least one."""
        ...


class RoundRobin:
    """One after the other."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._turn = 0

    def pick(self, able: Sequence[Load], key: str, now_ms: float) -> Load:
        """Return the one that was picked longest ago."""
        self._turn += 1
        found = min(able, key=lambda one: self._last.get(one.name, 0))
        self._last[found.name] = self._turn
        return found


class Weighted:
    """As often as their weights say, and evenly spread."""

    def __init__(self) -> None:
        self._credit: dict[str, int] = {}

    def pick(self, able: Sequence[Load], key: str, now_ms: float) -> Load:
        """Return the one that most is owed to."""
        total = sum(one.weight for one in able)
        for one in able:
            self._credit[one.name] = self._credit.get(one.name, 0) + one.weight
        found = max(able, key=lambda one: self._credit[one.name])
        self._credit[found.name] -= total
        return found


class Least:
    """The one that would answer soonest."""

    def pick(self, able: Sequence[Load], key: str, now_ms: float) -> Load:
        """Return the one with the least to do, weighed by what its answers
        took."""
        return min(able, key=lambda one: one.score(now_ms))


class Hashed:
    """The same target for the same key, unless it has too much to do."""

    def __init__(self, bound: float = 1.25) -> None:
        self._bound = bound
        self._rings: dict[tuple[tuple[str, int], ...], tuple[list[int], list[str]]] = {}

    def pick(self, able: Sequence[Load], key: str, now_ms: float) -> Load:
        """Return the first target on the ring from the key on that has room."""
        points, names = self._ring(able)
        by_name = {one.name: one for one in able}
        whole = sum(one.weight for one in able)
        busy = sum(one.under_way for one in able) + 1
        begin = bisect.bisect_left(points, _point(key))
        for step in range(len(points)):
            found = by_name[names[(begin + step) % len(points)]]
            if found.under_way + 1 <= math.ceil(self._bound * busy * found.weight / whole):
                return found
        return by_name[names[begin % len(points)]]

    def _ring(self, able: Sequence[Load]) -> tuple[list[int], list[str]]:
        key = tuple(sorted((one.name, one.weight) for one in able))
        ring = self._rings.get(key)
        if ring is None:
            marks = sorted(
                (_point(f"{name}#{index}"), name)
                for name, weight in key
                for index in range(POINTS * weight)
            )
            if len(self._rings) > 64:
                self._rings.clear()
            ring = self._rings[key] = ([at for at, _ in marks], [name for _, name in marks])
        return ring


def _point(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def balancer(way: str, bound: float = 1.25) -> Balancer:
    """Return the balancer of a name in `WAYS`."""
    if way == "weighted":
        return Weighted()
    if way == "least":
        return Least()
    if way == "hash":
        return Hashed(bound)
    return RoundRobin()
