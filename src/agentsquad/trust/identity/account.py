"""Accounts: people and services, their names, and the roles they hold.

Pure: each function says which events a wish comes to, given what is known now.
What a role allows is decided elsewhere (trust/access).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.event import NewEvent
from agentsquad.trust.identity.contract import (
    EVERY_NAMESPACE,
    AccountNameError,
    RoleNameError,
)

ADMINISTRATOR = "admin"
KINDS = ("person", "service")
RESERVED = ("service:squad", "service:bootstrap")
ADDRESSES_MAX = 8  # from which an account signed in last

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._@-]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Roles of a business are named by its policy: `ap_clerk` as well as `ap-clerk`.
_ROLE = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")


class Factor(msgspec.Struct, kw_only=True):
    """A second factor: `totp` or `webauthn`; `sealed` holds what it takes to
    check one. `step` is the last time step or signature counter that was
    used."""

    id: str
    method: str
    sealed: str
    label: str = ""
    confirmed: bool = False
    step: int = 0
    added_ms: int = 0


class Account(msgspec.Struct, kw_only=True):
    """One person or service as the log says it is now.

    `version` is the length of its stream. `sealed` is the kept form of its
    password, `codes` marks of the recovery codes that are left.
    """

    actor: str
    version: int
    display: str = ""
    email: str = ""
    source: str = "local"
    disabled: bool = False
    added_ms: int = 0
    sealed: str | None = None
    signed_in_ms: int | None = None
    grants: dict[str, tuple[str, ...]] = {}
    factors: dict[str, Factor] = {}
    codes: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    @property
    def stream(self) -> str:
        """Where its events are."""
        return stream(self.actor)

    @property
    def methods(self) -> tuple[str, ...]:
        """The second factors that are ready, in the order of their names."""
        return tuple(sorted({one.method for one in self.factors.values() if one.confirmed}))

    @property
    def administers(self) -> bool:
        """Whether it may administer the whole installation."""
        return ADMINISTRATOR in self.grants.get(EVERY_NAMESPACE, ()) and not self.disabled


def stream(actor: str) -> str:
    """Return the stream of an account."""
    return f"account/{actor}"


def actor_named(name: str, kind: str = "person") -> str:
    """Return `kind:name` for the name of an account, given with or without its
    kind."""
    try:
        actor = Actor.parse(name if ":" in name else f"{kind}:{name}")
    except InvalidError as error:
        raise AccountNameError(f"{name!r} is not an account", hint=error.hint) from error
    if actor.kind not in KINDS or not _NAME.fullmatch(actor.name):
        raise AccountNameError(
            f"{name!r} is not the name of an account",
            hint="small letters, digits and . _ @ - inside, at most 63: ada, service:nightly",
        )
    if str(actor) in RESERVED:
        raise AccountNameError(f"{actor} is a name of the program's own", hint="choose another")
    return str(actor)


def granted(namespace: str, role: str) -> tuple[str, str]:
    """Return both as they are kept; RoleNameError where they are none."""
    if namespace != EVERY_NAMESPACE and not _LABEL.fullmatch(namespace):
        raise RoleNameError(
            f"{namespace!r} is not a namespace", hint="a name such as acme, or * for all of them"
        )
    if not _ROLE.fullmatch(role):
        raise RoleNameError(f"{role!r} is not a role", hint="e.g. viewer, operator, admin")
    return namespace, role


def change(actor: str, kind: str, by: str, **body: Any) -> NewEvent:
    """Return an event of an account."""
    return NewEvent(stream=stream(actor), type=kind, payload={"account": actor, **body}, actor=by)


def added(actor: str, by: str, at_ms: int, **body: str) -> NewEvent:
    """Return the event that there is an account; what it says of a person is
    sealed under a key of their own."""
    event = change(actor, "account.added", by, at_ms=at_ms, **body)
    personal = {f"/{name}": f"account:{actor}" for name in ("display", "email") if body.get(name)}
    return msgspec.structs.replace(event, personal=personal or None)
