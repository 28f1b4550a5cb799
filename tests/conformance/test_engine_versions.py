"""Deployed versions, pools and guards over every engine."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from agentsquad.kernel.actor import Actor
from agentsquad.operations.deployment.contract import Loader, SourceFiles
from agentsquad.operations.deployment.plugin import loader, source_files, stored_deployments
from agentsquad.operations.deployment.plugin import plugin as deployment
from agentsquad.runtime.control.manifests import StoredManifests
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import Deployments, Manifests
from agentsquad.runtime.engine.versions import versions_of
from agentsquad.runtime.resilience.bulkhead import BulkheadRule
from agentsquad.runtime.resilience.guard import GuardRule, Guards
from agentsquad.runtime.resilience.places import Node, PlacesRule
from agentsquad.runtime.resilience.pools import PoolRule, Pools

_spec = importlib.util.spec_from_file_location(
    "squad_engine_kit", Path(__file__).with_name("engine_kit.py")
)
assert _spec and _spec.loader
kit = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
if not hasattr(kit, "opened"):
    _spec.loader.exec_module(kit)
world = kit.load(Path(__file__).with_name("engine_programs.py"))
N, PLUGIN = world.N, world.PLUGIN

pytestmark = pytest.mark.slow

ADA = Actor.parse("person:ada")
WARE = '''from __future__ import annotations

from agentsquad.kernel.action import Effect, action
from agentsquad.runtime.engine.contract import workflow


@action("ware.price", effect=Effect.WRITE)
async def price(ctx, value: int) -> int:
    """Say what it costs."""
    return value * 10


@workflow("ware")
async def ware(ctx, value: int) -> list:
    """Wait to be told, then pay."""
    await ctx.signal("go")
    cost = await ctx.call("ware.price", value)
    return [1, cost, (await ctx.call("world.do", {"n": value})).n, await ctx.run("under", value)]


@workflow("under")
async def under(ctx, value: int) -> int:
    """Stand below."""
    return await ctx.call("ware.price", value)
'''
AFTER = WARE.replace("[1, cost", "[2, cost").replace("value * 10", "value * 20")
BEFORE = WARE.replace('    await ctx.signal("go")', '    await ctx.signal("other")')


def deploying(room: Any) -> None:
    """Give each process of an installation what deployments need."""
    room.each |= {
        Deployments: lambda: stored_deployments(room.store, room.ledger.blobs),
        Loader: lambda: loader(None),
        SourceFiles: lambda: source_files(None),
        Manifests: lambda: StoredManifests(room.store),
    }


@pytest.mark.parametrize("kind", kit.ENGINES)
async def test_deployed_versions_serve_side_by_side_and_runs_that_fit_are_moved(
    kind: str, tmp_path: Path
) -> None:
    world.afresh()
    file = tmp_path / "ware.py"

    async def deploy(text: str) -> Any:
        file.write_text(text)
        asked = {"file": str(file)}
        return await room.engine.invoke("deployments.deploy", asked, actor=ADA)

    async with kit.opened(kind, PLUGIN, deployment, ready=deploying) as room:
        await deploy(WARE)
        moved = await room.engine.start("ware", 3)
        await room.until(moved, "signal.waiting")
        report = await deploy(AFTER)
        assert (report.open, report.adopted) == (1, 1)
        pinned = await room.engine.start("ware", 4)
        await room.until(pinned, "signal.waiting")
        report = await deploy(BEFORE)
        assert (report.open, report.pinned, report.stuck) == (2, 2, 0)
        newest = await room.engine.start("ware", 5)
        await room.until(newest, "signal.waiting")
        await room.hear()
        await room.restart()
        for run, name in ((moved, "go"), (pinned, "go"), (newest, "other")):
            await room.engine.signal(run, name, None, actor="person:ada")
        found = [await room.engine.wait(run, timeout_ms=kit.LONG_MS) for run in (moved, pinned)]
        assert [one.output for one in found] == [[2, 60, 3, 60], [2, 80, 4, 80]]
        last = await room.engine.wait(newest, timeout_ms=kit.LONG_MS)
        assert last.output == [1, 50, 5, 50]
        versions = versions_of(room.engine.world)
        for run, said in ((moved, "compatible"), (pinned, "identical"), (newest, "identical")):
            told = await replay(room.store, room.registry, run, versions=versions)
            assert told.verdict == said, told


class Narrow:
    """One place for those who stare, in a pool or behind a bulkhead."""

    async def pools(self) -> list[PoolRule]:
        places = PlacesRule(nodes=(Node(name="n", slots=1),))
        return [PoolRule(name="p", match=("net.stare",), places=places)]

    async def guards(self) -> list[GuardRule]:
        places = BulkheadRule(limit=1, waiting=10, patience_ms=kit.LONG_MS)
        return [GuardRule(name="g", match=("net.stare",), bulkhead=places)]

    async def needs(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("kind", kit.ENGINES)
@pytest.mark.parametrize("by", ["pool", "guard", "nothing"])
async def test_steps_wait_for_a_place_of_their_pool_or_guard(kind: str, by: str) -> None:
    def ready(room: Any) -> None:
        if by == "pool":
            room.each[Pools] = lambda: Pools(Narrow(), room.clock)
        elif by == "guard":
            room.each[Guards] = lambda: Guards(Narrow(), room.store, room.clock)

    side = world.afresh()
    async with kit.opened(kind, PLUGIN, ready=ready) as room:
        side.hold = asyncio.Event()
        runs = [await room.engine.start("starer", N(n)) for n in range(3)]
        await asyncio.wait_for(side.staring.wait(), 20)
        for _ in range(300 if by == "nothing" else 30):
            if side.now == 3:
                break
            await asyncio.sleep(0.01)
        assert side.most == (3 if by == "nothing" else 1)
        side.hold.set()
        for run in runs:
            assert (await room.engine.wait(run, timeout_ms=kit.LONG_MS)).status == "completed"
        assert side.most == (3 if by == "nothing" else 1)
