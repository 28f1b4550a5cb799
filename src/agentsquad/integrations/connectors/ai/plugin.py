"""Plugin: the models of an installation, from its settings, and the actions
about them.
"""

from __future__ import annotations

from functools import cache
from urllib.parse import urlsplit

from agentsquad.integrations.connectors.ai import actions
from agentsquad.integrations.connectors.ai.contract import (
    Environment,
    ModelMissingError,
    ProviderSettings,
    Transport,
)
from agentsquad.integrations.connectors.ai.directory import Builders, ConfiguredModels
from agentsquad.integrations.connectors.ai.provider import Provider, loopback
from agentsquad.kernel.registry import Plugin
from agentsquad.workforce.agents.contract import Embedder, Model


class _Workshop:
    """Builds models; connections and local engines are shared by all that use
    them.
    """

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self._transports: dict[bool, Transport] = {}
        self._wire: Transport | None = None
        self._local: Model | None = None
        self._embedder: Embedder | None = None

    def model(self, provider: Provider) -> Model:
        """Return the model that answers for a provider, without limits around
        it.
        """
        if provider.protocol == "rules":
            from agentsquad.integrations.connectors.ai.rules import plugin as rules

            return rules.build(self._settings.rules, provider.name)
        if provider.protocol == "local":
            return self._local_model()
        return self._remote(provider)

    def _local_model(self) -> Model:
        if self._local is None:
            from agentsquad.integrations.connectors.ai.local import plugin as local

            self._local = local.build(self._settings.environment)
        return self._local

    def _remote(self, provider: Provider) -> Model:
        from agentsquad.integrations.connectors.ai.anthropic import plugin as anthropic
        from agentsquad.integrations.connectors.ai.bedrock import plugin as bedrock
        from agentsquad.integrations.connectors.ai.openai import plugin as openai

        environment, clock = self._settings.environment, self._settings.clock
        transport = self.transport(provider.endpoint)
        headers = provider.authentication.headers(environment)
        if provider.protocol == "openai":
            return openai.build(provider.name, provider.endpoint, transport, clock, headers)
        if provider.protocol == "anthropic":
            return anthropic.build(provider.name, provider.endpoint, transport, clock, headers)
        if provider.protocol == "bedrock":
            signer = (
                bedrock.send_key(headers)
                if headers
                else bedrock.sign_with_role(environment, provider.region, clock)
            )
            return bedrock.build(provider.name, provider.endpoint, transport, clock, signer)
        raise ModelMissingError(f"no model speaks the protocol {provider.protocol!r}")

    def embedder(self, provider: Provider) -> Embedder:
        """Return the embedder of this machine."""
        if self._embedder is None:
            from agentsquad.integrations.connectors.ai.local import plugin as local

            self._embedder = local.build_embedder(self._settings.environment)
        return self._embedder

    def direct(self, endpoint: str) -> Transport:
        """Return the connections that many requests at once are passed on
        over."""
        from agentsquad.integrations.connectors.ai.adapters.wire import WireTransport

        environment = self._settings.environment
        if proxy_for(endpoint, environment) is not None:
            return self.transport(endpoint)
        if self._wire is None:
            self._wire = WireTransport(ca_file=environment.get("SSL_CERT_FILE"))
        return self._wire

    def transport(self, endpoint: str) -> Transport:
        """Return the connections that an endpoint is asked over."""
        from agentsquad.integrations.connectors.ai.adapters.http import HttpxTransport

        environment = self._settings.environment
        proxy = proxy_for(endpoint, environment)
        if (proxy is not None) not in self._transports:
            self._transports[proxy is not None] = HttpxTransport(
                proxy=proxy, ca_file=environment.get("SSL_CERT_FILE")
            )
        return self._transports[proxy is not None]


def proxy_for(endpoint: str, environment: Environment) -> str | None:
    """Return the proxy to use: HTTPS_PROXY or https_proxy, unless NO_PROXY
    names the host.
    """
    if loopback(endpoint) or urlsplit(endpoint).scheme != "https":
        return None
    proxy = environment.get("HTTPS_PROXY") or environment.get("https_proxy")
    host = urlsplit(endpoint).hostname or ""
    names = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    for name in (part.strip().lstrip(".") for part in names.split(",")):
        if name == "*" or (name and (host == name or host.endswith("." + name))):
            return None
    return proxy or None


def build_models(settings: ProviderSettings) -> ConfiguredModels:
    """Return the models of an installation; nothing is opened yet."""
    from agentsquad.integrations.connectors.ai.local import plugin as local

    workshop = _Workshop(settings)
    environment = settings.environment
    builders = Builders(
        model=workshop.model,
        embedder=workshop.embedder,
        offered=lambda: local.offered(environment),
        embedders=local.embedders,
        lacking=cache(lambda: local.lacking(environment)),
        transport=workshop.direct,
    )
    return ConfiguredModels(settings, builders)


plugin = Plugin(
    name="models",
    actions=(actions.list_models, actions.test_models, actions.ask_model),
)
