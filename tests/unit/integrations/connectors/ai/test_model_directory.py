"""All models of an installation by name, and the actions about them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from agentsquad.integrations.connectors.ai import actions
from agentsquad.integrations.connectors.ai.actions import (
    ModelsAskInput,
    ModelsListInput,
    ModelsTestInput,
)
from agentsquad.integrations.connectors.ai.contract import (
    ModelAuthenticationError,
    ModelExtraError,
    ModelMissingError,
    Models,
    ProviderError,
    RateWaitError,
)
from agentsquad.integrations.connectors.ai.plugin import build_models, plugin
from agentsquad.kernel.ports import Clock
from agentsquad.kernel.registry import Registry
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.workforce.agents.contract import Message, ModelReply, ModelRequest

OPENAI: dict[str, Any] = {
    "endpoint": "https://api.openai.com/v1",
    "authentication": "Bearer ${OPENAI_API_KEY}",
    "models": ["gpt-4", "davinci-003"],
    "rateLimits": {"requestsPerMinute": 3500, "tokensPerMinute": 90000},
}
HERE: dict[str, Any] = {"endpoint": "http://127.0.0.1:9/v1", "models": ["gpt-4", "tiny"]}


@dataclass
class Settings:
    """What assembly would give."""

    specs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    clock: ManualClock = field(default_factory=ManualClock)
    entropy: SeededEntropy = field(default_factory=SeededEntropy)
    rules: Mapping[str, Any] = field(default_factory=lambda: {"echo": echo, "fixed": fixed})

    def providers(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        return self.specs.items()


def echo(request: ModelRequest) -> str:
    return request.messages[-1].content


def fixed(request: ModelRequest) -> dict[str, Any]:
    return {"ok": True}


def ask(text: str = "hi", model: str = "rules/echo") -> ModelRequest:
    return ModelRequest(model=model, messages=(Message(role="user", content=text),))


class Door:
    """The part of Context that these actions use."""

    def __init__(self, models: Models, clock: ManualClock) -> None:
        self._ports: dict[Any, Any] = {Models: models, Clock: clock}
        self.metered: list[dict[str, Any]] = []

    def port(self, role: Any) -> Any:
        return self._ports[role]

    def meter(self, **usage: Any) -> None:
        self.metered.append(usage)

    def progress(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        assert done is not None and total is not None and done < total


async def test_a_rule_answers_under_its_full_name_and_its_own() -> None:
    models = build_models(Settings())
    for name in ("rules/echo", "echo"):
        assert (await models.model(name).complete(ask("hello", name))).text == "hello"
    chunks = [chunk async for chunk in models.model("fixed").stream(ask())]
    assert chunks[-1].reply is not None and chunks[-1].reply.text == '{"ok":true}'


def test_every_model_is_listed_with_what_it_lacks() -> None:
    models = build_models(Settings(specs={"openai": OPENAI, "box": HERE}))
    entries = {entry.name: entry for entry in models.entries()}
    assert entries["openai/gpt-4"].status == "needs OPENAI_API_KEY"
    assert entries["openai/gpt-4"].priced and not entries["openai/davinci-003"].priced
    assert entries["openai/gpt-4"].tokens_per_minute == 90000
    assert entries["box/tiny"].status == "ready" and not entries["box/tiny"].network
    assert entries["rules/echo"].priced and not entries["rules/echo"].network
    assert not entries["local/smollm2-135m"].network
    assert "local/smollm2-135m" in entries and entries["local/minilm-l6-v2"].embeds


def test_a_name_that_two_providers_offer_must_be_written_in_full() -> None:
    models = build_models(Settings(specs={"openai": OPENAI, "box": HERE}))
    with pytest.raises(ModelMissingError, match="several") as caught:
        models.model("gpt-4")
    assert caught.value.hint == "write openai/gpt-4 or box/gpt-4"
    assert models.model("box/gpt-4").provider == "box"
    assert models.model("tiny").provider == "box"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("rules/ecko", "did you mean 'echo'?"),
        ("openai/gpt4", "did you mean 'gpt-4'?"),
        ("local/minilm-l6-v2", "known: smollm2-135m"),
        ("tini", None),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(name: str, hint: str | None) -> None:
    models = build_models(Settings(specs={"openai": OPENAI, "box": HERE}))
    with pytest.raises(ModelMissingError) as caught:
        models.model(name)
    assert hint is None or caught.value.hint == hint


def test_a_missing_key_is_named_only_when_the_model_is_wanted() -> None:
    models = build_models(Settings(specs={"openai": OPENAI}))
    with pytest.raises(ModelAuthenticationError, match="OPENAI_API_KEY"):
        models.model("openai/gpt-4")
    settings = Settings(specs={"openai": OPENAI}, environment={"OPENAI_API_KEY": "sk-hush"})
    model = build_models(settings).model("openai/gpt-4")
    assert "hush" not in repr(vars(model))


def test_the_default_model_is_the_one_named_else_the_first_that_is_ready() -> None:
    both = {"openai": OPENAI, "box": HERE}
    named = Settings(specs=both, environment={"SQUAD_MODEL": "rules/fixed"})
    assert build_models(named).model("default").provider == "rules"
    assert build_models(Settings(specs=both)).model("default").provider == "box"


def test_an_applied_change_holds_for_the_next_look_up() -> None:
    settings = Settings(specs={"box": HERE})
    models = build_models(settings)
    assert models.model("box/tiny")
    settings.specs["box"] = {**HERE, "models": ["huge"]}
    with pytest.raises(ModelMissingError):
        models.model("box/tiny")
    assert models.model("box/huge")


async def test_one_rate_holds_for_a_provider_however_often_it_is_looked_up() -> None:
    rules = {"protocol": "local", "rateLimits": {"requestsPerMinute": 1}}
    settings = Settings(specs={"local": rules})
    first, second = (build_models(settings) for _ in range(2))
    gate = first._gate(first._providers()["local"])
    assert gate is first._gate(first._providers()["local"])
    assert gate is not second._gate(second._providers()["local"])
    await gate.admit(1, float("inf"))
    with pytest.raises(RateWaitError):
        await gate.admit(1, settings.clock.monotonic_ms() + 10)


def test_what_a_call_can_cost_is_known_before_it_is_made() -> None:
    dear = {**HERE, "costTracking": {"inputTokenCost": 0.03, "outputTokenCost": 0.06}}
    models: Any = build_models(Settings(specs={"dear": dear, "box": HERE}))
    currency, micros = models.model("dear/tiny").ceiling(ask("hello", "dear/tiny"))
    assert currency == "USD"
    assert 4096 * 60 <= micros < 4096 * 60 + 200 * 30
    assert models.model("box/tiny").ceiling(ask("hello", "box/tiny")) == ("USD", None)


def test_a_provider_that_is_not_usable_says_so() -> None:
    with pytest.raises(ProviderError):
        build_models(Settings(specs={"x": {"models": ["m"]}})).entries()


def test_without_the_extra_local_models_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = importlib.util.find_spec

    def hidden(name: str, package: str | None = None) -> Any:
        return None if name in ("xllamacpp", "numpy") else real(name, package)

    monkeypatch.setattr("agentsquad.integrations.connectors.ai.local.plugin.find_spec", hidden)
    models = build_models(Settings())
    entry = next(e for e in models.entries() if e.provider == "local")
    assert entry.status == "install 'agentsquad[local]'"
    for wanted in (lambda: models.model("local/smollm2-135m"), models.embedder):
        with pytest.raises(ModelExtraError, match=r"agentsquad\[local\]"):
            wanted()


def test_the_user_s_own_file_replaces_the_package() -> None:
    settings = Settings(environment={"SQUAD_LOCAL_MODEL": "/models/Qwen2-Big.gguf"})
    names = [entry.name for entry in build_models(settings).entries()]
    assert "local/qwen2-big" in names and "local/smollm2-135m" not in names


async def test_listing_asking_and_testing_as_actions() -> None:
    settings = Settings(specs={"openai": OPENAI, "box": HERE})
    door: Any = Door(build_models(settings), settings.clock)
    listed = actions.list_models(door, ModelsListInput())
    assert "rules/echo" in [item.name for item in listed.items]
    asked = await actions.ask_model(door, ModelsAskInput(model="rules/echo", prompt="say this"))
    assert asked.text == "say this"
    assert door.metered[0]["cost_micros"] == 0
    tested = await actions.test_models(door, ModelsTestInput(name="openai", offline=True))
    assert (tested.ok, tested.items) == (True, [])
    assert tested.skipped["openai/gpt-4"] == "needs OPENAI_API_KEY" and tested.exit_code == 0
    with pytest.raises(ModelMissingError) as caught:
        await actions.test_models(door, ModelsTestInput(name="opnai"))
    assert "openai" in str(caught.value.hint)


async def test_a_check_that_fails_is_the_command_s_exit_code() -> None:
    class Wrong:
        provider = "box"

        async def complete(self, request: ModelRequest, *, deadline_ms: int | None = None) -> Any:
            return ModelReply(model="tiny", text="")

        def stream(self, request: ModelRequest, *, deadline_ms: int | None = None) -> Any:
            raise ModelExtraError("it cannot")

    settings = Settings(specs={"box": HERE})
    models = build_models(settings)
    models.model = lambda name: Wrong()  # type: ignore[method-assign,assignment,return-value]
    door: Any = Door(models, settings.clock)
    tested = await actions.test_models(door, ModelsTestInput(name="box/tiny"))
    assert tested.items and not tested.ok and tested.exit_code == 1


def test_what_can_be_tested_is_chosen_by_name_and_network() -> None:
    settings = Settings(specs={"openai": OPENAI, "box": HERE}, environment={"OPENAI_API_KEY": "k"})
    entries = build_models(settings).entries()
    chosen, skipped = actions.choose(entries, ModelsTestInput(offline=True))
    names = [entry.name for entry in chosen]
    assert "box/tiny" in names and "openai/gpt-4" not in names
    assert skipped["openai/gpt-4"] == "needs the network"
    assert skipped["local/minilm-l6-v2"].startswith("it embeds")
    chosen, _ = actions.choose(entries, ModelsTestInput(name="openai"))
    assert [entry.name for entry in chosen] == ["openai/gpt-4", "openai/davinci-003"]


def test_the_plugin_offers_its_actions_with_help() -> None:
    registry = Registry.of(plugin)
    for name in ("models.list", "models.test", "models.ask"):
        spec = registry.action(name).spec
        assert spec.summary and spec.examples and spec.cli
