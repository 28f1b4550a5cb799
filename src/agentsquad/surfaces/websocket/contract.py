"""What is said over a WebSocket: the messages of both sides, the limits of a
connection, and how it closes.

Every message is one JSON object in a text frame; `type` says which. The
AsyncAPI document is made of these classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from agentsquad.kernel.errors import (
    BugError,
    IntegrityError,
    InvalidError,
    LimitError,
    SquadError,
    UnauthenticatedError,
    surface_of,
)
from agentsquad.kernel.event import Event

PROTOCOL = "squad.v1"
BEARER = "bearer."  # a subprotocol that begins so carries a credential

GOING_AWAY = 1001
TEXT_ONLY = 1003
TOO_BIG = 1009
RESTART = 1012
ENDS = "the server ends: connect again, and go on where you were"
SLOW = 4008
CODES = 4000  # plus the HTTP status of an error

Meta = msgspec.Meta
Id = Annotated[str, Meta(min_length=1, max_length=100, description="chosen by the client")]
Patterns = Annotated[tuple[Annotated[str, Meta(max_length=200)], ...], Meta(max_length=100)]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one connection may ask for, and how patient the server is."""

    message_bytes: int = 1024 * 1024
    subscriptions: int = 100
    calls: int = 16
    connections_per_actor: int = 100
    strangers: int = 200  # connections that have not said who they are
    hello_ms: int = 5_000
    slow_ms: int = 10_000
    heartbeat_ms: int = 25_000
    sweep_ms: int = 500


class Hello(msgspec.Struct, frozen=True, tag="hello", forbid_unknown_fields=True):
    """Says who connects, where the request could not: first, and once."""

    token: Annotated[str, Meta(max_length=16_384, description="API key or access token")]
    namespace: str = ""


class Subscribe(msgspec.Struct, frozen=True, tag="subscribe", forbid_unknown_fields=True):
    """Asks for events: those after the number `after`, or those to come."""

    id: Id
    after: (
        Annotated[int, Meta(ge=0, le=2**53, description="number of the last event that was seen")]
        | None
    ) = None
    types: Annotated[
        Patterns, Meta(description="types of events; `run.*` means all that begin so")
    ] = ()
    streams: Annotated[Patterns, Meta(description="what the stream begins with")] = ()


class Unsubscribe(msgspec.Struct, frozen=True, tag="unsubscribe", forbid_unknown_fields=True):
    """Ends a subscription."""

    id: Id


class CallMessage(msgspec.Struct, frozen=True, tag="call", forbid_unknown_fields=True):
    """Calls an action."""

    id: Id
    action: Annotated[str, Meta(max_length=200, examples=["runs.list"])]
    input: Mapping[str, Any] = {}
    key: (
        Annotated[str, Meta(max_length=255, description="the same key gets the same answer")] | None
    ) = None
    timeout_ms: Annotated[int, Meta(ge=1, le=3_600_000)] | None = None


class Ping(msgspec.Struct, frozen=True, tag="ping", forbid_unknown_fields=True):
    """Asks whether the server is there."""

    n: int = 0


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """Answers a hello, or a request that said enough."""

    protocol: str
    actor: str
    namespace: str
    heartbeat_ms: int
    limits: Limits


class Subscribed(msgspec.Struct, frozen=True, tag="subscribed"):
    """Says that a subscription has begun, and after which event."""

    id: str
    after: int


class EventMessage(msgspec.Struct, frozen=True, tag="event"):
    """One event of a subscription. `event.seq` is where to go on after a
    reconnect."""

    id: str
    event: Event


class Unsubscribed(msgspec.Struct, frozen=True, tag="unsubscribed"):
    """Says that a subscription has ended; no event of it follows."""

    id: str


class AnswerMessage(msgspec.Struct, frozen=True, tag="answer"):
    """What came of a call; `files` hold name, media type and base64."""

    id: str
    value: Any
    files: tuple[Mapping[str, str], ...] = ()
    replayed: bool = False


class Failure(msgspec.Struct, frozen=True, tag="error"):
    """What went wrong with a call, a subscription (which has ended then) or,
    with an empty `id`, a message; `error` is a problem (RFC 9457)."""

    id: str
    error: Mapping[str, Any]


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """Answers a ping."""

    n: int


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """Says that the connection lives, where nothing else was said for
    long."""

    at_ms: int


FromClient = Hello | Subscribe | Unsubscribe | CallMessage | Ping
FromServer = (
    Welcome | Subscribed | EventMessage | Unsubscribed | AnswerMessage | Failure | Pong | Beat
)


class MessageError(InvalidError):
    """That is not a message of this protocol."""

    code = "websocket.message"


class HelloError(UnauthenticatedError):
    """Say who you are first: a header, or a message of type hello."""

    code = "websocket.hello"


class CrowdedError(LimitError):
    """Too many at once: close connections, end subscriptions, or wait for
    answers."""

    code = "websocket.crowded"


def close_code(error: SquadError) -> int:
    """Return with which code a connection closes for an error: 4000 and its
    HTTP status, 4500 where the fault is ours."""
    if isinstance(error, (BugError, IntegrityError)):
        return CODES + 500
    return CODES + surface_of(error).http
