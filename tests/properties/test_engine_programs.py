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
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import InvalidError, SquadError, UnavailableError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import TransitionError, workflow
from agentsquad.runtime.engine.decider import Instance
from agentsquad.runtime.engine.ids import keyed_id
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
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
    if kind == "try":
        try:
            return await interpret(ctx, saga, value)
        except SquadError as error:
            return error.code
    return ctx.random()


@workflow("program")
async def program(ctx, value: list) -> Any:
    return await interpret(ctx, ctx.saga(), value)


PLUGIN = Plugin(name="programs", actions=(double, look, do, undo, known), workflows=(program,))

numbers = st.integers(0, 13)
leaves = st.one_of(
    *(st.tuples(st.just(kind), numbers) for kind in ("pure", "read", "effect", "saga", "ask")),
    st.tuples(st.just("sleep"), st.integers(0, 40_000)),
    st.tuples(st.just("signal"), st.sampled_from(["go", "stop"])),
    st.tuples(st.just("late"), st.integers(1, 40_000)),
    st.tuples(st.just("random"), st.none()),
    st.tuples(
        st.just("map"),
        st.tuples(st.sampled_from(sorted(CALLS)), st.lists(numbers, max_size=5), st.integers(1, 3)),
    ),
)
programs = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["seq", "par"]), st.lists(inner, min_size=1, max_size=4)),
        st.tuples(st.sampled_from(["child", "try"]), inner),
    ),
    max_leaves=8,
)
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
            one, two = (Instance(run, program, s.registry) for _ in range(2))
            for event in events:
                one.apply(event)
                two.apply(event)
                assert one.commands == two.commands
                assert list(one.commands) == list(two.commands)
            assert one.end == two.end

    asyncio.run(check())
