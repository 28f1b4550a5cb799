"""Plugin and Registry: what is offered, and the immutable set of what is
mounted.

Importing a module changes nothing; `assembly` mounts plugins into a registry
whose digest each run pins. What is not mounted cannot be called.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agentsquad.kernel.action import Action
from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.resource import Kind
from agentsquad.kernel.spelling import closest


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """What one folder offers.

    `ports` maps a port type to a factory `settings -> adapter`; `workflows` are
    values with a `name` and a `digest`; `policies` maps a file name to Rego
    text or JSON data; `trials` say how workflows are tried (operations/trials).
    """

    name: str
    actions: tuple[Action, ...] = ()
    kinds: tuple[Kind, ...] = ()
    workflows: tuple[Any, ...] = ()
    sources: tuple[Any, ...] = ()
    ports: Mapping[Any, Any] = {}
    policies: Mapping[str, str] = {}
    trials: tuple[Any, ...] = ()


class Registry:
    """An immutable set of actions, kinds and workflows, found by name."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self.plugins = tuple(plugins)
        self.actions: dict[str, Action] = {}
        self.kinds: dict[str, Kind] = {}
        self.workflows: dict[str, Any] = {}
        self.sources: dict[str, Any] = {}
        for plugin in self.plugins:
            for table, items, what in (
                (self.actions, plugin.actions, "action"),
                (self.kinds, plugin.kinds, "kind"),
                (self.workflows, plugin.workflows, "workflow"),
                (self.sources, plugin.sources, "source"),
            ):
                for item in items:
                    if item.name in table:
                        raise InvalidError(
                            f"{what} {item.name!r} is offered twice (again by {plugin.name!r})",
                            code="registry.duplicate",
                        )
                    table[item.name] = item  # type: ignore[assignment]

    @classmethod
    def of(cls, *plugins: Plugin) -> Registry:
        """Mount plugins."""
        return cls(plugins)

    def action(self, name: str) -> Action:
        """Return an action; MissingError names the nearest one."""
        return self._find(self.actions, name, "action")  # type: ignore[no-any-return]

    def kind(self, name: str) -> Kind:
        """Return a kind of resource; MissingError names the nearest one."""
        return self._find(self.kinds, name, "kind")  # type: ignore[no-any-return]

    def workflow(self, name: str) -> Any:
        """Return a workflow; MissingError names the nearest one."""
        return self._find(self.workflows, name, "workflow")

    def _find(self, table: Mapping[str, Any], name: str, what: str) -> Any:
        try:
            return table[name]
        except KeyError:
            raise MissingError(
                f"no {what} named {name!r}", code=f"{what}.missing", hint=nearest(name, table)
            ) from None

    def narrow(self, *names: str) -> Registry:
        """Return a registry with only these actions (all kinds and workflows
        stay)."""
        for name in names:
            self.action(name)
        return self._keep(set(names))

    def without(self, *names: str) -> Registry:
        """Return a registry without these actions."""
        return self._keep(set(self.actions) - set(names))

    def _keep(self, names: set[str]) -> Registry:
        return Registry(
            msgspec.structs.replace(
                plugin, actions=tuple(a for a in plugin.actions if a.name in names)
            )
            for plugin in self.plugins
        )

    @property
    def digest(self) -> str:
        """SHA-256 over the specs of everything mounted; equal worlds have equal
        digests."""
        world = {
            "actions": {n: [a.spec.version, a.spec.effect.value] for n, a in self.actions.items()},
            "kinds": {n: k.digest for n, k in self.kinds.items()},
            "workflows": {n: w.digest for n, w in self.workflows.items()},
        }
        text = json.dumps(world, sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return "did you mean 'x'?" for a likely slip, else the known names if
    few."""
    names = sorted(known)
    close = closest(name, names)
    if close is not None:
        return f"did you mean {close!r}?"
    return f"known: {', '.join(names)}" if names and len(names) <= 20 else None
