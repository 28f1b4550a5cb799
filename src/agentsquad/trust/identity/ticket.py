"""Tickets: where somebody stands between two steps of signing in.

Sealed under the key of the home and given to whoever signs in, so that any
process can go on and a crash between two steps loses nothing. Each ends after
ten minutes, and once: the session it leads to has its name from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from agentsquad.trust.identity.contract import Sealer

LIFETIME_MS = 600_000
_PURPOSE = "ticket"


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """Who has proven what so far; `challenge` is what a security key is to
    sign, base64url."""

    nonce: str
    account: str
    expires_ms: int
    purpose: str = "sign-in"
    proven: tuple[str, ...] = ()
    challenge: str = ""
    grants: Mapping[str, tuple[str, ...]] = {}

    @property
    def session(self) -> str:
        """The name of the session it leads to."""
        return hashlib.sha256(self.nonce.encode()).hexdigest()[:32]


def sealed(ticket: Ticket, sealer: Sealer) -> str:
    """Return a ticket as it is given away."""
    return sealer.seal(_PURPOSE, msgspec.json.encode(ticket))


def opened(text: str, sealer: Sealer, now_ms: int, purpose: str = "sign-in") -> Ticket | None:
    """Return a ticket that counts; None for any other text."""
    data = sealer.unseal(_PURPOSE, text) if text.isascii() else None
    if data is None:
        return None
    ticket = msgspec.json.decode(data, type=Ticket)
    return ticket if ticket.purpose == purpose and now_ms < ticket.expires_ms else None
