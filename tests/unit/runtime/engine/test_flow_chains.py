"""Runs that continue as new: one ends, the next begins, and nothing is lost."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import ConflictError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.links import follow, origin, successor
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle

SENT: list[int] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    SENT.clear()


class Count(msgspec.Struct):
    """How far it is."""

    at: int
    until: int = 5


@action("world.do", effect=Effect.WRITE)
async def do(ctx: Any, value: Count) -> int:
    """Do."""
    SENT.append(value.at)
    return value.at


@workflow("endless")
async def endless(ctx: Any, value: Count) -> int:
    """Do one thing and go on as new."""
    await ctx.call("world.do", value)
    if value.at < value.until:
        raise ctx.continue_as_new(Count(value.at + 1, value.until))
    return value.at


@workflow("mailman")
async def mailman(ctx: Any, value: list[str]) -> list[str]:
    """Take one letter a run."""
    letter = await ctx.signal("letter")
    if len(value) < 2:
        await ctx.continue_as_new([*value, letter])
    return [*value, letter]


@workflow("above")
async def above(ctx: Any, value: Count) -> list[int]:
    """Wait for an endless run."""
    return [await ctx.run("endless", value), 7]


PLUGIN = Plugin(name="chains", actions=(do,), workflows=(endless, mailman, above))


def test_the_names_of_a_chain() -> None:
    assert successor("k") == "k~2"
    assert successor("k~2") == "k~3"
    assert successor("k/3~9") == "k/3~10"
    assert origin("k/3~10") == "k/3"
    assert origin("k~2/3") == "k~2/3"


async def test_a_chain_of_runs_does_each_part_once_and_is_waited_for() -> None:
    s = TestSquad(PLUGIN)
    run = await s.engine.start("endless", Count(1), key="one")
    outcome = await s.engine.wait(run)
    assert (outcome.run, outcome.status, outcome.output) == (f"{run}~5", "completed", 5)
    assert SENT == [1, 2, 3, 4, 5]
    assert await follow(s.ledger.store, run) == [run, *(f"{run}~{n}" for n in range(2, 6))]
    assert await s.engine.start("endless", Count(1), key="one") == run
    assert (await s.engine.wait(run)).output == 5
    assert (await s.engine.outcome(f"{run}~3")).run == f"{run}~5"
    events = await s.ledger.store.read_stream(f"run/{run}")
    assert events[-1].type == "run.continued"
    assert events[-1].payload == {"successor": f"{run}~2", "input": {"at": 2, "until": 5}}
    for link in await follow(s.ledger.store, run):
        assert (await replay(s.ledger.store, s.registry, link)).verdict == "identical"
        fork = await Forker(s.world).fork(link, [])
        assert (fork.rerun, fork.suppressed, fork.output_changed) == (0, [], False)


async def test_signals_that_nobody_took_are_carried_over_and_later_ones_find_the_last() -> None:
    s = TestSquad(PLUGIN)
    run = await s.engine.start("mailman", [])
    for letter in "ab":
        await s.engine.signal(run, "letter", letter, actor="person:ada")
    await settle()
    assert (await s.engine.outcome(run)).run == f"{run}~3"
    await s.engine.signal(run, "letter", "c", actor="person:ada")
    outcome = await s.engine.wait(run)
    assert outcome.output == ["a", "b", "c"]
    with pytest.raises(ConflictError, match="already completed"):
        await s.engine.signal(run, "letter", "d", actor="person:ada")


async def test_a_parent_waits_for_the_last_of_a_chain() -> None:
    s = TestSquad(PLUGIN)
    outcome = await s.run("above", Count(1, 3))
    assert outcome.output == [3, 7]
    assert (await replay(s.ledger.store, s.registry, outcome.run)).verdict == "identical"
    fork = await Forker(s.world).fork(outcome.run, [])
    assert (fork.rerun, fork.suppressed, fork.output_changed) == (0, [], False)


async def test_whoever_waits_with_the_process_that_dies_finds_the_chain_again() -> None:
    s = TestSquad(PLUGIN)
    run = await s.engine.start("mailman", [])
    await s.engine.signal(run, "letter", "a", actor="person:ada")
    await settle()
    await s.restart()
    await s.engine.signal(run, "letter", "b", actor="person:ada")
    await settle()
    await s.restart()
    await s.engine.signal(f"{run}~2", "letter", "c", actor="person:ada")
    assert (await s.engine.wait(run)).output == ["a", "b", "c"]


async def test_a_chain_is_cancelled_where_it_stands() -> None:
    s = TestSquad(PLUGIN)
    run = await s.engine.start("mailman", [])
    await s.engine.signal(run, "letter", "a", actor="person:ada")
    await settle()
    await s.engine.cancel(run, actor="person:ada", reason="enough")
    assert (await s.engine.wait(run)).status == "cancelled"


async def test_what_the_workflow_would_not_take_is_no_new_beginning() -> None:
    @workflow("typo")
    async def typo(ctx: Any, value: Count) -> None:
        raise ctx.continue_as_new({"att": "x"})

    outcome = await TestSquad(Plugin(name="typo", workflows=(typo,))).run("typo", Count(1))
    assert outcome.error["code"] == "run.input"
