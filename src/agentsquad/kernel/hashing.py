"""Hashing: SHA-256 of bytes and of canonical JSON, as `sha256:<hex>`."""

from __future__ import annotations

import hashlib
from typing import Any

from agentsquad.kernel.canonical import dumps

PREFIX = "sha256:"


def sha256(data: bytes) -> bytes:
    """Return the 32 bytes of SHA-256."""
    return hashlib.sha256(data).digest()


def digest_bytes(data: bytes) -> str:
    """Return `sha256:<hex>` of bytes."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """Return `sha256:<hex>` of a value's canonical JSON."""
    return PREFIX + hashlib.sha256(dumps(value)).hexdigest()


def commit(salt: bytes, data: bytes) -> str:
    """Return `sha256:<hex>` of salt and data.

    It binds to the data, and hides it while the salt is secret.
    The salt's length must be the same wherever commitments are compared;
    otherwise bytes could move between the two.
    """
    return PREFIX + hashlib.sha256(salt + data).hexdigest()
