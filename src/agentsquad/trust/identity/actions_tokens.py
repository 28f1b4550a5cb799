"""The actions of identity on tokens and the programs that ask for them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.ids import rfc3339
from agentsquad.trust.identity.actions import outside_runs
from agentsquad.trust.identity.contract import CredentialMissingError, SecretSource
from agentsquad.trust.identity.issued import Client
from agentsquad.trust.identity.office import desk_of
from agentsquad.trust.identity.words import Nothing, Reason

TokenFile = Annotated[
    str,
    Meta(
        description="File whose first line is the token; - asks for it, or reads the standard"
        " input.",
        examples=["-"],
    ),
]


class TokenInput(msgspec.Struct, frozen=True, kw_only=True):
    """Where a token is given."""

    token_file: TokenFile = "-"


class TokensInput(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tokens."""

    owner: Annotated[
        str | None, Meta(description="Only those of this account.", examples=["ada"])
    ] = None


class GrantedOutput(msgspec.Struct, frozen=True, kw_only=True):
    """Something granted to a program: `grant` is the `sid` of its tokens."""

    grant: str
    account: str
    client: str
    scopes: tuple[str, ...] = ()
    refreshes: bool = False
    begun: str = ""
    until: str = ""


class GrantedList(msgspec.Struct, frozen=True, kw_only=True):
    """What is granted now, oldest first."""

    items: tuple[GrantedOutput, ...]


class TokenRevoke(msgspec.Struct, frozen=True, kw_only=True):
    """Which token, or which grant with all its tokens."""

    grant: Annotated[
        str | None,
        Meta(
            description="Id of the grant that `squad tokens list` shows; bootstrap for the first"
            " administrator's token.",
            examples=["abd3kq5w6ev3mbrhpqpyrcgwla"],
        ),
    ] = None
    token_file: Annotated[
        str | None,
        Meta(
            description="File whose first line is the token to revoke, where no grant is named.",
            examples=["-"],
        ),
    ] = None
    reason: Reason = ""


class RevokedOutput(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there was something to revoke."""

    revoked: bool


class KeyRotated(msgspec.Struct, frozen=True, kw_only=True):
    """The key that signs now, and those that still verify."""

    kid: str
    verifying: tuple[str, ...]


class BootstrapOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The first administrator's token, told once."""

    token: str


class ClientInput(msgspec.Struct, frozen=True, kw_only=True):
    """A program to let ask for tokens."""

    client: Annotated[str, Meta(description="Its client_id.", examples=["reports"])]
    redirects: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses that a browser is sent back to; https, or http to 127.0.0.1.",
            examples=[["https://reports.example.com/callback"]],
        ),
    ]
    label: Annotated[str, Meta(description="Name that people are shown.", examples=["Reports"])] = (
        ""
    )
    scopes: Annotated[
        tuple[str, ...],
        Meta(description="The most that it may ask for.", examples=[["runs.*", "read"]]),
    ] = ("*",)
    device: Annotated[
        bool, Meta(description="It may run where there is no browser, and shows a code instead.")
    ] = False


class ClientNaming(msgspec.Struct, frozen=True, kw_only=True):
    """Which program."""

    client: Annotated[str, Meta(description="Its client_id.", examples=["reports"])]


class ClientOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A program that may ask for tokens."""

    client: str
    redirects: tuple[str, ...]
    label: str = ""
    scopes: tuple[str, ...] = ("*",)
    device: bool = False


class ClientList(msgspec.Struct, frozen=True, kw_only=True):
    """Programs that may ask for tokens."""

    items: tuple[ClientOutput, ...]


def _client(one: Client) -> ClientOutput:
    return ClientOutput(
        client=one.id,
        redirects=one.redirects,
        label=one.label,
        scopes=one.scopes,
        device=one.device,
    )


@action(
    "tokens.list",
    effect=Effect.READ,
    cli=("tokens", "list"),
    positional=("owner",),
    realm="system",
    examples=("squad tokens list", "squad tokens list ada"),
)
async def list_tokens(ctx: Context, input: TokensInput) -> GrantedList:
    """List which programs hold tokens, in whose name."""
    return GrantedList(
        items=tuple(
            GrantedOutput(
                grant=one.id,
                account=one.owner,
                client=one.client,
                scopes=one.scopes,
                refreshes=bool(one.digest),
                begun=rfc3339(one.begun_ms),
                until=rfc3339(one.expires_ms),
            )
            for one in await desk_of(ctx).tokens.families(input.owner)
        )
    )


@action(
    "tokens.introspect",
    effect=Effect.READ,
    cli=("tokens", "introspect"),
    files={"token_file": "in"},
    realm="system",
    examples=("squad tokens introspect --token-file token.txt",),
)
async def introspect_token(ctx: Context, input: TokenInput) -> dict[str, Any]:
    """Say what a token is good for now (RFC 7662)."""
    outside_runs(ctx)
    token = ctx.port(SecretSource).read(input.token_file, "Token")  # type: ignore[type-abstract]
    return await desk_of(ctx).tokens.introspect(token)


@action(
    "tokens.revoke",
    effect=Effect.WRITE,
    cli=("tokens", "revoke"),
    positional=("grant",),
    files={"token_file": "in"},
    realm="system",
    examples=(
        "squad tokens revoke abd3kq5w6ev3mbrhpqpyrcgwla --reason 'lost laptop'",
        "squad tokens revoke --token-file leaked.txt",
    ),
)
async def revoke_token(ctx: Context, input: TokenRevoke) -> RevokedOutput:
    """Let tokens count no more, with the next request.

    A grant ends with all its tokens; an access token that is given itself ends
    alone, a refresh token with its grant.
    """
    desk, by = desk_of(ctx), str(ctx.actor)
    reason = input.reason or "revoked"
    if input.grant == "bootstrap":
        return RevokedOutput(revoked=await desk.administration.end_bootstrap(by, reason))
    if input.grant is not None:
        done = await desk.tokens.revoke_family(input.grant, by, reason)
        if not done:
            raise CredentialMissingError(f"there is no grant {input.grant!r}")
        return RevokedOutput(revoked=True)
    outside_runs(ctx)
    place = input.token_file or "-"
    token = ctx.port(SecretSource).read(place, "Token")  # type: ignore[type-abstract]
    return RevokedOutput(revoked=await desk.tokens.revoke(token, by))


@action(
    "tokens.rotate_key",
    effect=Effect.WRITE,
    cli=("tokens", "rotate-key"),
    realm="system",
    examples=("squad tokens rotate-key",),
)
async def rotate_key(ctx: Context, input: Nothing) -> KeyRotated:
    """Sign access tokens with a new key from now on.

    The old one verifies until the last token it signed has expired.
    """
    desk = desk_of(ctx)
    made = await desk.tokens.rotate_key(str(ctx.actor))
    listed = (await desk.tokens.jwks())["keys"]
    return KeyRotated(kid=made.kid, verifying=tuple(one["kid"] for one in listed))


@action(
    "tokens.bootstrap",
    effect=Effect.WRITE,
    cli=("tokens", "bootstrap"),
    realm="system",
    local="whoever can read the store may begin to administer it; nobody else",
    examples=("squad tokens bootstrap",),
)
async def bootstrap_token(ctx: Context, input: Nothing) -> BootstrapOutput:
    """Make the first administrator's token anew, where it was lost.

    The one from before counts no more. There is none once an administrator has
    signed in with a password.
    """
    outside_runs(ctx)
    token = await desk_of(ctx).administration.bootstrap(renew=True)
    if token is None:
        raise CredentialMissingError(
            "an administrator has signed in: there is no bootstrap token any more",
            hint="squad users set-password gives an administrator another password",
        )
    return BootstrapOutput(token=token)


@action(
    "clients.add",
    effect=Effect.WRITE,
    cli=("clients", "add"),
    positional=("client",),
    realm="system",
    examples=(
        "squad clients add reports --redirects https://reports.example.com/callback --scopes read",
    ),
)
async def add_client(ctx: Context, input: ClientInput) -> ClientOutput:
    """Let a program ask people for tokens (OAuth 2.1, PKCE, no secret)."""
    made = await desk_of(ctx).oauth.add_client(
        Client(
            id=input.client,
            redirects=input.redirects,
            label=input.label,
            scopes=input.scopes,
            device=input.device,
        ),
        str(ctx.actor),
    )
    return _client(made)


@action("clients.list", effect=Effect.READ, cli=("clients", "list"), realm="system")
async def list_clients(ctx: Context, input: Nothing) -> ClientList:
    """List the programs that may ask people for tokens."""
    return ClientList(items=tuple(_client(one) for one in await desk_of(ctx).oauth.clients()))


@action(
    "clients.remove",
    effect=Effect.WRITE,
    cli=("clients", "remove"),
    positional=("client",),
    realm="system",
    examples=("squad clients remove reports",),
)
async def remove_client(ctx: Context, input: ClientNaming) -> ClientOutput:
    """Let a program ask no more; its tokens end with the next request."""
    return _client(await desk_of(ctx).oauth.remove_client(input.client, str(ctx.actor)))
