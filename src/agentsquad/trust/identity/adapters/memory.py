"""Adapters in memory, for tests: a key that is given, passwords hashed fast,
and secrets that were laid down before."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping

from agentsquad.kernel.errors import MissingError


class QuickHasher:
    """Salted SHA-256: the same laws as a slow hash, without its slowness.

    For tests only: whoever reads what it made can guess fast. It counts what
    it computed, so that a test can see that unknown names cost the same.
    """

    def __init__(self) -> None:
        self.computed = 0

    async def encode(self, password: str) -> str:
        """Return the hash of a password with its salt."""
        return _made(password, os.urandom(8).hex())

    async def check(self, password: str, kept: str | None) -> bool:
        """Say whether it is that password."""
        self.computed += 1
        salt = (kept or "quick$00$").split("$")[1]
        return hmac.compare_digest(_made(password, salt), kept or "")

    def outdated(self, kept: str) -> bool:
        """Whether another kind of hasher made it."""
        return not kept.startswith("quick$")


def _made(password: str, salt: str) -> str:
    data = (salt + password).encode("utf-8", "surrogatepass")
    return f"quick${salt}${hashlib.sha256(data).hexdigest()}"


class GivenSecrets:
    """Secrets by place."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self.secrets = dict(secrets)

    def read(self, place: str, ask: str) -> str:
        """Return what was laid down there."""
        try:
            return self.secrets[place]
        except KeyError:
            raise MissingError(f"{place}: no such file", code="identity.secret_missing") from None
