"""Issued: families of refresh tokens, codes on their way to become one, clients
that ask for them, and the keys that sign access tokens.

Values only; what follows from them is in `tokens.py` and `oauth.py`.
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
    copy. `version` is the length of its stream. Without a `digest` it is one
    access token and nothing more.
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
    the beginning), or of a device that waits until somebody types what it
    shows (`spoken` is a keyed digest of that)."""

    kind: str
    digest: str
    client: str
    scopes: tuple[str, ...]
    expires_ms: int
    version: int = 0
    owner: str = ""
    spoken: str = ""
    address: str = ""  # where a device asked from
    redirect: str = ""
    challenge: str = ""
    grants: dict[str, tuple[str, ...]] = {}
    method: str = ""
    refused: bool = False
    spent: str = ""

    @property
    def stream(self) -> str:
        """Where its events are."""
        return f"code/{self.digest[:32]}"


class Client(msgspec.Struct, kw_only=True):
    """A program that may ask for tokens in the name of people. It has no
    secret: PKCE and its redirect addresses say that it is itself. It asks for
    no more than its `scopes`, and by codes of a `device` only where it must."""

    id: str
    redirects: tuple[str, ...]
    label: str = ""
    version: int = 0
    scopes: tuple[str, ...] = ("*",)
    device: bool = False
