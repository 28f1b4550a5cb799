"""Endpoint: a model provider as a place that bytes are sent to, for the proxy
(`integrations/proxy`), which speaks the provider's own API.

What a provider's configuration promises holds here too: its key is added and
never seen outside, its rates are kept, and its prices are known.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from agentsquad.integrations.connectors.ai.contract import (
    MAX_TOKENS,
    Environment,
    HttpRequest,
    PriceTable,
    Secret,
    Transport,
)
from agentsquad.integrations.connectors.ai.guard import DEADLINE_MS, Gate
from agentsquad.integrations.connectors.ai.price import priced
from agentsquad.integrations.connectors.ai.provider import Provider, read_provider
from agentsquad.integrations.proxy.contract import Quote, Reply
from agentsquad.kernel.ports import Clock
from agentsquad.workforce.agents.contract import Usage

SPOKEN = ("openai", "anthropic")  # protocols whose bytes can be passed on
VERSION = "2023-06-01"  # of the Anthropic API, where a request names none


class ProviderEndpoint:
    """One provider that answers over HTTP."""

    def __init__(
        self,
        provider: Provider,
        transport: Callable[[], Transport],
        secrets: Callable[[], Mapping[str, Secret]],
        prices: PriceTable,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self.name = provider.name
        self.protocol = provider.protocol
        self.models: Sequence[str] = provider.models
        self._url = provider.endpoint.rstrip("/")
        self._transport = transport
        self._secrets = secrets
        self._prices = prices
        self._gate = gate
        self._clock = clock

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_ms: float | None,
    ) -> AsyncIterator[Reply]:
        """Send as the provider wants it and return when the head is here."""
        sent = {"accept-encoding": "identity", "content-type": "application/json", **headers}
        if self.protocol == "anthropic":
            sent.setdefault("anthropic-version", VERSION)
        sent |= {name: secret.reveal() for name, secret in self._secrets().items()}
        limit = DEADLINE_MS if timeout_ms is None else timeout_ms
        await self._gate.admit(len(body) // 4, self._clock.monotonic_ms() + limit)
        request = HttpRequest(method=method, url=self._url + path, headers=sent, body=body)
        async with self._transport().stream(request, timeout_ms=timeout_ms) as reply:
            yield reply

    def ceiling(self, model: str, size: int, max_tokens: int | None) -> Quote:
        """Return the most a request can cost: a token is at least one byte."""
        price = self._prices.price(model)
        if price is None:
            return Quote("USD", None)
        held = price.at(size)
        micros = size * held.input + (max_tokens or MAX_TOKENS) * held.output
        return Quote(held.currency, -(-micros // 1_000_000))

    def priced(self, model: str, usage: Usage) -> Usage:
        """Return usage with its cost."""
        return priced(usage, self._prices.price(model))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._transport().close()


def from_environment(environment: Environment, configured: Sequence[Provider]) -> list[Provider]:
    """Return the providers whose keys, or addresses, the environment holds,
    unless one of the same protocol is configured."""
    found = []
    taken = {one.protocol for one in configured}
    for name, base, header in (
        ("openai", "https://api.openai.com/v1", "Bearer ${OPENAI_API_KEY}"),
        ("anthropic", "https://api.anthropic.com", "x-api-key: ${ANTHROPIC_API_KEY}"),
    ):
        prefix = name.upper()
        address = environment.get(f"{prefix}_BASE_URL") or ""
        if name == "openai":
            address = address or environment.get("OPENAI_API_BASE") or ""
        key = environment.get(f"{prefix}_API_KEY")
        if name in taken or not (key or address):
            continue
        where = (address or base).rstrip("/")
        spec: dict[str, Any] = {"protocol": name, "endpoint": where}
        if name == "anthropic" and not where.endswith("/v1"):
            spec["endpoint"] = f"{where}/v1"
        if key:
            spec["authentication"] = header
        found.append(read_provider(name, spec))
    return found
