"""Sessions that are open: listing and revoking them."""

from __future__ import annotations

from agentsquad.trust.identity.administration import found
from agentsquad.trust.identity.contract import CredentialMissingError
from agentsquad.trust.identity.credential import Session, session_until
from agentsquad.trust.identity.directory import Directory
from agentsquad.trust.identity.sign_in import ended


class Sessions:
    """Open sessions of one installation."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def listed(self, owner: str | None = None) -> list[Session]:
        """Return open sessions, oldest first; of one account, or all."""
        state = await self._directory.follow()
        actor = None if owner is None else found(state, owner).actor
        now_ms = self._directory.now_ms()
        return [
            one
            for one in state.sessions.values()
            if actor in (None, one.owner) and now_ms < session_until(one)
        ]

    async def revoke(
        self, session: str, by: str, reason: str = "revoked", *, owner: str | None = None
    ) -> Session:
        """End a session by its id, from the next request on; with `owner` only
        one of theirs."""
        state = await self._directory.follow()
        held = state.sessions.get(session)
        if held is None or (owner is not None and held.owner != found(state, owner).actor):
            raise CredentialMissingError(
                f"there is no session {session!r}", hint="squad sessions list"
            )
        await self._directory.store.append([ended(held.id, by, self._directory.now_ms(), reason)])
        await self._directory.follow()
        return held

    async def revoke_all(self, owner: str, by: str, *, but: str = "") -> int:
        """End every session of an account, except one; return how many."""
        held = [one for one in await self.listed(owner) if one.id != but]
        now_ms = self._directory.now_ms()
        if held:
            await self._directory.store.append(
                [ended(one.id, by, now_ms, "revoked") for one in held]
            )
        return len(held)
