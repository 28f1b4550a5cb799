"""Laws of undoing, over generated graphs of things that depend on one another.

Whatever order the things were done in, and wherever the process dies while they
are done or undone: what was done is undone once, before everything it depends
on.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import ConflictError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled

_spec = importlib.util.spec_from_file_location(
    "simulation_crashing", Path(__file__).parents[1] / "simulation" / "crashing.py"
)
assert _spec is not None and _spec.loader is not None
crashing = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(crashing)

DRAWN = settings.default.max_examples


class Thing(msgspec.Struct):
    """A thing that is done."""

    n: int


class Side:
    """The other side: what reached it, in order, and how long each takes."""

    def __init__(self, rhythm: list[int]) -> None:
        self.rhythm = rhythm
        self.received: list[tuple[str, str, int]] = []

    async def take(self, key: str, what: str, n: int) -> None:
        """Take something, after a while."""
        for _ in range(self.rhythm[n % len(self.rhythm)]):
            await asyncio.sleep(0)
        self.received.append((key, what, n))


SIDE = Side([0])


@action("thing.do", effect=Effect.WRITE, compensate="thing.undo", reconcile="thing.known")
async def do(ctx: Any, value: Thing) -> Thing:
    """Do a thing."""
    await SIDE.take(ctx.idempotency_key, "do", value.n)
    return value


@action("thing.undo", effect=Effect.WRITE, reconcile="thing.known")
async def undo(ctx: Any, value: dict[str, Any]) -> Thing:
    """Undo a thing."""
    await SIDE.take(ctx.idempotency_key, "undo", value["input"]["n"])
    return Thing(value["input"]["n"])


@action("thing.known", effect=Effect.READ)
def known(ctx: Any, value: Reconcile) -> Reconciled:
    """Say whether a key arrived."""
    for key, _, n in SIDE.received:
        if key == value.key:
            return Reconciled(found=True, output={"n": n})
    return Reconciled(found=False)


@workflow("graph")
async def graph(ctx: Any, value: dict[str, Any]) -> None:
    """Do things, each after those it depends on; undo some twice, and fail."""
    saga = ctx.saga()
    done = [ctx.latch() for _ in value["needs"]]

    async def node(n: int) -> None:
        for before in value["needs"][n]:
            await done[before]
        await saga.call("thing.do", Thing(n), name=f"thing {n}")
        done[n].open()

    await ctx.parallel(*(node(n) for n in range(len(done))))
    some = [f"thing {n}" for n in value["early"]]
    await ctx.parallel(saga.undo(only=some), saga.undo(only=some))
    raise ConflictError("it is not to be", code="graph.end")


PLUGIN = Plugin(name="graphs", actions=(do, undo, known), workflows=(graph,))


@st.composite
def graphs(draw: Any) -> dict[str, Any]:
    """Draw a graph without circles, and what nothing else depends on of it."""
    size = draw(st.integers(1, 7))
    needs = [
        sorted(draw(st.sets(st.integers(0, n - 1), max_size=3))) if n else [] for n in range(size)
    ]
    leaves = [n for n in range(size) if not any(n in one for one in needs)]
    return {"needs": needs, "early": draw(st.lists(st.sampled_from(leaves), unique=True))}


@settings(max_examples=2 * DRAWN)
@given(
    graphs(),
    st.lists(st.integers(0, 9), min_size=1, max_size=6),
    st.lists(st.builds(crashing.Fuse, st.integers(1, 15), st.booleans()), max_size=4),
    st.booleans(),
)
def test_things_are_undone_once_and_before_what_they_depend_on(
    drawn: dict[str, Any], rhythm: list[int], fuses: Any, commits: bool
):
    async def check() -> None:
        global SIDE
        SIDE = Side(rhythm)
        s = crashing.CrashSquad(PLUGIN, fuses=fuses, commits=commits)
        story = await crashing.play(s, "graph", drawn)
        assert (story.status, story.error["code"]) == ("failed", "graph.end")
        assert story.verdict == "identical"
        everything = list(range(len(drawn["needs"])))
        for what in ("do", "undo"):
            assert sorted(n for _, kind, n in SIDE.received if kind == what) == everything
        place = {(kind, n): at for at, (_, kind, n) in enumerate(SIDE.received)}
        for n, needs in enumerate(drawn["needs"]):
            for before in needs:
                assert place["do", before] < place["do", n]
                assert place["undo", n] < place["undo", before]
        early = [place["undo", n] for n in drawn["early"]]
        rest = [place["undo", n] for n in everything if n not in drawn["early"]]
        assert max(early, default=-1) < min(rest, default=len(place) + 1)

    asyncio.run(check())
