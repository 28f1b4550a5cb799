"""Laws of deploying, over generated workflows and edits.

A run rests at its first wait, and has been moved on a drawn number of times.
The check says that it continues exactly if all it has recorded stands at the
same places in the new code; and what it says comes true: after the deployment
every run ends, a moved one as the new code would have, a pinned one as the old.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.testing.clock import settle

sys.path.insert(0, str(Path(__file__).parent))
from deploying import DeploySquad, write

HEAD = '''
from __future__ import annotations

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.runtime.engine.contract import workflow


class N(msgspec.Struct):
    n: int


@action("law.pure", effect=Effect.PURE)
def pure(ctx, value: N) -> int:
    """Be pure."""
    return value.n + 1


@action("law.read", effect=Effect.READ)
def read(ctx, value: N) -> int:
    """Read."""
    return value.n + 2


@action("law.send", effect=Effect.WRITE)
def send(ctx, value: N) -> int:
    """Send."""
    return value.n + 3


@workflow("below")
async def below(ctx, value: N) -> int:
    """Be a child."""
    return await ctx.call("law.read", value)


@workflow("law")
async def law(ctx, value: dict) -> list:
    """Do the steps of a program."""
    told = []
'''
LINES = {
    "pure": 'told.append(await ctx.call("law.pure", N({n})))',
    "read": 'told.append(await ctx.call("law.read", N({n})))',
    "send": 'told.append(await ctx.call("law.send", N({n})))',
    "child": 'told.append(await ctx.run("below", N({n})))',
    "both": "told += await ctx.parallel("
    'ctx.call("law.pure", N({n})), ctx.call("law.read", N({n})))',
    "signal": 'told.append(await ctx.signal("s{n}"))',
    "sleep": "await ctx.sleep(1000 * ({n} + 1))",
    "ask": 'told.append((await ctx.approve("law.send", N({n}))).approved)',
}
WAITS = ("signal", "sleep", "ask")
Step = tuple[str, int]

steps = st.tuples(st.sampled_from(sorted(LINES)), st.integers(0, 2))
programs = st.lists(steps, min_size=1, max_size=7)
edits = st.tuples(
    st.sampled_from(["insert", "remove", "swap", "replace", "comment"]), st.integers(0, 20), steps
)


def code(program: list[Step], comment: str = "") -> str:
    lines = [LINES[kind].format(n=n) for kind, n in program]
    return HEAD + "".join(f"    {line}\n" for line in [*lines, "return told"]) + comment


def said(program: list[Step]) -> list[Any]:
    """Return what a program comes to."""
    told: list[Any] = []
    for kind, n in program:
        if kind == "both":
            told += [n + 1, n + 2]
        elif kind != "sleep":
            told.append({"pure": n + 1, "read": n + 2, "send": n + 3, "child": n + 2}.get(kind))
            if kind in ("signal", "ask"):
                told[-1] = True if kind == "ask" else None
    return told


def edited(program: list[Step], edit: tuple[str, int, Step]) -> list[Step]:
    kind, at, step = edit
    new, at = list(program), at % len(program)
    if kind == "insert":
        new.insert(at, step)
    elif kind == "remove":
        del new[at]
    elif kind == "swap":
        other = (at + 1) % len(new)
        new[at], new[other] = new[other], new[at]
    elif kind == "replace":
        new[at] = step
    return new


async def recorded(s: DeploySquad, run: str, program: list[Step]) -> int | None:
    """Return how many steps of its program stand in the journal of a run that
    rests; None if it has ended."""
    types = await s.events(run)
    noted = sum(one in ("timer.set", "signal.waiting", "approval.requested") for one in types)
    waits = [index for index, (kind, _) in enumerate(program) if kind in WAITS]
    return None if types[-1] == "run.completed" else waits[noted - 1] + 1


async def move_on(s: DeploySquad, run: str) -> None:
    """End the wait that a run rests at."""
    for last in reversed(await s.ledger.store.read_stream(f"run/{run}")):
        if last.type == "signal.waiting":
            await s.engine.signal(run, last.payload["name"], None, actor="person:ada")
        elif last.type == "timer.set":
            await s.clock.advance(max(0, last.payload["due_ms"] - s.clock.now_ms()))
        elif last.type == "approval.requested":
            (item,) = await s.engine.inbox(run)
            await s.engine.answer(item.id, approve=True, approver="person:bo", reason="fine")
        else:
            continue
        break
    await settle()


async def lived(old: list[Step], new: list[Step], moves: list[int], comment: str) -> None:
    s = DeploySquad()
    folder = Path(tempfile.mkdtemp())
    await s.deploy(write(folder, "old.py", code(old)))
    runs = []
    for moved in moves:
        run = await s.engine.start("law", {}, actor="person:ada")
        await settle()
        for _ in range(moved):
            if (await s.engine.outcome(run)).status == "waiting":
                await move_on(s, run)
        runs.append(run)
    places = {run: await recorded(s, run, old) for run in runs}  # one clock wakes them all
    opened = {run: count for run, count in places.items() if count is not None}
    fits = {run for run, count in opened.items() if old[:count] == new[:count]}

    report = await s.deploy(write(folder, "new.py", code(new, comment)))
    told = {one.run: one.verdict for one in report.runs}
    assert told == {run: "continue" if run in fits else "pinned" for run in opened}, report.runs

    await s.restart()
    for run in opened:
        for _ in range(2 * len(old) + 2 * len(new)):
            if (await s.engine.outcome(run)).status != "waiting":
                break
            await move_on(s, run)
        outcome = await s.engine.wait(run, timeout_ms=5000)
        assert outcome.output == said(new if run in fits else old)
        assert (await s.call("runs.replay", run=run)).exit_code == 0
    assert not s.engine.stuck
    await s.engine.close()


@settings(max_examples=100)
@given(
    programs,
    st.lists(edits, min_size=1, max_size=2),
    st.lists(st.integers(0, 4), min_size=1, max_size=3),
)
def test_the_check_says_what_then_happens(old, changes, moves):
    new = list(old)
    for change in changes:
        new = edited(new, change) if new else [change[2]]
    asyncio.run(lived(old, new, moves, f"\n# {changes[0][1]}\n"))


async def busy(programs: list[list[Step]], acts: list[tuple[str, int]]) -> None:
    """Start, move on, deploy, roll back and crash, in any order."""
    s = DeploySquad()
    folder = Path(tempfile.mkdtemp())
    files = [write(folder, f"v{i}.py", code(p, f"\n# {i}\n")) for i, p in enumerate(programs)]
    await s.deploy(files[0])
    runs: list[str] = []
    for act, number in acts:
        if act == "start":
            runs.append(await s.engine.start("law", {}, actor="person:ada"))
            await settle()
        elif act == "move" and runs:
            run = runs[number % len(runs)]
            if (await s.engine.outcome(run)).status == "waiting":
                await move_on(s, run)
        elif act == "deploy":
            report = await s.deploy(files[number % len(files)], adopt=number % 3 > 0)
            assert report.stuck == 0, report.runs
        elif act == "crash":
            await s.restart()
    await s.restart()
    for run in runs:
        for _ in range(40):
            if (await s.engine.outcome(run)).status != "waiting":
                break
            await move_on(s, run)
        outcome = await s.engine.wait(run, timeout_ms=5000)
        assert outcome.output in [said(program) for program in programs]
        assert (await s.call("runs.replay", run=run)).exit_code == 0
    assert not s.engine.stuck
    await s.engine.close()


acts = st.tuples(st.sampled_from(["start", "start", "move", "deploy", "crash"]), st.integers(0, 9))


@settings(max_examples=60)
@given(
    st.lists(st.lists(steps, min_size=1, max_size=4), min_size=2, max_size=4),
    st.lists(acts, min_size=4, max_size=16),
)
def test_deploying_in_the_middle_of_runs_strands_none(programs, acts):
    asyncio.run(busy(programs, acts))
