"""What Bedrock needs besides HTTP: an AWS identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from agentsquad.integrations.connectors.ai.contract import Secret


class AwsCredentials(msgspec.Struct, frozen=True):
    """Keys of an AWS identity; only the id may be shown."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None


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
