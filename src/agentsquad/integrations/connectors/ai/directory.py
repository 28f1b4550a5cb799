"""Directory: every model of an installation by name, made when first asked for.

Nothing is opened or read for a provider until somebody asks it, so that a
configured provider without its key, or a local model without its extra, is a
line in a list and not a failed start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from agentsquad.integrations.connectors.ai.contract import (
    Limits,
    ModelEntry,
    ModelMissingError,
    ProviderSettings,
)
from agentsquad.integrations.connectors.ai.guard import (
    RETRY,
    Gate,
    GuardedEmbedder,
    GuardedModel,
)
from agentsquad.integrations.connectors.ai.price import DatedPrices, NoPrices, OwnPrices
from agentsquad.integrations.connectors.ai.provider import Provider, read_provider
from agentsquad.kernel.registry import nearest
from agentsquad.workforce.agents.contract import Embedder, Model

LOCAL = Provider(name="local", protocol="local")
RULES = Provider(name="rules", protocol="rules")


class Builders(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider is turned into what answers for it; assembled by the
    plugin.

    `offered` names what runs on this machine, and `lacking` what is missing for
    it, if anything.
    """

    model: Callable[[Provider], Model]
    embedder: Callable[[Provider], Embedder]
    offered: Callable[[], tuple[str, ...]]
    embedders: Callable[[], tuple[str, ...]]
    lacking: Callable[[], str | None]


class ConfiguredModels:
    """Models of the installation: the configured providers, `rules` and
    `local`.
    """

    def __init__(self, settings: ProviderSettings, builders: Builders) -> None:
        self._settings = settings
        self._builders = builders
        self._models: dict[Provider, GuardedModel] = {}
        self._gates: dict[tuple[str, Limits], Gate] = {}

    def model(self, name: str) -> Model:
        """Return a model; ModelMissingError names the nearest one."""
        provider = self._resolve(name)
        guarded = self._models.get(provider)
        if guarded is None:
            guarded = GuardedModel(
                self._builders.model(provider),
                self._gate(provider),
                _prices(provider),
                RETRY,
                self._settings.clock,
                self._settings.entropy,
            )
            self._models[provider] = guarded
        return guarded

    def embedder(self, name: str | None = None) -> Embedder:
        """Return an embedder; they run on this machine only."""
        provider = self._providers()["local"]
        known = self._builders.embedders()
        bare = (name or known[0]).removeprefix("local/")
        if bare not in known:
            raise ModelMissingError(f"no embedder named {name!r}", hint=nearest(bare, known))
        embedder = self._builders.embedder(provider)
        return GuardedEmbedder(embedder, self._gate(provider), self._settings.clock)

    def entries(self) -> list[ModelEntry]:
        """Return everything that can be asked for, ready or not, by provider
        and name.
        """
        found: list[ModelEntry] = []
        embedders = self._builders.embedders()
        for provider in self._providers().values():
            prices = _prices(provider)
            free = provider.protocol in ("local", "rules")
            status = self._status(provider)
            for model in self._offered(provider):
                found.append(
                    ModelEntry(
                        name=f"{provider.name}/{model}",
                        provider=provider.name,
                        protocol=provider.protocol,
                        status=status,
                        network=provider.network,
                        embeds=model in embedders and provider.protocol == "local",
                        priced=free or prices.price(model) is not None,
                        requests_per_minute=_limit(provider.limits.requests),
                        tokens_per_minute=_limit(provider.limits.tokens),
                    )
                )
        return found

    def _providers(self) -> dict[str, Provider]:
        found = {"rules": RULES, "local": LOCAL}
        for name, spec in self._settings.providers():
            found[name] = read_provider(name, spec)
        return found

    def _offered(self, provider: Provider) -> tuple[str, ...]:
        if provider.protocol == "rules":
            return tuple(sorted(self._settings.rules))
        if provider.protocol == "local":
            return self._builders.offered() + self._builders.embedders()
        return provider.models

    def _status(self, provider: Provider) -> str:
        if provider.protocol == "local":
            return self._builders.lacking() or "ready"
        environment = self._settings.environment
        missing = [v for v in provider.authentication.variables if not environment.get(v)]
        return f"needs {', '.join(missing)}" if missing else "ready"

    def _resolve(self, name: str) -> Provider:
        providers = self._providers()
        head, slash, _ = name.partition("/")
        if slash and head in providers:
            return self._offering(providers[head], name)
        owners = [p for p in providers.values() if name in self._offered(p)]
        if len(owners) == 1:
            return owners[0]
        names = [entry.name for entry in self.entries()]
        if owners:
            raise ModelMissingError(
                f"{name!r} is offered by several providers",
                hint=f"write {' or '.join(f'{p.name}/{name}' for p in owners)}",
            )
        raise ModelMissingError(f"no model named {name!r}", hint=nearest(name, names))

    def _offering(self, provider: Provider, name: str) -> Provider:
        offered = self._offered(provider)
        if name.partition("/")[2] not in offered:
            raise ModelMissingError(
                f"provider {provider.name!r} does not list {name.partition('/')[2]!r}",
                hint=nearest(name, [f"{provider.name}/{model}" for model in offered])
                or "add it to 'models' of the provider",
            )
        return provider

    def _gate(self, provider: Provider) -> Gate:
        """Keep one gate a provider, so that its rate is one however often it is
        looked up.
        """
        key = (provider.name, provider.limits)
        if key not in self._gates:
            self._gates[key] = Gate(provider.limits, self._settings.clock)
        return self._gates[key]


def _prices(provider: Provider) -> DatedPrices | OwnPrices | NoPrices:
    if provider.price is not None:
        return OwnPrices(provider.price)
    return DatedPrices(provider.vendor) if provider.vendor else NoPrices()


def _limit(rate: Any) -> int | None:
    return None if rate is None else rate.limit
