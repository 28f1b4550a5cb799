"""Recognition: who asks, from the bearer or the session of a request.

Laws: what was revoked, disabled or has ended is refused on the next request,
also when another process wrote it; every refusal says the same; a positive
answer is remembered only until anything changes that could make it wrong, or
its credential ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.event import NewEvent
from agentsquad.trust.identity.account import ADMINISTRATOR
from agentsquad.trust.identity.contract import (
    EVERY_NAMESPACE,
    CredentialError,
    Principal,
    Shown,
)
from agentsquad.trust.identity.credential import (
    BOOTSTRAP,
    KEY,
    Session,
    csrf_fits,
    digest,
    live,
    session_until,
    well_formed,
)
from agentsquad.trust.identity.directory import Directory
from agentsquad.trust.identity.state import State

KNOWN_MAX = 20_000
REFUSAL_MS = 60_000  # of one address refusals are written down this often at most
REFUSERS_MAX = 10_000
REFUSALS_MAX = 60  # written down in REFUSAL_MS, of whatever addresses
BEARER_MAX = 8_192


class TokenReader(Protocol):
    """Reads access tokens; None where one does not count."""

    def principal(self, state: State, token: str, now_ms: int) -> Principal | None:
        """Return who a token stands for."""
        ...

    def confirmed(self, state: State, principal: Principal) -> Principal | None:
        """Return who a token stood for, as they are now."""
        ...


class Recognition:
    """The port `Identity` over the directory."""

    def __init__(self, directory: Directory, token: TokenReader | None = None) -> None:
        self._directory = directory
        self._token = token
        self._known: dict[str, tuple[Principal, int | None]] = {}
        self._confirmed: dict[str, tuple[int, Principal]] = {}
        self._as_of = -1
        self._refused: dict[str, int] = {}
        self._refusing = (0, 0)  # until when, and how many were written down

    async def recognise(self, shown: Shown) -> Principal:
        """Return who that is; CredentialError otherwise."""
        state = await self._directory.follow()
        now_ms = self._directory.now_ms()
        if state.changes != self._as_of:
            self._known.clear()
            self._as_of = state.changes
        if shown.bearer is not None:
            found = self._bearer(state, shown.bearer, now_ms)
        elif shown.session is not None:
            found = await self._session(state, shown, now_ms)
        else:
            raise CredentialError("nobody is signed in", hint="sign in, or send a bearer")
        if found is None:
            await self._refuse(shown, now_ms)
            raise CredentialError(hint="sign in again, or ask for a new key")
        return found

    async def confirm(self, principal: Principal) -> Principal:
        """Return somebody recognised before as they are now; that is no sign of
        life of a session."""
        state = await self._directory.follow()
        now_ms = self._directory.now_ms()
        kept = self._confirmed.get(principal.credential)
        moves = principal.credential.startswith("session:")  # its end does
        same = kept is not None and kept[0] == state.changes and kept[1] == principal
        if same and not moves:
            found: Principal | None = principal
        else:
            found = self._standing(state, principal, now_ms)
            if len(self._confirmed) >= KNOWN_MAX:
                self._confirmed.clear()
            if found is not None:
                self._confirmed[principal.credential] = (state.changes, found)
        if found is None or (found.expires_ms is not None and now_ms >= found.expires_ms):
            raise CredentialError(hint="sign in again, or ask for a new key")
        return found

    def _standing(self, state: State, principal: Principal, now_ms: int) -> Principal | None:
        """Return who a credential stands for now, by its name."""
        kind, _, name = principal.credential.partition(":")
        if kind == "key" and name in state.keys:
            return key_principal(state, state.keys[name].digest, now_ms)
        if kind == "bootstrap" and state.bootstrap is not None:
            return bootstrap_principal(state, state.bootstrap)
        if kind == "session" and name in state.sessions:
            return session_now(state, state.sessions[name], now_ms)
        if kind == "token" and self._token is not None:
            return self._token.confirmed(state, principal)
        return None

    def _bearer(self, state: State, bearer: str, now_ms: int) -> Principal | None:
        if len(bearer) > BEARER_MAX:
            return None
        mark = digest(bearer)
        known = self._known.get(mark)
        if known is not None and (known[1] is None or now_ms < known[1]):
            return known[0]
        found = self._look_up(state, bearer, mark, now_ms)
        if found is not None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[mark] = (found, found.expires_ms)
        return found

    def _look_up(self, state: State, bearer: str, mark: str, now_ms: int) -> Principal | None:
        if well_formed(bearer, KEY):
            return key_principal(state, mark, now_ms)
        if well_formed(bearer, BOOTSTRAP):
            return bootstrap_principal(state, mark)
        return None if self._token is None else self._token.principal(state, bearer, now_ms)

    async def _session(self, state: State, shown: Shown, now_ms: int) -> Principal | None:
        value = shown.session or ""
        session = state.sessions_by_digest.get(digest(value))
        found = None if session is None else session_now(state, session, now_ms)
        if session is None or found is None:
            return None
        if shown.changes and not csrf_fits(value, shown.csrf):
            return None
        if now_ms - session.seen_ms >= session.idle_ms // 10:
            session.seen_ms = now_ms
            await self._directory.store.append([seen(session, now_ms)])
        return found

    async def _refuse(self, shown: Shown, now_ms: int) -> None:
        """Write a refusal down: of each address once a minute at most, and so
        many of all of them, so that nobody fills the log from many."""
        address = shown.address
        if now_ms >= self._refusing[0]:
            self._refusing = (now_ms + REFUSAL_MS, 0)
        if now_ms < self._refused.get(address, 0) or self._refusing[1] >= REFUSALS_MAX:
            return
        if len(self._refused) >= REFUSERS_MAX:
            self._refused.clear()
        self._refused[address] = now_ms + REFUSAL_MS
        self._refusing = (self._refusing[0], self._refusing[1] + 1)
        what = "bearer" if shown.bearer is not None else "session"
        body = {"at_ms": now_ms, "address": address, "credential": what}
        await self._directory.store.append(
            [NewEvent(stream="credentials", type="credential.refused", payload=body)]
        )


def seen(session: Session, now_ms: int) -> NewEvent:
    """Return the event that a session is still in use."""
    return NewEvent(
        stream=f"session/{session.id}",
        type="session.used",
        payload={"session": session.id, "at_ms": now_ms},
        actor=session.owner,
    )


def key_principal(state: State, mark: str, now_ms: int) -> Principal | None:
    """Return who a key's digest stands for."""
    key = state.keys_by_digest.get(mark)
    if key is None or not live(key, now_ms):
        return None
    account = state.account(key.owner)
    if account is None or account.disabled:
        return None
    return Principal(
        actor=Actor.parse(account.actor),
        grants=within(account.grants, key.within),
        scopes=key.scopes,
        credential=f"key:{key.id}",
        method="key",
        expires_ms=key.expires_ms,
    )


def bootstrap_principal(state: State, mark: str) -> Principal | None:
    """Return the administrator of the first minutes."""
    if state.bootstrap is None or mark != state.bootstrap:
        return None
    return Principal(
        actor=Actor("service", "bootstrap"),
        grants={EVERY_NAMESPACE: (ADMINISTRATOR,)},
        credential="bootstrap",
        method="bootstrap",
    )


def session_now(state: State, session: Session, now_ms: int) -> Principal | None:
    """Return who a session belongs to; None where it counts no more."""
    account = state.account(session.owner)
    if account is None or account.disabled or now_ms >= session_until(session):
        return None
    return Principal(
        actor=Actor.parse(account.actor),
        grants=joined(account.grants, session.grants),
        credential=f"session:{session.id}",
        method=session.method,
        expires_ms=session_until(session),
        begun_ms=session.begun_ms,
    )


def within(
    grants: Mapping[str, tuple[str, ...]], namespaces: tuple[str, ...]
) -> Mapping[str, tuple[str, ...]]:
    """Return the grants that hold in these namespaces; all where none are
    named."""
    if not namespaces:
        return dict(grants)
    everywhere = grants.get(EVERY_NAMESPACE, ())
    held = {name: tuple(sorted({*everywhere, *grants.get(name, ())})) for name in namespaces}
    return {name: roles for name, roles in held.items() if roles}


def joined(
    one: Mapping[str, tuple[str, ...]], other: Mapping[str, tuple[str, ...]]
) -> Mapping[str, tuple[str, ...]]:
    """Return what is granted by either."""
    names = {*one, *other}
    return {name: tuple(sorted({*one.get(name, ()), *other.get(name, ())})) for name in names}


def plain(principal: Principal) -> Mapping[str, object]:
    """Return a principal as JSON, for whoever asks who they are."""
    return {
        "actor": str(principal.actor),
        **{k: v for k, v in msgspec.to_builtins(principal).items() if k != "actor"},
    }
