"""The actions of who works with a server elsewhere: log in, log out, and who
one is there."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.surfaces.rest.contract import Logins, Place, Servers, checked_url
from agentsquad.trust.identity.contract import SecretSource

_HERE = "it keeps a token on this machine"


class LoginInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which server, and where the token is read."""

    url: Annotated[
        str, Meta(description="address of the server", examples=["https://squad.example:8420"])
    ]
    token: Annotated[
        str,
        Meta(description="file with the token or API key; - asks, or reads the standard input"),
    ] = "-"
    ca: Annotated[
        str | None, Meta(description="certificates the server is known by, PEM [SQUAD_CA]")
    ] = None


class LogoutInput(msgspec.Struct, frozen=True, kw_only=True):
    """Of which server the token is forgotten."""

    url: Annotated[
        str, Meta(description="address of the server", examples=["https://squad.example:8420"])
    ]


class WhoamiInput(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is needed."""


class Whoami(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and with which roles in this namespace."""

    actor: str
    roles: tuple[str, ...] = ()


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    """Who one is at a server, and where its token is kept."""

    server: str
    actor: str
    roles: tuple[str, ...]
    kept: str


class LoggedOut(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there was a token to forget."""

    server: str
    forgotten: bool


@action(
    "server.login",
    effect=Effect.WRITE,
    cli=("login",),
    positional=("url",),
    examples=("squad login https://squad.example:8420 --token admin.token",),
    local=_HERE,
)
async def login(ctx: Context, value: LoginInput) -> LoggedIn:
    """Keep a token for a server, after it was tried there.

    Commands go to that server where SQUAD_SERVER names it. The token is kept in
    the user's configuration folder, readable by nobody else; it can be revoked
    at the server at any time.
    """
    url = checked_url(value.url)
    secret = ctx.port(SecretSource).read(value.token, f"token for {url}")  # type: ignore[type-abstract]
    logins = ctx.port(Logins)  # type: ignore[type-abstract]
    place = Place(url=url, token=secret, ca=value.ca or logins.ca)
    found = await ctx.port(Servers).whoami(place)  # type: ignore[type-abstract]
    who = msgspec.convert(found, Whoami)
    logins.keep(url, secret)
    return LoggedIn(server=url, actor=who.actor, roles=who.roles, kept=logins.place)


@action(
    "server.logout",
    effect=Effect.WRITE,
    cli=("logout",),
    positional=("url",),
    examples=("squad logout https://squad.example:8420",),
    local=_HERE,
)
def logout(ctx: Context, value: LogoutInput) -> LoggedOut:
    """Forget the token of a server; there it stays valid until it is
    revoked."""
    url = checked_url(value.url)
    return LoggedOut(server=url, forgotten=ctx.port(Logins).forget(url))  # type: ignore[type-abstract]


@action("server.whoami", effect=Effect.READ, cli=("whoami",), examples=("squad whoami",))
def whoami(ctx: Context, value: WhoamiInput) -> Whoami:
    """Say who asks, and with which roles."""
    return Whoami(actor=str(ctx.actor), roles=ctx.actor.roles)
