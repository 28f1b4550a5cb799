"""Argon2id for passwords, by the `cryptography` library.

19 MiB, two passes, one lane: what OWASP asks for at least. Only a few are
computed at once, so that many sign-ins at the same time cannot use up memory.
"""

from __future__ import annotations

import asyncio
import os
import weakref

MEMORY_KIB = 19_456
PASSES = 2
LANES = 1
AT_ONCE = 4
_PREFIX = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$"
_LENGTH = 32


class Argon2Hasher:
    """Hashes and checks in threads, a few at once."""

    def __init__(self) -> None:
        self._decoy: str | None = None
        # One for each event loop: tests and tools run several, one after the
        # other.
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            weakref.WeakKeyDictionary()
        )

    async def encode(self, password: str) -> str:
        """Return the hash of a password, with its salt and cost."""
        async with self._turn():
            return await asyncio.to_thread(_encode, password)

    async def check(self, password: str, kept: str | None) -> bool:
        """Say whether it is that password; no, after the same work, where
        nothing is kept."""
        async with self._turn():
            if self._decoy is None:
                self._decoy = await asyncio.to_thread(_encode, os.urandom(16).hex())
            fits = await asyncio.to_thread(_check, password, kept or self._decoy)
        return fits and kept is not None

    def outdated(self, kept: str) -> bool:
        """Whether a hash was made with another cost than today's."""
        return not kept.startswith(_PREFIX)

    def _turn(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        turn = self._turns.get(loop)
        if turn is None:
            turn = self._turns[loop] = asyncio.Semaphore(AT_ONCE)
        return turn


def _encode(password: str) -> str:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    made = Argon2id(
        salt=os.urandom(16),
        length=_LENGTH,
        iterations=PASSES,
        lanes=LANES,
        memory_cost=MEMORY_KIB,
    )
    return made.derive_phc_encoded(password.encode("utf-8", "surrogatepass"))


def _check(password: str, kept: str) -> bool:
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        Argon2id.verify_phc_encoded(password.encode("utf-8", "surrogatepass"), kept)
    except (InvalidKey, ValueError):
        return False
    return True
