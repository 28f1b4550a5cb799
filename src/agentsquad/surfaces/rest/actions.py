"""The actions of who works with a server elsewhere: log in, log out, and who
one is there."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.surfaces.rest.contract import (
    Login,
    Logins,
    LoginWayError,
    Place,
    Screen,
    Servers,
    Waiting,
    checked_url,
)
from agentsquad.trust.identity.contract import SecretSource

_HERE = "it keeps a token on this machine"


class LoginInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which server, and how to show there who one is."""

    url: Annotated[
        str, Meta(description="address of the server", examples=["https://squad.example:8420"])
    ]
    token: Annotated[
        str | None,
        Meta(description="file with a token or API key; - asks, or reads the standard input"),
    ] = None
    device: Annotated[
        bool,
        Meta(description="confirm in a browser, on any machine; the default at a terminal"),
    ] = False
    scopes: Annotated[
        tuple[str, ...],
        Meta(description="actions this machine may call as you; all", examples=[["runs.*"]]),
    ] = ()
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
    revoked: bool = False


@action(
    "server.login",
    effect=Effect.WRITE,
    cli=("login",),
    positional=("url",),
    examples=(
        "squad login https://squad.example:8420",
        "squad login https://squad.example:8420 --token admin.token",
    ),
    local=_HERE,
)
async def login(ctx: Context, value: LoginInput) -> LoggedIn:
    """Sign in at a server, and keep that for the commands that go there.

    At a terminal an address and a code are shown: open it in a browser on any
    machine, sign in there, and allow the code. With a token or an API key, say
    where it is read; it is tried first. Commands go to that server where
    SQUAD_SERVER names it. What is kept lies in the user's configuration folder,
    readable by nobody else, and can be ended at the server at any time.
    """
    url = checked_url(value.url)
    logins, servers = ctx.port(Logins), ctx.port(Servers)  # type: ignore[type-abstract]
    screen = ctx.port(Screen)  # type: ignore[type-abstract]
    place = Place(url=url, ca=value.ca or logins.ca)
    kept: str | Login
    if value.device or (value.token is None and screen.attended):
        if value.token is not None:
            raise LoginWayError("--device and --token are two ways to sign in; choose one")
        scopes = (*value.scopes, "server.whoami") if value.scopes else ()
        kept = await servers.connect(place, scopes, lambda one: screen.say(_asking(one)))
        secret = kept.access
    else:
        if value.scopes:
            raise LoginWayError("what a token may is said where it is made; leave --scopes out")
        secret = ctx.port(SecretSource).read(value.token or "-", f"token for {url}")  # type: ignore[type-abstract]
        kept = secret
    found = await servers.whoami(msgspec.structs.replace(place, token=secret))
    who = msgspec.convert(found, Whoami)
    before = logins.kept(url)
    logins.keep(url, kept)
    if isinstance(before, Login):
        await servers.disconnect(place, before)
    return LoggedIn(server=url, actor=who.actor, roles=who.roles, kept=logins.place)


def _asking(one: Waiting) -> str:
    return (
        f"To sign in, open this address in a browser, on any machine:\n\n  {one.address}\n\n"
        f"and allow the code  {one.code}  within {one.minutes} minutes. "
        "Waiting for you there; Ctrl-C gives up."
    )


@action(
    "server.logout",
    effect=Effect.WRITE,
    cli=("logout",),
    positional=("url",),
    examples=("squad logout https://squad.example:8420",),
    local=_HERE,
)
async def logout(ctx: Context, value: LogoutInput) -> LoggedOut:
    """Forget what is kept of a server.

    A login that was confirmed in a browser ends there too; a token that was
    given stays valid until it is revoked.
    """
    url = checked_url(value.url)
    logins = ctx.port(Logins)  # type: ignore[type-abstract]
    before, gone = logins.kept(url), False
    if isinstance(before, Login):
        place = Place(url=url, ca=logins.ca)
        gone = await ctx.port(Servers).disconnect(place, before)  # type: ignore[type-abstract]
    return LoggedOut(server=url, forgotten=logins.forget(url), revoked=gone)


@action("server.whoami", effect=Effect.READ, cli=("whoami",), examples=("squad whoami",))
def whoami(ctx: Context, value: WhoamiInput) -> Whoami:
    """Say who asks, and with which roles."""
    return Whoami(actor=str(ctx.actor), roles=ctx.actor.roles)
