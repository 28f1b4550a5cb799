"""Limits, retries, deadlines and prices around a model, on a clock that moves
when told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentsquad.integrations.connectors.ai.contract import (
    Limits,
    ModelDeadlineError,
    ModelLimitError,
    ModelRefusedError,
    ModelReplyError,
    ModelUnavailableError,
    Price,
    PriceTable,
    RateWaitError,
)
from agentsquad.integrations.connectors.ai.guard import (
    Gate,
    GuardedEmbedder,
    GuardedModel,
    estimate,
)
from agentsquad.integrations.connectors.ai.price import NoPrices, OwnPrices
from agentsquad.integrations.connectors.ai.scripted.scripted import ScriptedModel
from agentsquad.kernel.action import RetryPolicy
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.workforce.agents.contract import (
    Chunk,
    Message,
    Model,
    ModelReply,
    ModelRequest,
    Usage,
)

ASK = ModelRequest(model="m", messages=(Message(role="user", content="x" * 36),))
UNLIMITED, UNPRICED = Limits(), NoPrices()
PATIENT = RetryPolicy(attempts=3, initial_ms=1000, factor=2, jitter=0.5)


def guarded(
    model: Model,
    clock: ManualClock,
    *,
    limits: Limits = UNLIMITED,
    prices: PriceTable = UNPRICED,
    retry: RetryPolicy = PATIENT,
) -> GuardedModel:
    return GuardedModel(model, limits, prices, retry, clock, SeededEntropy())


def reply(tokens: int = 100, model: str = "m") -> ModelReply:
    return ModelReply(
        model=model, text="a b", usage=Usage(input_tokens=tokens, output_tokens=tokens)
    )


async def finish(clock: ManualClock, call: asyncio.Task[Any], limit_ms: int = 600_000) -> Any:
    """Move time until the call is done; how much is read off the clock."""
    passed = 0
    while not call.done() and passed < limit_ms:
        await clock.advance(10)
        passed += 10
    return await call


async def test_a_passing_failure_is_tried_again_after_a_while() -> None:
    clock = ManualClock(0)
    model = ScriptedModel([ModelUnavailableError("x"), ModelReplyError("y"), "fine"])
    call = asyncio.create_task(guarded(model, clock).complete(ASK))
    assert (await finish(clock, call)).text == "fine"
    assert len(model.requests) == 3
    assert 1500 <= clock.now_ms() <= 4520  # 1000 and 2000, half to one and a half times each


async def test_attempts_are_counted() -> None:
    clock = ManualClock(0)
    model = ScriptedModel([ModelUnavailableError(str(n)) for n in range(5)])
    with pytest.raises(ModelUnavailableError, match="2"):
        await finish(clock, asyncio.create_task(guarded(model, clock).complete(ASK)))
    assert len(model.requests) == 3


async def test_a_refusal_is_not_tried_again() -> None:
    model = ScriptedModel([ModelRefusedError("no"), "never"])
    with pytest.raises(ModelRefusedError):
        await guarded(model, ManualClock()).complete(ASK)
    assert len(model.requests) == 1


async def test_the_wait_a_provider_asks_for_is_kept() -> None:
    clock = ManualClock(0)
    model = ScriptedModel([ModelLimitError("slow", retry_after_ms=30_000), "fine"])
    await finish(clock, asyncio.create_task(guarded(model, clock).complete(ASK)))
    assert clock.now_ms() >= 30_000


async def test_no_attempt_is_waited_for_beyond_the_deadline() -> None:
    clock = ManualClock(0)
    model = ScriptedModel([ModelLimitError("slow", retry_after_ms=30_000), "never"])
    with pytest.raises(ModelLimitError):
        await guarded(model, clock).complete(ASK, deadline_ms=20_000)
    assert clock.now_ms() == 0


class Recorder:
    """Notes how much time each call was given."""

    provider = "recorder"

    def __init__(self, clock: ManualClock, error: Exception | None = None) -> None:
        self.given: list[int | None] = []
        self._clock = clock
        self._error = error

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        self.given.append(deadline_ms)
        await self._clock.sleep_ms(400)
        if self._error is not None:
            raise self._error
        return reply()

    async def stream(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> AsyncIterator[Chunk]:
        yield Chunk(reply=await self.complete(request, deadline_ms=deadline_ms))


async def test_each_attempt_is_given_the_time_that_is_left() -> None:
    clock = ManualClock(0)
    model = Recorder(clock, ModelUnavailableError("x"))
    steady = RetryPolicy(attempts=3, initial_ms=100, factor=1, jitter=0)
    call = asyncio.create_task(guarded(model, clock, retry=steady).complete(ASK, deadline_ms=1600))
    with pytest.raises(ModelUnavailableError):
        await finish(clock, call)
    assert model.given == [1600, 1100, 600]


async def test_a_deadline_that_has_passed_asks_nobody() -> None:
    model = ScriptedModel(["never"])
    with pytest.raises(ModelDeadlineError):
        await guarded(model, ManualClock()).complete(ASK, deadline_ms=0)
    assert model.requests == []


async def test_requests_beyond_the_rate_wait_their_turn_in_order() -> None:
    clock = ManualClock(0)
    model = guarded(ScriptedModel([str(n) for n in range(7)]), clock, limits=Limits(requests=3))
    done: list[tuple[int, str]] = []

    async def one() -> None:
        answer = await model.complete(ASK)
        done.append((clock.now_ms(), answer.text))

    calls = [asyncio.create_task(one()) for _ in range(7)]
    await clock.advance(59_000)
    assert [text for _, text in done] == ["0", "1", "2"]
    await clock.advance(61_000)
    await clock.advance(60_000)
    await asyncio.gather(*calls)
    assert [text for _, text in done] == [str(n) for n in range(7)]
    assert [at // 60_000 for at, _ in done] == [0, 0, 0, 1, 1, 1, 2]


async def test_within_the_rate_nothing_waits_at_all() -> None:
    class Fractional(ManualClock):
        async def sleep_ms(self, duration_ms: float) -> None:
            raise AssertionError(f"slept {duration_ms} ms")

    clock = Fractional(0)
    clock._now = 1234.567
    model = guarded(ScriptedModel(["a", "b"]), clock, limits=Limits(requests=2, tokens=1000))
    assert (await model.complete(ASK)).text == "a"
    assert (await model.complete(ASK)).text == "b"


async def test_a_rate_that_leaves_no_room_refuses_at_once_and_takes_nothing() -> None:
    clock = ManualClock(0)
    model = guarded(ScriptedModel(["a", "b"]), clock, limits=Limits(requests=1))
    await model.complete(ASK)
    for _ in range(3):
        with pytest.raises(RateWaitError) as caught:
            await model.complete(ASK, deadline_ms=5000)
        assert caught.value.retry_after_ms == 60_000
    assert clock.now_ms() == 0
    await clock.advance(60_000)
    assert (await model.complete(ASK, deadline_ms=5000)).text == "b"


async def test_tokens_are_estimated_before_and_corrected_after() -> None:
    clock = ManualClock(0)
    limits = Limits(tokens=1000)
    model = guarded(ScriptedModel([reply(495), reply(1)]), clock, limits=limits)
    await model.complete(ASK)  # 14 expected, 990 used
    with pytest.raises(RateWaitError):
        await model.complete(ASK, deadline_ms=1000)
    await clock.advance(60_000)
    await model.complete(ASK, deadline_ms=1000)


async def test_room_reserved_for_an_answer_is_given_back() -> None:
    clock = ManualClock(0)
    long = ModelRequest(model="m", messages=ASK.messages, max_tokens=900)
    model = guarded(ScriptedModel([reply(5), reply(5)]), clock, limits=Limits(tokens=1000))
    await model.complete(long, deadline_ms=1000)
    await model.complete(long, deadline_ms=1000)
    assert clock.now_ms() == 0


async def test_a_request_larger_than_a_minute_allows_is_refused() -> None:
    request = ModelRequest(model="m", messages=ASK.messages, max_tokens=2000)
    model = guarded(ScriptedModel(["never"]), ManualClock(), limits=Limits(tokens=1000))
    with pytest.raises(ModelRefusedError, match="1000 a minute"):
        await model.complete(request)


async def test_costs_come_from_the_price_table() -> None:
    prices = OwnPrices(Price(input=30_000_000, output=60_000_000))
    model = guarded(ScriptedModel([reply(1000), "free"]), ManualClock(), prices=prices)
    assert (await model.complete(ASK)).usage.cost_micros == 90_000
    assert (await model.complete(ASK)).usage.cost_micros == 0
    unknown = guarded(ScriptedModel([reply(1000)]), ManualClock())
    assert (await unknown.complete(ASK)).usage.cost_micros is None


async def test_a_stream_is_priced_and_passed_on() -> None:
    prices = OwnPrices(Price(input=30_000_000, output=60_000_000))
    model = guarded(ScriptedModel([reply(1000)]), ManualClock(), prices=prices)
    chunks = [chunk async for chunk in model.stream(ASK)]
    assert "".join(chunk.text for chunk in chunks) == "a b"
    assert chunks[-1].reply is not None
    assert chunks[-1].reply.usage.cost_micros == 90_000


class Breaking:
    """A stream that breaks after some pieces, the first few times."""

    provider = "breaking"

    def __init__(self, pieces: int, times: int) -> None:
        self.calls = 0
        self.closed = 0
        self._pieces = pieces
        self._times = times

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        raise AssertionError("not streamed")

    async def stream(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> AsyncIterator[Chunk]:
        self.calls += 1
        try:
            for _ in range(self._pieces):
                yield Chunk(text="p")
            if self.calls <= self._times:
                raise ModelUnavailableError("broke")
            yield Chunk(reply=ModelReply(model="m", text="p" * self._pieces))
        finally:
            self.closed += 1


async def test_a_stream_that_breaks_before_its_first_piece_is_tried_again() -> None:
    clock, model = ManualClock(0), Breaking(pieces=0, times=2)

    async def read() -> list[Chunk]:
        return [chunk async for chunk in guarded(model, clock).stream(ASK)]

    chunks = await finish(clock, asyncio.create_task(read()))
    assert (len(chunks), model.calls) == (1, 3)


async def test_a_stream_that_breaks_later_is_not_tried_again() -> None:
    model = Breaking(pieces=2, times=1)
    seen = []
    with pytest.raises(ModelUnavailableError):
        async for chunk in guarded(model, ManualClock()).stream(ASK):
            seen.append(chunk.text)
    assert (seen, model.calls) == (["p", "p"], 1)


async def test_leaving_a_stream_closes_the_one_behind_it_at_once() -> None:
    model = Breaking(pieces=5, times=0)
    stream: Any = guarded(model, ManualClock()).stream(ASK)
    await anext(stream)
    await stream.aclose()
    assert model.closed == 1


async def test_embedding_passes_the_same_gate() -> None:
    class Plain:
        model, size = "e", 1

        async def embed(self, texts: Any) -> list[list[float]]:
            return [[1.0] for _ in texts]

    clock = ManualClock(0)
    gate = Gate(Limits(requests=1), clock)
    embedder = GuardedEmbedder(Plain(), gate, clock)
    assert await embedder.embed(["a", "b"]) == [[1.0], [1.0]]
    call = asyncio.create_task(embedder.embed(["c"]))
    await clock.advance(59_999)
    assert not call.done()
    await clock.advance(1)
    assert await call == [[1.0]]


def test_an_estimate_grows_with_everything_that_is_sent() -> None:
    longer = ModelRequest(model="m", messages=(*ASK.messages, *ASK.messages), max_tokens=10)
    assert estimate(longer) == 2 * estimate(ASK) + 10
