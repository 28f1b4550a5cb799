"""Every kind of run, rehearsed with a fault at every boundary, under the log
that gives events their place before they are durable.

`test_crash_everywhere` crashes an engine that waits for each append; here
nothing waits but what must, commits are shared, and the process dies at every
event of the log (cuts), at every commit as it lives, loses every answer and is
told everything twice.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agentsquad.kernel.registry import Plugin
from agentsquad.operations.chaos.judge import judge, repeated
from agentsquad.operations.chaos.point import every_point
from agentsquad.operations.chaos.stage import Stage, Subject
from agentsquad.runtime.control.plugin import plugin as control
from agentsquad.runtime.determinism.rehearsal import Fault
from agentsquad.testing import TestSquad
from agentsquad.workforce.agents.contract import AgentCatalogue, ModelCatalogue
from agentsquad.workforce.agents.plugin import plugin as agents


def load(name: str) -> ModuleType:
    if name not in sys.modules:
        path = Path(__file__).with_name(f"{name}.py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


flows = load("test_crash_everywhere")


async def prepared(name: str) -> Stage:
    flow, value = flows.CASES[name]
    s = TestSquad(
        Plugin(name="test", actions=flows.ACTIONS, workflows=flows.FLOWS), control, agents
    )
    model = flows.Conversation()
    for role in (ModelCatalogue, AgentCatalogue):
        s.world.ports.put(role, model)
    subject = Subject(
        name=name, workflow=flow, value=value,
        signals={"a": "a!", "b": "b!", "go": "go!"}, reads=("models.generate", "net.look"),
    )  # fmt: skip
    return await Stage.prepare(s.world, subject, "1")


@pytest.mark.slow
@pytest.mark.parametrize("name", flows.CASES)
async def test_no_fault_at_any_boundary_changes_a_run(name: str):
    stage = await prepared(name)
    assert any(label.startswith("commit of") for label in stage.calm.appends), (
        "no event was given its place before it was durable"
    )
    for point in every_point(stage.calm):
        struck = await stage.strike(point)
        assert not struck.why and not struck.repeated, f"{point}: {struck}"


@pytest.mark.slow
@pytest.mark.parametrize("name", flows.CASES)
@pytest.mark.parametrize("kind", ["crash-before", "crash-after"])
async def test_a_process_that_dies_as_it_lives_changes_nothing(name: str, kind: Any):
    stage = await prepared(name)
    crashes = 0
    for n in range(1, len(stage.calm.appends) + 1):
        story = await stage.rehearsal((Fault(kind=kind, at=n),)).play(
            stage.subject.workflow, stage.subject.value
        )
        crashes += story.crashes
        where = f"{kind} {n}: {stage.calm.appends[n - 1]}"
        assert not judge(stage.calm, story), f"{where}: {judge(stage.calm, story)}"
        assert not repeated(stage.calm, story), where
    assert crashes == len(stage.calm.appends)
