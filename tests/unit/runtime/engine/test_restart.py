"""An ended run is done again from a step, for real, on what came before it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import DeniedError, InvalidError, MissingError
from agentsquad.kernel.policy import Decision, Question
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.restart import RestartError
from agentsquad.runtime.engine.restarting import restart
from agentsquad.testing import AllowAll, TestSquad
from agentsquad.testing.clock import settle

SENT: list[Any] = []
BROKEN: set[int] = set()


@pytest.fixture(autouse=True)
def fresh() -> None:
    SENT.clear()
    BROKEN.clear()


@action("net.look", effect=Effect.READ)
async def look(ctx: Any, value: int) -> int:
    """Look, unless that is broken."""
    SENT.append(f"look {value}")
    if value in BROKEN:
        raise InvalidError("broken", code="net.broken")
    return value


@action("world.do", effect=Effect.WRITE, compensate="world.undo")
async def do(ctx: Any, value: list[Any]) -> Any:
    """Do."""
    SENT.append(value[0])
    return value[0]


@action("world.undo", effect=Effect.WRITE)
async def undo(ctx: Any, value: dict[str, Any]) -> None:
    """Undo."""
    SENT.append(f"undo {value['input'][0]}")


@workflow("steps")
async def steps(ctx: Any, value: bool) -> list[Any]:
    """Do, wait, look, do; what it does rests on time and chance."""
    saga = ctx.saga()
    call = saga.call if value else ctx.call
    one = await call("world.do", ["one", ctx.now_ms(), ctx.random()], name="first")
    await ctx.sleep(60_000)
    two = await ctx.call("net.look", 2, name="middle")
    three = await call("world.do", ["three", ctx.random()], name="last")
    return [one, two, three]


@workflow("asked")
async def asked(ctx: Any, value: None) -> Any:
    """Ask, look, and do what was approved."""
    answer = await ctx.approve("world.do", ["big"], roles=["boss"], requester="agent:a")
    await ctx.call("net.look", 2)
    return await ctx.call("world.do", ["big"], approval=answer)


@workflow("sided")
async def sided(ctx: Any, value: None) -> list[Any]:
    """Do things side by side, in runs below and in a stream."""
    found = await ctx.parallel(ctx.run("steps", False), ctx.call("world.do", ["beside"]))
    async for one in ctx.stream(lambda n: ctx.call("world.do", [n]), range(3), limit=1):
        found.append(one)
    return [*found, await ctx.call("net.look", 3)]


class House(AllowAll):
    """Allows nobody called mallory anything."""

    def decide(self, question: Question) -> Decision:
        """Decide."""
        decision = super().decide(question)
        if question.actor == "person:mallory":
            return msgspec.structs.replace(decision, allow=False)
        return decision


def squad() -> TestSquad:
    plugin = Plugin(
        name="again", actions=(look, do, undo, restart), workflows=(steps, asked, sided)
    )
    return TestSquad(plugin, policy=House())


async def ended(s: TestSquad, flow: str, value: Any) -> str:
    run = await s.engine.start(flow, value)
    await settle()
    for item in await s.engine.inbox():
        await s.engine.answer(item.id, approve=True, approver="person:bob", reason="fine")
    await settle()
    await s.clock.advance(60_000)
    await s.engine.wait(run)
    return str(run)


async def again(s: TestSquad, run: str, step: str, **options: Any) -> Any:
    given = {"run": run, "from": step, "reason": "mended", "wait": False, **options}
    who = Actor.parse(given.pop("who", "person:ada"))
    outcome = await s.engine.invoke("runs.restart", given, actor=who)
    await settle()
    await s.clock.advance(60_000)
    return await s.engine.wait(outcome.run)


async def sound(s: TestSquad, run: str) -> None:
    found = await replay(s.ledger.store, s.registry, run)
    assert (found.verdict, found.reason) == ("identical", None)
    fork = await Forker(s.world).fork(run, [])
    assert (fork.rerun, fork.suppressed, fork.output_changed) == (0, [], False)


@pytest.mark.parametrize("step", ["3", "middle", "net.look"])
async def test_a_failed_run_goes_on_from_a_step_and_repeats_nothing(step: str) -> None:
    s = squad()
    BROKEN.add(2)
    run = await ended(s, "steps", False)
    BROKEN.clear()
    await s.clock.advance(1_000_000)
    outcome = await again(s, run, step)
    assert (outcome.run, outcome.output) == (f"{run}~2", ["one", 2, "three"])
    assert SENT == ["one", "look 2", "look 2", "three"]
    await sound(s, outcome.run)
    assert (await s.engine.outcome(run)).status == "failed"
    old = await s.ledger.store.read_stream(f"run/{run}")
    new = await s.ledger.store.read_stream(f"run/{outcome.run}")
    assert new[0].payload["restarts"] == {
        "run": run, "from": step, "events": len([e for e in new if "was_at" in e.payload]),
        "reason": "mended", "by": "person:ada",
    }  # fmt: skip
    planned = [e.payload["key"] for e in (*old, *new) if e.type == "effect.planned"]
    assert planned[0] == planned[1] != planned[2]


async def test_it_goes_on_after_a_crash_and_can_be_restarted_again() -> None:
    s = squad()
    BROKEN.add(2)
    run = await ended(s, "steps", False)
    second = await again(s, run, "3")
    assert second.status == "failed"
    await s.restart()
    BROKEN.clear()
    third = await again(s, run, "2")
    assert (third.run, third.output) == (f"{run}~3", ["one", 2, "three"])
    assert SENT.count("one") == 1
    await sound(s, third.run)


async def test_an_effect_that_happened_is_sent_again_only_when_that_is_asked_for() -> None:
    s = squad()
    run = await ended(s, "steps", False)
    with pytest.raises(RestartError, match="would happen again") as told:
        await again(s, run, "middle")
    assert told.value.details["again"] == [{"step": "4", "action": "world.do"}]
    outcome = await again(s, run, "middle", again=True)
    assert outcome.output == ["one", 2, "three"]
    assert SENT.count("three") == 2
    assert SENT.count("one") == 1


async def test_what_was_undone_is_not_taken_over() -> None:
    s = squad()
    BROKEN.add(2)
    run = await ended(s, "steps", True)
    BROKEN.clear()
    with pytest.raises(RestartError, match="was undone"):
        await again(s, run, "middle")
    outcome = await again(s, run, "first")
    assert outcome.output == ["one", 2, "three"]
    assert SENT == ["one", "look 2", "undo one", "one", "look 2", "three"]
    await sound(s, outcome.run)


async def test_what_was_approved_for_what_is_still_to_come_is_asked_again() -> None:
    s = squad()
    run = await ended(s, "asked", None)
    with pytest.raises(RestartError, match="approved at step 1"):
        await again(s, run, "2", again=True)
    given = {"run": run, "from": "1", "reason": "once more", "again": True, "wait": False}
    outcome = await s.engine.invoke("runs.restart", given, actor=Actor.parse("person:ada"))
    await settle()
    (item,) = await s.engine.inbox(outcome.run)
    await s.engine.answer(item.id, approve=True, approver="person:bob", reason="fine")
    assert (await s.engine.wait(outcome.run)).output == "big"
    await sound(s, outcome.run)


async def test_runs_below_and_streams_are_taken_over_too() -> None:
    s = squad()
    BROKEN.add(3)
    run = await ended(s, "sided", None)
    BROKEN.clear()
    outcome = await again(s, run, "3")
    assert outcome.output == [["one", 2, "three"], "beside", 0, 1, 2, 3]
    assert [SENT.count(one) for one in ("one", "three", "beside", 0, 1, 2)] == [1] * 6
    await sound(s, outcome.run)


async def test_what_cannot_be_restarted_is_refused_with_the_reason() -> None:
    s = squad()
    waiting = await s.engine.start("steps", False)
    await settle()
    with pytest.raises(RestartError, match="has not ended"):
        await again(s, waiting, "1")
    await s.clock.advance(60_000)
    await s.engine.wait(waiting)
    with pytest.raises(MissingError, match="no step 'nothing'"):
        await again(s, waiting, "nothing")
    with pytest.raises(InvalidError, match="from which step"):
        await again(s, waiting, " ")
    with pytest.raises(DeniedError):
        await again(s, waiting, "1", again=True, who="person:mallory")
    run = await ended(s, "sided", None)
    with pytest.raises(RestartError, match="belongs to another run"):
        await again(s, f"{run}/1.0.1", "1")


async def test_two_who_restart_at_once_restart_once() -> None:
    s = squad()
    BROKEN.add(2)
    run = await ended(s, "steps", False)
    BROKEN.clear()
    both = await asyncio.gather(again(s, run, "3"), again(s, run, "3"), return_exceptions=True)
    assert SENT.count("three") == 1
    assert sum(isinstance(one, RestartError) for one in both) == 1
