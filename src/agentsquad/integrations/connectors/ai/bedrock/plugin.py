"""Plugin: how an Amazon Bedrock region becomes a Model."""

from __future__ import annotations

from collections.abc import Mapping

from agentsquad.integrations.connectors.ai.bedrock.contract import AwsCredentials, Signer
from agentsquad.integrations.connectors.ai.contract import (
    Environment,
    ModelAuthenticationError,
    Secret,
    Transport,
)
from agentsquad.kernel.ports import Clock
from agentsquad.workforce.agents.contract import Model


class EnvironmentCredentials:
    """AWS keys from the variables that AWS's own tools read."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def credentials(self) -> AwsCredentials:
        """Return the keys; ModelAuthenticationError names the variable that is
        missing.
        """
        key = self._environment.get("AWS_ACCESS_KEY_ID")
        secret = self._environment.get("AWS_SECRET_ACCESS_KEY")
        for name, value in (("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)):
            if not value:
                raise ModelAuthenticationError(
                    f"{name} is not set",
                    hint="export the keys of an AWS role that may call bedrock:InvokeModel",
                    details={"variable": name},
                )
        token = self._environment.get("AWS_SESSION_TOKEN")
        return AwsCredentials(key or "", Secret(secret or ""), Secret(token) if token else None)


def endpoint_of(region: str) -> str:
    """Return where a region's models answer."""
    return f"https://bedrock-runtime.{region}.amazonaws.com"


def sign_with_role(environment: Environment, region: str, clock: Clock) -> Signer:
    """Return a signer with AWS keys from the environment."""
    from agentsquad.integrations.connectors.ai.bedrock.adapters.client import SigV4Signer

    return SigV4Signer(EnvironmentCredentials(environment), region, clock)


def send_key(headers: Mapping[str, Secret]) -> Signer:
    """Return a signer that sends a Bedrock API key."""
    from agentsquad.integrations.connectors.ai.bedrock.adapters.client import HeaderSigner

    return HeaderSigner(headers)


def build(
    provider: str, endpoint: str, transport: Transport, clock: Clock, signer: Signer
) -> Model:
    """Return a Model for an endpoint such as `endpoint_of("us-west-2")`."""
    from agentsquad.integrations.connectors.ai.bedrock.adapters.client import BedrockModel

    return BedrockModel(provider, endpoint, transport, clock, signer)
