"""Widened: an installation with one more plugin mounted beside what it has.

Its own registry, rules and ports go before those of the installation; log,
clock and everything else are the installation's own. Trials try a user's plugin
in one; a deployed version of a workflow runs in one.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from functools import partial
from typing import Any

import msgspec

from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.door import Ports, World
from agentsquad.runtime.policy.contract import CompiledPolicy, PolicyCompiler
from agentsquad.runtime.policy.rulebook import files_of


class WidePorts(Ports):
    """An installation's ports with some of its own before them."""

    def __init__(self, made: dict[Any, Any], lender: Ports) -> None:
        super().__init__(made)
        self._lender = lender

    def has(self, role: Any) -> bool:
        """Whether a port can be had."""
        return super().has(role) or self._lender.has(role)

    def get(self, role: Any) -> Any:
        """Return the adapter."""
        return super().get(role) if super().has(role) else self._lender.get(role)


def widened(world: World, plugin: Plugin) -> World:
    """Return an installation with one more plugin, its rules included.

    A workflow of the plugin takes the place of an installed one of its name;
    nothing else may be offered twice.
    """
    names = {workflow.name for workflow in plugin.workflows}
    registry = Registry([*without_workflows(world.registry.plugins, names), plugin])
    made: dict[Any, Any] = {}
    policy = world.policy
    if plugin.policies and isinstance(policy, CompiledPolicy):
        compiler = world.ports.get(PolicyCompiler)
        own = {file.name for file in policy.files}
        more = [file for file in files_of([plugin]) if file.name not in own]
        given = [file for file in policy.files if file.layer]  # the compiler adds what ships
        made[PolicyEngine] = compiler.compile([*given, *more])
    ports = WidePorts(made, world.ports)
    wide = World(registry, ports)
    wide.progress = lambda text, done, total: world.progress(text, done, total)
    for role, factory in plugin.ports.items():
        ports.provide(role, partial(factory, None))
    return wide


def without_workflows(plugins: Iterable[Plugin], names: Container[str]) -> list[Plugin]:
    """Return plugins without the workflows of these names."""
    return [
        msgspec.structs.replace(
            plugin, workflows=tuple(one for one in plugin.workflows if one.name not in names)
        )
        for plugin in plugins
    ]
