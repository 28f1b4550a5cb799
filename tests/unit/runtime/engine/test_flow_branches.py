"""Streams, pipelines, races, and answers awaited later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import ConflictError, InvalidError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import RacingEffectError, workflow
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle


class N(msgspec.Struct):
    """A number."""

    n: int


class Outside:
    """What the actions reach: how many are at it, and who must wait."""

    def __init__(self) -> None:
        self.began: list[int] = []
        self.ended: list[int] = []
        self.cancelled: list[int] = []
        self.sent: list[int] = []
        self.held: dict[int, asyncio.Event] = {}
        self.most = 0


OUT = Outside()


@pytest.fixture(autouse=True)
def fresh() -> None:
    OUT.__init__()  # type: ignore[misc]


@action("net.look", effect=Effect.READ)
async def look(ctx: Any, value: N) -> N:
    """Look; 13 is refused."""
    OUT.began.append(value.n)
    OUT.most = max(OUT.most, len(OUT.began) - len(OUT.ended) - len(OUT.cancelled))
    try:
        if value.n in OUT.held:
            await OUT.held[value.n].wait()
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        OUT.cancelled.append(value.n)
        raise
    OUT.ended.append(value.n)
    if value.n == 13:
        raise InvalidError("unlucky", code="net.unlucky")
    return N(value.n + 100)


@action("world.do", effect=Effect.WRITE)
async def do(ctx: Any, value: N) -> N:
    """Do."""
    OUT.sent.append(value.n)
    return value


def squad(*flows: Any) -> TestSquad:
    return TestSquad(Plugin(name="flows", actions=(look, do), workflows=flows))


async def ended(s: TestSquad, flow: str, value: Any = None) -> Any:
    """Run a workflow and let what it dropped hear of it."""
    outcome = await s.run(flow, value)
    await settle()
    return outcome


async def told(s: TestSquad, run: str) -> None:
    """A run replays identically, and a fork that changes nothing reuses all."""
    found = await replay(s.ledger.store, s.registry, run)
    assert (found.verdict, found.reason) == ("identical", None)
    fork = await Forker(s.world).fork(run, [])
    assert (fork.rerun, fork.suppressed, fork.output_changed) == (0, [], False)


async def test_a_stream_gives_results_in_order_and_never_runs_more_than_its_limit() -> None:
    pulled: list[int] = []

    def source() -> Any:
        for n in range(100, 140):
            pulled.append(n)
            yield n

    @workflow("streamed")
    async def streamed(ctx: Any, value: None) -> list[Any]:
        pulled.clear()
        found, ahead = [], 0
        async for one in ctx.stream(lambda n: ctx.call("net.look", N(n)), source(), limit=4):
            found.append(one.n)
            ahead = max(ahead, len(pulled) - len(found))
        return [found, ahead]

    s = squad(streamed)
    outcome = await ended(s, "streamed")
    assert outcome.output[0] == list(range(200, 240))
    assert outcome.output[1] <= 8
    assert OUT.most == 4
    await told(s, outcome.run)


async def test_a_stream_that_is_not_ordered_gives_what_comes_first() -> None:
    OUT.held = {1: asyncio.Event()}

    @workflow("loose")
    async def loose(ctx: Any, value: None) -> list[int]:
        look = lambda n: ctx.call("net.look", N(n))  # noqa: E731
        return [one.n async for one in ctx.stream(look, [1, 2, 3, 4], limit=2, ordered=False)]

    s = squad(loose)
    run = await s.engine.start("loose", None)
    await settle()
    assert OUT.ended == [2, 3, 4]
    OUT.held[1].set()
    outcome = await s.engine.wait(run)
    assert outcome.output == [102, 103, 104, 101]
    await told(s, run)


async def test_the_error_of_a_stream_comes_in_its_turn_and_stops_the_rest() -> None:
    OUT.held = {20: asyncio.Event()}

    @workflow("broken")
    async def broken(ctx: Any, value: None) -> list[Any]:
        found: list[Any] = []
        try:
            async for one in ctx.stream(
                lambda n: ctx.call("net.look", N(n)), [1, 13, 20, 21, 22, 23], limit=3
            ):
                found.append(one.n)
        except InvalidError as error:
            found.append(error.code)
        return found

    s = squad(broken)
    outcome = await ended(s, "broken")
    assert outcome.output == [101, "net.unlucky"]
    assert 20 in OUT.cancelled
    assert 23 not in OUT.began
    assert sorted(OUT.began) == sorted(OUT.ended + OUT.cancelled)
    await told(s, outcome.run)


async def test_a_stream_that_is_left_early_leaves_nothing_behind() -> None:
    OUT.held = {5: asyncio.Event()}

    @workflow("left")
    async def left(ctx: Any, value: None) -> int:
        async with ctx.stream(lambda n: ctx.call("net.look", N(n)), range(1, 50)) as results:
            async for one in results:
                if one.n == 102:
                    break
        return int((await ctx.call("net.look", N(77))).n)

    s = squad(left)
    outcome = await ended(s, "left")
    assert outcome.output == 177
    assert 5 in OUT.cancelled
    assert sorted(OUT.began) == sorted(OUT.ended + OUT.cancelled)
    await told(s, outcome.run)


async def test_what_nobody_takes_of_a_stream_is_stopped_with_its_branch() -> None:
    OUT.held = {3: asyncio.Event()}

    @workflow("careless")
    async def careless(ctx: Any, value: None) -> int:
        async for one in ctx.stream(lambda n: ctx.call("net.look", N(n)), [1, 2, 3, 4]):
            return int(one.n)
        return 0

    s = squad(careless)
    outcome = await ended(s, "careless")
    assert (outcome.output, 3 in OUT.cancelled) == (101, True)
    assert sorted(OUT.began) == sorted(OUT.ended + OUT.cancelled)
    await told(s, outcome.run)


async def test_a_source_may_do_steps_of_its_own() -> None:
    @workflow("paged")
    async def paged(ctx: Any, value: None) -> list[int]:
        async def pages() -> AsyncIterator[int]:
            for page in range(3):
                first = await ctx.call("net.look", N(page))
                for n in range(3):
                    yield first.n * 10 + n

        results = await ctx.stream(lambda n: ctx.call("net.look", N(n)), pages(), limit=2)
        return [one.n for one in results]

    s = squad(paged)
    outcome = await ended(s, "paged")
    assert outcome.output == [100 + (100 + p) * 10 + n for p in range(3) for n in range(3)]
    await told(s, outcome.run)


async def test_a_later_stage_begins_with_the_first_item() -> None:
    OUT.held = {n: asyncio.Event() for n in (2, 3)}

    @workflow("piped")
    async def piped(ctx: Any, value: list[int]) -> list[int]:
        async def one(n: int) -> int:
            return int((await ctx.call("net.look", N(n))).n)

        async def two(n: int) -> int:
            return int((await ctx.call("net.look", N(n * 10))).n)

        return [n async for n in ctx.pipeline(value, one, two, limit=(3, 1))]

    s = squad(piped)
    run = await s.engine.start("piped", [1, 2, 3])
    await settle()
    assert OUT.ended == [1, 1010]  # the second stage, while the first still works
    for event in OUT.held.values():
        event.set()
    outcome = await s.engine.wait(run)
    assert outcome.output == [1110, 1120, 1130]
    await told(s, run)


async def test_a_pipeline_without_stages_is_refused() -> None:
    @workflow("empty")
    async def empty(ctx: Any, value: None) -> Any:
        return await ctx.pipeline([1])

    outcome = await squad(empty).run("empty", None)
    assert outcome.error["code"] == "flow.pipeline"


async def test_the_first_good_answer_wins_and_the_losers_are_cancelled() -> None:
    OUT.held = {3: asyncio.Event()}

    @workflow("raced")
    async def raced(ctx: Any, value: None) -> int:
        branches = [ctx.call("net.look", N(n)) for n in (1, 2, 3)]
        return int((await ctx.race(*branches, good=lambda one: one.n != 101)).n)

    s = squad(raced)
    outcome = await ended(s, "raced")
    assert (outcome.output, OUT.cancelled) == (102, [3])
    await told(s, outcome.run)


async def test_a_race_without_a_good_answer_says_what_came() -> None:
    @workflow("lost")
    async def lost(ctx: Any, value: None) -> Any:
        return await ctx.race(
            ctx.call("net.look", N(13)), ctx.call("net.look", N(1)), good=lambda one: False
        )

    s = squad(lost)
    outcome = await ended(s, "lost")
    assert outcome.error["code"] == "race.no_answer"
    codes = [one["code"] for one in outcome.error["details"]["answers"]]
    assert codes == ["net.unlucky", "race.not_good"]
    await told(s, outcome.run)


async def test_no_branch_of_a_race_can_change_the_world_itself_or_below() -> None:
    @workflow("below")
    async def below(ctx: Any, value: None) -> Any:
        return (await ctx.call("world.do", N(2))).n

    @workflow("tempted")
    async def tempted(ctx: Any, value: None) -> list[Any]:
        async def act() -> Any:
            try:
                return await ctx.call("world.do", N(1))
            except RacingEffectError as error:
                return error.code

        said = [await ctx.race(act())]
        try:
            await ctx.race(ctx.run("below", None))
        except ConflictError as error:
            said.append(error.details["answers"][0]["code"])
        said.append((await ctx.call("world.do", N(3))).n)
        return said

    s = squad(tempted, below)
    outcome = await ended(s, "tempted")
    assert outcome.output == ["race.effect", "race.effect", 3]
    assert OUT.sent == [3]
    planned = [
        e
        for name, _ in await s.ledger.store.streams("run/")
        for e in await s.ledger.store.read_stream(name)
        if e.type.startswith("effect.")
    ]
    assert {e.payload["position"] for e in planned} == {"3"}
    await told(s, outcome.run)


async def test_an_eager_branch_begins_now_and_is_done_once() -> None:
    @workflow("early")
    async def early(ctx: Any, value: None) -> list[int]:
        branch = ctx.eager(ctx.call("net.look", N(1)))
        other = await ctx.call("net.look", N(2))
        return [other.n, (await branch).n, (await branch).n]

    s = squad(early)
    outcome = await ended(s, "early")
    assert outcome.output == [102, 101, 101]
    assert sorted(OUT.began) == [1, 2]
    await told(s, outcome.run)


async def test_a_lazy_branch_begins_when_it_is_first_awaited_or_never() -> None:
    @workflow("late")
    async def late(ctx: Any, value: bool) -> list[int]:
        branch = ctx.lazy(ctx.call("net.look", N(1)))
        found = [(await ctx.call("net.look", N(2))).n]
        if value:
            found += [one.n for one in await ctx.parallel(branch, branch)]
        return found

    s = squad(late)
    outcome = await s.run("late", True)
    assert (outcome.output, OUT.began) == ([102, 101, 101], [2, 1])
    await told(s, outcome.run)
    OUT.began.clear()
    outcome = await s.run("late", False)
    assert (outcome.output, OUT.began) == ([102], [2])
    await told(s, outcome.run)


async def test_a_run_ends_after_its_eager_branches_and_fails_with_them() -> None:
    OUT.held = {1: asyncio.Event(), 13: asyncio.Event()}

    @workflow("unawaited")
    async def unawaited(ctx: Any, value: int) -> str:
        ctx.eager(ctx.call("net.look", N(value)))
        return "done"

    s = squad(unawaited)
    for n, status in ((1, "completed"), (13, "failed")):
        run = await s.engine.start("unawaited", n)
        await settle()
        assert (await s.engine.outcome(run)).status != status
        OUT.held[n].set()
        outcome = await s.engine.wait(run)
        assert outcome.status == status
        await told(s, run)
    assert outcome.error["code"] == "net.unlucky"


async def test_a_run_that_fails_stops_what_it_began_and_waits_for_its_effects() -> None:
    OUT.held = {1: asyncio.Event(), 13: asyncio.Event()}

    @workflow("failing")
    async def failing(ctx: Any, value: None) -> None:
        ctx.eager(ctx.call("net.look", N(1)))
        ctx.eager(ctx.call("world.do", N(2)))
        await ctx.call("net.look", N(13))

    s = squad(failing)
    run = await s.engine.start("failing", None)
    await settle()
    OUT.held[13].set()
    outcome = await s.engine.wait(run)
    await settle()
    assert (outcome.status, outcome.error["code"]) == ("failed", "net.unlucky")
    assert (OUT.cancelled, OUT.sent) == ([1], [2])
    await told(s, outcome.run)


async def test_of_what_a_stream_has_finished_the_run_keeps_nothing() -> None:
    sizes: list[int] = []

    @workflow("long")
    async def long(ctx: Any, value: int) -> int:
        total = 0
        async for one in ctx.stream(
            lambda n: ctx.call("net.look", N(n)), range(20, value), limit=4
        ):
            total += one.n
            held = [ctx.state.resolved, ctx.state.requests, ctx.commands, ctx.scheduler.tasks]
            sizes.append(sum(len(part) for part in held))
        return total

    s = squad(long)
    outcome = await s.run("long", 620)
    assert outcome.output == sum(n + 100 for n in range(20, 620))
    assert max(sizes) <= 20
    await told(s, outcome.run)
