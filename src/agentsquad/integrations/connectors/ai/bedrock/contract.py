"""What Bedrock needs besides HTTP: an AWS identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from agentsquad.integrations.connectors.ai.bedrock.sigv4 import AwsCredentials
from agentsquad.integrations.connectors.ai.contract import Secret


class CredentialSource(Protocol):
    """Where AWS keys come from; asked before every call, since they expire."""

    def credentials(self) -> AwsCredentials:
        """Return keys that are valid now; ModelAuthenticationError says what is
        missing.
        """
        ...


class Signer(Protocol):
    """Makes a request one that Bedrock accepts."""

    def headers(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return all headers to send."""
        ...

    def secrets(self) -> tuple[Secret, ...]:
        """Return what must never be printed."""
        ...
