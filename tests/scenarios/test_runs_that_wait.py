"""A run is left alone only when nothing below it is at work: `run` and `resume`
drive children to where only people can help, and end there."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from agentsquad.assembly.catalogue import plugins
from agentsquad.assembly.settings import Settings
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.contract import Engine, WorkflowContext, workflow
from agentsquad.runtime.engine.runs import summaries

RULES = """package yard
import rego.v1
actions := {"yard.load", "approvals.give"}
allow contains {"clause": "yard.any", "reason": "it is only a yard"}
"""


class Truck(msgspec.Struct):
    """A truck and whether somebody must look at it."""

    number: int
    odd: bool = False


class Yard(msgspec.Struct):
    """Trucks that come in."""

    trucks: list[Truck]


@action("yard.load", effect=Effect.WRITE, cli=())
async def load(ctx: Context, value: Truck) -> Truck:
    """Load a truck."""
    return value


@workflow("yard-truck")
async def one_truck(ctx: WorkflowContext, value: Truck) -> Truck:
    """Load a truck in several steps; ask about an odd one."""
    for _ in range(5):
        await ctx.call("yard.load", value)
    if value.odd:
        await ctx.approve("yard.load", value, evidence={}, because="it is odd")
    return value


@workflow("yard")
async def yard(ctx: WorkflowContext, value: Yard) -> int:
    """Load every truck, each in a run of its own."""

    async def each(truck: Truck) -> Truck:
        done: Truck = await ctx.run("yard-truck", truck, key=str(truck.number))
        return done

    return len(await ctx.map(each, value.trucks, limit=4))


PLUGIN = Plugin(
    name="yard", actions=(load,), workflows=(one_truck, yard), policies={"yard/yard.rego": RULES}
)
INPUT = Yard([Truck(n, odd=n in (0, 3)) for n in range(9)])


def opened(home: Path) -> Squad:
    settings = Settings(
        home=home, store=f"sqlite:///{home}/log.db", policy=None, user="ada",
        environment={"SQUAD_MODELS": "off"},
    )  # fmt: skip
    return Squad(settings, Registry((*plugins(), PLUGIN)))


@pytest.fixture
async def squad(tmp_path: Path) -> AsyncIterator[Squad]:
    made = opened(tmp_path)
    yield made
    await made.close()


async def standings(squad: Squad) -> dict[str, int]:
    found = await summaries(squad.world.store)
    return dict(Counter(f"{one.workflow} {one.status}" for one in found))


@pytest.mark.slow
async def test_run_ends_where_only_people_can_help(squad: Squad) -> None:
    given = msgspec.json.encode(INPUT).decode()
    outcome = await squad.invoke(
        "runs.start", {"workflow": "yard", "input": given, "wait_for_people": False}
    )
    assert outcome.status == "waiting"
    assert len(await squad.ports.get(Engine).inbox(outcome.run)) == 2
    assert await standings(squad) == {
        "yard running": 1, "yard-truck waiting": 2, "yard-truck completed": 7,
    }  # fmt: skip


@pytest.mark.slow
async def test_resume_drives_children_before_it_says_that_their_parent_waits(
    tmp_path: Path,
) -> None:
    first = opened(tmp_path)
    given = msgspec.json.encode(INPUT).decode()
    await first.invoke("runs.start", {"workflow": "yard", "input": given, "wait": False})
    await first.close()  # as a crash would leave it: hardly anything is done
    second = opened(tmp_path)
    try:
        (outcome,) = (await second.invoke("runs.resume", {})).items
        assert outcome.status == "waiting"
        stands = await standings(second)
        assert stands["yard-truck waiting"] == 2
        assert "yard-truck running" not in stands
    finally:
        await second.close()
