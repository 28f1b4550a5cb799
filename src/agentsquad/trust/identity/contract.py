"""What others may know of identity: a Principal, what is shown to become one,
and the port that says who it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import (
    ConflictError,
    DeniedError,
    IntegrityError,
    InvalidError,
    LimitError,
    MissingError,
    UnauthenticatedError,
)

EVERY_NAMESPACE = "*"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has shown who they are.

    `grants` maps a namespace, or `*` for all of them, to the roles held there.
    `scopes` are patterns over action names (`runs.*`, `*`): what the credential
    may be used for, never more than the roles allow. `credential` names it
    (`key:…`, `session:…`, `token:…`) for events and revocation, `method` how it
    was proven (password, totp, webauthn, key, token, oidc, saml, ldap, local).
    `expires_ms` is None where it does not expire by itself.
    """

    actor: Actor
    grants: Mapping[str, tuple[str, ...]] = {}
    scopes: tuple[str, ...] = ("*",)
    credential: str = ""
    method: str = ""
    expires_ms: int | None = None

    def roles(self, namespace: str) -> tuple[str, ...]:
        """Return the roles held in a namespace, in the order of their names."""
        held = {*self.grants.get(EVERY_NAMESPACE, ()), *self.grants.get(namespace, ())}
        return tuple(sorted(held))

    def acting_in(self, namespace: str) -> Actor:
        """Return the actor with the roles of a namespace, as events and policy
        see it."""
        return Actor(self.actor.kind, self.actor.name, self.roles(namespace))


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What came with a request to show who asks.

    `bearer` is an API key, a token or a bootstrap token; `session` the value of
    the session's cookie, with `csrf` beside it where the request changes
    something. At most one of them counts: the bearer, if there is one.
    """

    bearer: str | None = None
    session: str | None = None
    csrf: str | None = None
    changes: bool = True
    address: str = ""


class Identity(Protocol):
    """Says who asks; what it says holds at that moment: what was revoked is
    refused on the next request."""

    async def recognise(self, shown: Shown) -> Principal:
        """Return who that is; UnauthenticatedError otherwise, the same words
        and effort for unknown, wrong, expired and revoked."""
        ...

    async def confirm(self, principal: Principal) -> Principal:
        """Return somebody recognised before as they are now, with the grants
        they hold now; CredentialError when what they showed is revoked, has
        expired, or they may no longer sign in. Cheap: asked with every call of
        a long connection."""
        ...


class CredentialError(UnauthenticatedError):
    """That does not show who you are: sign in again."""

    code = "identity.credential"


class SignInFailedError(UnauthenticatedError):
    """That name, password or code is not right."""

    code = "identity.sign_in"


class TicketError(UnauthenticatedError):
    """This sign-in has ended or was finished already: begin again."""

    code = "identity.ticket"


class LockedError(LimitError):
    """Too many failed attempts: wait `retry_after_ms`, then try again."""

    code = "identity.locked"


class AccountMissingError(MissingError):
    """There is no such account."""

    code = "identity.account_missing"


class AccountExistsError(ConflictError):
    """There is an account of that name already."""

    code = "identity.account_exists"


class AccountNameError(InvalidError):
    """That is not the name of an account."""

    code = "identity.account_name"


class PasswordWeakError(InvalidError):
    """The password is too easy to guess."""

    code = "identity.password_weak"


class CredentialMissingError(MissingError):
    """There is no such key, session or token."""

    code = "identity.credential_missing"


class LifetimeError(InvalidError):
    """That is not a span of time a credential may live."""

    code = "identity.lifetime"


class ScopeError(InvalidError):
    """That is not a pattern over the names of actions."""

    code = "identity.scope"


class RoleNameError(InvalidError):
    """That is not the name of a role or a namespace."""

    code = "identity.role"


class InsideRunError(DeniedError):
    """What makes a secret cannot be called from within a run, whose log would
    keep it."""

    code = "identity.inside_run"


class FactorError(InvalidError):
    """That second factor cannot be set up or used so."""

    code = "identity.factor"


class HomeKeyError(IntegrityError):
    """The key of the home does not open what was sealed under it."""

    code = "identity.home_key"


class HomeKeyUnsafeError(DeniedError):
    """Others can read the key of the home."""

    code = "identity.home_key_unsafe"


class Sealer(Protocol):
    """Seals under the key of the home: what the log keeps of secrets is of no
    use without it."""

    def seal(self, purpose: str, data: bytes) -> str:
        """Return a box that only `unseal` with the same purpose opens."""
        ...

    def unseal(self, purpose: str, box: str) -> bytes | None:
        """Return what is in a box; None where it is none of ours for that
        purpose."""
        ...

    def mark(self, purpose: str, data: bytes) -> str:
        """Return a keyed digest: equal for equal data, and nothing else can be
        learned from it."""
        ...


class PasswordHasher(Protocol):
    """Makes guessing a password expensive."""

    async def encode(self, password: str) -> str:
        """Return what to keep of a password."""
        ...

    async def check(self, password: str, kept: str | None) -> bool:
        """Say whether it is that password; where nothing is kept the answer is
        no, after the same work."""
        ...

    def outdated(self, kept: str) -> bool:
        """Whether passwords are kept more safely today."""
        ...


class SecretSource(Protocol):
    """Where a person gives a secret that must not stand on a command line."""

    def read(self, place: str, ask: str) -> str:
        """Return the first line of a file; `-` is the standard input, asked for
        without showing what is typed where that is a terminal."""
        ...
