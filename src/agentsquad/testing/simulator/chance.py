"""Chance: every random choice of a simulation, drawn from its seed.

Streams of their own for each part of the world (`fork`), so that one more draw
in one place does not change what happens everywhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_MASK = (1 << 64) - 1


class Chance:
    """A stream of numbers fixed by its name (SplitMix64 over a hash of it)."""

    __slots__ = ("_name", "_state")

    def __init__(self, name: str) -> None:
        self._name = name
        self._state = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")

    def fork(self, name: str) -> Chance:
        """Return a stream of its own for a part of the world."""
        return Chance(f"{self._name}/{name}")

    def bits(self) -> int:
        """Return 64 random bits."""
        self._state = z = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, bound: int) -> int:
        """Return a number in [0, bound)."""
        return self.bits() % bound

    def between(self, low: int, high: int) -> int:
        """Return a number in [low, high], both ends included."""
        return low + self.bits() % (high - low + 1)

    def happens(self, probability: float) -> bool:
        """Say yes with a probability."""
        return self.bits() < probability * (1 << 64)

    def pick(self, things: Sequence[T]) -> T:
        """Return one of the things."""
        return things[self.bits() % len(things)]

    def some(self, things: Sequence[T], probability: float) -> list[T]:
        """Return a part of the things, in their order."""
        return [thing for thing in things if self.happens(probability)]

    def token(self, size: int) -> bytes:
        """Return random bytes; makes a stream an `Entropy`."""
        found = b"".join(self.bits().to_bytes(8, "big") for _ in range((size + 7) // 8))
        return found[:size]
