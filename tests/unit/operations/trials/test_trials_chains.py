"""Trials of workflows that go on as new."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.registry import Plugin
from agentsquad.operations.trials.contract import Trial
from agentsquad.operations.trials.law import LAWS
from agentsquad.operations.trials.plugin import explorer
from agentsquad.operations.trials.run import Trials
from agentsquad.operations.trials.scenario import Plan, Scenario
from agentsquad.operations.trials.tale import Tale
from agentsquad.operations.trials.value import schema_of
from agentsquad.runtime.determinism.rehearsal import ROW_MAX
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad


class Stop(msgspec.Struct):
    """How many parcels are left after this one."""

    left: Annotated[int, msgspec.Meta(ge=0, le=6)]


@action("van.deliver", effect=Effect.WRITE, compensate="van.fetch")
async def deliver(ctx: Any, value: Stop) -> bool:
    """Deliver a parcel."""
    return True


@action("van.fetch", effect=Effect.WRITE)
async def fetch(ctx: Any, value: dict[str, Any]) -> None:
    """Fetch a parcel back."""


@workflow("van")
async def van(ctx: Any, value: Stop) -> int:
    """Deliver parcels, each in a run of its own."""
    saga = ctx.saga()
    await saga.call("van.deliver", value)
    if value.left > 0:
        raise ctx.continue_as_new(Stop(left=value.left - 1))
    return value.left


PLUGIN = Plugin(name="van", actions=(deliver, fetch), workflows=(van,))


async def test_every_law_is_held_against_whole_rows_of_runs() -> None:
    s = TestSquad(PLUGIN)
    plan = Plan(workflow="van", schema=schema_of(Stop), trial=Trial(workflow="van"))
    trials = Trials(s.world, plan, LAWS)
    tales: list[Tale] = []
    play = trials.play

    async def noted(scenario: Scenario) -> Tale:
        tales.append(await play(scenario))
        return tales[-1]

    trials.play = noted  # type: ignore[method-assign]
    told = await trials.batch(explorer(None), "1", 60, lambda done: None)
    assert (told.failed, told.broken) == (0, [])
    assert told.endings["completed"] > 0
    assert told.endings["continued"] > 0
    rows = [len(list(tale.of("run.continued"))) for tale in tales]
    assert (min(rows), max(rows)) == (0, ROW_MAX)
    for tale in tales:
        if tale.status == "completed":
            assert len(tale.effects()) == tale.scenario.input["left"] + 1
