"""Guard: limits, retries and prices around any model, the same for all of them.

What a provider's configuration promises is kept here, so that no adapter has
to: its rates are never exceeded, what failed for a passing reason is tried
again, and every answer carries its cost. Time left is passed on to the model,
which must keep to it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

import msgspec

from agentsquad.integrations.connectors.ai.contract import (
    MAX_TOKENS,
    Limits,
    ModelDeadlineError,
    ModelRefusedError,
    PriceTable,
    RateWaitError,
)
from agentsquad.integrations.connectors.ai.price import priced
from agentsquad.kernel.action import RetryPolicy
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.ports import Clock, Entropy
from agentsquad.runtime.resilience.rate import NOTHING, Rate, earliest, reserve, settle
from agentsquad.runtime.resilience.retry import next_delay_ms
from agentsquad.workforce.agents.contract import (
    Chunk,
    Embedder,
    Model,
    ModelReply,
    ModelRequest,
)

DEADLINE_MS = 600_000
RETRY = RetryPolicy(attempts=4, initial_ms=500, factor=2.0, max_ms=20_000, jitter=0.25)


class Grant(msgspec.Struct, frozen=True):
    """Leave to send: for which moment, and for how many tokens."""

    moment_ms: int
    tokens: int


class Gate:
    """One provider's rates; everything that asks it must pass here."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self._clock = clock
        self._request_rate = None if limits.requests is None else Rate(limits.requests)
        self._token_rate = None if limits.tokens is None else Rate(limits.tokens)
        self._requests = NOTHING
        self._tokens = NOTHING

    async def admit(self, tokens: int, end_ms: float) -> Grant:
        """Wait until a request of about so many tokens may be sent.

        Raises RateWaitError at once when that would be after `end_ms`, and
        ModelRefusedError when no minute has room for it.
        """
        requests, rate = self._request_rate, self._token_rate
        now = moment = math.ceil(self._clock.monotonic_ms())
        if requests is not None:
            moment = earliest(requests, self._requests, moment, 1) or moment
        if rate is not None:
            found = earliest(rate, self._tokens, moment, tokens)
            if found is None:
                raise ModelRefusedError(
                    f"the request needs about {tokens} tokens, and the provider is limited to "
                    f"{rate.limit} a minute",
                    hint="shorten it, lower max_tokens, or raise rateLimits.tokensPerMinute",
                )
            moment = found
        if moment > end_ms:
            raise RateWaitError(
                f"the provider's rate has room in {moment - now} ms, after the deadline",
                hint="wait, or raise 'rateLimits' if the account allows more",
                retry_after_ms=moment - now,
            )
        if requests is not None:
            self._requests = reserve(requests, self._requests, moment, 1)
        if rate is not None:
            self._tokens = reserve(rate, self._tokens, moment, tokens)
        if moment > now:  # `now` was rounded up; a part of a millisecond is not waited for
            await self._clock.sleep_ms(moment - self._clock.monotonic_ms())
        return Grant(moment, tokens)

    def settle(self, grant: Grant, tokens: int) -> None:
        """Correct a grant to what was used."""
        if self.limits.tokens is not None and tokens > 0:
            self._tokens = settle(self._tokens, grant.moment_ms, tokens - grant.tokens)


class GuardedModel:
    """A Model with limits, prices and retries around the one given.

    `deadline_ms` counts from the call and covers waiting and retries. A stream
    is tried again only until its first piece, since pieces cannot be taken
    back.
    """

    def __init__(
        self,
        model: Model,
        limits: Limits | Gate,
        prices: PriceTable,
        retry: RetryPolicy,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self.provider = model.provider
        self.gate = limits if isinstance(limits, Gate) else Gate(limits, clock)
        self._model = model
        self._prices = prices
        self._retry = retry
        self._clock = clock
        self._entropy = entropy

    def ceiling(self, request: ModelRequest) -> tuple[str, int | None]:
        """Return (currency, micro-units) a call can cost at most; None if
        unknown.

        A token is at least one byte, so the request's length bounds its tokens;
        a request without `max_tokens` is sent with `MAX_TOKENS`.
        """
        price = self._prices.price(request.model)
        if price is None:
            return "USD", None
        tokens = len(msgspec.json.encode(request))
        priced = price.at(tokens)
        micros = tokens * priced.input + (request.max_tokens or MAX_TOKENS) * priced.output
        return priced.currency, -(-micros // 1_000_000)

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        """Answer once, after as many attempts as it takes and the policy
        allows."""
        end = self._end(deadline_ms)
        attempt = 0
        while True:
            attempt += 1
            grant = await self._admit(request, end)
            try:
                reply = await self._model.complete(request, deadline_ms=self._left(end))
            except SquadError as error:
                await self._back_off(attempt, error, end)
            else:
                return self._account(grant, reply, request)

    async def stream(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> AsyncIterator[Chunk]:
        """Answer in pieces."""
        end = self._end(deadline_ms)
        attempt = 0
        while True:
            attempt += 1
            begun = False
            grant = await self._admit(request, end)
            pieces = self._model.stream(request, deadline_ms=self._left(end))
            try:
                async with aclosing(cast(Any, pieces)):
                    async for chunk in pieces:
                        begun = True
                        if chunk.reply is None:
                            yield chunk
                        else:
                            reply = self._account(grant, chunk.reply, request)
                            yield msgspec.structs.replace(chunk, reply=reply)
                return
            except SquadError as error:
                if begun:
                    raise
                await self._back_off(attempt, error, end)

    def _end(self, deadline_ms: int | None) -> float:
        return self._clock.monotonic_ms() + (DEADLINE_MS if deadline_ms is None else deadline_ms)

    def _left(self, end_ms: float) -> int:
        left = math.ceil(end_ms - self._clock.monotonic_ms())
        if left <= 0:
            raise ModelDeadlineError("time ran out before the model was asked")
        return left

    async def _admit(self, request: ModelRequest, end_ms: float) -> Grant:
        tokens = estimate(request) if self.gate.limits.tokens is not None else 0
        return await self.gate.admit(tokens, end_ms)

    async def _back_off(self, attempt: int, error: SquadError, end_ms: float) -> None:
        """Wait before the next attempt, or raise the error when there is
        none."""
        delay = next_delay_ms(self._retry, attempt, error, self._chance)
        if delay is None or self._clock.monotonic_ms() + delay >= end_ms:
            raise error
        await self._clock.sleep_ms(delay)

    def _chance(self) -> float:
        return int.from_bytes(self._entropy.token(7), "big") / 2**56

    def _account(self, grant: Grant, reply: ModelReply, request: ModelRequest) -> ModelReply:
        usage = reply.usage
        self.gate.settle(grant, usage.input_tokens + usage.output_tokens)
        if usage.cost_micros is not None:
            return reply
        price = self._prices.price(reply.model) or self._prices.price(request.model)
        return msgspec.structs.replace(reply, usage=priced(usage, price))


class GuardedEmbedder:
    """An Embedder that passes its provider's gate."""

    def __init__(self, embedder: Embedder, gate: Gate, clock: Clock) -> None:
        self.model = embedder.model
        self.size = embedder.size
        self._embedder = embedder
        self._gate = gate
        self._clock = clock

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector a text, in order."""
        tokens = sum(_tokens(text) for text in texts)
        await self._gate.admit(tokens, self._clock.monotonic_ms() + DEADLINE_MS)
        return await self._embedder.embed(texts)


def estimate(request: ModelRequest) -> int:
    """Guess a request's tokens before they are counted: four bytes each, and
    room to answer."""
    total = request.max_tokens or 0
    for message in request.messages:
        total += 4 + _tokens(message.content)
        for call in message.tool_calls:
            total += _tokens(call.name) + len(msgspec.json.encode(call.arguments)) // 4
    for tool in request.tools:
        total += _tokens(tool.name) + _tokens(tool.description)
        total += len(msgspec.json.encode(tool.schema)) // 4
    return total


def _tokens(text: str) -> int:
    return len(text.encode()) // 4 + 1
