"""Chance from a seed: the same seed gives the same bytes."""

from __future__ import annotations

import hashlib


class SeededEntropy:
    """SHA-256 in counter mode over a seed; for tests and rehearsals only."""

    def __init__(self, seed: str = "seed") -> None:
        self._seed = seed.encode()
        self._count = 0

    def token(self, size: int) -> bytes:
        """Return the next bytes of the sequence."""
        out = b""
        while len(out) < size:
            self._count += 1
            out += hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()
        return out[:size]
