"""What others may know about model providers: configuration, ports and errors.

The model port itself belongs to the agents that use it
(`workforce/agents/contract`); here is what an installation needs to offer one:
where a provider is, how it is paid and limited, and the ports its adapters
stand on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

import msgspec

from agentsquad.kernel.errors import (
    BugError,
    DeadlineError,
    DeniedError,
    IntegrityError,
    InvalidError,
    LimitError,
    MissingError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedError,
)
from agentsquad.kernel.ports import Clock, Entropy
from agentsquad.workforce.agents.contract import (
    ModelCatalogue,
    ModelLimitError,
    ModelRefusedError,
    ModelUnavailableError,
)

__all__ = [
    "Environment",
    "HttpReply",
    "HttpRequest",
    "HttpStream",
    "MAX_TOKENS",
    "Limits",
    "ModelAuthenticationError",
    "ModelDeadlineError",
    "ModelDeniedError",
    "ModelEntry",
    "ModelExtraError",
    "ModelLimitError",
    "ModelMissingError",
    "ModelQuotaError",
    "ModelRefusedError",
    "ModelReplyError",
    "ModelUnavailableError",
    "Models",
    "Price",
    "PriceTable",
    "ProviderError",
    "ProviderSettings",
    "RateWaitError",
    "RecordingMissingError",
    "RuleFailedError",
    "ScriptExhaustedError",
    "Secret",
    "Transport",
    "WeightsError",
]


MAX_TOKENS = 4096
"""What a request without `max_tokens` asks for, so its cost has a bound."""


class Secret:
    """A value that never prints itself; `reveal` is called where it leaves for
    its owner.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a secret is not written down")

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value


@runtime_checkable
class Environment(Protocol):
    """Settings that come from outside, by name."""

    def get(self, name: str) -> str | None:
        """Return the value, or None when it is not set."""
        ...


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What may be sent to a provider in any minute; None is no limit."""

    requests: int | None = None
    tokens: int | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What tokens cost, in micro-units of the currency per 1,000,000 tokens.

    A request with more than `long_above` input tokens pays the `long_*` prices
    for all of them.
    """

    input: int
    output: int
    cached: int | None = None
    long_above: int | None = None
    long_input: int = 0
    long_output: int = 0
    long_cached: int | None = None
    currency: str = "USD"
    date: str | None = None

    def at(self, input_tokens: int) -> Price:
        """Return the price that holds for a request of this size."""
        if self.long_above is None or input_tokens <= self.long_above:
            return self
        return Price(
            input=self.long_input,
            output=self.long_output,
            cached=self.long_cached,
            currency=self.currency,
            date=self.date,
        )


class PriceTable(Protocol):
    """Knows prices; what it does not know is unknown, never free."""

    def price(self, model: str) -> Price | None:
        """Return the price of a model of this provider, None when it is not
        known.
        """
        ...


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request, ready to send. Headers carry secrets and are left out of its
    repr.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.url}, {len(self.body)} bytes)"


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """One whole answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpStream(Protocol):
    """An answer whose body is still arriving; header names are lower case."""

    status: int
    headers: Mapping[str, str]

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, cut anywhere."""
        ...

    async def read(self) -> bytes:
        """Return the rest of the body at once, for errors."""
        ...


class Transport(Protocol):
    """Sends requests over HTTP.

    Raises ModelUnavailableError when the other side cannot be reached or hangs
    up, and ModelDeadlineError when `timeout_ms` is over; a status is never an
    error here.
    """

    async def send(self, request: HttpRequest, *, timeout_ms: float | None) -> HttpReply:
        """Return the whole answer."""
        ...

    def stream(
        self, request: HttpRequest, *, timeout_ms: float | None
    ) -> AbstractAsyncContextManager[HttpStream]:
        """Open an answer; leaving the block closes the connection. The timeout
        covers all of it.
        """
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One model that can be asked for, and whether it can answer now.

    `status` is "ready" or what is missing; `network` says whether asking leaves
    this machine.
    """

    name: str
    provider: str
    protocol: str
    status: str
    network: bool
    priced: bool
    embeds: bool = False
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class Models(ModelCatalogue, Protocol):
    """All models of an installation, and a list of them.

    A name is `PROVIDER/MODEL`, just `MODEL` when only one provider offers it,
    or `default`.
    """

    def entries(self) -> list[ModelEntry]:
        """Return everything that can be asked for, ready or not."""
        ...


class ProviderSettings(Protocol):
    """What assembly gives the models plugin.

    `providers` are the specs of ModelProvider resources by name, read anew at
    each look-up, so that an applied change is used by the next call.
    """

    environment: Environment
    clock: Clock
    entropy: Entropy
    rules: Mapping[str, Any]

    def providers(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Return (name, spec) of every ModelProvider resource.

        Asked anew at each look-up, so that an applied change holds for the next
        call.
        """
        ...


class ProviderError(InvalidError):
    """The configuration of a model provider is not usable."""

    code = "model.provider"


class ModelMissingError(MissingError):
    """No such model is configured or offered."""

    code = "model.missing"


class ModelAuthenticationError(UnauthenticatedError):
    """The model provider does not know who is asking."""

    code = "model.authentication"


class ModelDeniedError(DeniedError):
    """The model provider knows who is asking and says no."""

    code = "model.denied"


class ModelQuotaError(DeniedError):
    """The account at the model provider has no credit left; waiting does not
    help.
    """

    code = "model.quota"


class ModelDeadlineError(DeadlineError):
    """The model did not answer in the time given."""

    code = "model.deadline"


class RateWaitError(LimitError):
    """The provider's configured rate leaves no room before the deadline."""

    code = "model.rate"


class ModelReplyError(UnavailableError):
    """The model provider sent something that is not an answer in its own
    format.
    """

    code = "model.reply"


class ModelExtraError(UnsupportedError):
    """This kind of model needs an extra that is not installed."""

    code = "model.extra"


class WeightsError(IntegrityError):
    """Model weights are not the ones that were pinned."""

    code = "model.weights"


class RecordingMissingError(IntegrityError):
    """The recording has no answer to this request; replay never asks a live
    model.
    """

    code = "model.recording"


class ScriptExhaustedError(InvalidError):
    """The script has no more replies."""

    code = "model.script"


class RuleFailedError(BugError):
    """A rule that stands for a model failed."""

    code = "model.rule"
