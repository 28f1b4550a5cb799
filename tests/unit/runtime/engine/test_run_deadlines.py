"""The time a run has is the time all below it has, and nothing begins after
it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, RetryPolicy, action
from agentsquad.kernel.errors import InvalidError, UnavailableError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.adapters.pulses import FilePulses, MemoryPulses
from agentsquad.runtime.engine.contract import StepDeadlineError, workflow
from agentsquad.runtime.engine.inbound.contract import Beat, Pulses
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle

LEFT: list[int | None] = []
TRIES: list[Any] = []


class N(msgspec.Struct):
    """A number."""

    n: int = 0


@action("time.left", effect=Effect.READ)
async def left(ctx: Any, value: N) -> int | None:
    """Say how long there is."""
    LEFT.append(ctx.time_left_ms())
    return None


@action("time.short", effect=Effect.READ, timeout_ms=700)
async def short(ctx: Any, value: N) -> int | None:
    """Say how long there is; not long."""
    LEFT.append(ctx.time_left_ms())
    return None


@action("time.nested", effect=Effect.READ)
async def nested(ctx: Any, value: N) -> int | None:
    """Ask below."""
    return await ctx.call("time.left", N())  # type: ignore[no-any-return]


@action("time.send", effect=Effect.WRITE, compensate="time.back")
async def send(ctx: Any, value: N) -> int:
    """Send."""
    TRIES.append("sent")
    return value.n


@action("time.back", effect=Effect.WRITE)
async def back(ctx: Any, value: dict[str, Any]) -> int:
    """Take back."""
    TRIES.append("undone")
    return 0


@workflow("three", timeout_ms=10_000)
async def three(ctx: Any, value: int) -> None:
    """Call at the top, in a child with a limit and in a child of it."""
    await ctx.call("time.left", N())
    await ctx.sleep(1_000)
    await ctx.run("two", value, timeout_ms=value)


@workflow("two")
async def two(ctx: Any, value: int) -> None:
    """Call, and let another child call."""
    await ctx.call("time.left", N())
    await ctx.sleep(1_000)
    await ctx.run("one", value)


@workflow("one")
async def one(ctx: Any, value: int) -> None:
    """Call in every way."""
    await ctx.call("time.left", N())
    await ctx.call("time.short", N())
    await ctx.call("time.left", N(), timeout_ms=300)
    await ctx.call("time.nested", N())


@workflow("late", timeout_ms=1_000)
async def late(ctx: Any, value: int) -> str:
    """Go on after an error, past the limit."""
    saga = ctx.saga()
    await saga.call("time.send", N(1))
    await ctx.call("time.stall", N())
    await saga.call("time.send", N(2))
    return "never"


@action("time.stall", effect=Effect.READ)
async def stall(ctx: Any, value: N) -> int:
    """Take so long that the run's time is over when it ends."""
    CLOCK[0].now += 5_000
    return 1


CLOCK: list[Any] = [None]


@action(
    "beat.copy", effect=Effect.READ, heartbeat_ms=40, retry=RetryPolicy(attempts=3, initial_ms=0)
)
async def copy(ctx: Any, value: N) -> int:
    """Copy in pieces; fall silent at the second and the fourth piece."""
    begin = ctx.last_heartbeat or 0
    TRIES.append(begin)
    for piece in range(begin + 1, 6):
        ctx.heartbeat(piece)
        await asyncio.sleep(0)
        if piece % 2 == 0 and piece > begin + 1:
            await asyncio.get_running_loop().create_future()
    return begin


@action("beat.silent", effect=Effect.WRITE, heartbeat_ms=20)
async def silent(ctx: Any, value: N) -> int:
    """Send, and fall silent."""
    await asyncio.get_running_loop().create_future()
    return 0


@action("beat.long", effect=Effect.READ, heartbeat_ms=60)
async def long(ctx: Any, value: N) -> int:
    """Take longer than a silence may, with signs of life from a thread."""
    for _ in range(4):
        await asyncio.get_running_loop().run_in_executor(None, ctx.heartbeat, {"at": "work"})
        await asyncio.sleep(0.02)
    return 1


@action("beat.held", effect=Effect.READ, heartbeat_ms=60_000)
async def held(ctx: Any, value: N) -> int:
    """Beat once, and go on when let."""
    TRIES.append(ctx.last_heartbeat)
    ctx.heartbeat({"page": 7})
    await HOLD[0]
    return 1


HOLD: list[Any] = [None]


@workflow("beating")
async def beating(ctx: Any, value: str) -> Any:
    """Call what is named."""
    return await ctx.call(value, N())


ACTIONS = (left, short, nested, send, back, stall, copy, silent, long, held)


def squad() -> TestSquad:
    LEFT.clear()
    TRIES.clear()
    s = TestSquad(Plugin(name="time", actions=ACTIONS, workflows=(three, two, one, late, beating)))
    CLOCK[0] = s.clock
    return s


async def identical(s: TestSquad, run: str) -> bool:
    return (await replay(s.ledger.store, s.registry, run)).verdict == "identical"


async def through(s: TestSquad, run: str) -> None:
    for _ in range(3):
        await settle()
        await s.clock.advance(1_000)
    await s.engine.wait(run, timeout_ms=5_000)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (5_000, [10_000, 5_000, 4_000, 700, 300, 4_000]),
        (50_000, [10_000, 9_000, 8_000, 700, 300, 8_000]),
    ],
)
async def test_each_call_has_the_least_of_all_the_limits_above_it(
    limit: int, said: list[int]
) -> None:
    s = squad()
    run = await s.engine.start("three", limit)
    await through(s, run)
    assert said == LEFT
    assert await identical(s, run)


async def test_a_restart_in_the_middle_gives_no_time_back() -> None:
    s = squad()
    run = await s.engine.start("three", 5_000)
    await settle()
    await s.clock.advance(1_000)
    await settle()
    await s.restart()
    await s.clock.advance(1_000)
    await s.engine.wait(run, timeout_ms=5_000)
    assert LEFT[-4:] == [4_000, 700, 300, 4_000]


async def test_without_a_limit_there_is_none() -> None:
    s = squad()
    await s.run("one", 1)
    assert LEFT == [None, 700, 300, None]


async def test_no_step_begins_after_its_runs_time_and_what_was_done_is_undone() -> None:
    s = squad()
    run = await s.engine.start("late", 1)
    await settle()
    await s.clock.advance(1)
    outcome = await s.engine.wait(run, timeout_ms=5_000)
    assert (outcome.status, TRIES) == ("failed", ["sent", "undone"])
    assert await identical(s, run)


async def test_a_silent_action_is_stopped_and_the_next_try_knows_how_far_it_was() -> None:
    s = squad()
    s.world.ports.put(Pulses, MemoryPulses())
    run = await s.engine.start("beating", "beat.copy")
    for _ in range(100):
        await asyncio.sleep(0.01)
        await s.clock.advance(1)
        if "run.completed" in await s.events(run):
            break
    outcome = await s.engine.wait(run, timeout_ms=5_000)
    assert (outcome.output, TRIES) == (4, [0, 2, 4])
    events = await s.ledger.store.read_stream(f"run/{run}")
    assert [event.type for event in events] == ["run.started", "step.completed", "run.completed"]
    body = events[1].payload
    assert (body["attempts"], body["heartbeats"]) == (3, {"count": 5, "detail": 5})
    assert s.world.ports.get(Pulses).of(run) == []


async def test_an_effect_that_falls_silent_has_an_unknown_outcome() -> None:
    s = squad()
    run = await s.engine.start("beating", "beat.silent")
    for _ in range(20):
        await asyncio.sleep(0.01)
        if "effect.ambiguous" in await s.events(run):
            break
    events = await s.ledger.store.read_stream(f"run/{run}")
    (lost,) = [event.payload for event in events if event.type == "effect.ambiguous"]
    assert lost["error"]["code"] == "step.heartbeat"


async def test_beats_of_a_thread_keep_an_action_alive() -> None:
    s = squad()
    outcome = await s.run("beating", "beat.long")
    assert (outcome.status, outcome.output) == ("completed", 1)


async def test_a_step_under_way_is_seen_and_survives_a_crash(tmp_path: Any) -> None:
    s = squad()
    HOLD[0] = asyncio.get_running_loop().create_future()
    s.world.ports.put(Pulses, FilePulses(tmp_path / "pulses"))
    run = await s.engine.start("beating", "beat.held")
    await settle()
    (beat,) = FilePulses(tmp_path / "pulses").of(run)  # as another process sees it
    assert (beat.action, beat.detail, beat.count) == ("beat.held", {"page": 7}, 1)
    await s.engine.close()
    HOLD[0] = asyncio.get_running_loop().create_future()
    s.engine = s._engine()
    s.world.ports.put(Pulses, FilePulses(tmp_path / "pulses"))
    await s.engine.recover()
    await settle()
    HOLD[0].set_result(None)
    assert (await s.engine.wait(run, timeout_ms=5_000)).output == 1
    assert TRIES == [None, {"page": 7}]
    assert not (tmp_path / "pulses").exists()


async def test_what_a_beat_says_is_json_and_not_long() -> None:
    @action("beat.odd", effect=Effect.READ)
    async def odd(ctx: Any, value: N) -> int:
        for wrong in (object(), "x" * 20_000):
            with pytest.raises(InvalidError) as caught:
                ctx.heartbeat(wrong)
            assert caught.value.code == "heartbeat.detail"
        return 1

    s = TestSquad(Plugin(name="odd", actions=(odd,), workflows=(beating,)))
    assert (await s.run("beating", "beat.odd")).output == 1


def test_only_what_can_be_stopped_may_have_to_beat() -> None:
    with pytest.raises(InvalidError, match="async def"):

        @action("beat.sync", effect=Effect.READ, heartbeat_ms=5)
        def sync(ctx: Any, value: N) -> int:
            return 1


def test_a_damaged_file_of_pulses_is_an_empty_one(tmp_path: Any) -> None:
    path = tmp_path / "pulses"
    path.write_bytes(b"{")
    assert FilePulses(path).of("r") == []
    pulses = FilePulses(path)
    for count in range(3):
        pulses.put(
            Beat(run="r", position="1", action="a", attempt=1, count=count, since_ms=1, at_ms=2)
        )
    assert pulses.of("r")[0].count == 2
    assert [beat.count for beat in FilePulses(path).of("r")] == [0]  # not written at every beat


def test_errors_say_what_to_do() -> None:
    from agentsquad.runtime.engine.inbound.contract import SilentError

    assert issubclass(SilentError, UnavailableError)  # so that a policy of retries retries it
    assert StepDeadlineError.code == "step.deadline"


@workflow("outer")
async def outer(ctx: Any, value: int) -> None:
    """Wait below."""
    await ctx.run("middle", value)


@workflow("middle")
async def middle(ctx: Any, value: int) -> None:
    """Wait below, and beside it."""
    await ctx.parallel(ctx.run("inner", value), ctx.sleep(1_000_000))


@workflow("inner")
async def inner(ctx: Any, value: int) -> None:
    """Do something, and wait."""
    saga = ctx.saga()
    await saga.call("time.send", N(1))
    await ctx.signal("never")


async def test_who_cancels_a_run_stops_all_below_it_and_what_it_did_is_undone() -> None:
    TRIES.clear()
    s = TestSquad(Plugin(name="nest", actions=ACTIONS, workflows=(outer, middle, inner)))
    run = await s.engine.start("outer", 1)
    await settle()
    await s.engine.cancel(run, actor="person:ada", reason="not wanted")
    assert (await s.engine.wait(run, timeout_ms=5_000)).status == "cancelled"
    assert TRIES == ["sent", "undone"]
    for name, _ in await s.ledger.store.streams("run/"):
        last = (await s.ledger.store.read_stream(name))[-1]
        assert (last.type, last.payload["reason"]) == ("run.cancelled", "not wanted")
    assert await identical(s, run)
