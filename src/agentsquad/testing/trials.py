"""Assertions on trials: what the tests written by `squad test --export` are
made of."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.kernel import canonical
from agentsquad.kernel.registry import Plugin
from agentsquad.operations.trials.contract import TestInput, TrialFiles
from agentsquad.operations.trials.report import event_lines
from agentsquad.operations.trials.run import prepare
from agentsquad.operations.trials.scenario import behaviour, scenario_of
from agentsquad.operations.trials.tale import Tale


def assert_holds(
    case: str | Mapping[str, Any],
    *,
    laws: Sequence[str] = (),
    plugin: str | Plugin | None = None,
    invariants: str | None = None,
) -> Tale:
    """Play one case of a workflow and check laws, all by default.

    Fails with what is wrong, what the world did and every event. Nothing
    outside is reached, and no installation is needed.
    """
    scenario = scenario_of(canonical.loads(case) if isinstance(case, str) else case)
    named = plugin if isinstance(plugin, str) else None
    value = TestInput(workflow=scenario.workflow, plugin=named, invariants=invariants)
    own = () if not isinstance(plugin, Plugin) else (plugin,)
    with asyncio.Runner() as runner:
        tale, broken = runner.run(_played(value, scenario, own))
    wrong = {name: why for name, why in broken.items() if not laws or name in laws}
    if wrong:
        lines = [f"{name}: {why}" for name, why in wrong.items()]
        lines += [f"  {line}" for line in (*behaviour(scenario), *event_lines(tale))]
        raise AssertionError("\n".join(lines))
    return tale


async def _played(
    value: TestInput, scenario: Any, plugins: Sequence[Plugin]
) -> tuple[Tale, dict[str, str]]:
    from agentsquad.assembly.catalogue import plugins as catalogue
    from agentsquad.assembly.settings import read
    from agentsquad.assembly.squad import Squad
    from agentsquad.kernel.registry import Registry

    settings = read({"SQUAD_STORE": "memory:", "SQUAD_USER": "trial", "SQUAD_MODELS": "off"})
    squad = Squad(settings, Registry([*catalogue(), *plugins]))
    try:
        files = squad.ports.get(TrialFiles)
        trials = await prepare(squad.world, files, value)
        tale = await trials.play(scenario)
        return tale, trials.broken(tale)
    finally:
        await squad.close()
