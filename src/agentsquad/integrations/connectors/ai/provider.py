"""Provider: the document's provider configuration, read into values.

Accepts the block as it is printed (endpoint, authentication, models,
rateLimits, costTracking, region) and works out which protocol it speaks.
Secrets are named by variable and never part of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import msgspec

from agentsquad.integrations.connectors.ai.contract import (
    Environment,
    Limits,
    ModelAuthenticationError,
    Price,
    ProviderError,
    Secret,
)
from agentsquad.integrations.connectors.ai.price import own_price

PROTOCOLS = ("openai", "anthropic", "bedrock", "local")
AWS_ROLE = "aws-iam-role"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HEADER = re.compile(r"^([A-Za-z][A-Za-z0-9-]*):\s*(.+)$")


class Authentication(msgspec.Struct, frozen=True, kw_only=True):
    """How a request is authenticated: not at all, by one header, or by an AWS
    role.

    `template` is the header's value with `${VARIABLE}` in place of the secret.
    """

    header: str | None = None
    template: str = ""
    aws: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the environment variables it needs."""
        if self.aws:
            return ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        return tuple(_VARIABLE.findall(self.template))

    def headers(self, environment: Environment) -> dict[str, Secret]:
        """Return the headers to send; ModelAuthenticationError names a missing
        variable.
        """
        if self.header is None:
            return {}

        def fill(match: re.Match[str]) -> str:
            value = environment.get(match.group(1))
            if not value:
                raise ModelAuthenticationError(
                    f"{match.group(1)} is not set",
                    hint=f"export {match.group(1)}=… and try again",
                    details={"variable": match.group(1)},
                )
            return value

        return {self.header: Secret(_VARIABLE.sub(fill, self.template))}


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One configured provider."""

    name: str
    protocol: str
    endpoint: str = ""
    region: str = ""
    authentication: Authentication = Authentication()
    models: tuple[str, ...] = ()
    limits: Limits = Limits()
    price: Price | None = None

    @property
    def network(self) -> bool:
        """Whether asking it leaves this machine."""
        return self.protocol not in ("local", "rules") and not loopback(self.endpoint)

    @property
    def vendor(self) -> str | None:
        """Whose price list holds; None for servers that merely speak the same
        protocol.
        """
        host = urlsplit(self.endpoint).hostname or ""
        if self.protocol == "bedrock":
            return "bedrock" if host.endswith(".amazonaws.com") else None
        return {"api.openai.com": "openai", "api.anthropic.com": "anthropic"}.get(host)


def loopback(endpoint: str) -> bool:
    """Say whether an address is this machine's own."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name, and names may lie: 127.example.org
        return False


def read_provider(name: str, spec: Mapping[str, Any]) -> Provider:
    """Read one ModelProvider spec; ProviderError says what is wrong and how it
    is written.
    """
    region = str(spec.get("region") or "")
    authentication = read_authentication(spec.get("authentication"))
    endpoint = str(spec.get("endpoint") or "")
    protocol = _protocol(name, spec, endpoint, authentication)
    if protocol == "bedrock" and not endpoint:
        if not region:
            raise ProviderError(f"provider {name!r} needs a region", hint="region: us-west-2")
        endpoint = f"https://bedrock-runtime.{region}.amazonaws.com"
    if protocol != "local":
        _check_endpoint(name, endpoint, authentication)
    costs = spec.get("costTracking")
    return Provider(
        name=name,
        protocol=protocol,
        endpoint=endpoint,
        region=region,
        authentication=authentication,
        models=tuple(str(model) for model in spec.get("models") or ()),
        limits=read_limits(spec.get("rateLimits") or {}),
        price=own_price(costs) if costs else None,
    )


def read_authentication(text: Any) -> Authentication:
    """Read "Bearer ${KEY}", "header-name: ${KEY}", "aws-iam-role" or
    nothing.
    """
    if text in (None, "", "none"):
        return Authentication()
    if text == AWS_ROLE:
        return Authentication(aws=True)
    if not isinstance(text, str) or not _VARIABLE.search(text):
        raise ProviderError(
            "authentication must name an environment variable, not contain the secret",
            hint='write "Bearer ${OPENAI_API_KEY}", "x-api-key: ${ANTHROPIC_API_KEY}" or '
            '"aws-iam-role"',
        )
    match = _HEADER.match(text)
    if match:
        return Authentication(header=match.group(1).lower(), template=match.group(2).strip())
    return Authentication(header="authorization", template=text.strip())


def read_limits(rates: Mapping[str, Any]) -> Limits:
    """Read `rateLimits`; what is not given is not limited."""
    found: dict[str, int | None] = {}
    for field, key in (("requests", "requestsPerMinute"), ("tokens", "tokensPerMinute")):
        value = rates.get(key)
        if value is not None and (type(value) is not int or value < 1):
            raise ProviderError(f"rateLimits.{key} must be a whole number of at least 1")
        found[field] = value
    return Limits(requests=found["requests"], tokens=found["tokens"])


def _protocol(
    name: str, spec: Mapping[str, Any], endpoint: str, authentication: Authentication
) -> str:
    named = spec.get("protocol")
    if named is not None:
        if named not in PROTOCOLS:
            raise ProviderError(
                f"protocol {named!r} is not known", hint=f"one of {', '.join(PROTOCOLS)}"
            )
        return str(named)
    host = urlsplit(endpoint).hostname or ""
    if authentication.aws or host.startswith("bedrock-runtime."):
        return "bedrock"
    if spec.get("region") and not endpoint:
        return "bedrock"
    if host == "api.anthropic.com" or authentication.header == "x-api-key":
        return "anthropic"
    if endpoint:
        return "openai"
    if name == "local":
        return "local"
    raise ProviderError(
        f"provider {name!r} says neither where it is nor what it is",
        hint="give an 'endpoint', a 'region', or 'protocol: local'",
    )


def _check_endpoint(name: str, endpoint: str, authentication: Authentication) -> None:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ProviderError(
            f"endpoint {endpoint!r} of provider {name!r} is not a web address",
            hint="e.g. https://api.openai.com/v1",
        )
    if parts.username or parts.password:
        raise ProviderError(
            f"the endpoint of provider {name!r} contains a password",
            hint="name it by variable under 'authentication'",
        )
    secret = authentication.aws or authentication.header is not None
    if parts.scheme == "http" and secret and not loopback(endpoint):
        raise ProviderError(
            f"provider {name!r} would send its secret unencrypted",
            hint="use https, or leave 'authentication' out",
        )
