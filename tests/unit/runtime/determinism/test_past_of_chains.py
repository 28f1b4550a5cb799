"""Runs that went on as new, read again, driven again and rehearsed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.contract import Change, ForkStuckError
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.determinism.past import load
from agentsquad.runtime.determinism.rehearsal import ROW_MAX, Rehearsal
from agentsquad.runtime.determinism.replay import contradiction
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
    if value.number > 0:
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


async def test_a_child_that_went_on_as_new_is_forked_to_the_end_of_its_row() -> None:
    s = TestSquad(PLUGIN)
    outcome = await s.run("above-rounds", Round(1))
    assert outcome.output == 70
    fork = await Forker(s.world).fork(outcome.run, [Change(path="input/number", value=2)])
    assert (fork.status, fork.output, fork.error) == ("completed", 20 + 20 + 30, None)
    fork = await Forker(s.world).fork(outcome.run, [Change(path="input/total", value=5)])
    assert (fork.status, fork.was_output, fork.output) == ("completed", 70, 75)
    held = [(one.run.removeprefix(outcome.run), one.position) for one in fork.suppressed]
    assert held == [("/2", "2"), ("/2~2", "2"), ("/2~3", "2")]


async def test_a_fork_that_goes_on_as_new_for_ever_says_so() -> None:
    s = TestSquad(PLUGIN)
    outcome = await s.run("above-rounds", Round(1))
    with pytest.raises(ForkStuckError, match="goes on as new"):
        await Forker(s.world).fork(outcome.run, [Change(path="input/number", value=-(10**6))])


async def test_a_fork_of_a_run_that_went_on_says_whether_it_would_hand_on_something_else() -> None:
    s = TestSquad(PLUGIN)
    run = await s.engine.start("rounds", Round(1))
    await s.engine.wait(run)
    fork = await Forker(s.world).fork(run, [Change(path="input/total", value=5)])
    assert (fork.status, fork.was_status, fork.output_changed) == ("continued", "continued", True)
    assert (fork.was_output, fork.output) == (
        {"number": 2, "total": 10},
        {"number": 2, "total": 15},
    )


async def test_a_journal_that_says_something_else_than_the_end_of_a_row_is_found_out() -> None:
    s = TestSquad(PLUGIN)
    outcome = await s.run("above-rounds", Round(1))
    journals = {
        name[4:]: await s.ledger.store.read_stream(name)
        for name, _ in await s.ledger.store.streams(f"run/{outcome.run}")
    }
    own = journals[outcome.run]
    assert contradiction(outcome.run, own, journals) is None
    forged = [
        msgspec.structs.replace(event, payload={**event.payload, "output": 61})
        if event.payload.get("child")
        else event
        for event in own
    ]
    found = contradiction(outcome.run, forged, journals)
    assert found is not None
    assert (found.verdict, found.field, found.was, found.now) == ("diverged", "/output", 61, 60)


@workflow("endless-letters")
async def letters(ctx: Any, value: Round) -> None:
    """Take a letter a run, for ever."""
    await ctx.signal("letter")
    await ctx.call("rounds.note", value)
    raise ctx.continue_as_new(Round(number=value.number + 1))


ENDLESS = Plugin(name="letters", actions=(note,), workflows=(letters,))


async def test_a_rehearsal_follows_a_row_to_its_end() -> None:
    s = TestSquad(PLUGIN)
    story = await Rehearsal(s.world).play("rounds", {"number": 1})
    assert (story.status, story.output, story.verdict) == ("completed", 60, "identical")
    assert sorted(line.input["number"] for line in story.effects.values()) == [1, 2, 3]


async def test_of_a_row_without_an_end_the_first_runs_are_rehearsed() -> None:
    s = TestSquad(ENDLESS)
    first = Rehearsal(s.world)
    story = await first.play("endless-letters", {"number": 1})
    assert (story.status, story.verdict) == ("continued", "identical")
    assert story.output == {"number": ROW_MAX + 1, "total": 0}
    numbers = sorted(line.input["number"] for line in story.effects.values())
    assert numbers == list(range(1, ROW_MAX + 1))
    past = await first.past_of(story)
    assert [one.run for one in past.row] == [f"{past.run}~{n}" for n in range(2, ROW_MAX + 1)]


async def test_a_row_that_nothing_holds_up_is_rehearsed_as_far_too() -> None:
    s = TestSquad(PLUGIN)
    story = await Rehearsal(s.world).play("rounds", {"number": -50})
    assert (story.status, story.output["number"]) == ("continued", ROW_MAX - 50)
