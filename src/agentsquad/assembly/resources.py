"""Agents and model providers of an installation: applied resources, then
shipped ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from agentsquad.assembly.settings import Settings, variable
from agentsquad.integrations.connectors.ai.contract import Environment
from agentsquad.integrations.proxy.contract import Forward
from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.ports import Clock, Entropy, EventStore
from agentsquad.kernel.registry import nearest
from agentsquad.runtime.control.resource import find, listed
from agentsquad.runtime.resilience.contract import Quote
from agentsquad.workforce.agents.contract import ModelCatalogue, ModelRequest


class Variables:
    """The environment as the model providers see it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def get(self, name: str) -> str | None:
        """Return one variable, if resources of this namespace may name it."""
        if name == "SQUAD_LOCAL_MODEL" and self._settings.local_model:
            return self._settings.local_model
        return variable(self._settings, name)


class Shelf:
    """What was applied, read from the log, over what this distribution
    ships."""

    def __init__(
        self,
        store: EventStore,
        shipped: Callable[[], Iterable[Mapping[str, Any]]],
    ) -> None:
        self._store = store
        self._read_shipped = shipped
        self._providers: list[tuple[str, Mapping[str, Any]]] = []

    @cached_property
    def _shipped(self) -> dict[str, Mapping[str, Any]]:
        """The agents that ship; their manifests are read on first use."""
        return {one["metadata"]["name"]: one for one in self._read_shipped()}

    def resources(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """Return the resources of a kind that ship."""
        return tuple(self._shipped.values()) if kind == "Agent" else ()

    async def agent(self, name: str) -> Mapping[str, Any]:
        """Return an Agent resource; an applied one goes before a shipped
        one."""
        await self.refresh()
        try:
            return await find(self._store, "Agent", name)
        except MissingError:
            if name in self._shipped:
                return self._shipped[name]
        applied = [one["metadata"]["name"] for one in await listed(self._store, "Agent")]
        raise MissingError(
            f"no agent named {name!r}",
            code="agent.missing",
            hint=nearest(name, [*applied, *self._shipped]),
        )

    async def refresh(self) -> None:
        """Read the model providers anew."""
        self._providers = [
            (one["metadata"]["name"], one["spec"])
            for one in await listed(self._store, "ModelProvider")
        ]

    def providers(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return (name, spec) of every provider as last read."""
        return list(self._providers)


class Providing:
    """What the models plugin needs of an installation (`ProviderSettings`)."""

    def __init__(
        self,
        settings: Settings,
        shelf: Shelf,
        clock: Clock,
        entropy: Entropy,
        rules: Mapping[str, Any],
    ) -> None:
        self.environment: Environment = Variables(settings)
        self.clock = clock
        self.entropy = entropy
        self.rules = rules
        self._shelf = shelf

    def providers(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Return (name, spec) of every ModelProvider resource."""
        return self._shelf.providers()


class ModelAppraiser:
    """What a model call can cost, from the prices around the model."""

    def __init__(self, models: Callable[[], ModelCatalogue]) -> None:
        self._models = models

    def appraise(self, action: str, value: Any) -> Quote | None:
        """Return a quote for a model call; anything else is free."""
        if isinstance(value, Forward):  # its price was looked up when it was taken
            return value.quote
        if not isinstance(value, ModelRequest):
            return None
        model: Any = self._models().model(value.model)
        if model.provider in ("rules", "local"):
            return None
        return Quote(*model.ceiling(value))


class Databases:
    """The databases that were applied and where they are
    (`DatabaseSource`)."""

    def __init__(self, store: EventStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    async def databases(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the spec of every Database, by name."""
        found = await listed(self._store, "Database")
        return {one["metadata"]["name"]: one["spec"] for one in found}

    def variable(self, name: str) -> str | None:
        """Return a variable of the environment, if resources of this namespace
        may name it."""
        return variable(self._settings, name)
