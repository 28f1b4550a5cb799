"""The words of identity's actions: their inputs and outputs.

Apart from the actions, so that those stay short enough to read.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel.ids import rfc3339
from agentsquad.trust.identity.account import Account
from agentsquad.trust.identity.credential import Key

Name = Annotated[
    str,
    Meta(
        description="Name of an account; of a service where no person is called so, or KIND:NAME.",
        examples=["ada", "service:nightly"],
    ),
]
Reason = Annotated[str, Meta(description="Why; kept in the log.", examples=["left the company"])]
Role = Annotated[str, Meta(description="Role to hold there.", examples=["operator"])]
Where = Annotated[
    str, Meta(description="Namespace it holds in; * for all of them.", examples=["acme"])
]
OnlyOf = Annotated[
    str | None, Meta(description="Only if it belongs to this account.", examples=["ada"])
]
PasswordFile = Annotated[
    str | None,
    Meta(
        description="File whose first line is the password; - asks for it, or reads the standard"
        " input.",
        examples=["-"],
    ),
]


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """No input."""


class Naming(msgspec.Struct, frozen=True, kw_only=True):
    """Which account."""

    name: Name


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """Which account, and why."""

    name: Name
    reason: Reason = ""


class UserAdd(msgspec.Struct, frozen=True, kw_only=True):
    """A person to add."""

    name: Annotated[
        str,
        Meta(description="Name to sign in with: small letters and digits.", examples=["ada"]),
    ]
    display: Annotated[
        str, Meta(description="Name as people write it.", examples=["Ada Lovelace"])
    ] = ""
    email: Annotated[str, Meta(description="Address.", examples=["ada@example.com"])] = ""
    admin: Annotated[
        bool, Meta(description="Let them administer the whole installation: admin in *.")
    ] = False
    password_file: PasswordFile = None


class ServiceAdd(msgspec.Struct, frozen=True, kw_only=True):
    """A service to add."""

    name: Annotated[str, Meta(description="Name: small letters and digits.", examples=["nightly"])]
    display: Annotated[str, Meta(description="What it is.", examples=["Nightly import"])] = ""


class SetPassword(msgspec.Struct, frozen=True, kw_only=True):
    """Whose password, and where it is given."""

    name: Name
    password_file: Annotated[
        str,
        Meta(
            description="File whose first line is the password; - asks for it, or reads the"
            " standard input.",
            examples=["-"],
        ),
    ] = "-"


class AccountOutput(msgspec.Struct, frozen=True, kw_only=True):
    """An account: whether a password is set, which second factors are ready,
    and the roles it holds by namespace."""

    account: str
    display: str = ""
    email: str = ""
    disabled: bool = False
    password: bool = False
    factors: tuple[str, ...] = ()
    recovery_codes: int = 0
    grants: dict[str, tuple[str, ...]] = {}
    added: str = ""
    signed_in: str | None = None


class AccountList(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts in the order of their names."""

    items: tuple[AccountOutput, ...]


class GrantInput(msgspec.Struct, frozen=True, kw_only=True):
    """Whose role, which, where."""

    name: Name
    role: Role
    where: Where = "default"


class GrantListInput(msgspec.Struct, frozen=True, kw_only=True):
    """Whose roles."""

    name: Annotated[
        str | None, Meta(description="Only those of this account.", examples=["ada"])
    ] = None


class GrantOutput(msgspec.Struct, frozen=True, kw_only=True):
    """One role in one namespace."""

    account: str
    role: str
    where: str


class GrantList(msgspec.Struct, frozen=True, kw_only=True):
    """Roles by account and namespace."""

    items: tuple[GrantOutput, ...]


class KeyCreate(msgspec.Struct, frozen=True, kw_only=True):
    """A key to make."""

    owner: Annotated[
        str | None,
        Meta(
            description="Account it stands for; the one who asks where none is named.",
            examples=["service:nightly"],
        ),
    ] = None
    label: Annotated[str, Meta(description="What it is for.", examples=["import job"])] = ""
    scopes: Annotated[
        tuple[str, ...],
        Meta(
            description="Actions it may be used for: runs.list, runs.*; all its owner may do where"
            " none are named.",
            examples=[["runs.*"]],
        ),
    ] = ()
    within: Annotated[
        tuple[str, ...],
        Meta(
            description="Namespaces it may be used in; all of its owner's where none are named.",
            examples=[["acme"]],
        ),
    ] = ()
    days: Annotated[
        int | None,
        Meta(description="Days it counts; for ever where none are given.", examples=[90]),
    ] = None


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """Whose keys."""

    owner: Annotated[
        str | None, Meta(description="Only those of this account.", examples=["ada"])
    ] = None


class KeyRevoke(msgspec.Struct, frozen=True, kw_only=True):
    """Which key, and why."""

    key: Annotated[str, Meta(description="Id of the key.", examples=["abd3kq5w6ev3mbrhpqpyrcgwla"])]
    reason: Reason = ""
    owner: OnlyOf = None


class KeyOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret; `tail` are the secret's last characters."""

    key: str
    owner: str
    label: str = ""
    tail: str = ""
    scopes: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    created: str = ""
    expires: str | None = None
    revoked: bool = False


class NewKeyOutput(KeyOutput, frozen=True, kw_only=True):
    """A new key and its secret, which is not told again."""

    secret: str


class KeysOutput(msgspec.Struct, frozen=True, kw_only=True):
    """Keys, oldest first."""

    items: tuple[KeyOutput, ...]


def account_output(one: Account) -> AccountOutput:
    """Return what is shown of an account."""
    return AccountOutput(
        account=one.actor,
        display=one.display,
        email=one.email,
        disabled=one.disabled,
        password=one.sealed is not None,
        factors=one.methods,
        recovery_codes=len(one.codes),
        grants=one.grants,
        added=rfc3339(one.added_ms),
        signed_in=when(one.signed_in_ms),
    )


def key_fields(key: Key) -> dict[str, object]:
    """Return what is shown of a key, as fields of `KeyOutput`."""
    return {
        "key": key.id,
        "owner": key.owner,
        "label": key.label,
        "tail": key.tail,
        "scopes": key.scopes,
        "within": key.within,
        "created": rfc3339(key.created_ms),
        "expires": when(key.expires_ms),
        "revoked": key.revoked_ms is not None,
    }


def when(time_ms: int | None) -> str | None:
    """Return a time as text, None where there is none."""
    return None if time_ms is None else rfc3339(time_ms)
