"""What others may know of identity: a Principal, what is shown to become one,
and the port that says who it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import UnauthenticatedError

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


class CredentialError(UnauthenticatedError):
    """That does not show who you are: sign in again."""

    code = "identity.credential"
