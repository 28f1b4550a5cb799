"""The document's provider configuration, read exactly as printed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from agentsquad.integrations.connectors.ai.contract import (
    ModelAuthenticationError,
    ProviderError,
)
from agentsquad.integrations.connectors.ai.plugin import proxy_for
from agentsquad.integrations.connectors.ai.provider import loopback, read_provider

OPENAI = """
endpoint: "https://api.openai.com/v1"
authentication: "Bearer ${OPENAI_API_KEY}"
models: ["gpt-4", "gpt-3.5-turbo", "davinci-003"]
rateLimits:
  requestsPerMinute: 3500
  tokensPerMinute: 90000
costTracking:
  inputTokenCost: 0.03  # per 1K tokens
  outputTokenCost: 0.06  # per 1K tokens
"""
ANTHROPIC = """
endpoint: "https://api.anthropic.com/v1"
authentication: "x-api-key: ${ANTHROPIC_API_KEY}"
models: ["claude-3-opus", "claude-3-sonnet", "claude-3-haiku"]
rateLimits:
  requestsPerMinute: 1000
  tokensPerMinute: 40000
"""
BEDROCK = """
region: "us-west-2"
authentication: "aws-iam-role"
models:
  - "amazon.titan-text-express-v1"
  - "anthropic.claude-v2"
  - "ai21.j2-ultra-v1"
costOptimization:
  provisioned_throughput: true
  model_customization: true
"""


def test_openai_as_printed() -> None:
    provider = read_provider("openai", yaml.safe_load(OPENAI))
    assert (provider.protocol, provider.vendor, provider.network) == ("openai", "openai", True)
    assert provider.limits.requests == 3500
    assert provider.limits.tokens == 90000
    assert provider.price is not None
    assert (provider.price.input, provider.price.output) == (30_000_000, 60_000_000)
    headers = provider.authentication.headers({"OPENAI_API_KEY": "k1"})
    assert headers["authorization"].reveal() == "Bearer k1"


def test_anthropic_as_printed() -> None:
    provider = read_provider("claude", yaml.safe_load(ANTHROPIC))
    assert (provider.protocol, provider.vendor, provider.price) == ("anthropic", "anthropic", None)
    headers = provider.authentication.headers({"ANTHROPIC_API_KEY": "k2"})
    assert headers["x-api-key"].reveal() == "k2"


def test_bedrock_as_printed() -> None:
    provider = read_provider("bedrock", yaml.safe_load(BEDROCK))
    assert (provider.protocol, provider.vendor) == ("bedrock", "bedrock")
    assert provider.endpoint == "https://bedrock-runtime.us-west-2.amazonaws.com"
    assert provider.authentication.variables == ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def test_a_missing_key_is_named() -> None:
    provider = read_provider("openai", yaml.safe_load(OPENAI))
    with pytest.raises(ModelAuthenticationError, match="OPENAI_API_KEY") as caught:
        provider.authentication.headers({})
    assert caught.value.hint is not None


def test_another_server_of_the_same_protocol_has_no_vendor_prices() -> None:
    provider = read_provider("vllm", {"endpoint": "http://localhost:8000/v1", "models": ["gpt-4"]})
    assert (provider.protocol, provider.vendor, provider.network) == ("openai", None, False)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"endpoint": "https://x/v1", "authentication": "Bearer sk-123"}, "variable"),
        ({"endpoint": "http://far.example/v1", "authentication": "Bearer ${K}"}, "unencrypted"),
        ({"endpoint": "https://me:pw@far.example/v1"}, "password"),
        ({"endpoint": "ftp://far.example"}, "web address"),
        ({"authentication": "aws-iam-role"}, "region"),
        ({"models": ["m"]}, "neither where"),
        ({"protocol": "telepathy"}, "not known"),
        ({"endpoint": "https://x", "costTracking": {"inputTokenCost": 1}}, "outputTokenCost"),
        ({"endpoint": "https://x", "rateLimits": {"requestsPerMinute": 0}}, "at least 1"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(ProviderError, match=said):
        read_provider("x", spec)


def test_the_protocol_can_be_said_instead_of_guessed() -> None:
    spec = {"protocol": "anthropic", "endpoint": "http://127.0.0.1:1/v1"}
    assert read_provider("x", spec).protocol == "anthropic"
    assert read_provider("local", {"rateLimits": {"requestsPerMinute": 5}}).protocol == "local"


def test_loopback_is_this_machine() -> None:
    assert (
        loopback("http://127.0.0.1:80/x")
        and loopback("http://[::1]/")
        and loopback("http://localhost")
    )
    assert not loopback("https://127.example.org") and not loopback("https://localhost.example")


@pytest.mark.parametrize(
    ("endpoint", "exempt", "expected"),
    [
        ("https://api.openai.com/v1", "", "http://proxy:3128"),
        ("https://api.openai.com/v1", "openai.com", None),
        ("https://api.openai.com/v1", "example.org, .openai.com", None),
        ("https://api.openai.com/v1", "*", None),
        ("https://notopenai.com/v1", "openai.com", "http://proxy:3128"),
        ("http://127.0.0.1/v1", "", None),
    ],
)
def test_a_proxy_is_used_unless_the_host_is_exempt(
    endpoint: str, exempt: str, expected: str | None
) -> None:
    environment = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": exempt}
    assert proxy_for(endpoint, environment) == expected
