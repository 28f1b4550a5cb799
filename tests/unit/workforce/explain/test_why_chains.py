"""Why of runs that go on as new."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad
from agentsquad.workforce.explain.actions import why
from agentsquad.workforce.explain.contract import ContinuedError


class Round(msgspec.Struct):
    """How far it is, and what it came to."""

    number: int
    total: int = 0


@action("sums.price", effect=Effect.PURE)
def price(ctx: Any, value: Round) -> int:
    """Return what a round costs."""
    return value.number * 10


@workflow("sums")
async def sums(ctx: Any, value: Round) -> int:
    """Add up three rounds, each in a run of its own."""
    total = value.total + await ctx.call("sums.price", value)
    if value.number < 3:
        raise ctx.continue_as_new(Round(number=value.number + 1, total=total))
    return int(total)


@workflow("above-sums")
async def above(ctx: Any, value: Round) -> dict[str, str]:
    """Judge a sum."""
    return {"outcome": "large" if await ctx.run("sums", value) > 65 else "small"}


PLUGIN = Plugin(name="sums", actions=(price, why), workflows=(sums, above))
ADA = Actor.parse("person:ada")


async def test_of_a_run_that_went_on_the_last_is_named_and_explained() -> None:
    s = TestSquad(PLUGIN)
    run = await s.engine.start("sums", Round(1))
    await s.engine.wait(run)
    with pytest.raises(ContinuedError) as caught:
        await s.engine.invoke("explain.why", {"subject": run}, actor=ADA)
    assert caught.value.hint == f"squad why {run}~3"
    said = await s.engine.invoke("explain.why", {"subject": f"{run}~3"}, actor=ADA)
    assert (said.verdict, said.flip.path) == ("60", "input/total")


async def test_a_run_above_is_explained_by_what_the_whole_row_would_come_to() -> None:
    s = TestSquad(PLUGIN)
    run = await s.engine.start("above-sums", Round(1, total=10))
    await s.engine.wait(run)
    said = await s.engine.invoke("explain.why", {"subject": run}, actor=ADA)
    assert (said.verdict, said.flip.then) == ("large", "small")
    assert (said.flip.path, said.flip.needed) == ("input/total", 5)
