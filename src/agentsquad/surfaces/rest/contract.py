"""What others may know of REST: its settings and the errors that only HTTP
has.

They are answered with a status of their own; everything else is answered by the
one table of errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from agentsquad.kernel.errors import (
    InvalidError,
    MissingError,
    SquadError,
    UnauthenticatedError,
    surface_of,
)
from agentsquad.surfaces.gateway.contract import KeyReusedError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
BODY_MAX = 8 * 1024 * 1024
BLOB_MAX = 64 * 1024 * 1024
DEPTH_MAX = 64
CACHE_TTL_MS = 2_000


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How REST is offered; lengths in bytes.

    `cors_origins` are pages of other sites that may call it from a browser:
    none by default, and never with a cookie. `cache_ttl_ms` is the longest that
    a reading is answered from memory, 0 for never. `title` heads the
    description of the interface.
    """

    body_max: int = BODY_MAX
    blob_max: int = BLOB_MAX
    depth_max: int = DEPTH_MAX
    cache_ttl_ms: int = CACHE_TTL_MS
    cache_entries: int = 2_000
    cors_origins: tuple[str, ...] = ()
    title: str = "Agent Squad"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A server elsewhere: its address, a token, and the file of certificates it
    is known by."""

    url: str
    token: str | None = None
    ca: str | None = None


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """What a person's confirmation gave this machine: a token for minutes, and
    the one that is exchanged for the next, once."""

    access: str
    refresh: str
    until_ms: int  # by the clock of this machine


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that waits for a person: where they confirm which code."""

    address: str
    code: str
    minutes: int


class Servers(Protocol):
    """Speaks to servers elsewhere."""

    async def whoami(self, place: Place) -> Any:
        """Return who one is there: `actor` and `roles`."""
        ...

    async def connect(
        self, place: Place, scopes: tuple[str, ...], show: Callable[[Waiting], None]
    ) -> Login:
        """Have a person confirm in a browser that this machine may act as them
        (RFC 8628); LoginRefusedError where nobody did."""
        ...

    async def disconnect(self, place: Place, login: Login) -> bool:
        """Let a login count no more there; whether the server heard it."""
        ...


class Screen(Protocol):
    """Where a person reads while a command waits for them."""

    @property
    def attended(self) -> bool:
        """Whether somebody sits at a terminal."""
        ...

    def say(self, text: str) -> None:
        """Show lines beside the output of the command."""
        ...


class Logins(Protocol):
    """Keeps tokens of servers on this machine."""

    @property
    def place(self) -> str:
        """Where they are kept."""
        ...

    @property
    def ca(self) -> str | None:
        """The file of certificates that servers are known by, if one was
        named."""
        ...

    def kept(self, url: str) -> str | Login | None:
        """Return the token or the login that is kept for a server."""
        ...

    def keep(self, url: str, kept: str | Login) -> None:
        """Keep a token or a login."""
        ...

    def forget(self, url: str) -> bool:
        """Forget a token; return whether there was one."""
        ...


def checked_url(text: str) -> str:
    """Return a server's address in its one spelling; ServerAddressError where
    a token must not be sent."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/"):
        raise ServerAddressError(f"{text!r} is not the address of a server")
    if parts.username or parts.query or parts.fragment:
        raise ServerAddressError(f"{host}: an address is scheme, host and port, nothing else")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise ServerAddressError(
            f"{text}: a token is not sent over a network in clear", hint=f"https://{host}"
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")


class ServerAddressError(InvalidError):
    """The address of a server is https://HOST:PORT; http on loopback only."""

    code = "server.address"

    def __init__(self, message: str | None = None, **more: Any) -> None:
        super().__init__(message, **{"hint": "e.g. https://squad.example:8420", **more})


class LoginWayError(InvalidError):
    """Ways to sign in were mixed."""

    code = "server.login_way"


class LoginRefusedError(UnauthenticatedError):
    """Nobody confirmed in time that this machine may act as them, or somebody
    refused."""

    code = "server.login_refused"


class LoginEndedError(UnauthenticatedError):
    """The login that was kept counts no more."""

    code = "server.login_ended"


class ServerUnknownError(InvalidError):
    """What answers there is not a squad server."""

    code = "server.unknown"


class HttpError(InvalidError):
    """The request does not fit HTTP as it is spoken here."""

    code = "rest.request"
    status = 400


class PathMissingError(MissingError):
    """Nothing is at this address."""

    code = "rest.path"


class MethodError(HttpError):
    """What is at this address cannot be asked that way."""

    code = "rest.method"
    status = 405

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        self.allowed = allowed
        super().__init__(
            f"{method} is not possible here", hint="possible are " + ", ".join(allowed)
        )


class NotAcceptableError(HttpError):
    """None of the formats that are asked for can be given."""

    code = "rest.accept"
    status = 406


class PreconditionError(HttpError):
    """It has changed since you looked: read it again."""

    code = "rest.precondition"
    status = 412


class BodyTooLargeError(HttpError):
    """The body is larger than this server takes."""

    code = "rest.too_large"
    status = 413


class MediaTypeError(HttpError):
    """The body is in a format that is not read here."""

    code = "rest.media_type"
    status = 415


class BodyError(HttpError):
    """The body is not what its media type says."""

    code = "rest.body"


class ParameterError(HttpError):
    """A parameter of the address does not fit."""

    code = "rest.parameter"


def status_of(error: SquadError) -> int:
    """Return the HTTP status of an error.

    A reused Idempotency-Key is 422, as the draft of that header has it; the
    table says 409 of every conflict.
    """
    if isinstance(error, HttpError):
        return error.status
    return 422 if isinstance(error, KeyReusedError) else surface_of(error).http
