"""The model port: what an agent turn asks of a language model or an embedder,
and what comes back.

One small port of our own; providers are adapters under
`integrations/connectors/ai`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta

from agentsquad.kernel.errors import InvalidError, LimitError, UnavailableError
from agentsquad.kernel.ports import EventStore


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call the model wants made; `arguments` is a JSON object already
    parsed."""

    id: str
    name: str
    arguments: Mapping[str, Any]


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One turn of the conversation.

    A `tool` message answers the call named by `tool_call_id`.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A tool offered to the model: an action's name, summary and JSON Schema of
    its input."""

    name: str
    description: str
    schema: Mapping[str, Any]


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that determines an answer; its canonical JSON is the request
    hash.

    `output_schema` asks for one JSON object of that shape as the reply's text.
    """

    model: Annotated[str, Meta(description="PROVIDER/MODEL, or a name a provider lists")]
    messages: Annotated[tuple[Message, ...], Meta(description="the conversation so far")]
    tools: Annotated[tuple[ToolSpec, ...], Meta(description="actions it may call")] = ()
    output_schema: Annotated[
        Mapping[str, Any] | None, Meta(description="JSON Schema the answer must fit")
    ] = None
    temperature: Annotated[float | None, Meta(description="0 for the likeliest words")] = None
    max_tokens: Annotated[int | None, Meta(description="longest answer, in tokens")] = None
    seed: Annotated[int | None, Meta(description="seed of its chance, where it takes one")] = None
    stop: Annotated[tuple[str, ...], Meta(description="texts that end the answer")] = ()


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a call consumed.

    `cost_micros` is None when no price is known: unknown, never zero.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_micros: int | None = None
    currency: str = "USD"
    price_date: str | None = None


class ModelReply(msgspec.Struct, frozen=True, kw_only=True):
    """One complete answer; `finish` is why it ended."""

    model: str
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Literal["stop", "length", "tool_calls", "filter"] = "stop"
    usage: Usage = Usage()


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a streamed answer; the last one carries the whole reply.

    Never an event.
    """

    text: str = ""
    reply: ModelReply | None = None


class Model(Protocol):
    """One provider, ready to answer."""

    provider: str

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        """Answer once; errors are this module's, LimitError with
        `retry_after_ms` included."""
        ...

    def stream(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> AsyncIterator[Chunk]:
        """Answer in pieces; the pieces' texts joined equal the final reply's
        text."""
        ...


class Embedder(Protocol):
    """Turns texts into unit vectors of one fixed length."""

    model: str
    size: int

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector a text, in order."""
        ...


class ModelCatalogue(Protocol):
    """The models of an installation, by name; `rules/NAME` is always there."""

    def model(self, name: str) -> Model:
        """Return a model, guarded by its limits and prices."""
        ...

    def embedder(self, name: str | None = None) -> Embedder:
        """Return an embedder; without a name, the local one."""
        ...


class AgentCatalogue(Protocol):
    """The agents of an installation: applied resources first, then shipped
    ones."""

    async def agent(self, name: str) -> Mapping[str, Any]:
        """Return the Agent resource, or MissingError naming the nearest one."""
        ...


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """A tool of another system: how a model is shown it, the action that calls
    it, and the digest it was pinned with."""

    spec: ToolSpec
    action: str
    digest: str


class Toolbox(Protocol):
    """The tools of other systems, as they were pinned."""

    async def offered(self, store: EventStore, name: str) -> Sequence[Elsewhere]:
        """Return a tool by SERVER/TOOL, or all that were pinned of a server by
        SERVER/*."""
        ...


class ModelUnavailableError(UnavailableError):
    """The model provider cannot be reached or failed on its side."""

    code = "model.unavailable"


class ModelLimitError(LimitError):
    """The model provider asks to slow down."""

    code = "model.limit"


class ModelRefusedError(InvalidError):
    """The model provider did not accept the request."""

    code = "model.refused"


class AgentOutputError(InvalidError):
    """The agent's answer does not fit its output schema."""

    code = "agent.output"


class AgentTurnsError(LimitError):
    """The agent did not come to an answer within its turns."""

    code = "agent.turns"
