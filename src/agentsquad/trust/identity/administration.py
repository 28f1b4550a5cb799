"""Administration: accounts, keys, grants and the bootstrap token, each wish one
change of the directory.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from agentsquad.kernel.actor import SYSTEM
from agentsquad.kernel.event import NewEvent
from agentsquad.trust.identity import account as accounts
from agentsquad.trust.identity import password as passwords
from agentsquad.trust.identity.account import Account
from agentsquad.trust.identity.contract import (
    AccountExistsError,
    AccountMissingError,
    CredentialMissingError,
    PasswordHasher,
    RoleNameError,
)
from agentsquad.trust.identity.credential import (
    BOOTSTRAP,
    KEY,
    SECRET_SIZE,
    Key,
    digest,
    expiry,
    new_secret,
    scopes_of,
)
from agentsquad.trust.identity.directory import Change, Directory
from agentsquad.trust.identity.state import State

PASSWORD = "password"  # what its box is sealed for
BOOTSTRAP_STREAM = "bootstrap"


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key, and its secret, which is told once."""

    key: Key
    secret: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a key is to be: whose, for what, where and for how many days."""

    owner: str
    label: str = ""
    scopes: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    days: int | None = None


class Administration:
    """Changes who may sign in and what they hold; `by` is who asks for it."""

    def __init__(self, directory: Directory, hasher: Callable[[], PasswordHasher]) -> None:
        self._directory = directory
        self._hasher = hasher

    async def add(
        self, name: str, by: str, *, kind: str = "person", display: str = "", email: str = ""
    ) -> Account:
        """Add an account; AccountExistsError where the name is or was in
        use."""
        actor = accounts.actor_named(name, kind)

        def decide(state: State, now_ms: int) -> Change:
            if state.account(actor) is not None:
                raise AccountExistsError(f"there is an account {actor} already")
            if actor in state.gone:
                raise AccountExistsError(
                    f"{actor} was the name of an account that was deleted",
                    hint="events still name it, so nobody else may be called so: choose another",
                )
            event = accounts.added(actor, by, now_ms, display=display, email=email)
            return Change([event], {accounts.stream(actor): 0})

        await self._directory.change(decide)
        return await self.find(actor)

    async def find(self, name: str) -> Account:
        """Return an account by its name, of a person or else of a service."""
        state = await self._directory.follow()
        return found(state, name)

    async def listed(self, kind: str = "") -> list[Account]:
        """Return the accounts of a kind, in the order of their names."""
        state = await self._directory.follow()
        return sorted(
            (one for one in state.accounts.values() if one.actor.startswith(kind)),
            key=lambda one: one.actor,
        )

    async def disable(self, name: str, by: str, reason: str = "") -> Account:
        """Let an account sign in no more; its keys count no more, its sessions
        and tokens end."""
        return await self._turn(name, by, "account.disabled", lambda one: not one.disabled, reason)

    async def enable(self, name: str, by: str) -> Account:
        """Let an account sign in again; its keys count again."""
        return await self._turn(name, by, "account.enabled", lambda one: one.disabled)

    async def delete(self, name: str, by: str, reason: str = "") -> Account:
        """Take an account away for good; its name is not given again."""
        gone = await self.find(name)
        await self._turn(gone.actor, by, "account.deleted", lambda one: True, reason)
        return gone

    async def _turn(
        self, name: str, by: str, kind: str, due: Callable[[Account], bool], reason: str = ""
    ) -> Account:
        seen: list[Account] = []

        def decide(state: State, now_ms: int) -> Change:
            account = found(state, name)
            seen[:] = [account]
            if not due(account):
                return Change()
            event = accounts.change(account.actor, kind, by, at_ms=now_ms, reason=reason)
            return Change([event], {account.stream: account.version})

        await self._directory.change(decide)
        await self._directory.follow()
        return self._directory.state.account(seen[0].actor) or seen[0]

    def check_password(self, password: str, *names: str) -> None:
        """Raise PasswordWeakError for a password that is too easy to guess."""
        passwords.check(password, *names)

    async def set_password(self, name: str, password: str, by: str) -> Account:
        """Give an account another password; its sessions and tokens end."""
        account = await self.find(name)
        passwords.check(password, account.actor.partition(":")[2], account.display, account.email)
        encoded = await self._hasher().encode(passwords.normal(password))
        box = self._directory.sealer.seal(f"{PASSWORD}/{account.actor}", encoded.encode())

        def decide(state: State, now_ms: int) -> Change:
            now = found(state, account.actor)
            event = accounts.change(now.actor, "password.set", by, at_ms=now_ms, sealed=box)
            return Change([event], {now.stream: now.version})

        await self._directory.change(decide)
        return await self.find(account.actor)

    async def grant(self, name: str, namespace: str, role: str, by: str) -> Account:
        """Give a role in a namespace, or everywhere."""
        namespace, role = accounts.granted(namespace, role)

        def decide(state: State, now_ms: int) -> Change:
            one = found(state, name)
            if role in one.grants.get(namespace, ()):
                return Change()
            return _grant(one, "grant.added", by, now_ms, namespace, role)

        await self._directory.change(decide)
        return await self.find(name)

    async def ungrant(self, name: str, namespace: str, role: str, by: str) -> Account:
        """Take a role away; RoleNameError where it was not held."""
        namespace, role = accounts.granted(namespace, role)

        def decide(state: State, now_ms: int) -> Change:
            one = found(state, name)
            if role not in one.grants.get(namespace, ()):
                raise RoleNameError(
                    f"{one.actor} does not hold {role} in {namespace}",
                    hint="squad grants list shows who holds what",
                )
            return _grant(one, "grant.removed", by, now_ms, namespace, role)

        await self._directory.change(decide)
        return await self.find(name)

    async def create_key(self, wanted: Wanted, by: str) -> NewKey:
        """Make a key; its secret is in the answer and nowhere else."""
        scopes = scopes_of(wanted.scopes)
        for namespace in wanted.within:
            accounts.granted(namespace, accounts.ADMINISTRATOR)
        secret = new_secret(KEY, self._directory.entropy.token(SECRET_SIZE))
        name = self._directory.id()

        def decide(state: State, now_ms: int) -> Change:
            owner = found(state, wanted.owner)
            body = {
                "key": name,
                "account": owner.actor,
                "digest": digest(secret),
                "label": wanted.label,
                "tail": secret[-4:],
                "scopes": list(scopes),
                "within": list(wanted.within),
                "expires_ms": expiry(wanted.days, now_ms),
                "at_ms": now_ms,
            }
            event = NewEvent(stream=f"key/{name}", type="key.created", payload=body, actor=by)
            return Change([event], {event.stream: 0})

        await self._directory.change(decide)
        state = await self._directory.follow()
        return NewKey(key=state.keys[name], secret=secret)

    async def keys(self, owner: str | None = None) -> list[Key]:
        """Return keys, oldest first; of one account, or all."""
        state = await self._directory.follow()
        actor = None if owner is None else found(state, owner).actor
        return [one for one in state.keys.values() if actor in (None, one.owner)]

    async def revoke_key(
        self, name: str, by: str, reason: str = "", *, owner: str | None = None
    ) -> Key:
        """Let a key count no more, from the next request on; with `owner` only
        a key of theirs."""

        def decide(state: State, now_ms: int) -> Change:
            key = state.keys.get(name)
            if key is None or (owner is not None and key.owner != found(state, owner).actor):
                raise CredentialMissingError(f"there is no key {name!r}", hint="squad keys list")
            if key.revoked_ms is not None:
                return Change()
            body = {"key": name, "at_ms": now_ms, "reason": reason}
            return Change(
                [NewEvent(stream=f"key/{name}", type="key.revoked", payload=body, actor=by)]
            )

        await self._directory.change(decide)
        return (await self._directory.follow()).keys[name]

    async def bootstrap(self, *, renew: bool = False) -> str | None:
        """Return the first administrator's token, to be shown once; None when
        it was issued before, or an administrator has signed in.

        With `renew` another takes the place of one that was lost.
        """
        secret = new_secret(BOOTSTRAP, self._directory.entropy.token(SECRET_SIZE))

        def decide(state: State, now_ms: int) -> Change:
            if state.administered or (state.bootstrap_issued and not renew):
                return Change()
            body = {"digest": digest(secret), "at_ms": now_ms}
            event = NewEvent(
                stream=BOOTSTRAP_STREAM, type="bootstrap.issued", payload=body, actor=str(SYSTEM)
            )
            return Change([event], {BOOTSTRAP_STREAM: state.bootstrap_issued})

        return secret if await self._directory.change(decide) else None

    async def end_bootstrap(self, by: str, reason: str = "") -> bool:
        """Let the bootstrap token count no more; whether there was one."""
        return bool(
            await self._directory.change(
                lambda state, now_ms: end_bootstrap(state, now_ms, by, reason)
            )
        )


def end_bootstrap(state: State, now_ms: int, by: str, reason: str) -> Change:
    """Return what ends the bootstrap token, nothing where there is none."""
    if state.bootstrap is None:
        return Change()
    body = {"at_ms": now_ms, "reason": reason}
    event = NewEvent(stream=BOOTSTRAP_STREAM, type="bootstrap.ended", payload=body, actor=by)
    return Change([event], {BOOTSTRAP_STREAM: state.bootstrap_issued})


def found(state: State, name: str) -> Account:
    """Return an account by its name, of a person or else of a service."""
    for kind in ("person", "service"):
        account = state.account(name if ":" in name else f"{kind}:{name}")
        if account is not None:
            return account
    raise AccountMissingError(
        f"there is no account {name!r}", hint="squad users list and squad services list show all"
    )


def _grant(one: Account, kind: str, by: str, now_ms: int, namespace: str, role: str) -> Change:
    event = accounts.change(one.actor, kind, by, at_ms=now_ms, namespace=namespace, role=role)
    return Change([event], {one.stream: one.version})
