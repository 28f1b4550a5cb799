"""Cipher: AES-256-GCM for what a key ring encrypts, one fresh nonce a box."""

from __future__ import annotations

import msgspec

from agentsquad.kernel.ports import Entropy
from agentsquad.runtime.ledger.contract import KeyLostError

KEY_SIZE = 32
_NONCE_SIZE = 12


class Entry(msgspec.Struct, frozen=True):
    """What a ring knows of a subject: its key, how often one was destroyed."""

    key: bytes | None
    erasures: int


def encrypt(key: bytes, subject: str, data: bytes, entropy: Entropy) -> bytes:
    """Return nonce and ciphertext, bound to the subject's name."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = entropy.token(_NONCE_SIZE)
    return nonce + AESGCM(key).encrypt(nonce, data, subject.encode())


def decrypt(entry: Entry | None, subject: str, box: bytes) -> bytes | None:
    """Return the data, None when its key was destroyed; else KeyLostError."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if entry is not None and entry.key is not None and len(box) > _NONCE_SIZE:
        try:
            nonce, sealed = box[:_NONCE_SIZE], box[_NONCE_SIZE:]
            return AESGCM(entry.key).decrypt(nonce, sealed, subject.encode())
        except InvalidTag:
            pass  # an older key sealed it
    if entry is not None and entry.erasures:
        return None
    raise KeyLostError(
        f"the key of {subject!r} is gone, though {subject!r} was never erased",
        hint=f"restore the key file; else 'squad erase {subject} --lost --reason …'",
        details={"subject": subject},
    )
