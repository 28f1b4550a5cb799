"""Challenge: work that costs a machine time before it may go on, by a method
that a script of ten lines can follow.

A challenge is `v1.NONCE.EXPIRES.BITS.MAC`. Its proof is `CHALLENGE:N` with the
smallest effort: any N for which SHA-256 of the ASCII text `CHALLENGE:N` begins
with so many zero bits. It holds for the address it was given to, until it
expires, and once. The server keeps nothing until a proof comes: the MAC says
that the challenge is its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import OrderedDict

from agentsquad.kernel.ports import Clock, Entropy

HEADER = "squad-proof"
LIFE_MS = 120_000
BITS_MIN, BITS_MAX = 14, 22  # 16,000 and 4,000,000 hashes on average
POINTS_A_BIT = 25
SPENT_MAX = 100_000
LENGTH_MAX = 300


def bits_for(points: int, threshold: int) -> int:
    """Return how hard a challenge is for so many points: a bit more, which is
    twice the work, for every few."""
    return min(BITS_MAX, BITS_MIN + max(0, points - threshold) // POINTS_A_BIT)


def zero_bits(digest: bytes) -> int:
    """Return how many zero bits begin a digest."""
    number = int.from_bytes(digest)
    return len(digest) * 8 - number.bit_length()


def solve(challenge: str) -> str:
    """Return a proof; what a client does, and tests."""
    bits = int(challenge.split(".")[3])
    begun = hashlib.sha256(f"{challenge}:".encode())
    number = 0
    while True:
        tried = begun.copy()
        tried.update(str(number).encode())
        if zero_bits(tried.digest()) >= bits:
            return f"{challenge}:{number}"
        number += 1


class Challenges:
    """Gives challenges and checks proofs."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy
        self._secret = entropy.token(32)
        self._spent: OrderedDict[str, int] = OrderedDict()

    def give(self, address: str, bits: int) -> str:
        """Return a challenge for an address."""
        nonce = base64.urlsafe_b64encode(self._entropy.token(12)).decode()
        text = f"v1.{nonce}.{self._clock.now_ms() + LIFE_MS}.{bits}"
        return f"{text}.{self._mac(text, address)}"

    def proven(self, proof: str, address: str) -> int:
        """Return how many bits of work a proof shows, 0 where it shows
        nothing: it is wrong, of another address, too late or was used."""
        challenge, colon, number = proof.rpartition(":")
        parts = challenge.split(".")
        if not colon or len(proof) > LENGTH_MAX or len(parts) != 5 or not number.isalnum():
            return 0
        text = ".".join(parts[:4])
        if not proof.isascii() or not hmac.compare_digest(self._mac(text, address), parts[4]):
            return 0
        expires, bits = int(parts[2]), int(parts[3])
        now = self._clock.now_ms()
        while self._spent and next(iter(self._spent.values())) < now:
            self._spent.popitem(last=False)
        if now > expires or challenge in self._spent or len(self._spent) >= SPENT_MAX:
            return 0
        if zero_bits(hashlib.sha256(proof.encode()).digest()) < bits:
            return 0
        self._spent[challenge] = now + LIFE_MS
        return bits

    def _mac(self, text: str, address: str) -> str:
        mac = hmac.new(self._secret, f"{text}|{address}".encode(), "sha256").digest()
        return base64.urlsafe_b64encode(mac[:18]).decode()
