"""Plugin: how an Anthropic provider becomes a Model."""

from __future__ import annotations

from collections.abc import Mapping

from agentsquad.integrations.connectors.ai.contract import Secret, Transport
from agentsquad.kernel.ports import Clock
from agentsquad.workforce.agents.contract import Model


def build(
    provider: str,
    endpoint: str,
    transport: Transport,
    clock: Clock,
    headers: Mapping[str, Secret],
) -> Model:
    """Return a Model for an endpoint such as https://api.anthropic.com/v1."""
    from agentsquad.integrations.connectors.ai.anthropic.adapters.client import AnthropicModel

    return AnthropicModel(provider, endpoint, transport, clock, headers)
