"""Deployments while runs go on as new."""

from __future__ import annotations

import sys
from pathlib import Path

from agentsquad.operations.deployment.check import Check, Target
from agentsquad.runtime.engine.versions import versions_of
from agentsquad.testing.clock import settle

sys.path.insert(0, str(Path(__file__).parent))
from deploying import DeploySquad, write

CODE = '''from __future__ import annotations

import msgspec

from agentsquad.runtime.engine.contract import workflow


class N(msgspec.Struct):
    n: int


@workflow("letters")
async def letters(ctx, value: N) -> int:
    """Take a letter, and another."""
    await ctx.signal("letter")
    if value.n < 3:
        raise ctx.continue_as_new(N(value.n + 1))
    return value.n


@workflow("above-letters")
async def above(ctx, value: N) -> int:
    """Have letters taken."""
    return await ctx.run("letters", value)
'''


async def test_a_row_of_runs_below_an_open_run_fits_the_code_that_began_it(tmp_path: Path) -> None:
    s = DeploySquad()
    await s.deploy(write(tmp_path, "a.py", CODE))
    run = (await s.call("runs.start", workflow="above-letters", input='{"n": 1}', wait=False)).run
    await settle()
    await s.engine.signal(f"{run}/1", "letter", None, actor="person:ada")
    await settle()
    assert await s.ledger.store.read_stream(f"run/{run}/1~2", limit=1)
    changed = write(tmp_path, "a.py", CODE + "\n# a comment\n")
    report = await s.deploy(changed, check=True)
    assert [(one.run, one.why) for one in report.runs if one.verdict != "continue"] == []
    assert (report.open, report.continue_) == (2, 2)
    await s.deploy(changed)
    for _ in range(2):
        await s.engine.signal(f"{run}/1", "letter", None, actor="person:ada")
        await settle()
    assert (await s.engine.wait(run)).output == 3


async def test_a_run_that_went_on_as_new_is_not_open(tmp_path: Path) -> None:
    s = DeploySquad()
    await s.deploy(write(tmp_path, "a.py", CODE))
    run = (await s.call("runs.start", workflow="letters", input='{"n": 1}', wait=False)).run
    await settle()
    await s.engine.signal(run, "letter", None, actor="person:ada")
    await settle()
    log = s.ledger
    check = Check(log.store, log.blobs, log, versions_of(s.engine.world), frozenset())
    target = Target(("letters",), lambda workflow: None)
    assert await check.one(run, target) is None
    following = await check.one(f"{run}~2", target)
    assert following is not None
    assert following.verdict == "pinned"
