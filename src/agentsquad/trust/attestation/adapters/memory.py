"""A notary and files in memory, for tests and dry runs; same laws as the real
ones.
"""

from __future__ import annotations

from hashlib import sha256

from agentsquad.runtime.ledger.note import VerifierKey
from agentsquad.trust.attestation.adapters.ed25519 import (
    Ed25519Signer,
    check,
    covers,
)
from agentsquad.trust.attestation.rotation import link


class MemoryNotary:
    """A key from a seed of 32 bytes, and the newest head."""

    def __init__(self, seed: bytes) -> None:
        self._signer = Ed25519Signer.named_after_key(seed)
        self._last: bytes | None = None
        self._links: list[tuple[str, str]] = []
        self._seed = seed

    def key(self) -> str:
        """Return the public key."""
        return self._signer.key.encode()

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature of a message."""
        return self._signer.sign(message)

    def links(self) -> list[tuple[str, str]]:
        """Return each key that was replaced with its last note."""
        return list(self._links)

    def rotate(self, limit: int) -> None:
        """Replace the key by one whose seed follows from the last."""
        self._seed = sha256(self._seed).digest()
        old, self._signer = self._signer, Ed25519Signer(self._signer.key.name, self._seed)
        one = link(old, limit, self._signer.key)
        self._links.append((one.old, one.note))

    def check(self, key: str, message: bytes, signature: bytes) -> bool:
        """Say whether a signature fits."""
        return check(VerifierKey.parse(key), message, signature)

    def last(self) -> bytes | None:
        """Return the newest signed head."""
        return self._last

    def remember(self, note: bytes) -> None:
        """Keep a signed head unless a larger one is kept already."""
        if covers(note, self._last):
            self._last = note


class MemoryFiles:
    """Files by path."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def read(self, path: str) -> bytes | None:
        """Return the content, None when there is no such file."""
        return self.content.get(path)

    def write(self, path: str, data: bytes, *, public: bool = False) -> None:
        """Put the content in place."""
        self.content[path] = data

    def append(self, path: str, data: bytes) -> None:
        """Add to the end of a file."""
        self.content[path] = self.content.get(path, b"") + data
