"""The actions of identity on accounts, grants and keys.

They concern the installation (`realm="system"`). What makes a secret refuses to
be called from within a run, whose log would keep it.
"""

from __future__ import annotations

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.trust.identity.account import ADMINISTRATOR
from agentsquad.trust.identity.administration import Wanted, found
from agentsquad.trust.identity.contract import EVERY_NAMESPACE, InsideRunError, SecretSource
from agentsquad.trust.identity.office import desk_of
from agentsquad.trust.identity.words import (
    AccountList,
    AccountOutput,
    Ending,
    GrantInput,
    GrantList,
    GrantListInput,
    GrantOutput,
    KeyCreate,
    KeyList,
    KeyOutput,
    KeyRevoke,
    KeysOutput,
    Naming,
    NewKeyOutput,
    Nothing,
    ServiceAdd,
    SetPassword,
    UserAdd,
    account_output,
    key_fields,
)


def outside_runs(ctx: Context) -> None:
    """Refuse to handle a secret where the log of a run would keep it."""
    if ctx.run_id is not None:
        raise InsideRunError(hint="call it from the command line or another surface")


def _secret(ctx: Context, place: str, ask: str) -> str:
    return ctx.port(SecretSource).read(place, ask)  # type: ignore[type-abstract]


@action(
    "users.add",
    effect=Effect.WRITE,
    cli=("users", "add"),
    positional=("name",),
    files={"password_file": "in"},
    realm="system",
    examples=("squad users add ada --display 'Ada Lovelace' --admin --password-file -",),
)
async def add_user(ctx: Context, input: UserAdd) -> AccountOutput:
    """Add a person.

    Without a password they sign in elsewhere, or get one by `squad users
    set-password`. A name is never given twice, since events refer to it.
    """
    outside_runs(ctx)
    office = desk_of(ctx).administration
    by = str(ctx.actor)
    password = None
    if input.password_file is not None:
        password = _secret(ctx, input.password_file, f"Password for {input.name}")
        office.check_password(password, input.name, input.display, input.email)
    account = await office.add(input.name, by, display=input.display, email=input.email)
    if input.admin:
        account = await office.grant(account.actor, EVERY_NAMESPACE, ADMINISTRATOR, by)
    if password is not None:
        account = await office.set_password(account.actor, password, by)
    return account_output(account)


@action("users.list", effect=Effect.READ, cli=("users", "list"), realm="system")
async def list_users(ctx: Context, input: Nothing) -> AccountList:
    """List people, what they hold and how they sign in."""
    listed = await desk_of(ctx).administration.listed("person:")
    return AccountList(items=tuple(account_output(one) for one in listed))


@action(
    "users.disable",
    effect=Effect.WRITE,
    cli=("users", "disable"),
    positional=("name",),
    realm="system",
    examples=("squad users disable ada --reason 'on leave'",),
)
async def disable_user(ctx: Context, input: Ending) -> AccountOutput:
    """Let an account in no more, until it is enabled again.

    Its sessions and tokens end with the next request; its keys count again when
    it is enabled. Works for services, too.
    """
    office = desk_of(ctx).administration
    return account_output(await office.disable(input.name, str(ctx.actor), input.reason))


@action(
    "users.enable",
    effect=Effect.WRITE,
    cli=("users", "enable"),
    positional=("name",),
    realm="system",
    examples=("squad users enable ada",),
)
async def enable_user(ctx: Context, input: Naming) -> AccountOutput:
    """Let an account in again."""
    return account_output(await desk_of(ctx).administration.enable(input.name, str(ctx.actor)))


@action(
    "users.set_password",
    effect=Effect.WRITE,
    cli=("users", "set-password"),
    positional=("name",),
    files={"password_file": "in"},
    realm="system",
    examples=("squad users set-password ada",),
)
async def set_password(ctx: Context, input: SetPassword) -> AccountOutput:
    """Give a person another password; their sessions and tokens end.

    At least 12 characters, and not made of what is tried first. It is asked for
    at the terminal, or read from a file; never given on the command line.
    """
    outside_runs(ctx)
    office = desk_of(ctx).administration
    account = await office.find(input.name)
    password = _secret(ctx, input.password_file, f"New password for {account.actor}")
    return account_output(await office.set_password(account.actor, password, str(ctx.actor)))


@action(
    "users.delete",
    effect=Effect.WRITE,
    cli=("users", "delete"),
    positional=("name",),
    realm="system",
    examples=("squad users delete ada --reason 'left the company'",),
)
async def delete_user(ctx: Context, input: Ending) -> AccountOutput:
    """Delete an account for good; what it did stays in the log.

    Its keys, sessions and tokens end with the next request. The name is not
    given again. Works for services, too.
    """
    office = desk_of(ctx).administration
    return account_output(await office.delete(input.name, str(ctx.actor), input.reason))


@action(
    "services.add",
    effect=Effect.WRITE,
    cli=("services", "add"),
    positional=("name",),
    realm="system",
    examples=("squad services add nightly --display 'Nightly import'",),
)
async def add_service(ctx: Context, input: ServiceAdd) -> AccountOutput:
    """Add a service: an account that is shown by keys and never signs in."""
    office = desk_of(ctx).administration
    return account_output(
        await office.add(input.name, str(ctx.actor), kind="service", display=input.display)
    )


@action("services.list", effect=Effect.READ, cli=("services", "list"), realm="system")
async def list_services(ctx: Context, input: Nothing) -> AccountList:
    """List services and what they hold."""
    listed = await desk_of(ctx).administration.listed("service:")
    return AccountList(items=tuple(account_output(one) for one in listed))


@action(
    "grants.add",
    effect=Effect.WRITE,
    cli=("grants", "add"),
    positional=("name", "role", "where"),
    realm="system",
    examples=("squad grants add ada operator acme", "squad grants add ada admin '*'"),
)
async def add_grant(ctx: Context, input: GrantInput) -> AccountOutput:
    """Give an account a role in a namespace."""
    office = desk_of(ctx).administration
    return account_output(await office.grant(input.name, input.where, input.role, str(ctx.actor)))


@action(
    "grants.remove",
    effect=Effect.WRITE,
    cli=("grants", "remove"),
    positional=("name", "role", "where"),
    realm="system",
    examples=("squad grants remove ada operator acme",),
)
async def remove_grant(ctx: Context, input: GrantInput) -> AccountOutput:
    """Take a role away; it counts no more with the next request."""
    office = desk_of(ctx).administration
    return account_output(await office.ungrant(input.name, input.where, input.role, str(ctx.actor)))


@action(
    "grants.list",
    effect=Effect.READ,
    cli=("grants", "list"),
    positional=("name",),
    realm="system",
    examples=("squad grants list", "squad grants list ada"),
)
async def list_grants(ctx: Context, input: GrantListInput) -> GrantList:
    """List who holds which role where."""
    state = await desk_of(ctx).directory.follow()
    accounts = state.accounts.values() if input.name is None else [found(state, input.name)]
    return GrantList(
        items=tuple(
            GrantOutput(account=one.actor, role=role, where=where)
            for one in sorted(accounts, key=lambda one: one.actor)
            for where in sorted(one.grants)
            for role in one.grants[where]
        )
    )


@action(
    "keys.create",
    effect=Effect.WRITE,
    cli=("keys", "create"),
    positional=("owner",),
    realm="system",
    examples=("squad keys create service:nightly --scopes 'runs.*' --days 90",),
)
async def create_key(ctx: Context, input: KeyCreate) -> NewKeyOutput:
    """Make an API key; its secret is shown now and never again.

    It stands for its owner, for what the scopes name and never for more than
    the owner's roles allow.
    """
    outside_runs(ctx)
    by = str(ctx.actor)
    wanted = Wanted(**{**msgspec.structs.asdict(input), "owner": input.owner or by})
    made = await desk_of(ctx).administration.create_key(wanted, by)
    return msgspec.convert({**key_fields(made.key), "secret": made.secret}, NewKeyOutput)


@action(
    "keys.list",
    effect=Effect.READ,
    cli=("keys", "list"),
    positional=("owner",),
    realm="system",
    examples=("squad keys list", "squad keys list service:nightly"),
)
async def list_keys(ctx: Context, input: KeyList) -> KeysOutput:
    """List keys, without their secrets."""
    listed = await desk_of(ctx).administration.keys(input.owner)
    return KeysOutput(items=tuple(msgspec.convert(key_fields(one), KeyOutput) for one in listed))


@action(
    "keys.revoke",
    effect=Effect.WRITE,
    cli=("keys", "revoke"),
    positional=("key",),
    realm="system",
    examples=("squad keys revoke abd3kq5w6ev3mbrhpqpyrcgwla --reason leaked",),
)
async def revoke_key(ctx: Context, input: KeyRevoke) -> KeyOutput:
    """Revoke a key; it counts no more with the next request."""
    office = desk_of(ctx).administration
    key = await office.revoke_key(input.key, str(ctx.actor), input.reason, owner=input.owner)
    return msgspec.convert(key_fields(key), KeyOutput)
