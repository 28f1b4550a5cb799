"""Rehearsals and exported tests of deployed code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentsquad.operations.chaos.point import every_point
from agentsquad.operations.chaos.stage import Stage, Subject
from agentsquad.runtime.determinism import export
from agentsquad.runtime.determinism.history import HistoryInvalidError
from agentsquad.runtime.determinism.past import load_row
from agentsquad.runtime.engine.versions import versions_of, world_of
from agentsquad.testing import assert_replays, read_history
from agentsquad.testing.clock import settle

sys.path.insert(0, str(Path(__file__).parent))
from deploying import DeploySquad, write

CODE = '''from __future__ import annotations

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.runtime.engine.contract import workflow


class N(msgspec.Struct):
    n: int


@action("flow.double", effect=Effect.PURE)
def double(ctx, value: N) -> int:
    """Double."""
    return value.n * 2


@action("flow.send", effect=Effect.WRITE)
async def send(ctx, value: N) -> int:
    """Send something."""
    return value.n


@workflow("below")
async def below(ctx, value: N) -> int:
    """Send it."""
    return await ctx.call("flow.send", value)


@workflow("flow")
async def flow(ctx, value: N) -> int:
    """Wait, then have it sent."""
    await ctx.signal("go")
    twice = await ctx.call("flow.double", value)
    return twice + await ctx.run("below", value)
'''


async def ended_run(s: DeploySquad) -> str:
    run = (await s.call("runs.start", workflow="flow", input='{"n": 4}', wait=False)).run
    await settle()
    await s.engine.signal(run, "go", None, actor="person:ada")
    assert (await s.engine.wait(run, timeout_ms=5000)).output == 12
    return run


async def test_every_fault_over_deployed_code_comes_to_the_same(tmp_path: Path) -> None:
    s = DeploySquad()
    await s.deploy(write(tmp_path, "a.py", CODE))
    world = (await versions_of(s.world).newest("flow")).world
    subject = Subject(name="flow", workflow="flow", value={"n": 4}, signals={"go": None})
    stage = await Stage.prepare(world, subject, "1")
    assert (stage.calm.status, len(stage.calm.effects)) == ("completed", 1)
    for point in every_point(stage.calm):
        struck = await stage.strike(point)
        assert (struck.why, struck.repeated) == ("", 0), str(point)


async def test_a_run_of_an_older_version_is_rehearsed_under_that_one(tmp_path: Path) -> None:
    s = DeploySquad()
    await s.deploy(write(tmp_path, "a.py", CODE))
    run = await ended_run(s)
    await s.deploy(write(tmp_path, "a.py", CODE.replace("value.n * 2", "value.n * 3")))
    past = await load_row(s.ledger.store, run)
    assert past is not None
    subject = Subject(name="flow", workflow="flow", value=past.input, past=past)
    stage = await Stage.prepare(await world_of(s.world, run), subject, "1")
    assert (stage.calm.output, stage.calm.made_up) == (12, ())
    newest = (await versions_of(s.world).newest("flow")).world
    told = (await Stage.prepare(newest, subject, "1")).calm.output
    assert told == 16


async def exported(s: DeploySquad, run: str) -> str:
    versions = versions_of(s.world)
    log = s.ledger
    history = await export.collect(log.store, log.blobs, s.registry, run, versions=versions)
    return export.pytest_file(history, decides=False)


async def test_a_test_made_of_a_run_of_deployed_code_holds_the_code(tmp_path: Path) -> None:
    s = DeploySquad()
    report = await s.deploy(write(tmp_path, "a.py", CODE))
    run = await ended_run(s)
    await s.deploy(write(tmp_path, "a.py", CODE.replace("value.n * 2", "value.n * 3")))
    file = write(tmp_path, "test_run.py", await exported(s, run))
    names: dict[str, str] = {}
    exec(file.read_text(), names)
    assert list(read_history(names["HISTORY"]).code) == [report.digest]
    assert replayed(names["HISTORY"]) == "identical"


def replayed(history: str) -> str:
    """Replay as a test does, which has no loop of its own."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as aside:
        return aside.submit(lambda: assert_replays(history).verdict).result()


async def test_code_in_a_history_that_is_not_what_ran_is_refused(tmp_path: Path) -> None:
    s = DeploySquad()
    await s.deploy(write(tmp_path, "a.py", CODE))
    text = await exported(s, await ended_run(s))
    names: dict[str, str] = {}
    exec(text.replace("value.n * 2", "value.n + 4"), names)
    with pytest.raises(HistoryInvalidError, match="not that of version"):
        replayed(names["HISTORY"])
