"""What others may know of the proxy: requests and answers as they are recorded,
the port to what answers, and errors.

`Endpoints` is implemented by whoever knows the model providers of an
installation; the proxy sends bytes there and never sees their keys.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from agentsquad.kernel.errors import (
    DeadlineError,
    IntegrityError,
    InvalidError,
    LimitError,
    MissingError,
    UnauthenticatedError,
    UnavailableError,
)
from agentsquad.kernel.personal import PERSONAL
from agentsquad.runtime.resilience.contract import Quote
from agentsquad.workforce.agents.contract import Usage

WORKFLOW = "proxy-session"
FORWARD = "proxy.forward"
TAKE = "proxy.take"


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request of an agent, as it is written down before it is sent.

    `body` is what is new in it (`delta`); `digest` names the whole. `quote` is
    the most that it can cost. No header that says who asks is part of it.
    """

    n: int
    api: str
    path: str
    digest: str
    size: int
    model: str = ""
    stream: bool = False
    max_tokens: int | None = None
    headers: dict[str, str] = {}
    body: Any = None
    quote: Quote | None = None
    personal: list[Annotated[str, PERSONAL]] = []


class Forward(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which request is sent on; what policy is asked about.

    The body itself is among the facts (`input.facts.body`) and is written down
    once, where the request was taken.
    """

    n: Annotated[int, Meta(description="number of the request in its session")]
    api: Annotated[str, Meta(description="which API it speaks", examples=["openai.chat"])]
    digest: Annotated[str, Meta(description="digest of the whole request")]
    size: Annotated[int, Meta(description="bytes of the request")]
    model: Annotated[str, Meta(description="the model it names")] = ""
    stream: Annotated[bool, Meta(description="whether the answer is streamed")] = False
    max_tokens: Annotated[int | None, Meta(description="longest answer it takes")] = None
    quote: Annotated[Quote | None, Meta(description="the most it can cost")] = None


class Answered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came back: `body` of a whole answer, or `events` of a streamed one
    (`fold`); `cut` when it was not heard to its end, `left` when that was
    because the agent went away, `shared` when an equal request was answered
    by it too.
    """

    status: int
    headers: dict[str, str] = {}
    body: Any = None
    text: str = ""
    events: list[Any] | None = None
    cut: bool = False
    left: bool = False
    upstream: str = ""
    attempts: int = 1
    shared: bool = False


class Reply(Protocol):
    """An answer whose body is still arriving; header names are lower case."""

    status: int
    headers: Mapping[str, str]

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, cut anywhere."""
        ...

    async def read(self) -> bytes:
        """Return the rest of the body at once."""
        ...


class Endpoint(Protocol):
    """One place that answers: a model provider, with its key and its rates."""

    name: str
    protocol: str
    models: Sequence[str]

    def open(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_ms: float | None,
    ) -> AbstractAsyncContextManager[Reply]:
        """Send and return as soon as the head of the answer is here; `path`
        follows the provider's endpoint. Waits for its rates first."""
        ...

    def ceiling(self, model: str, size: int, max_tokens: int | None) -> Quote:
        """Return the most that a request of so many bytes can cost."""
        ...

    def priced(self, model: str, usage: Usage) -> Usage:
        """Return usage with its cost, unknown where there is no price."""
        ...

    async def close(self) -> None:
        """Let go of its connections; the next request opens new ones."""
        ...


class Endpoints(Protocol):
    """Every place of an installation that answers over the network."""

    def endpoints(self) -> Sequence[Endpoint]:
        """Return them by name, the configured ones and those whose keys the
        environment holds."""
        ...


class Response(Protocol):
    """What is sent back to the agent."""

    status: int
    headers: Mapping[str, str]

    def body(self) -> AsyncIterator[bytes]:
        """Yield what is sent, whole or piece by piece; raises where it breaks
        off."""
        ...

    def leave(self) -> None:
        """Hear that nobody listens any more."""
        ...


class Answerer(Protocol):
    """Who answers the requests of agents: live, or from a recording."""

    async def answer(
        self, method: str, path: str, headers: Mapping[str, str], data: bytes
    ) -> Response:
        """Answer one request; header names are lower case. Errors are answers
        too, in the words of the vendor whose client asks."""
        ...


class Listening(Protocol):
    """An open door: where it is, and how to close it."""

    address: str

    async def close(self) -> None:
        """Take no more connections and let go of those there are."""
        ...


class Listener(Protocol):
    """Serves agents over HTTP."""

    async def listen(self, answerer: Answerer, host: str, port: int) -> Listening:
        """Open a door; port 0 takes a free one."""
        ...


class Programs(Protocol):
    """Starts programs."""

    async def run(
        self,
        command: Sequence[str],
        added: Mapping[str, str],
        removed: Sequence[str],
        *,
        aside: bool = False,
    ) -> int:
        """Run a program on this terminal, with variables added to those of this
        process and others left out; return its exit code. With `aside` it
        prints where errors go."""
        ...

    async def announce(self, added: Mapping[str, str]) -> None:
        """Print the variables that an agent started elsewhere needs."""
        ...


class ProxyRequestError(InvalidError):
    """The request is not one of the API it was sent to."""

    code = "proxy.request"


class ProxyPathError(MissingError):
    """The proxy does not speak this part of the API."""

    code = "proxy.path"


class ProxyKeyError(UnauthenticatedError):
    """The key is not the one that this session was given."""

    code = "proxy.key"


class ProxySizeError(InvalidError):
    """The request is larger than the proxy takes."""

    code = "proxy.size"


class ProxyBusyError(LimitError):
    """Too many requests are under way."""

    code = "proxy.busy"


class UpstreamMissingError(MissingError):
    """Nothing is configured that answers for this model."""

    code = "upstream.missing"


class UpstreamUnavailableError(UnavailableError):
    """None of the upstream's targets can be reached."""

    code = "upstream.unavailable"


class UpstreamDeadlineError(DeadlineError):
    """The upstream did not answer in time."""

    code = "upstream.deadline"


class UpstreamReplyError(UnavailableError):
    """The upstream sent what is no answer of its API."""

    code = "upstream.reply"


class ProxyInterruptedError(UnavailableError):
    """The proxy ended before this request was answered; nobody waits for it any
    more.
    """

    code = "proxy.interrupted"


class ProxyClosedError(UnavailableError):
    """The session has ended and takes no more requests."""

    code = "proxy.closed"


class ReplayMissError(IntegrityError):
    """The recording has no answer to this request; a replay never asks a live
    model.
    """

    code = "proxy.replay_miss"


class RecordingError(InvalidError):
    """The run is no recording of a session that can be replayed."""

    code = "proxy.recording"


class LetterMissingError(MissingError):
    """There is no such dead letter."""

    code = "proxy.letter"


class ProxyCommandError(InvalidError):
    """The command cannot be started."""

    code = "proxy.command"


class ProxyListenError(UnavailableError):
    """The proxy cannot listen there."""

    code = "proxy.listen"


__all__ = [
    "FORWARD",
    "TAKE",
    "WORKFLOW",
    "Answered",
    "Answerer",
    "Asked",
    "Endpoint",
    "Endpoints",
    "Forward",
    "LetterMissingError",
    "Listener",
    "Listening",
    "Programs",
    "ProxyBusyError",
    "ProxyClosedError",
    "ProxyCommandError",
    "ProxyInterruptedError",
    "ProxyKeyError",
    "ProxyListenError",
    "ProxyPathError",
    "ProxyRequestError",
    "ProxySizeError",
    "Quote",
    "RecordingError",
    "ReplayMissError",
    "Reply",
    "Response",
    "UpstreamDeadlineError",
    "UpstreamMissingError",
    "UpstreamReplyError",
    "UpstreamUnavailableError",
]
