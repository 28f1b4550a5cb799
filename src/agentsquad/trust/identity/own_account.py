"""One's own account: who is signed in by a session, and having them show again
that it is them.

What a session may do is much; how its owner signs in is more. So whoever has no
more than a browser that was left open changes nothing of that: the password is
asked once more, or, of those who have none here, a sign-in that was just now.
"""

from __future__ import annotations

import msgspec

from agentsquad.trust.identity import ticket as tickets
from agentsquad.trust.identity.account import Account
from agentsquad.trust.identity.contract import (
    FRESH_MS,
    CredentialError,
    SignInStaleError,
    TicketError,
    Visit,
)
from agentsquad.trust.identity.credential import Session, digest
from agentsquad.trust.identity.directory import Directory
from agentsquad.trust.identity.sign_in import SignIn


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """An account, and the session by which its owner looks at it."""

    account: Account
    session: Session

    @property
    def password(self) -> bool:
        """Whether it has a password here."""
        return self.account.sealed is not None


class OwnAccount:
    """What people may see and do of their own account."""

    def __init__(self, directory: Directory, sign_in: SignIn) -> None:
        self._directory = directory
        self._sign_in = sign_in

    async def look(self, session: str) -> Own:
        """Return whose session a value is of; CredentialError where it is
        none."""
        state = await self._directory.follow()
        held = state.sessions_by_digest.get(digest(session))
        account = None if held is None else state.account(held.owner)
        if held is None or account is None:
            raise CredentialError(hint="sign in at /login")
        return Own(account=account, session=held)

    async def again(self, own: Own, password: str, visit: Visit) -> None:
        """Have them show that it is them; SignInFailedError, LockedError or
        SignInStaleError."""
        if own.password:
            await self._sign_in.again(own.account.actor, password, visit)
        elif self._directory.now_ms() - own.session.begun_ms > FRESH_MS:
            raise SignInStaleError(hint="sign out, sign in again, then do it within ten minutes")

    def check_ticket(self, own: Own, text: str) -> None:
        """Refuse to set up a security key that another account began."""
        held = tickets.opened(text, self._directory.sealer, self._directory.now_ms(), "enrol")
        if held is None or held.account != own.account.actor:
            raise TicketError
