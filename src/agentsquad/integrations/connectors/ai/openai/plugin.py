"""Plugin: how an OpenAI-compatible provider becomes a Model."""

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
    """Return a Model for an endpoint such as https://api.openai.com/v1."""
    from agentsquad.integrations.connectors.ai.openai.adapters.client import OpenAiModel

    return OpenAiModel(provider, endpoint, transport, clock, headers)
