"""Chaos over workflows that go on as new."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.registry import Plugin
from agentsquad.operations.chaos.point import every_point
from agentsquad.operations.chaos.stage import Stage, Subject
from agentsquad.runtime.determinism.past import load_row
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad


class Round(msgspec.Struct):
    """How far it is."""

    number: int
    until: int


@action("tour.look", effect=Effect.READ)
async def look(ctx: Any, value: Round) -> int:
    """Look around."""
    return value.number * 7


@action("tour.send", effect=Effect.WRITE)
async def send(ctx: Any, value: Round) -> int:
    """Send a card."""
    return value.number


@workflow("tour")
async def tour(ctx: Any, value: Round) -> int:
    """Send a card from each place, every one in a run of its own."""
    await ctx.signal("go")
    seen = await ctx.call("tour.look", value)
    await ctx.sleep(3_600_000)
    await ctx.call("tour.send", value)
    if value.number < value.until:
        raise ctx.continue_as_new(Round(value.number + 1, value.until))
    return int(seen)


@workflow("agency")
async def agency(ctx: Any, value: Round) -> int:
    """Have a tour made."""
    return int(await ctx.run("tour", value)) + 1


PLUGIN = Plugin(name="tour", actions=(look, send), workflows=(tour, agency))


@pytest.mark.parametrize(
    ("name", "until", "status"),
    [("tour", 2, "completed"), ("tour", 1_000_000, "continued"), ("agency", 2, "completed")],
)
async def test_every_fault_over_a_row_of_runs_comes_to_the_same(
    name: str, until: int, status: str
) -> None:
    s = TestSquad(PLUGIN)
    subject = Subject(
        name=name, workflow=name, value={"number": 1, "until": until}, reads=("tour.look",)
    )
    stage = await Stage.prepare(s.world, subject, "1")
    assert stage.calm.status == status
    points = every_point(stage.calm)
    assert any("run.continued" in one for one in stage.calm.appends)
    for point in points:
        struck = await stage.strike(point)
        assert (struck.why, struck.repeated) == ("", 0), str(point)


async def test_a_recorded_row_is_rehearsed_with_what_each_of_its_runs_was_told() -> None:
    s = TestSquad(PLUGIN)
    run = await s.engine.start("tour", Round(1, 2))
    for letter in "ab":
        await s.engine.signal(run, "go", letter, actor="person:ada")
        await s.clock.advance(3_600_000)
    assert (await s.engine.wait(run)).output == 14
    past = await load_row(s.ledger.store, run)
    assert past is not None
    assert [one.run for one in past.row] == [f"{run}~2"]
    subject = Subject(name="tour", workflow="tour", value=past.input, past=past)
    stage = await Stage.prepare(s.world, subject, "1")
    assert (stage.calm.status, stage.calm.output, stage.calm.made_up) == ("completed", 14, ())
