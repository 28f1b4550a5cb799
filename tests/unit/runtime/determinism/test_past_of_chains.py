"""Runs that went on as new, read again, driven again and rehearsed."""

from __future__ import annotations

from typing import Any

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.past import load
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad


class Round(msgspec.Struct):
    """How far it is."""

    number: int
    total: int = 0


@action("rounds.price", effect=Effect.PURE)
def price(ctx: Any, value: Round) -> int:
    """Return what a round costs."""
    return value.number * 10


@action("rounds.note", effect=Effect.WRITE)
async def note(ctx: Any, value: Round) -> int:
    """Note a round."""
    return value.number


@workflow("rounds")
async def rounds(ctx: Any, value: Round) -> int:
    """Do a round, and another, up to the third."""
    cost = await ctx.call("rounds.price", value)
    await ctx.call("rounds.note", value)
    if value.number < 3:
        raise ctx.continue_as_new(Round(number=value.number + 1, total=value.total + cost))
    return int(value.total + cost)


@workflow("above-rounds")
async def above(ctx: Any, value: Round) -> int:
    """Have rounds done."""
    first = await ctx.call("rounds.price", value)
    return int(first + await ctx.run("rounds", value))


PLUGIN = Plugin(name="rounds", actions=(price, note), workflows=(rounds, above))


async def test_what_was_planned_is_looked_up_by_its_position() -> None:
    s = TestSquad(PLUGIN)
    outcome = await s.run("rounds", Round(3))
    past = await load(s.ledger.store, outcome.run)
    assert past is not None
    planned = past.planned("2")
    assert planned is not None
    assert (planned["action"], planned["input"]) == ("rounds.note", {"number": 3, "total": 0})
    assert (past.planned("1"), past.planned("9")) == (None, None)
