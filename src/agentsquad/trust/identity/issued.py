"""Issued: families of refresh tokens, codes on their way to become one, and the
keys that sign access tokens.

Values only; what follows from them is in `token.py` and `oauth.py`.
"""

from __future__ import annotations

import msgspec


class SigningKey(msgspec.Struct, kw_only=True):
    """A key that signs access tokens until it is `retired_ms`, and verifies
    them for as long as one may live after that."""

    kid: str
    public: str
    sealed: str
    since_ms: int
    retired_ms: int | None = None


class Family(msgspec.Struct, kw_only=True):
    """A refresh token and all that came from it; each is used once.

    When one is shown a second time the whole family ends: somebody has a
    copy. `version` is the length of its stream.
    """

    id: str
    owner: str
    client: str
    scopes: tuple[str, ...]
    begun_ms: int
    expires_ms: int
    version: int
    digest: str = ""
    within: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    grants: dict[str, tuple[str, ...]] = {}
    method: str = ""
    ended: bool = False


class Code(msgspec.Struct, kw_only=True):
    """A code that becomes tokens once: of an authorization (`owner` is set from
    the beginning), or of a device that waits until somebody types `spoken`."""

    kind: str
    digest: str
    client: str
    scopes: tuple[str, ...]
    expires_ms: int
    owner: str = ""
    spoken: str = ""
    redirect: str = ""
    challenge: str = ""
    within: tuple[str, ...] = ()
    grants: dict[str, tuple[str, ...]] = {}
    method: str = ""
    asked_ms: int = 0
    refused: bool = False
    spent: str = ""
