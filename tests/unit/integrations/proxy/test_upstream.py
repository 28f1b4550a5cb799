"""Upstreams: read from manifests, chosen by the most specific name, and refused
with what is wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from agentsquad.integrations.proxy import api
from agentsquad.integrations.proxy.actions import program_of, read_address
from agentsquad.integrations.proxy.contract import UpstreamMissingError
from agentsquad.integrations.proxy.upstream import EMAIL, KIND, choose, rule_of
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.schema import problems

SPEC: dict[str, Any] = {
    "models": ["gpt-*"],
    "targets": [{"provider": "east", "weight": 3}, {"provider": "west"}],
    "balance": "hash",
    "hashOn": "prompt",
    "timeout": "2m",
    "eject": {"errorRate": 0.2, "openFor": "1m", "window": "10s"},
    "retries": {"attempts": 2, "share": 0.1},
    "coalesce": "deterministic",
    "batch": {"wait": "7ms"},
    "personal": ["email", "K-[0-9]{6}"],
}


def endpoint(name: str, protocol: str = "openai", *models: str) -> Any:
    return SimpleNamespace(name=name, protocol=protocol, models=models)


def test_a_manifest_is_read_into_values() -> None:
    assert problems(KIND.schema, SPEC) == []
    assert KIND.check is not None and KIND.check(SPEC) == []
    rule = rule_of("pool", SPEC)
    assert [(one.provider, one.weight) for one in rule.targets] == [("east", 3), ("west", 1)]
    assert (rule.balance, rule.hash_on, rule.timeout_ms) == ("hash", "prompt", 120_000)
    assert rule.eject is not None
    assert (rule.eject.error_rate, rule.eject.open_ms, rule.eject.window_ms) == (
        0.2,
        60_000,
        10_000,
    )
    assert (rule.attempts, rule.retries.share, rule.coalesce) == (2, 0.1, True)
    assert (rule.batch_ms, rule.batch_size) == (7, 64)
    assert rule.personal == (EMAIL, "K-[0-9]{6}")


def test_without_more_nothing_is_retried_ejected_or_shared() -> None:
    rule = rule_of("pool", {"models": ["m"], "targets": [{"provider": "p"}]})
    assert (rule.attempts, rule.eject, rule.coalesce, rule.batch_size) == (1, None, False, 0)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"timeout": "soon"}, "/timeout"),
        ({"personal": ["("]}, "/personal/0"),
        ({"targets": [{"provider": "a"}, {"provider": "a"}]}, "/targets/1/provider"),
        ({"eject": {"openFor": "long"}}, "/eject/openFor"),
    ],
)
def test_what_a_schema_cannot_say_is_refused_with_its_place(change: Any, where: str) -> None:
    assert KIND.check is not None
    assert [one[0] for one in KIND.check({**SPEC, **change})] == [where]


@pytest.mark.parametrize("change", [{"balance": "random"}, {"targets": []}, {"bound": 0.5}])
def test_what_is_no_upstream_does_not_fit_its_schema(change: Any) -> None:
    assert problems(KIND.schema, {**SPEC, **change})


def test_the_most_specific_upstream_answers() -> None:
    wide = rule_of("wide", {**SPEC, "models": ["*"]})
    some = rule_of("some", {**SPEC, "models": ["gpt-4*"]})
    one = rule_of("one", {**SPEC, "models": ["gpt-4o"]})
    rules = [wide, some, one]
    assert choose(rules, [], api.CHAT, "gpt-4o").name == "one"
    assert choose(rules, [], api.CHAT, "gpt-4.1").name == "some"
    assert choose(rules, [], api.CHAT, "o3").name == "wide"


def test_without_an_upstream_the_provider_that_lists_the_model_answers() -> None:
    there = [
        endpoint("a", "openai", "m1"),
        endpoint("b", "openai", "m2"),
        endpoint("c", "anthropic"),
    ]
    assert choose([], there, api.CHAT, "m2").targets[0].provider == "b"
    assert choose([], there, api.MESSAGES, "claude-x").targets[0].provider == "c"
    with pytest.raises(UpstreamMissingError) as unknown:
        choose([], there, api.CHAT, "m3")
    assert "OPENAI_API_KEY" in (unknown.value.hint or "")
    both = [endpoint("a", "openai", "m1"), endpoint("b", "openai", "m1")]
    with pytest.raises(UpstreamMissingError, match="a, b"):
        choose([], both, api.CHAT, "m1")


@pytest.mark.parametrize(
    "text", ["0.0.0.0:80", "example.org:80", "127.0.0.1", ":x", "[::]:1", "localhost:99999"]
)
def test_the_proxy_listens_on_this_machine_only(text: str) -> None:
    with pytest.raises(InvalidError):
        read_address(text)


def test_addresses_of_this_machine_are_read() -> None:
    assert read_address("127.0.0.1:0") == ("127.0.0.1", 0)
    assert read_address("[::1]:8425") == ("::1", 8425)
    assert read_address("localhost:1") == ("localhost", 1)


def test_of_a_command_only_program_and_script_are_recorded() -> None:
    secret = ["/usr/bin/python", "work/agent.py", "--key", "sk-secret"]
    assert program_of(secret) == "python agent.py"
    assert program_of(["agent", "--token=abc"]) == "agent"
    assert program_of(["env", "KEY=abc", "agent"]) == "env"
    assert program_of([]) == ""
