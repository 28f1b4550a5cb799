"""Scopes, shields, loops, the depth of runs below one another, and undoing a
part of a saga."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import InvalidError, SquadError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import ScopeDeadlineError, workflow
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle


class N(msgspec.Struct):
    """A number."""

    n: int


class Outside:
    """What the actions reach."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.cancelled: list[int] = []
        self.held: dict[int, asyncio.Event] = {}


OUT = Outside()


@pytest.fixture(autouse=True)
def fresh() -> None:
    OUT.__init__()  # type: ignore[misc]


async def _wait(n: int) -> None:
    try:
        if n in OUT.held:
            await OUT.held[n].wait()
    except asyncio.CancelledError:
        OUT.cancelled.append(n)
        raise


@action("net.look", effect=Effect.READ)
async def look(ctx: Any, value: N) -> N:
    """Look; 13 is refused."""
    await _wait(value.n)
    if value.n == 13:
        raise InvalidError("unlucky", code="net.unlucky")
    return N(value.n + 100)


@action("world.do", effect=Effect.WRITE, compensate="world.undo")
async def do(ctx: Any, value: N) -> N:
    """Do."""
    await _wait(value.n)
    OUT.sent.append(value.n)
    return value


@action("world.undo", effect=Effect.WRITE)
async def undo(ctx: Any, value: dict[str, Any]) -> N:
    """Undo."""
    await _wait(-value["input"]["n"])
    OUT.sent.append(-value["input"]["n"])
    return N(0)


def squad(*flows: Any) -> TestSquad:
    return TestSquad(Plugin(name="flows", actions=(look, do, undo), workflows=flows))


async def told(s: TestSquad, run: str) -> None:
    """A run replays identically, and a fork that changes nothing reuses all."""
    found = await replay(s.ledger.store, s.registry, run)
    assert (found.verdict, found.reason) == ("identical", None)
    fork = await Forker(s.world).fork(run, [])
    assert (fork.rerun, fork.suppressed, fork.output_changed) == (0, [], False)


async def test_a_scope_whose_time_runs_out_stops_what_is_inside() -> None:
    OUT.held = {n: asyncio.Event() for n in (1, 2, 7)}

    @workflow("timed")
    async def timed(ctx: Any, value: None) -> list[Any]:
        said: list[Any] = []
        try:
            async with ctx.scope(timeout_ms=1000) as scope:
                await ctx.parallel(ctx.call("net.look", N(1)), ctx.call("net.look", N(2)))
        except ScopeDeadlineError as error:
            said += [error.code, scope.cancelled]
        async with ctx.scope(timeout_ms=1000):
            said.append((await ctx.call("net.look", N(3))).n)
        await ctx.sleep(5000)
        return said

    s = squad(timed)
    run = await s.engine.start("timed", None)
    await settle()
    await s.clock.advance(1000)
    await settle()
    assert sorted(OUT.cancelled) == [1, 2]
    await s.clock.advance(5000)
    outcome = await s.engine.wait(run)
    assert outcome.output == ["scope.deadline", True, 103]
    await told(s, run)


async def test_the_time_of_a_scope_survives_a_crash() -> None:
    @workflow("patient")
    async def patient(ctx: Any, value: None) -> Any:
        try:
            async with ctx.scope(timeout_ms=60_000):
                return await ctx.signal("never")
        except ScopeDeadlineError as error:
            return error.code

    s = squad(patient)
    run = await s.engine.start("patient", None)
    await settle()
    await s.clock.advance(30_000)
    await s.restart()
    await s.clock.advance(20_000)
    await settle()
    assert (await s.engine.outcome(run)).status == "waiting"
    await s.clock.advance(10_000)
    assert (await s.engine.wait(run, timeout_ms=5000)).output == "scope.deadline"
    await told(s, run)


async def test_a_cancelled_scope_is_left_quietly_and_says_why() -> None:
    OUT.held = {1: asyncio.Event()}

    @workflow("quiet")
    async def quiet(ctx: Any, value: None) -> list[Any]:
        async with ctx.scope() as scope:

            async def watch() -> None:
                await ctx.signal("enough")
                scope.cancel("somebody said enough")

            await ctx.parallel(watch(), ctx.call("net.look", N(1)))
        return [scope.reason, (await ctx.call("net.look", N(2))).n]

    s = squad(quiet)
    run = await s.engine.start("quiet", None)
    await settle()
    await s.engine.signal(run, "enough", None, actor="person:ada")
    outcome = await s.engine.wait(run)
    await settle()
    assert outcome.output == ["somebody said enough", 102]
    assert OUT.cancelled == [1]
    await told(s, run)


async def test_only_the_inner_scope_is_cancelled() -> None:
    OUT.held = {1: asyncio.Event(), 2: asyncio.Event()}

    @workflow("nested")
    async def nested(ctx: Any, value: None) -> list[Any]:
        async def inner() -> Any:
            async with ctx.scope() as scope:
                branch = ctx.eager(ctx.call("net.look", N(1)))
                await ctx.signal("inner")
                scope.cancel("inner")
                await branch
            return scope.reason

        async with ctx.scope() as outer:
            found = await ctx.parallel(inner(), ctx.call("net.look", N(2)))
        return [outer.reason, found[0], found[1].n]

    s = squad(nested)
    run = await s.engine.start("nested", None)
    await settle()
    await s.engine.signal(run, "inner", None, actor="person:ada")
    await settle()
    OUT.held[2].set()
    outcome = await s.engine.wait(run)
    assert outcome.output == [None, "inner", 102]
    assert OUT.cancelled == [1]
    await told(s, run)


async def test_effects_in_flight_end_before_their_scope_does() -> None:
    OUT.held = {5: asyncio.Event()}

    @workflow("careful")
    async def careful(ctx: Any, value: None) -> list[Any]:
        said: list[Any] = []
        try:
            async with ctx.scope(timeout_ms=1000):
                said.append((await ctx.call("world.do", N(5))).n)
                await ctx.call("world.do", N(6))
        except ScopeDeadlineError as error:
            said.append(error.code)
        return said

    s = squad(careful)
    run = await s.engine.start("careful", None)
    await settle()
    await s.clock.advance(1000)
    await settle()
    assert (await s.engine.outcome(run)).status == "running"
    OUT.held[5].set()
    outcome = await s.engine.wait(run)
    assert outcome.output == [5, "scope.deadline"]
    assert OUT.sent == [5]
    await told(s, run)


async def test_a_child_of_a_cancelled_scope_is_asked_to_stop_and_undone() -> None:
    @workflow("below")
    async def below(ctx: Any, value: None) -> None:
        saga = ctx.saga()
        await saga.call("world.do", N(4))
        await ctx.signal("never")

    @workflow("above")
    async def above(ctx: Any, value: None) -> Any:
        try:
            async with ctx.scope(timeout_ms=1000):
                await ctx.run("below", None)
        except ScopeDeadlineError as error:
            return error.code

    s = squad(above, below)
    run = await s.engine.start("above", None)
    await settle()
    await s.clock.advance(1000)
    outcome = await s.engine.wait(run)
    assert (outcome.output, OUT.sent) == ("scope.deadline", [4, -4])
    assert (await s.engine.outcome(f"{run}/2")).status == "cancelled"
    await told(s, run)


async def test_what_is_shielded_comes_to_its_end_before_the_run_is_cancelled() -> None:
    OUT.held = {1: asyncio.Event(), 2: asyncio.Event()}

    @workflow("shielded")
    async def shielded(ctx: Any, value: None) -> None:
        async def both() -> None:
            await ctx.call("net.look", N(1))
            await ctx.call("world.do", N(3))

        await ctx.parallel(ctx.shield(both()), ctx.call("net.look", N(2)))
        await ctx.call("world.do", N(4))

    s = squad(shielded)
    run = await s.engine.start("shielded", None)
    await settle()
    await s.engine.cancel(run, actor="person:ada", reason="enough")
    await settle()
    assert OUT.cancelled == [2]
    OUT.held[1].set()
    outcome = await s.engine.wait(run)
    assert (outcome.status, OUT.sent) == ("cancelled", [3])
    await told(s, run)


async def test_a_shield_does_not_hold_for_a_question_when_the_run_is_cancelled() -> None:
    @workflow("asking")
    async def asking(ctx: Any, value: None) -> None:
        saga = ctx.saga()
        await saga.call("world.do", N(1))
        await ctx.shield(ctx.approve("world.do", N(2), roles=["boss"], requester="agent:a"))
        await ctx.call("world.do", N(2))

    s = squad(asking)
    run = await s.engine.start("asking", None)
    await settle()
    await s.engine.cancel(run, actor="person:ada", reason="enough")
    outcome = await s.engine.wait(run, timeout_ms=5000)
    assert (outcome.status, OUT.sent) == ("cancelled", [1, -1])
    assert await s.engine.inbox() == []
    await told(s, run)


async def test_cleaning_up_may_do_steps_after_a_scope_was_cancelled() -> None:
    @workflow("tidy")
    async def tidy(ctx: Any, value: None) -> list[Any]:
        said: list[Any] = []
        async with ctx.scope() as scope:
            scope.cancel("at once")
            try:
                await ctx.call("net.look", N(1))
            finally:
                said.append((await ctx.call("net.look", N(2))).n)
        return said

    s = squad(tidy)
    outcome = await s.run("tidy", None)
    assert outcome.output == [102]
    await told(s, outcome.run)


async def test_a_loop_ends_when_its_value_will_do() -> None:
    @workflow("looped")
    async def looped(ctx: Any, value: int) -> Any:
        async def step(n: int) -> int:
            return int((await ctx.call("net.look", N(n))).n)

        return await ctx.loop(step, value, until=lambda n: n > 450)

    s = squad(looped)
    outcome = await s.run("looped", 1)
    assert outcome.output == 501
    await told(s, outcome.run)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"modulus": 3}, "loop.no_progress"),
        ({"modulus": 10**6, "limit": 5}, "loop.limit"),
        ({"modulus": 10**6, "worse": True}, "loop.no_progress"),
    ],
)
async def test_a_loop_that_gets_nowhere_is_stopped(options: dict[str, Any], code: str) -> None:
    @workflow("circles")
    async def circles(ctx: Any, value: None) -> Any:
        async def step(n: int) -> int:
            return int((await ctx.call("net.look", N(n))).n % options["modulus"])

        more = {"limit": options["limit"]} if "limit" in options else {}
        if "worse" in options:
            more |= {"score": lambda n: -n, "patience": 4}  # type: ignore[dict-item]
        return await ctx.loop(step, 0, until=lambda n: False, **more)

    s = squad(circles)
    outcome = await s.run("circles", None)
    assert outcome.error["code"] == code
    if "worse" in options:
        assert outcome.error["details"]["turn"] == 4
    await told(s, outcome.run)


async def test_runs_below_one_another_have_a_bound() -> None:
    @workflow("deep")
    async def deep(ctx: Any, value: int) -> Any:
        return await ctx.run("deep", value + 1)

    s = squad(deep)
    outcome = await s.run("deep", 0)
    assert outcome.error["code"] == "run.depth"
    assert len(await s.ledger.store.streams("run/")) == 33


async def test_a_child_sees_nothing_of_its_parent_but_its_input() -> None:
    @workflow("inner")
    async def inner(ctx: Any, value: dict[str, Any]) -> Any:
        value["list"].append(9)
        return [value["list"], await ctx.signal("mine")]

    @workflow("outer")
    async def outer(ctx: Any, value: None) -> Any:
        given = {"list": [1]}
        theirs = await ctx.run("inner", given)
        return [given["list"], theirs, await ctx.signal("mine")]

    s = squad(inner, outer)
    run = await s.engine.start("outer", None)
    await s.engine.signal(run, "mine", "the parent's", actor="person:ada")
    await settle()
    await s.engine.signal(f"{run}/1", "mine", "the child's", actor="person:ada")
    outcome = await s.engine.wait(run)
    assert outcome.output == [[1], [[1, 9], "the child's"], "the parent's"]


async def test_the_time_limit_of_a_run_stops_the_runs_below_it() -> None:
    @workflow("waits")
    async def waits(ctx: Any, value: int) -> None:
        await ctx.saga().call("world.do", N(value))
        await (ctx.run("waits", value + 1) if value < 3 else ctx.signal("never"))

    @workflow("limited", timeout_ms=1000)
    async def limited(ctx: Any, value: None) -> None:
        await ctx.run("waits", 1)

    s = squad(waits, limited)
    run = await s.engine.start("limited", None)
    await settle()
    await s.clock.advance(1000)
    outcome = await s.engine.wait(run)
    assert (outcome.status, outcome.error["code"]) == ("failed", "run.deadline")
    assert OUT.sent == [1, 2, 3, -3, -2, -1]


@workflow("picky")
async def picky(ctx: Any, value: dict[str, Any]) -> Any:
    """Do three things, undo some, and fail."""
    saga = ctx.saga()
    for n in (1, 2, 3):
        await saga.call("world.do", N(n), name=f"the {n}")
    report = await saga.undo(**value)
    OUT.sent.append(0)
    if value.get("skip") is None:
        raise InvalidError(str(len(report)), code="picky.enough")
    return len(report)


async def test_a_part_of_a_saga_is_undone_and_the_rest_when_the_run_fails() -> None:
    s = squad(picky)
    outcome = await s.run("picky", {"only": ["the 2"]})
    assert OUT.sent == [1, 2, 3, -2, 0, -3, -1]
    assert outcome.error["message"] == "1"
    await told(s, outcome.run)


async def test_what_is_skipped_stays_done() -> None:
    s = squad(picky)
    outcome = await s.run("picky", {"skip": ["the 3", "1"]})
    assert (OUT.sent, outcome.output) == ([1, 2, 3, -2, 0], 1)
    await told(s, outcome.run)


async def test_an_undoing_that_is_asked_for_twice_is_done_once() -> None:
    @workflow("twice")
    async def twice(ctx: Any, value: None) -> Any:
        saga = ctx.saga()
        for n in (1, 2):
            await saga.call("world.do", N(n))
        saga.remember("world.undo", {"input": {"n": 2}}, "again", undoes="2")
        saga.remember("world.undo", {"input": {"n": 7}}, "once", undoes="1.x")
        saga.remember("world.undo", {"input": {"n": 7}}, "once", undoes="1.x")
        reports = await ctx.parallel(saga.undo(), saga.undo(), saga.undo())
        return [sorted(line["action"] for line in report) for report in reports]

    s = squad(twice)
    outcome = await s.run("twice", None)
    assert sorted(OUT.sent) == [-7, -2, -1, 1, 2, 2 - 4] or sorted(OUT.sent) == [-7, -2, -1, 1, 2]
    assert OUT.sent.count(-2) == OUT.sent.count(-7) == OUT.sent.count(-1) == 1
    await told(s, outcome.run)


async def test_a_run_stopped_amid_its_own_undoing_undoes_the_rest() -> None:
    OUT.held = {-2: asyncio.Event()}

    @workflow("undoing")
    async def undoing(ctx: Any, value: None) -> None:
        saga = ctx.saga()
        for n in (1, 2):
            await saga.call("world.do", N(n))
        await saga.undo()

    s = squad(undoing)
    run = await s.engine.start("undoing", None)
    await settle()
    await s.engine.cancel(run, actor="person:ada", reason="enough")
    OUT.held[-2].set()
    outcome = await s.engine.wait(run)
    assert (outcome.status, OUT.sent) == ("cancelled", [1, 2, -2, -1])
    await told(s, run)


async def test_nothing_is_written_after_the_end_of_a_run_that_was_cancelled() -> None:
    OUT.held = {1: asyncio.Event()}

    @workflow("reading")
    async def reading(ctx: Any, value: None) -> None:
        await ctx.call("net.look", N(1))

    s = squad(reading)
    run = await s.engine.start("reading", None)
    await settle()
    await s.engine.cancel(run, actor="person:ada", reason="enough")
    OUT.held[1].set()
    await settle()
    assert (await s.events(run))[-1] == "run.cancelled"
    with pytest.raises(SquadError):
        await s.engine.cancel(run, actor="person:ada", reason="again")
