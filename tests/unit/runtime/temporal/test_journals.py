"""Several writers of one run: what each says is written once, whoever is
first."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import ConflictError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.door import CallPath
from agentsquad.runtime.engine.interceptors import STANDARD
from agentsquad.runtime.engine.versions import Versions
from agentsquad.runtime.temporal.journals import Journals
from agentsquad.runtime.temporal.passing import Passing
from agentsquad.testing import TestSquad


class N(msgspec.Struct):
    n: int


@action("j.read", effect=Effect.READ)
async def read(ctx, value: N) -> N:
    """Read."""
    return value


@workflow("two-branches")
async def two_branches(ctx, value: N) -> list:
    """Two branches and a signal."""
    both = await ctx.parallel(ctx.call("j.read", N(1)), ctx.call("j.read", N(2)))
    return [*both, await ctx.signal("go")]


def writer(s: TestSquad) -> Journals:
    world = s.world
    return Journals(world, Versions(world, CallPath(world, STANDARD), STANDARD))


def done(position: str, n: int) -> tuple[str, dict[str, Any]]:
    body = {
        "position": position,
        "name": "j.read",
        "action": "j.read",
        "effect": "read",
        "input": {"n": n},
        "output": {"n": n},
    }
    return "step.completed", body


async def begun() -> tuple[TestSquad, str, list[Journals]]:
    s = TestSquad(Plugin(name="j", actions=(read,), workflows=(two_branches,)))
    writers = [writer(s), writer(s)]
    await writers[0].begin("r", "two-branches", {"n": 0}, actor="person:ada", parent=None)
    return s, "r", writers


async def test_the_same_result_from_two_writers_is_written_once():
    s, run, writers = await begun()
    drives = [await one.fresh(run) for one in writers]
    # Neither has seen the other, and both say the same of one step, and of two.
    await writers[0].append(drives[0], done("1.0.1", 1))
    await asyncio.gather(
        *(one.append(drive, done("1.0.1", 1)) for one, drive in zip(writers, drives, strict=True)),
        *(one.append(drive, done("1.1.1", 2)) for one, drive in zip(writers, drives, strict=True)),
    )
    assert await s.events(run) == ["run.started", "step.completed", "step.completed"]
    assert [drive.instance.state.version for drive in drives] == [3, 3]


async def test_a_wait_is_noted_once_and_not_after_it_is_over():
    s, run, writers = await begun()
    drives = [await one.fresh(run) for one in writers]
    for position, n in (("1.0.1", 1), ("1.1.1", 2)):
        await writers[0].append(drives[0], done(position, n))
    note = ("signal.waiting", {"position": "2", "name": "go", "due_ms": None})
    await writers[0].append(drives[0], note)
    drives[1] = await writers[1].fresh(run)
    await writers[1].append(drives[1], note)
    assert (await s.events(run)).count("signal.waiting") == 1
    told: list[tuple[str, str]] = []

    async def nudge(run: str, kind: str) -> None:
        told.append((run, kind))

    passing = Passing(writers[1], nudge)
    await passing.tell(run, "signal.received", {"name": "go", "payload": 7}, "person:ada")
    assert told == [(run, "signal.received")]
    await writers[0].append(drives[0], note)  # it has not heard of the signal
    assert (await s.events(run)).count("signal.waiting") == 1


async def test_nothing_is_written_behind_the_end_of_a_run():
    s, run, writers = await begun()
    late = await writers[1].fresh(run)
    drive = await writers[0].fresh(run)
    for position, n in (("1.0.1", 1), ("1.1.1", 2)):
        await writers[0].append(drive, done(position, n))

    async def nudge(run: str, kind: str) -> None:
        """Nobody drives it here."""

    passing = Passing(writers[0], nudge)
    await passing.tell(run, "signal.received", {"name": "go", "payload": 7}, "person:ada")
    drive = await writers[0].fresh(run)
    assert drive is not None
    end = drive.instance.end
    await writers[0].append(drive, (end.type, end.payload))
    length = len(await s.events(run))
    await writers[1].append(late, done("1.0.1", 1))
    await writers[1].append(late, (end.type, end.payload))
    assert len(await s.events(run)) == length
    assert await writers[1].fresh(run) is None
    try:
        await passing.tell(run, "signal.received", {"name": "go", "payload": 8}, "person:ada")
    except ConflictError as error:
        assert error.code == "run.ended"
    else:
        raise AssertionError("told after its end")


async def test_a_run_that_something_went_wrong_with_is_read_anew():
    _, run, writers = await begun()
    before = await writers[0].fresh(run)
    try:
        with writers[0].using(run):
            raise RuntimeError("odd")
    except RuntimeError:
        pass
    assert await writers[0].fresh(run) is not before


async def test_how_a_run_stands_follows_from_its_journal():
    _, run, writers = await begun()
    assert (await writers[1].standing(run)).status == "running"
    drive = await writers[0].fresh(run)
    for position, n in (("1.0.1", 1), ("1.1.1", 2)):
        await writers[0].append(drive, done(position, n))
    assert (await writers[1].standing(run)).status == "running"  # the wait is not noted yet
    await writers[0].append(
        drive, ("signal.waiting", {"position": "2", "name": "go", "due_ms": None})
    )
    assert (await writers[1].standing(run)).status == "waiting"
