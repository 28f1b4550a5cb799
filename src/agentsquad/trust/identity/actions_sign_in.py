"""The actions of identity on what follows a sign-in: sessions, second factors.

Where no account is named, the one who asks is meant.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.ids import rfc3339
from agentsquad.trust.identity.actions import outside_runs
from agentsquad.trust.identity.contract import SecretSource
from agentsquad.trust.identity.credential import Session, session_until
from agentsquad.trust.identity.office import desk_of
from agentsquad.trust.identity.words import OnlyOf, Reason

Whose = Annotated[
    str | None,
    Meta(description="Account; the one who asks where none is named.", examples=["ada"]),
]
FactorId = Annotated[
    str, Meta(description="Id of the factor.", examples=["abd3kq5w6ev3mbrhpqpyrcgwla"])
]


class SessionsInput(msgspec.Struct, frozen=True, kw_only=True):
    """Whose sessions."""

    owner: Annotated[
        str | None, Meta(description="Only those of this account.", examples=["ada"])
    ] = None


class SessionOutput(msgspec.Struct, frozen=True, kw_only=True):
    """An open session; it ends at `until` if nothing more is heard of it."""

    session: str
    account: str
    method: str
    address: str = ""
    agent: str = ""
    begun: str = ""
    until: str = ""


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    """Open sessions, oldest first."""

    items: tuple[SessionOutput, ...]


class SessionRevoke(msgspec.Struct, frozen=True, kw_only=True):
    """Which session, and why."""

    session: Annotated[
        str, Meta(description="Id of the session.", examples=["8c6976e5b5410415bde908bd4dee15df"])
    ]
    reason: Reason = ""
    owner: OnlyOf = None


class FactorsInput(msgspec.Struct, frozen=True, kw_only=True):
    """Whose second factors."""

    name: Whose = None


class FactorOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A second factor: `totp` is an authenticator app, `webauthn` a security
    key."""

    factor: str
    method: str
    label: str = ""
    ready: bool = False
    added: str = ""


class FactorList(msgspec.Struct, frozen=True, kw_only=True):
    """Second factors, and how many recovery codes are left."""

    items: tuple[FactorOutput, ...]
    recovery_codes: int = 0


class AppInput(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticator app to set up."""

    name: Whose = None
    label: Annotated[str, Meta(description="Which device.", examples=["phone"])] = ""


class AppOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What the app needs, told once: `secret`, or `uri` as a QR code."""

    factor: str
    secret: str
    uri: str


class ConfirmInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which factor, and a code that it shows."""

    factor: FactorId
    name: Whose = None
    code_file: Annotated[
        str,
        Meta(
            description="File with a code that the app shows; - asks for it, or reads the standard"
            " input.",
            examples=["-"],
        ),
    ] = "-"


class CodesOutput(msgspec.Struct, frozen=True, kw_only=True):
    """Recovery codes, told once; none where there are some from before."""

    recovery_codes: tuple[str, ...] = ()


class FactorInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which factor of whom."""

    factor: FactorId
    name: Whose = None


def session_output(one: Session) -> SessionOutput:
    """Return what is shown of a session."""
    return SessionOutput(
        session=one.id,
        account=one.owner,
        method=one.method,
        address=one.address,
        agent=one.agent,
        begun=rfc3339(one.begun_ms),
        until=rfc3339(session_until(one)),
    )


@action(
    "sessions.list",
    effect=Effect.READ,
    cli=("sessions", "list"),
    positional=("owner",),
    realm="system",
    examples=("squad sessions list", "squad sessions list ada"),
)
async def list_sessions(ctx: Context, input: SessionsInput) -> SessionList:
    """List who is signed in, from where and until when."""
    listed = await desk_of(ctx).sessions.listed(input.owner)
    return SessionList(items=tuple(session_output(one) for one in listed))


@action(
    "sessions.revoke",
    effect=Effect.WRITE,
    cli=("sessions", "revoke"),
    positional=("session",),
    realm="system",
    examples=("squad sessions revoke 8c6976e5b5410415bde908bd4dee15df --reason 'lost laptop'",),
)
async def revoke_session(ctx: Context, input: SessionRevoke) -> SessionOutput:
    """End a session; it counts no more with the next request."""
    reason = input.reason or "revoked"
    by = str(ctx.actor)
    held = await desk_of(ctx).sessions.revoke(input.session, by, reason, owner=input.owner)
    return session_output(held)


@action(
    "factors.list",
    effect=Effect.READ,
    cli=("factors", "list"),
    positional=("name",),
    realm="system",
    examples=("squad factors list ada",),
)
async def list_factors(ctx: Context, input: FactorsInput) -> FactorList:
    """List the second factors of an account."""
    account = await desk_of(ctx).administration.find(input.name or str(ctx.actor))
    return FactorList(
        items=tuple(
            FactorOutput(
                factor=one.id,
                method=one.method,
                label=one.label,
                ready=one.confirmed,
                added=rfc3339(one.added_ms),
            )
            for one in account.factors.values()
        ),
        recovery_codes=len(account.codes),
    )


@action(
    "factors.add_app",
    effect=Effect.WRITE,
    cli=("factors", "add-app"),
    positional=("name",),
    realm="system",
    examples=("squad factors add-app ada --label phone",),
)
async def add_app(ctx: Context, input: AppInput) -> AppOutput:
    """Begin to set up an authenticator app as a second factor.

    It counts once `squad factors confirm` was shown a code of it.
    """
    outside_runs(ctx)
    by = str(ctx.actor)
    made = await desk_of(ctx).factors.enrol_totp(input.name or by, by, input.label)
    return AppOutput(factor=made.factor, secret=made.secret, uri=made.uri)


@action(
    "factors.confirm",
    effect=Effect.WRITE,
    cli=("factors", "confirm"),
    positional=("factor", "name"),
    files={"code_file": "in"},
    realm="system",
    examples=("squad factors confirm abd3kq5w6ev3mbrhpqpyrcgwla ada",),
)
async def confirm_factor(ctx: Context, input: ConfirmInput) -> CodesOutput:
    """Make an authenticator app count, by a code that it shows.

    With the first one come ten recovery codes, each good once: keep them
    where the app is not.
    """
    outside_runs(ctx)
    by = str(ctx.actor)
    code = ctx.port(SecretSource).read(input.code_file, "Code")  # type: ignore[type-abstract]
    ready = await desk_of(ctx).factors.confirm_totp(input.name or by, input.factor, code, by)
    return CodesOutput(recovery_codes=ready.recovery_codes)


@action(
    "factors.remove",
    effect=Effect.WRITE,
    cli=("factors", "remove"),
    positional=("factor", "name"),
    realm="system",
    examples=("squad factors remove abd3kq5w6ev3mbrhpqpyrcgwla ada",),
)
async def remove_factor(ctx: Context, input: FactorInput) -> FactorList:
    """Take a second factor away."""
    by = str(ctx.actor)
    await desk_of(ctx).factors.remove(input.name or by, input.factor, by)
    return await list_factors.fn(ctx, FactorsInput(name=input.name))  # type: ignore[no-any-return]


@action(
    "factors.new_codes",
    effect=Effect.WRITE,
    cli=("factors", "new-codes"),
    positional=("name",),
    realm="system",
    examples=("squad factors new-codes ada",),
)
async def new_codes(ctx: Context, input: FactorsInput) -> CodesOutput:
    """Make new recovery codes; those from before count no more."""
    outside_runs(ctx)
    by = str(ctx.actor)
    return CodesOutput(recovery_codes=await desk_of(ctx).factors.renew_codes(input.name or by, by))
