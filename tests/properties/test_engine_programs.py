"""Laws of runs, over generated workflow programs.

A program is a small tree of steps, interpreted by one workflow; a schedule says
after which appends the process dies, and a rhythm how long each read and effect
takes, so branches end in every order. Whatever happens, the run ends as the
undisturbed one does, every effect arrives once, the journal replays identically
without touching the world, and a fork that changes nothing reuses everything.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import InvalidError, SquadError, UnavailableError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import ScopeDeadlineError, TransitionError, workflow
from agentsquad.runtime.engine.decider import Instance
from agentsquad.runtime.engine.ids import keyed_id
from agentsquad.runtime.engine.inbound.contract import Escalation
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
from agentsquad.runtime.engine.restart import RestartError
from agentsquad.runtime.engine.restarting import restart
from agentsquad.runtime.engine.state import END_EVENTS, TRANSITIONS, RunState, evolve

_spec = importlib.util.spec_from_file_location(
    "simulation_crashing", Path(__file__).parents[1] / "simulation" / "crashing.py"
)
assert _spec is not None and _spec.loader is not None
crashing = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(crashing)
CrashSquad, Fuse, play = crashing.CrashSquad, crashing.Fuse, crashing.play

MOVES = {"run.started": "running", **END_EVENTS}
DRAWN = settings.default.max_examples  # 100 in the profile of every build


class N(msgspec.Struct):
    n: int


class Side:
    """The other side of every program."""

    def __init__(self, rhythm: list[int]) -> None:
        self.rhythm = rhythm or [0]
        self.calls = 0
        self.received: list[tuple[str, int]] = []
        self.lost: set[str] = set()

    async def pause(self) -> None:
        self.calls += 1
        for _ in range(self.rhythm[self.calls % len(self.rhythm)]):
            await asyncio.sleep(0)


SIDE = Side([0])


@action("math.double", effect=Effect.PURE)
def double(ctx, value: N) -> N:
    """Double; 13 is refused."""
    if value.n == 13:
        raise InvalidError("unlucky", code="math.unlucky")
    return N(value.n * 2)


@action("net.look", effect=Effect.READ)
async def look(ctx, value: N) -> N:
    """Look."""
    await SIDE.pause()
    if value.n == 13:
        raise InvalidError("unlucky", code="net.unlucky")
    return N(value.n + 100)


@action("world.do", effect=Effect.WRITE, compensate="world.undo", reconcile="world.known")
async def do(ctx, value: N) -> N:
    """Do; 13 is refused, and of multiples of 5 the first answer is lost."""
    await SIDE.pause()
    if value.n == 13:
        raise InvalidError("unlucky", code="world.unlucky")
    SIDE.received.append((ctx.idempotency_key, value.n))
    await SIDE.pause()
    if value.n % 5 == 0 and ctx.idempotency_key not in SIDE.lost:
        SIDE.lost.add(ctx.idempotency_key)
        raise UnavailableError("the answer was lost")
    return value


@action("world.undo", effect=Effect.WRITE, reconcile="world.known")
async def undo(ctx, value: dict) -> N:
    """Undo."""
    await SIDE.pause()
    SIDE.received.append((ctx.idempotency_key, -value["input"]["n"]))
    return N(-value["input"]["n"])


@action("world.known", effect=Effect.READ)
def known(ctx, value: Reconcile) -> Reconciled:
    """Say whether a key arrived."""
    for key, n in SIDE.received:
        if key == value.key:
            return Reconciled(found=True, output={"n": n})
    return Reconciled(found=False)


CALLS = {"pure": "math.double", "read": "net.look", "effect": "world.do"}


async def interpret(ctx: Any, saga: Any, node: list[Any]) -> Any:
    """Do one node of a program."""
    kind, value = node
    if kind in CALLS:
        return (await ctx.call(CALLS[kind], N(value))).n
    if kind == "seq":
        return [await interpret(ctx, saga, one) for one in value]
    if kind == "par":
        return await ctx.parallel(*(interpret(ctx, saga, one) for one in value))
    if kind == "map":
        what, items, limit = value
        return await ctx.map(lambda n: interpret(ctx, saga, [what, n]), items, limit=limit)
    if kind == "sleep":
        return await ctx.sleep(value)
    if kind == "signal":
        return await ctx.signal(value)
    if kind == "late":
        try:
            return await ctx.signal("never", timeout_ms=value)
        except SquadError as error:
            return error.code
    if kind == "child":
        return await ctx.run("program", value)
    if kind == "saga":
        return (await saga.call("world.do", N(value))).n
    if kind == "ask":
        answer = await ctx.approve(
            "world.do", N(value), roles=["boss"], because="?", requester="agent:a"
        )
        return (await ctx.call("world.do", N(value), approval=answer)).n
    if kind == "still":
        return (await ctx.call("world.do", N(value), on_failure="wait")).n
    if kind == "ladder":
        rungs = [Escalation(after_ms=(n + 1) * 60_000, roles=("cfo",)) for n in range(2)]
        answer = await ctx.approve("world.do", N(value), because="rise 2", escalate=rungs)
        return [answer.approved, answer.approver]
    if kind == "try":
        try:
            return await interpret(ctx, saga, value)
        except SquadError as error:
            return error.code
    if kind in BESIDE:
        return await BESIDE[kind](ctx, saga, value)
    return ctx.random()


async def streamed(ctx: Any, saga: Any, value: Any) -> Any:
    """Take results one by one; those out of order sorted."""
    what, items, limit, ordered = value
    found = ctx.stream(
        lambda n: interpret(ctx, saga, [what, n]), iter(items), limit=limit, ordered=ordered
    )
    results = [one async for one in found]
    return results if ordered else sorted(results)


async def piped(ctx: Any, saga: Any, value: Any) -> Any:
    """Send items through two stages, the second of which changes the world."""
    items, limit = value

    async def one(n: int) -> int:
        return int(await interpret(ctx, saga, ["read", n]))

    async def two(n: int) -> int:
        return int(await interpret(ctx, saga, ["saga", n]))

    return await ctx.pipeline(items, one, two, limit=limit)


async def begun(ctx: Any, saga: Any, value: Any) -> Any:
    """Begin something, do something else, and await it twice."""
    branch = ctx.eager(interpret(ctx, saga, value))
    other = await interpret(ctx, saga, ["read", 1])
    return [other, await branch, await branch]


async def deferred(ctx: Any, saga: Any, value: Any) -> Any:
    """Await something twice at once that begins then; leave another."""
    branch = ctx.lazy(lambda: interpret(ctx, saga, value))
    ctx.lazy(lambda: interpret(ctx, saga, ["effect", 1]))
    return await ctx.parallel(branch, branch)


async def limited(ctx: Any, saga: Any, value: Any) -> Any:
    """Wait for nothing until the time is over, beside something shielded."""
    wait_ms, inner = value
    found: list[Any] = []

    async def kept() -> None:
        found.append(await interpret(ctx, saga, inner))

    try:
        async with ctx.scope(timeout_ms=wait_ms):
            await ctx.parallel(ctx.shield(kept()), ctx.signal("never"))
    except ScopeDeadlineError as error:
        found.append(error.code)
    return found


async def looped(ctx: Any, saga: Any, value: int) -> Any:
    """Double until it is large; nothing comes of nothing."""

    async def step(n: int) -> int:
        return int(await interpret(ctx, saga, ["pure", n]))

    return await ctx.loop(step, value, until=lambda n: n > 50, limit=20)


async def partly(ctx: Any, saga: Any, value: list[int]) -> Any:
    """Undo one of two things, asked for twice at once, and keep the other."""
    own = ctx.saga()
    for index, n in enumerate(value):
        await own.call("world.do", N(n), name=f"thing {index}")
    reports = await ctx.parallel(own.undo(only=["thing 0"]), own.undo(only=["thing 0"]))
    return [[line["undone"] for line in report] for report in reports]


async def again(ctx: Any, saga: Any, value: Any) -> Any:
    """Run a chain of runs below this one."""
    return await ctx.run("chained", [*value, []])


BESIDE = {
    "stream": streamed,
    "pipe": piped,
    "eager": begun,
    "lazy": deferred,
    "limited": limited,
    "loop": looped,
    "part": partly,
    "chain": again,
}


async def race(ctx: Any, saga: Any, value: Any) -> Any:
    """Take whatever comes first; what it is depends on who is fast."""
    branches = [interpret(ctx, saga, one) for one in value]
    return await ctx.race(*branches)


async def cut(ctx: Any, saga: Any, value: Any) -> Any:
    """Stop something wherever it is when the time is over."""
    async with ctx.scope(timeout_ms=value[0]):
        return await interpret(ctx, saga, value[1])


async def left(ctx: Any, saga: Any, value: Any) -> Any:
    """Take one result of a stream and leave the rest."""
    what, items, limit = value
    async for one in ctx.stream(lambda n: interpret(ctx, saga, [what, n]), items, limit=limit):
        return one


LOOSE = {"race": race, "cut": cut, "left": left}
BESIDE |= LOOSE


@workflow("program")
async def program(ctx, value: list) -> Any:
    opened = ctx.latch()

    async def poke(n: int) -> int:
        found = (await ctx.call("net.look", N(n))).n
        opened.open()
        return found

    ctx.on_update("poke", poke)
    result = await interpret(ctx, ctx.saga(), value)
    if "poked" in str(value):
        await opened
    return result


@workflow("chained")
async def chained(ctx, value: list) -> Any:
    """Do a program again and again, each time as a new run."""
    count, tree, before = value
    found = await interpret(ctx, ctx.saga(), tree)
    if count > 1:
        raise ctx.continue_as_new([count - 1, tree, [*before, found]])
    return [*before, found]


PLUGIN = Plugin(
    name="programs",
    actions=(double, look, do, undo, known, restart),
    workflows=(program, chained),
)

numbers = st.integers(0, 13)
items = st.lists(numbers, max_size=5)
lucky = st.lists(st.integers(0, 12), max_size=5)  # what fails stops the rest of a stream
limits = st.integers(1, 3)
leaves = st.one_of(
    *(
        st.tuples(st.just(kind), numbers)
        for kind in ("pure", "read", "effect", "saga", "ask", "still", "ladder")
    ),
    st.tuples(st.just("sleep"), st.integers(0, 40_000)),
    st.tuples(st.just("signal"), st.sampled_from(["go", "stop"])),
    st.tuples(st.just("late"), st.integers(1, 40_000)),
    st.tuples(st.just("random"), st.sampled_from([None, "poked"])),
    st.tuples(
        st.just("map"),
        st.tuples(st.sampled_from(sorted(CALLS)), items, limits),
    ),
    st.tuples(
        st.just("stream"),
        st.tuples(st.sampled_from(["pure", "read", "effect"]), lucky, limits, st.booleans()),
    ),
    st.tuples(st.just("pipe"), st.tuples(lucky, limits)),
    st.tuples(st.just("loop"), st.integers(0, 12)),
    st.tuples(st.just("part"), st.lists(st.integers(0, 12), min_size=2, max_size=2)),
)


def grown(inner: Any) -> Any:
    return st.one_of(
        st.tuples(st.sampled_from(["seq", "par"]), st.lists(inner, min_size=1, max_size=4)),
        st.tuples(st.sampled_from(["child", "try", "eager", "lazy"]), inner),
        st.tuples(st.just("limited"), st.tuples(st.integers(1, 40_000), inner)),
        st.tuples(st.just("chain"), st.tuples(st.integers(1, 3), inner)),
    )


def loosened(inner: Any) -> Any:
    return st.one_of(
        grown(inner),
        st.tuples(st.just("race"), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("cut"), st.tuples(st.integers(1, 60_000), inner)),
        st.tuples(
            st.just("left"), st.tuples(st.sampled_from(["read", "effect", "saga"]), items, limits)
        ),
    )


programs = st.recursive(leaves, grown, max_leaves=8)
loose = st.recursive(leaves, loosened, max_leaves=8)
rhythms = st.lists(st.integers(0, 9), min_size=1, max_size=6)
schedules = st.lists(st.builds(Fuse, st.integers(1, 12), st.booleans()), max_size=5)


async def lived(
    tree: Any, rhythm: list[int], fuses: Any = (), *, twice: bool = False, **options: Any
) -> Any:
    global SIDE
    SIDE = Side(rhythm)
    s = CrashSquad(PLUGIN, fuses=fuses, **options)
    story = await play(s, "program", tree, twice=twice)
    return s, story, sorted(SIDE.received)


disturbed = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {"commits": st.just(True), "intrusions": st.lists(st.integers(1, 12), max_size=6)}
    ),
)


@settings(max_examples=4 * DRAWN)
@given(programs, rhythms, rhythms, schedules, st.booleans(), disturbed)
def test_crashes_rhythms_and_repeated_deliveries_change_nothing(
    tree: Any, rhythm: list[int], other: list[int], fuses: Any, twice: bool, options: Any
):
    async def check() -> None:
        _, calm, bank = await lived(tree, rhythm)
        assert calm.verdict == "identical"
        assert len({key for key, _ in bank}) == len(bank)
        _, story, received = await lived(tree, other, fuses, twice=twice, **options)
        assert (story.status, story.output, story.error) == (calm.status, calm.output, calm.error)
        assert story.resolved == calm.resolved
        assert sorted(story.confirmed) == sorted(calm.confirmed)
        assert len(story.confirmed) == len(set(story.confirmed))
        assert received == bank
        assert story.verdict == "identical"

    asyncio.run(check())


@settings(max_examples=4 * DRAWN)
@given(loose, rhythms, schedules, st.booleans(), disturbed)
@example(("signal", "go"), [0], [], True, {"commits": True})  # told while its end is on its way
def test_what_is_cut_short_leaves_nothing_unknown(
    tree: Any, rhythm: list[int], fuses: Any, twice: bool, options: Any
):
    """Which branch is first is nobody's promise. That the run ends, that its
    journal says so again, and that every effect is known and came once, is."""

    async def check() -> None:
        s, story, received = await lived(tree, rhythm, fuses, twice=twice, **options)
        assert story.verdict == "identical"
        assert len({key for key, _ in received}) == len(received)
        assert len(story.confirmed) == len(set(story.confirmed)) == len(received)
        calls = SIDE.calls
        run = keyed_id("program", crashing.KEY)
        found = await Forker(s.world).fork(run, [])
        assert (found.status, found.output) == (story.status, story.output)
        assert (found.rerun, found.suppressed) == (0, [])
        assert SIDE.calls == calls
        for name, _ in await s.ledger.store.streams("run/"):
            assert (await s.ledger.store.read_stream(name))[-1].type in END_EVENTS

    asyncio.run(check())


@settings(max_examples=10 * DRAWN)
@given(programs, rhythms)
def test_every_run_replays_identically_without_touching_the_world(tree: Any, rhythm: list[int]):
    async def check() -> None:
        s, story, received = await lived(tree, rhythm)
        calls = SIDE.calls
        found = await replay(s.ledger.store, s.registry, keyed_id("program", crashing.KEY))
        assert (found.verdict, found.reason) == ("identical", None)
        assert SIDE.calls == calls
        assert sorted(SIDE.received) == received
        assert story.status in ("completed", "failed")

    asyncio.run(check())


@settings(max_examples=DRAWN)
@given(programs, rhythms)
def test_a_fork_that_changes_nothing_reuses_everything(tree: Any, rhythm: list[int]):
    async def check() -> None:
        s, story, received = await lived(tree, rhythm)
        calls = SIDE.calls
        run = keyed_id("program", crashing.KEY)
        found = await Forker(s.world).fork(run, [])
        assert (found.status, found.output) == (story.status, story.output)
        assert (found.rerun, found.suppressed, found.differences) == (0, [], [])
        assert not found.output_changed
        assert SIDE.calls == calls
        assert sorted(SIDE.received) == received

    asyncio.run(check())


def drawless(value: Any) -> Any:
    """Leave out what chance drew: runs below that are done anew draw again."""
    if isinstance(value, list):
        return [drawless(one) for one in value]
    return None if isinstance(value, float) else value


@settings(max_examples=2 * DRAWN)
@given(programs, rhythms, st.integers(0, 30))
def test_a_run_done_again_from_any_step_comes_to_the_same(tree: Any, rhythm: list[int], pick: int):
    async def check() -> None:
        s, story, _ = await lived(tree, rhythm)
        run = keyed_id("program", crashing.KEY)
        journal = await s.ledger.store.read_stream(f"run/{run}")
        places = dict.fromkeys(e.payload["position"] for e in journal if "position" in e.payload)
        told = any(e.type == "signal.received" for e in journal)  # it would wait for more
        if story.status != "completed" or not places or told:
            return
        step = list(places)[pick % len(places)]
        given = {"run": run, "from": step, "reason": "?", "again": True, "wait": False}
        try:
            began = await s.engine.invoke("runs.restart", given, actor=Actor.parse("person:ada"))
        except RestartError as error:
            assert "undone" in error.message or "approved" in error.message
            return
        for _ in range(100):
            await crashing.settle(30)
            events = await s.ledger.store.read_stream(f"run/{began.run}")
            if events[-1].type in END_EVENTS:
                break
            if not await crashing._deliver(s, twice=False, approve=True):
                await s.clock.advance(30_000)
        assert events[-1].type == "run.completed"
        assert drawless(events[-1].payload["output"]) == drawless(story.output)
        taken = events[0].payload["restarts"]["events"]
        cut = next(n for n, e in enumerate(journal) if e.payload.get("position") == step)
        kept = {e.payload["position"] for e in journal[:cut] if e.type == "effect.confirmed"}
        assert kept == {
            e.payload["position"] for e in events[: taken + 1] if e.type == "effect.confirmed"
        }
        assert not kept & {e.payload["position"] for e in events if e.type == "effect.sent"}
        keys = [key for key, _ in SIDE.received]
        assert len(keys) == len(set(keys))
        found = await replay(s.ledger.store, s.registry, began.run)
        assert found.verdict == "identical"

    asyncio.run(check())


@settings(max_examples=DRAWN)
@given(programs, rhythms, st.randoms(use_true_random=False))
def test_evolve_is_total_and_commands_are_a_function_of_the_journal(
    tree: Any, rhythm: list[int], chance: Any
):
    async def check() -> None:
        s, _, _ = await lived(tree, rhythm)
        for name, _ in await s.ledger.store.streams("run/"):
            events = await s.ledger.store.read_stream(name)
            # Any selection of events, in any order, some twice, can be folded,
            # except that a status never moves but along its table.
            scrambled = chance.choices(events, k=2 * len(events))
            state = RunState(run=name)
            for event in scrambled:
                before = state.status
                moves = MOVES.get(event.type, before)
                if event.type not in MOVES or moves in TRANSITIONS[before]:
                    evolve(state, event)
                    assert state.status == moves
                else:
                    with pytest.raises(TransitionError):
                        evolve(state, event)
                    assert state.status == before
            # Two instances fed the same events ask for the same at every event.
            run = name.removeprefix("run/")
            flow = s.registry.workflow(events[0].payload["workflow"])
            one, two = (Instance(run, flow, s.registry) for _ in range(2))
            for event in events:
                one.apply(event)
                two.apply(event)
                assert one.commands == two.commands
                assert list(one.commands) == list(two.commands)
            assert one.end == two.end

    asyncio.run(check())
