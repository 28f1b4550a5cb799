"""Directory: every model of an installation by name, made when first asked for.

Nothing is opened or read for a provider until somebody asks it, so that a
configured provider without its key, or a local model without its extra, is a
line in a list and not a failed start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from agentsquad.integrations.connectors.ai.contract import (
    Limits,
    ModelEntry,
    ModelMissingError,
    ProviderSettings,
    Transport,
)
from agentsquad.integrations.connectors.ai.endpoint import (
    SPOKEN,
    ProviderEndpoint,
    from_environment,
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
from agentsquad.workforce.agents.contract import (
    Chunk,
    Embedder,
    Model,
    ModelReply,
    ModelRequest,
)

DEFAULT = "default"
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
    transport: Callable[[str], Transport]


class ConfiguredModels:
    """Models of the installation: the configured providers, `rules` and
    `local`.
    """

    def __init__(self, settings: ProviderSettings, builders: Builders) -> None:
        self._settings = settings
        self._builders = builders
        self._models: dict[Provider, GuardedModel] = {}
        self._gates: dict[tuple[str, Limits], Gate] = {}
        self._read: dict[str, tuple[Mapping[str, Any], Provider]] = {}
        self._endpoints: dict[Provider, ProviderEndpoint] = {}
        self._spoken: tuple[list[Provider], list[ProviderEndpoint]] | None = None

    def model(self, name: str) -> Model:
        """Return a model; ModelMissingError names the nearest one."""
        provider, model = self._resolve(name)
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
        return NamedModel(guarded, model)

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
                        requests_per_minute=provider.limits.requests,
                        tokens_per_minute=provider.limits.tokens,
                    )
                )
        return found

    def endpoints(self) -> list[ProviderEndpoint]:
        """Return the providers whose bytes can be passed on, by name; those of
        the environment where none is configured."""
        configured = [one for one in self._providers().values() if one.protocol in SPOKEN]
        if self._spoken is not None and self._spoken[0] == configured:
            return self._spoken[1]
        environment = self._settings.environment
        every = [*configured, *from_environment(environment, configured)]
        for one in every:
            if one not in self._endpoints:
                self._endpoints[one] = ProviderEndpoint(
                    one,
                    partial(self._builders.transport, one.endpoint),
                    partial(one.authentication.headers, environment),
                    _prices(one),
                    self._gate(one),
                    self._settings.clock,
                )
        found = [self._endpoints[one] for one in sorted(every, key=lambda one: one.name)]
        self._spoken = (configured, found)
        return found

    def _providers(self) -> dict[str, Provider]:
        found = {"rules": RULES, "local": LOCAL}
        for name, spec in self._settings.providers():
            known = self._read.get(name)
            if known is None or known[0] != spec:
                known = self._read[name] = (dict(spec), read_provider(name, spec))
            found[name] = known[1]
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

    def _resolve(self, name: str) -> tuple[Provider, str]:
        """Return the provider that a name means, and what the model is called
        there.
        """
        if name == DEFAULT:
            name = self._default()
        providers = self._providers()
        head, slash, rest = name.partition("/")
        if slash and head in providers:
            return providers[head], self._checked(providers[head], rest)
        owners = [p for p in providers.values() if name in self._offered(p)]
        if len(owners) == 1:
            return owners[0], self._checked(owners[0], name)
        if owners:
            raise ModelMissingError(
                f"{name!r} is offered by several providers",
                hint=f"write {' or '.join(f'{p.name}/{name}' for p in owners)}",
            )
        names = [entry.name for entry in self.entries()]
        raise ModelMissingError(f"no model named {name!r}", hint=nearest(name, names))

    def _default(self) -> str:
        """Return what SQUAD_MODEL names, else the first that is configured and
        ready.
        """
        named = self._settings.environment.get("SQUAD_MODEL")
        if named and named != DEFAULT:
            return named
        ready = [
            entry
            for entry in self.entries()
            if entry.status == "ready" and entry.protocol != "rules" and not entry.embeds
        ]
        ready.sort(key=lambda entry: entry.protocol == "local")
        if not ready:
            raise ModelMissingError(
                "no model is ready to be the default one",
                hint="apply a ModelProvider, set SQUAD_MODEL, or install 'agentsquad[local]'",
            )
        return ready[0].name

    def _checked(self, provider: Provider, model: str) -> str:
        """Return the model's name if the provider offers it for answering."""
        offered = self._offered(provider)
        if model not in offered:
            raise ModelMissingError(
                f"provider {provider.name!r} does not list {model!r}",
                hint=nearest(model, offered) or "add it to 'models' of the provider",
            )
        if provider.protocol == "local" and model in self._builders.embedders():
            raise ModelMissingError(
                f"{model!r} embeds and does not answer", hint=nearest("", self._builders.offered())
            )
        return model

    def _gate(self, provider: Provider) -> Gate:
        """Keep one gate a provider, so that its rate is one however often it is
        looked up.
        """
        key = (provider.name, provider.limits)
        if key not in self._gates:
            self._gates[key] = Gate(provider.limits, self._settings.clock)
        return self._gates[key]


class NamedModel:
    """A Model that asks its provider for one model, whatever name the request
    has for it.
    """

    def __init__(self, guarded: GuardedModel, model: str) -> None:
        self.provider = guarded.provider
        self._guarded = guarded
        self._model = model

    def ceiling(self, request: ModelRequest) -> tuple[str, int | None]:
        """Return (currency, micro-units) a call can cost at most; None if
        unknown.
        """
        return self._guarded.ceiling(msgspec.structs.replace(request, model=self._model))

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        """Answer once."""
        named = msgspec.structs.replace(request, model=self._model)
        return await self._guarded.complete(named, deadline_ms=deadline_ms)

    def stream(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> AsyncIterator[Chunk]:
        """Answer in pieces."""
        named = msgspec.structs.replace(request, model=self._model)
        return self._guarded.stream(named, deadline_ms=deadline_ms)


def _prices(provider: Provider) -> DatedPrices | OwnPrices | NoPrices:
    if provider.price is not None:
        return OwnPrices(provider.price)
    return DatedPrices(provider.vendor) if provider.vendor else NoPrices()
