"""Chance for tests: shuffles drawn from a seed.

A reading must come out the same whoever makes it, so the seed names what is
compared and is never the machine's entropy.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator


class Chance:
    """Draws subsets and resamples; the same seed draws the same ones."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._count = 0

    def numbers(self, count: int) -> tuple[int, ...]:
        """Return numbers below 2**64."""
        self._count += 1
        state = hashlib.shake_256(self._seed + self._count.to_bytes(8, "big"))
        return struct.unpack(f"<{count}Q", state.digest(8 * count))

    def subset(self, size: int, among: int) -> list[int]:
        """Return `size` different indexes below `among` in order, each set as
        likely as any other."""
        return [index for index, taken in enumerate(self.labels(size, among)) if taken]

    def labels(self, size: int, among: int) -> list[bool]:
        """Return `among` labels of which `size` are true, each way as likely as
        any other."""
        keys = self.numbers(among)
        if not size:
            return [False] * among
        limit = sorted(keys)[size - 1]
        return [key <= limit for key in keys]

    def resample(self, size: int) -> list[int]:
        """Return `size` indexes below `size`, drawn with replacement."""
        return [number % size for number in self.numbers(size)]


def exceeding(
    observed: float, drawn: Iterator[float], *, most: int, enough: int = 6
) -> tuple[float, int]:
    """Return a permutation p-value and how many were drawn (Besag and
    Clifford).

    Drawing ends early once `enough` were as extreme: then nothing is to be
    found. The p-value is valid either way: at most a share p of worlds without
    change give one of p or less.
    """
    least = observed * (1 - 1e-12) - 1e-300
    reached = 0
    for count in range(1, most + 1):
        if next(drawn) >= least:
            reached += 1
            if reached == enough:
                return reached / count, count
    return (reached + 1) / (most + 1), most


def repeated(draw: Callable[[], float]) -> Iterator[float]:
    """Yield what a function returns, for ever."""
    while True:
        yield draw()
