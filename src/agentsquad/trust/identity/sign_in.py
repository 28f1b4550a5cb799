"""Signing in: password, then a second factor where one is set up, then a
session.

Laws: no session without every step; each code, security key answer and ticket
counts once, also when two processes see it at the same time; what is wrong is
told in the same words, after the same work, whether or not the name exists;
each failure makes the next attempt wait (lockout.py).

    from      what is shown        to
    nobody    password, wrong      nobody, failure counted
    nobody    password             session, if no second factor is set up
    nobody    password             ticket
    nobody    another provider     session, or ticket
    ticket    code, wrong          ticket (the same), failure counted
    ticket    code                 session
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from agentsquad.kernel.actor import SYSTEM
from agentsquad.kernel.event import NewEvent
from agentsquad.trust.identity import account as accounts
from agentsquad.trust.identity import password as passwords
from agentsquad.trust.identity import ticket as tickets
from agentsquad.trust.identity.account import Account
from agentsquad.trust.identity.administration import (
    PASSWORD,
    Administration,
    end_bootstrap,
    found,
)
from agentsquad.trust.identity.contract import (
    AccountNameError,
    External,
    FactorError,
    FactorNeededError,
    LockedError,
    NewSession,
    PasswordHasher,
    Progress,
    SignInFailedError,
    TicketError,
    Visit,
)
from agentsquad.trust.identity.credential import SECRET_SIZE, SESSION, csrf_of, digest, new_secret
from agentsquad.trust.identity.directory import Change, Directory
from agentsquad.trust.identity.factors import Factors, Proof
from agentsquad.trust.identity.state import State
from agentsquad.trust.identity.ticket import Ticket

IDLE_MS = 30 * 60_000
ABSOLUTE_MS = 12 * 3_600_000
NAME_MAX = 200
TYPED_MAX = 1_024
AGENT_MAX = 200
SESSIONS_MAX = 20  # of one account; the oldest ends when there is another


class SignIn:
    """Signs people in; what surfaces call."""

    def __init__(
        self,
        directory: Directory,
        factors: Factors,
        administration: Administration,
        hasher: Callable[[], PasswordHasher],
        *,
        strict: bool = False,
    ) -> None:
        self._directory = directory
        self._factors = factors
        self._administration = administration
        self._hasher = hasher
        self._strict = strict
        self._pending: Counter[str] = Counter()

    async def begin(self, name: str, password: str, visit: Visit) -> Progress:
        """Take name and password; SignInFailedError or LockedError."""
        state = await self._directory.follow()
        account = _account(state, name)
        who = self._who(account, name)
        typed = passwords.normal(password[:TYPED_MAX])
        kept = self._kept(account)
        with self._attempt(state, who, account, visit):
            fits = await self._hasher().check(typed, kept)
            if not fits or account is None or account.disabled:
                raise await self._failure(who, visit, "password")
        if kept is not None and self._hasher().outdated(kept):
            await self._keep_better(account, typed)
        return await self._proven(account.actor, ("password",), {}, visit)

    async def again(self, actor: str, password: str, visit: Visit) -> None:
        """Have somebody signed in show their password again, before what
        concerns how they sign in; SignInFailedError or LockedError."""
        account = found(await self._directory.follow(), actor)
        kept = self._kept(account)
        typed = passwords.normal(password[:TYPED_MAX])

        async def check() -> bool:
            return await self._hasher().check(typed, kept)

        await self._tried(account.actor, account, check, visit)

    async def change_password(
        self, actor: str, current: str, password: str, visit: Visit
    ) -> Account:
        """Let somebody give themselves another password; all their sessions
        and tokens end, so they sign in again."""
        await self.again(actor, current, visit)
        return await self._administration.set_password(actor, password, actor)

    async def vouched(self, external: External, visit: Visit, once: str = "") -> Progress:
        """Take somebody for whom another provider vouches; their account is
        added when they come for the first time. What names the same `once`
        leads to one session at most."""
        actor = accounts.actor_named(external.name)
        source = f"{external.provider}/{external.subject}"

        def decide(state: State, now_ms: int) -> Change:
            known = state.account(actor)
            if known is not None and known.source == source and not known.disabled:
                return Change()
            if known is not None or actor in state.gone:
                raise SignInFailedError(
                    f"{actor} is another account here",
                    hint="an administrator can delete it, or have the provider send another name",
                )
            event = accounts.added(
                actor, str(SYSTEM), now_ms,
                display=external.display, email=external.email, source=source,
            )  # fmt: skip
            return Change([event], {event.stream: 0})

        await self._directory.change(decide)
        grants = {name: tuple(roles) for name, roles in external.grants.items()}
        proven = (external.method, "strong") if external.strong else (external.method,)
        return await self._proven(actor, proven, grants, visit, once)

    async def tried(self, name: str, check: Callable[[], Awaitable[bool]], visit: Visit) -> None:
        """Hold one attempt against another directory; a failure is told,
        counted and makes wait as one with a password of ours."""
        await self._tried(self._who(None, name), None, check, visit)

    async def _tried(
        self,
        who: str,
        account: Account | None,
        check: Callable[[], Awaitable[bool]],
        visit: Visit,
    ) -> None:
        state = await self._directory.follow()
        with self._attempt(state, who, account, visit):
            if not await check():
                raise await self._failure(who, visit, "password")

    async def options(self, ticket: str, visit: Visit) -> Mapping[str, Any]:
        """Return what a browser needs to use a security key (WebAuthn)."""
        held, account = await self._held(ticket)
        if visit.party is None or "webauthn" not in account.methods:
            raise FactorError("no security key is set up for this account")
        return self._factors.assertion(account, visit.party, _challenge(held))

    async def verify(self, ticket: str, method: str, value: Any, visit: Visit) -> Progress:
        """Take the second factor: a code, or what a browser answered to
        `options`."""
        held, account = await self._held(ticket)
        with self._attempt(self._directory.state, account.actor, account, visit):
            proof = self._factors.proof(account, method, value, visit.party, _challenge(held))
            if proof is None:
                raise await self._failure(account.actor, visit, method)
        return await self._start(held, (*held.proven, method), visit, proof)

    async def end(self, session: str, by: str = "") -> bool:
        """End the session of a value; whether there was one."""
        state = await self._directory.follow()
        found = state.sessions_by_digest.get(digest(session))
        if found is None:
            return False
        await self._directory.store.append([ended(found.id, by or found.owner, self._now(), "out")])
        return True

    # --- steps

    async def _proven(
        self,
        actor: str,
        proven: tuple[str, ...],
        grants: Mapping[str, tuple[str, ...]],
        visit: Visit,
        once: str = "",
    ) -> Progress:
        """Go on after the first step."""
        now_ms = self._now()
        account = (await self._directory.follow()).accounts[actor]
        ticket = Ticket(
            nonce=once or self._directory.entropy.token(16).hex(),
            account=actor,
            expires_ms=now_ms + tickets.LIFETIME_MS,
            proven=proven,
            challenge=base64.urlsafe_b64encode(self._directory.entropy.token(32)).decode(),
            grants=grants,
        )
        wants = wanted(account, proven)
        if not wants and self._strict and "strong" not in proven:
            raise FactorNeededError(
                hint=f"squad factors add-app {actor.partition(':')[2]}, then squad factors confirm"
            )
        if not wants:
            return await self._start(ticket, proven, visit, None)
        return Progress(wants=wants, ticket=tickets.sealed(ticket, self._directory.sealer))

    async def _start(
        self, ticket: Ticket, proven: tuple[str, ...], visit: Visit, proof: Proof | None
    ) -> Progress:
        """Begin the session a ticket leads to, with what uses the proof up, in
        one append."""
        stream = f"session/{ticket.session}"
        if await self._directory.store.read_stream(stream, limit=1):
            raise TicketError
        secret = new_secret(SESSION, self._directory.entropy.token(SECRET_SIZE))
        started: list[int] = []

        def decide(state: State, now_ms: int) -> Change:
            account = state.account(ticket.account)
            if account is None or account.disabled:
                raise TicketError
            if proof is not None and not proof.unused(account):
                raise SignInFailedError(hint="wait for the next code")
            if ticket.session in state.sessions:
                raise TicketError
            started[:] = [now_ms]
            uses = [] if proof is None else [proof.event(account, now_ms)]
            events = [*uses, *_started(ticket, account, secret, proven, visit, now_ms)]
            expect = {account.stream: account.version, stream: 0}
            before = state.sessions_by_digest.get(digest(visit.previous or ""))
            if before is not None:
                events.append(ended(before.id, account.actor, now_ms, "replaced"))
            events += _crowded(state, account, now_ms)
            if account.administers and "password" in proven:
                over = end_bootstrap(state, now_ms, account.actor, "an administrator signed in")
                events, expect = [*events, *over.events], {**expect, **over.expect}
            return Change(events, expect)

        await self._directory.change(decide)
        await self._directory.follow()
        session = NewSession(
            id=ticket.session,
            value=secret,
            csrf=csrf_of(secret),
            account=ticket.account,
            expires_ms=started[0] + ABSOLUTE_MS,
        )
        return Progress(session=session)

    async def _held(self, text: str) -> tuple[Ticket, Account]:
        state = await self._directory.follow()
        ticket = tickets.opened(text, self._directory.sealer, self._now())
        account = None if ticket is None else state.account(ticket.account)
        if ticket is None or account is None or account.disabled:
            raise TicketError
        return ticket, account

    # --- failures

    @contextmanager
    def _attempt(
        self, state: State, who: str, account: Account | None, visit: Visit
    ) -> Iterator[None]:
        """Hold one attempt; those under way count as failed until it is known,
        so that many at once gain nothing."""
        known = () if account is None else account.addresses
        wait = state.failures.wait_ms(
            who, visit.address, self._now(), known=known, pending=self._pending[who]
        )
        if wait:
            raise LockedError(retry_after_ms=wait, hint="wait, then try again")
        self._pending[who] += 1
        try:
            yield
        finally:
            self._pending[who] -= 1
            if not self._pending[who]:
                del self._pending[who]

    async def _failure(self, who: str, visit: Visit, step: str) -> SignInFailedError:
        """Write a failure down and return the error that says so."""
        body = {"who": who, "address": visit.address, "step": step, "at_ms": self._now()}
        actor = who if ":" in who else "service:squad"
        await self._directory.store.append(
            [NewEvent(stream="logins", type="login.failed", payload=body, actor=actor)]
        )
        await self._directory.follow()
        return SignInFailedError(hint="check it and try again")

    def _who(self, account: Account | None, name: str) -> str:
        """Return what failures are counted under.

        People type passwords where their name belongs: a name that is none is
        kept as a keyed digest.
        """
        if account is not None:
            return account.actor
        data = name[:NAME_MAX].encode("utf-8", "replace")
        return "unknown-" + self._directory.sealer.mark("name", data)[:24]

    # --- passwords

    def _kept(self, account: Account | None) -> str | None:
        if account is None or account.sealed is None:
            return None
        data = self._directory.sealer.unseal(f"{PASSWORD}/{account.actor}", account.sealed)
        return None if data is None else data.decode()

    async def _keep_better(self, account: Account, password: str) -> None:
        """Keep the same password with today's cost."""
        encoded = await self._hasher().encode(password)
        box = self._directory.sealer.seal(f"{PASSWORD}/{account.actor}", encoded.encode())

        def decide(state: State, now_ms: int) -> Change:
            now = state.account(account.actor)
            if now is None or now.sealed != account.sealed:
                return Change()
            event = accounts.change(
                now.actor, "password.set", now.actor, at_ms=now_ms, sealed=box, kept=True
            )
            return Change([event], {now.stream: now.version})

        await self._directory.change(decide)

    def _now(self) -> int:
        return self._directory.now_ms()


def wanted(account: Account, proven: tuple[str, ...]) -> tuple[str, ...]:
    """Return the second factors of which one is still to be shown."""
    if not account.methods or "strong" in proven or len(proven) > 1:
        return ()
    return (*account.methods, "recovery") if account.codes else account.methods


def _account(state: State, name: str) -> Account | None:
    if len(name) > NAME_MAX:
        return None
    try:
        return state.account(accounts.actor_named(name.strip().lower()))
    except AccountNameError:
        return None


def _challenge(ticket: Ticket) -> bytes:
    return base64.urlsafe_b64decode(ticket.challenge)


def ended(session: str, by: str, now_ms: int, reason: str) -> NewEvent:
    """Return the event that a session ended."""
    body = {"session": session, "at_ms": now_ms, "reason": reason}
    return NewEvent(stream=f"session/{session}", type="session.ended", payload=body, actor=by)


def _crowded(state: State, account: Account, now_ms: int) -> list[NewEvent]:
    """Return what ends the oldest sessions of an account that has many."""
    held = [one for one in state.sessions.values() if one.owner == account.actor]
    held.sort(key=lambda one: one.begun_ms)
    over = len(held) + 1 - SESSIONS_MAX
    return [ended(one.id, account.actor, now_ms, "too many") for one in held[: max(0, over)]]


def _started(
    ticket: Ticket,
    account: Account,
    secret: str,
    proven: tuple[str, ...],
    visit: Visit,
    now_ms: int,
) -> list[NewEvent]:
    body = {
        "session": ticket.session,
        "account": account.actor,
        "digest": digest(secret),
        "method": "+".join(proven),
        "at_ms": now_ms,
        "idle_ms": IDLE_MS,
        "expires_ms": now_ms + ABSOLUTE_MS,
        "address": visit.address,
        "agent": visit.agent[:AGENT_MAX],
        "grants": msgspec.to_builtins(ticket.grants),
    }
    login = {
        "account": account.actor,
        "address": visit.address,
        "first": proven[0],
        "method": "+".join(proven),
        "session": ticket.session,
        "at_ms": now_ms,
    }
    session = f"session/{ticket.session}"
    return [
        NewEvent(stream=session, type="session.started", payload=body, actor=account.actor),
        NewEvent(stream="logins", type="login.succeeded", payload=login, actor=account.actor),
    ]
