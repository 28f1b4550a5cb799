"""Forwarding: a request on its way to an upstream: which target, how often, and
together with whom.

Targets that are not well are left out by breakers whose changes are events, as
those of a Guard are; retries are rationed over all requests of an upstream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from agentsquad.integrations.proxy import api as apis
from agentsquad.integrations.proxy import batch
from agentsquad.integrations.proxy.balance import Load, balancer
from agentsquad.integrations.proxy.contract import (
    Endpoint,
    Endpoints,
    Quote,
    UpstreamMissingError,
    UpstreamUnavailableError,
)
from agentsquad.integrations.proxy.exchange import Exchange, Whole
from agentsquad.integrations.proxy.sending import LaterError, Sending, send
from agentsquad.integrations.proxy.sharing import Batching, Coalescing, deterministic
from agentsquad.integrations.proxy.upstream import NAME, UpstreamRule, choose, rule_of
from agentsquad.kernel import canonical, hashing
from agentsquad.kernel.action import RetryPolicy
from agentsquad.kernel.errors import DeadlineError, SquadError, UnavailableError
from agentsquad.kernel.ports import Clock, EventStore
from agentsquad.runtime.control.resource import listed
from agentsquad.runtime.resilience.guard import Call, Guard, GuardRule
from agentsquad.runtime.resilience.ration import Ration
from agentsquad.runtime.resilience.retry import next_delay_ms
from agentsquad.workforce.agents.contract import Usage

FRESH_MS = 1000.0  # after which it is looked for upstreams that were applied meanwhile
BACKOFF = RetryPolicy(attempts=10, initial_ms=100, factor=2.0, max_ms=5_000, jitter=0.0)
Outcome = tuple[Whole, Usage | None]
Line = tuple[Exchange, Call, Sending]


class Live:
    """An upstream with what is known of its targets by now."""

    def __init__(self, rule: UpstreamRule, store: EventStore, clock: Clock) -> None:
        self.rule = rule
        self.balancer = balancer(rule.balance, rule.bound)
        self.loads = [Load(one.provider, one.weight) for one in rule.targets]
        self.ration = Ration(rule.retries)
        self.coalescing: Coalescing[Outcome] = Coalescing()
        self.batching: Batching[Any, Any] | None = None
        guard = GuardRule(name=f"upstream.{rule.name}", match=("-",), breaker=rule.eject)
        self.guards = {one.provider: Guard(guard, one.provider, store, clock)
                       for one in rule.targets}  # fmt: skip

    def able(self, tried: Sequence[str], now_ms: float) -> list[Load]:
        """Return the targets that may be asked now: not ejected, and not asked
        already while there are others."""
        found = []
        for one in self.loads:
            breaker = self.guards[one.name].breaker
            if breaker is None or breaker.blocked(now_ms) is None:
                found.append(one)
        fresh = [one for one in found if one.name not in tried]
        return fresh or found


class Forwarder:
    """Every upstream of an installation."""

    def __init__(self, store: EventStore, clock: Clock, endpoints: Endpoints) -> None:
        self._store = store
        self._clock = clock
        self._endpoints = endpoints
        self._rules: list[UpstreamRule] = []
        self._read_ms: float | None = None
        self._live: dict[str, Live] = {}

    async def close(self) -> None:
        """Let go of all connections."""
        for one in self._by_name():
            await one.close()

    async def rules(self) -> list[UpstreamRule]:
        """Return the upstreams in force; looked up anew after a second."""
        now = self._clock.monotonic_ms()
        if self._read_ms is None or now - self._read_ms >= FRESH_MS:
            self._read_ms = now
            self._rules = [
                rule_of(one["metadata"]["name"], one["spec"])
                for one in await listed(self._store, NAME)
            ]
        return self._rules

    async def upstream(self, request: apis.Request) -> Live:
        """Return what answers a request; UpstreamMissingError if nothing
        does."""
        rule = choose(await self.rules(), self._by_name(), request.api, request.model)
        live = self._live.get(rule.name)
        if live is None or live.rule != rule:
            live = self._live[rule.name] = Live(rule, self._store, self._clock)
            if rule.batch_size:
                live.batching = Batching(
                    self._clock,
                    rule.batch_ms,
                    rule.batch_size,
                    lambda lines: self._together(live, lines),
                )
        return live

    async def quote(self, request: apis.Request, size: int) -> Quote | None:
        """Return the most that a request can cost; None where it is free, or
        nothing would answer it."""
        if not request.api.costs:
            return None
        try:
            live = await self.upstream(request)
            targets = [self._endpoint(one.name) for one in live.loads]
        except SquadError:
            return None
        quotes = [one.ceiling(request.model, size, request.max_tokens) for one in targets]
        currencies = {one.currency for one in quotes}
        known = [one.micros for one in quotes if one.micros is not None]
        if len(currencies) > 1 or len(known) < len(quotes):
            return Quote(quotes[0].currency, None)
        return Quote(quotes[0].currency, max(known))

    async def forward(self, exchange: Exchange, call: Call, key: str) -> Outcome:
        """Have a request answered; what the answer used is priced."""
        request = exchange.request
        live = await self.upstream(request)
        body, adds = apis.outgoing(request)
        data = b"" if body is None else canonical.dumps(body) if adds else exchange.data
        sending = Sending(data=data, key=key, timeout_ms=live.rule.timeout_ms, adds_usage=adds)
        live.ration.called(self._clock.monotonic_ms())
        line = (exchange, call, sending)
        if live.rule.coalesce and deterministic(request):
            name = hashing.digest([request.api.name, request.body, dict(exchange.headers)])
            (whole, usage), shared = await live.coalescing.one(name, lambda: self._one(live, line))
            if shared:  # it cost nothing more
                answered = msgspec.structs.replace(whole.answered, shared=True)
                return Whole(answered, whole.data), Usage(cost_micros=0)
            return whole, usage
        return await self._one(live, line)

    async def _one(self, live: Live, line: Line) -> Outcome:
        exchange = line[0]
        texts = batch.texts_of(exchange.request.body) if exchange.request.api.batches else None
        if live.batching is None or texts is None:
            return await self._persist(live, line)
        company = batch.company(exchange.request.body, exchange.headers)
        found: Outcome = await live.batching.one(company, line, len(texts))
        return found

    async def _together(self, live: Live, lines: list[Line]) -> list[Outcome]:
        """Answer several requests for embeddings by one."""
        if len(lines) == 1:
            return [await self._persist(live, lines[0])]
        first, call, sending = lines[0]
        bodies = [line[0].request.body for line in lines]
        body = batch.joined(bodies)
        data = canonical.dumps(body)
        whole_request = first.request._replace(body=body)
        together = Exchange(first.n, whole_request, data, first.headers)
        together.session = first.session
        sent = msgspec.structs.replace(sending, data=data)
        whole, _ = await self._persist(live, (together, call, sent))
        answered = whole.answered
        if answered.status != 200:
            return [(whole, None) for _ in lines]
        found: list[Outcome] = []
        for part in batch.parted(answered.body, bodies):
            own = Whole(msgspec.structs.replace(answered, body=part), canonical.dumps(part))
            usage = apis.usage_of(apis.EMBEDDINGS, part)
            found.append((own, self._priced(answered.upstream, first.request.model, usage)))
        return found

    async def _persist(self, live: Live, line: Line) -> Outcome:
        """Send a request until it is answered, nothing is left to try, or the
        ration of retries is used up."""
        exchange = line[0]
        tried: list[str] = []
        while True:
            target = self._pick(live, exchange, tried)
            tried.append(target.name)
            try:
                whole, usage = await self._send(live, target, line)
            except (UnavailableError, DeadlineError) as error:
                wait = self._retry_ms(live, exchange, error, len(tried))
                if wait is not None:
                    await self._clock.sleep_ms(wait)
                    continue
                if isinstance(error, LaterError):
                    answered = msgspec.structs.replace(error.whole.answered, attempts=len(tried))
                    return Whole(answered, error.whole.data), None
                raise
            answered = msgspec.structs.replace(whole.answered, attempts=len(tried))
            usage = self._priced(answered.upstream, exchange.request.model, usage)
            return Whole(answered, whole.data), usage

    def _retry_ms(
        self, live: Live, exchange: Exchange, error: SquadError, attempts: int
    ) -> float | None:
        """Return how long to wait before it is sent again; None if it is not:
        what was begun is not, and what ran out of time is not."""
        spent = isinstance(error, DeadlineError) or exchange.begun or exchange.gone
        if spent or attempts >= live.rule.attempts:
            return None
        now = self._clock.monotonic_ms()
        others = len(live.able((), self._clock.now_ms())) > 1
        if not live.ration.allow(now):
            return None
        delay = next_delay_ms(BACKOFF, attempts, error, lambda: 0.5)
        return 0.0 if others and attempts < len(live.loads) else delay

    def _pick(self, live: Live, exchange: Exchange, tried: Sequence[str]) -> Load:
        able = live.able(tried, self._clock.now_ms())
        if not able:
            raise UpstreamUnavailableError(
                f"every target of upstream {live.rule.name!r} is ejected",
                hint="squad breakers list shows since when and why",
                retry_after_ms=1000,
            )
        if len(able) == 1:
            return able[0]
        return live.balancer.pick(able, hash_key(live.rule, exchange), self._clock.monotonic_ms())

    async def _send(self, live: Live, target: Load, line: Line) -> Outcome:
        exchange, call, sending = line
        endpoint = self._endpoint(target.name)
        if endpoint.protocol != exchange.request.api.vendor:
            raise UpstreamMissingError(
                f"{target.name} speaks the API of {endpoint.protocol}, the agent that of "
                f"{exchange.request.api.vendor}",
                hint="an Upstream names providers of one API",
            )
        began = self._clock.monotonic_ms()
        target.under_way += 1
        try:
            return await live.guards[target.name].watch(  # type: ignore[no-any-return]
                call, [], lambda: send(endpoint, exchange, sending)
            )
        finally:
            now = self._clock.monotonic_ms()
            target.under_way -= 1
            target.took(now - began, now)

    def _priced(self, upstream: str, model: str, usage: Usage | None) -> Usage | None:
        if usage is None or usage.cost_micros is not None:
            return usage
        return self._endpoint(upstream).priced(model, usage)

    def _endpoint(self, name: str) -> Endpoint:
        for one in self._by_name():
            if one.name == name:
                return one
        raise UpstreamMissingError(
            f"there is no model provider {name!r} that answers over the network",
            hint="squad models list shows the providers; the Upstream names one of them",
        )

    def _by_name(self) -> Sequence[Endpoint]:
        return self._endpoints.endpoints()


def hash_key(rule: UpstreamRule, exchange: Exchange) -> str:
    """Return what consistent hashing goes by: the session, or how the
    conversation begins."""
    if rule.hash_on == "session":
        return exchange.session
    body = exchange.request.body if isinstance(exchange.request.body, dict) else {}
    begin = {key: body[key] for key in ("model", "system", "instructions") if key in body}
    for field in ("messages", "input"):
        if isinstance(body.get(field), list):
            begin[field] = body[field][:2]
        elif field in body:
            begin[field] = body[field]
    return hashing.digest(begin)
