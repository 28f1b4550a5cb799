"""Credentials: what is shown to be recognised, and how long each one counts.

Every secret is 256 random bits, told once and kept only as its SHA-256: there
is nothing to guess, so nothing is gained by a slow hash. What a secret is for
can be read off its beginning, and a checksum lets tools that look for leaked
secrets be sure of one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import zlib
from fnmatch import fnmatchcase

import msgspec

from agentsquad.trust.identity.contract import LifetimeError, ScopeError

KEY = "sqk_"
BOOTSTRAP = "sqb_"
SESSION = "sqs_"
REFRESH = "sqr_"
SECRET_SIZE = 32
DAY_MS = 86_400_000
LIFETIME_MAX_DAYS = 3_650

EFFECTS = ("read", "write")  # scopes too: what changes nothing, and everything
_SCOPE = re.compile(r"\*|[a-z][a-z0-9_-]*\.(?:\*|[a-z][a-z0-9_]*)")


class Key(msgspec.Struct, kw_only=True):
    """An API key. `within` names the namespaces it may be used in, all of its
    owner's where it names none; `tail` are its last characters, for people to
    tell keys apart."""

    id: str
    owner: str
    digest: str
    label: str = ""
    tail: str = ""
    scopes: tuple[str, ...] = ("*",)
    within: tuple[str, ...] = ()
    created_ms: int = 0
    expires_ms: int | None = None
    revoked_ms: int | None = None


class Session(msgspec.Struct, kw_only=True):
    """A browser signed in. It ends `idle_ms` after it was last seen, and at
    `expires_ms` in any case; `grants` are roles that hold in it alone, from
    groups of the provider it was begun through."""

    id: str
    owner: str
    digest: str
    method: str
    begun_ms: int
    seen_ms: int
    idle_ms: int
    expires_ms: int
    address: str = ""
    agent: str = ""
    grants: dict[str, tuple[str, ...]] = {}
    ended: bool = False


def new_secret(prefix: str, chance: bytes) -> str:
    """Return a secret of a kind made of random bytes."""
    body = base64.b32encode(chance).decode().rstrip("=").lower()
    return f"{prefix}{body}{_checksum(prefix + body)}"


def well_formed(secret: str, prefix: str) -> bool:
    """Whether a text can be a secret of a kind; says nothing about whether it
    is one."""
    return (
        secret.startswith(prefix)
        and secret.isascii()
        and len(secret) == len(prefix) + 52 + 7
        and hmac.compare_digest(_checksum(secret[:-7]), secret[-7:])
    )


def _checksum(text: str) -> str:
    return base64.b32encode(zlib.crc32(text.encode()).to_bytes(4, "big")).decode()[:7].lower()


def digest(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def csrf_of(session: str) -> str:
    """Return the CSRF token of a session's value: who has only the token
    learns nothing of the value, who has only the cookie sent along by a
    browser cannot compute it."""
    made = hmac.new(session.encode(), b"agentsquad csrf", hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def csrf_fits(session: str, given: str | None) -> bool:
    """Whether a CSRF token belongs to a session's value."""
    return hmac.compare_digest(csrf_of(session).encode(), (given or "").encode())


def live(key: Key, now_ms: int) -> bool:
    """Whether a key still counts."""
    return key.revoked_ms is None and (key.expires_ms is None or now_ms < key.expires_ms)


def session_until(session: Session) -> int:
    """Return when a session ends if nothing more is heard of it."""
    return min(session.seen_ms + session.idle_ms, session.expires_ms)


def expiry(days: int | None, now_ms: int) -> int | None:
    """Return when something ends that lives so many days from now."""
    if days is None:
        return None
    if not 1 <= days <= LIFETIME_MAX_DAYS:
        raise LifetimeError(
            f"{days} days is no span a key may live", hint=f"1 to {LIFETIME_MAX_DAYS} days"
        )
    return now_ms + days * DAY_MS


def scopes_of(given: tuple[str, ...]) -> tuple[str, ...]:
    """Return scopes as they are kept; ScopeError where one is none."""
    for scope in given:
        if scope not in EFFECTS and not _SCOPE.fullmatch(scope):
            raise ScopeError(
                f"{scope!r} is not a scope",
                hint="an action or a family of them: runs.list, runs.*; read, write, or * for all",
            )
    return tuple(sorted(set(given))) or ("*",)


def narrowed(wider: tuple[str, ...], asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return those asked for that the wider ones contain."""
    return tuple(one for one in asked if any(_contains(big, one) for big in wider))


def _contains(wide: str, narrow: str) -> bool:
    return wide == "*" or wide == narrow or (narrow != "*" and fnmatchcase(narrow, wide))
