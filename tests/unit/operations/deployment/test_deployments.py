"""Versions side by side: loading, who may deploy, rollback, retiring, races and
crashes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import ConflictError, DeniedError, UnavailableError
from agentsquad.kernel.registry import Plugin
from agentsquad.operations.deployment.adapters.files import DiskSourceFiles
from agentsquad.operations.deployment.adapters.python import PythonLoader
from agentsquad.operations.deployment.contract import (
    STREAM,
    NeededError,
    OfferError,
    RaceError,
    SourceError,
    StrandedError,
)
from agentsquad.operations.deployment.plugin import plugin as deployment
from agentsquad.runtime.engine.door import Step, StepContext
from agentsquad.runtime.engine.runs import answer_by_rule
from agentsquad.runtime.policy.contract import PolicyCompiler
from agentsquad.runtime.policy.plugin import compiler, load_policy
from agentsquad.testing.clock import settle

sys.path.insert(0, str(Path(__file__).parent))
from deploying import ADA, DeploySquad, write

FLOW = '''
from __future__ import annotations

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.runtime.engine.contract import workflow


class N(msgspec.Struct):
    n: int


sent = []


@action("flow.send", effect=Effect.WRITE)
async def send(ctx, value: N) -> int:
    """Send something."""
    sent.append(value.n)
    return 1


@workflow("flow")
async def flow(ctx, value: N) -> int:
    """Wait, then send."""
    await ctx.signal("go")
    return await ctx.call("flow.send", value)
'''
NEXT = FLOW.replace("return 1", "return 2")
OTHER = FLOW.replace('await ctx.signal("go")', 'await ctx.signal("other")')


async def waiting(s: DeploySquad, number: int = 1) -> str:
    run = (await s.call("runs.start", workflow="flow", input=f'{{"n": {number}}}', wait=False)).run
    await settle()
    return run


async def finished(s: DeploySquad, run: str, name: str = "go") -> Any:
    await s.engine.signal(run, name, None, actor="person:ada")
    return (await s.engine.wait(run, timeout_ms=5000)).output


# --- versions side by side


async def test_two_versions_run_side_by_side_each_with_its_own_actions(tmp_path):
    s = DeploySquad()
    await s.deploy(write(tmp_path, "a.py", FLOW))
    old = await waiting(s)
    report = await s.deploy(write(tmp_path, "b.py", OTHER.replace("return 1", "return 2")))
    assert (report.pinned, report.before) != (0, None)
    new = await waiting(s)
    await s.restart()
    assert await finished(s, old) == 1
    assert await finished(s, new, "other") == 2
    loaded = [name for name in sys.modules if name.startswith("agentsquad_deployed.d")]
    assert len({name.split(".")[1] for name in loaded}) >= 2


async def test_a_run_that_goes_on_unchanged_is_moved_and_uses_the_new_action(tmp_path):
    s = DeploySquad()
    await s.deploy(write(tmp_path, "a.py", FLOW))
    run = await waiting(s)
    report = await s.deploy(write(tmp_path, "a.py", NEXT), reason="pays twice")
    assert (report.adopted, report.pinned) == (1, 0)
    (moved,) = [
        e for e in await s.ledger.store.read_stream(f"run/{run}") if e.type == "run.adopted"
    ]
    assert (moved.actor, moved.payload["reason"]) == ("person:ada", "pays twice")
    assert (moved.payload["was"], moved.payload["definition"]) == (report.before, report.digest)
    assert await finished(s, run) == 2


async def test_without_adopt_a_run_stays_where_it_began(tmp_path):
    s = DeploySquad()
    await s.deploy(write(tmp_path, "a.py", FLOW))
    run = await waiting(s)
    report = await s.deploy(write(tmp_path, "a.py", NEXT), adopt=False)
    assert (report.continue_, report.adopted) == (1, 0)
    assert await finished(s, run) == 1
    assert (await s.call("runs.replay", run=run)).verdict == "identical"


async def test_a_run_in_memory_elsewhere_goes_on_under_the_version_it_was_moved_to(tmp_path):
    s = DeploySquad()
    await s.deploy(write(tmp_path, "a.py", FLOW))
    run = await waiting(s)
    await s.engine.router.load(run)
    await s.engine.own()
    await s.deploy(write(tmp_path, "a.py", NEXT))
    await s.engine.poll()
    await settle()
    assert await finished(s, run) == 2


async def test_a_run_moved_while_a_call_is_under_way_ends_as_the_new_version_says(tmp_path):
    opened = asyncio.Event()

    @action("gate.pass", effect=Effect.WRITE)
    async def pass_gate(ctx: Any, value: Any) -> None:
        """Wait at the gate."""
        await opened.wait()

    s = DeploySquad(Plugin(name="gate", actions=(pass_gate,)))
    code = FLOW.replace("    return await", '    await ctx.call("gate.pass", 1)\n    return await')
    await s.deploy(write(tmp_path, "a.py", code))
    run = await waiting(s)
    await s.engine.own()
    await s.engine.signal(run, "go", None, actor="person:ada")
    await settle()
    changed = code.replace('return await ctx.call("flow.send", value)', "return 7")
    assert (await s.deploy(write(tmp_path, "a.py", changed))).adopted == 1
    await s.engine.poll()
    await settle()
    opened.set()
    assert (await s.engine.wait(run, timeout_ms=5000)).output == 7
    assert (await s.call("runs.replay", run=run)).verdict == "compatible"


RULED = """
from __future__ import annotations

from agentsquad.runtime.engine.contract import workflow


@workflow("asking", auto="data.asking.answers.say")
async def asking(ctx, value: int) -> bool:
    return (await ctx.approve("flow.send", value, roles=["boss"], because="large")).approved
"""
RULES = """package asking.answers
actions := {"flow.send", "approvals.give"}
allow contains {"clause": "a", "reason": "everything"}
say := {"approver": "person:eve", "approve": input.input > 3, "reason": "by rule"}
"""


async def test_answers_by_rule_are_those_of_the_version_that_the_run_runs_under(tmp_path):
    s = DeploySquad(policy=load_policy([deployment]))
    s.engine.world.ports.put(PolicyCompiler, compiler(None))
    write(tmp_path, "asking.rego", RULES)
    await s.deploy(write(tmp_path, "asking.py", RULED))
    write(tmp_path, "asking.rego", RULES.replace("> 3", "> 5"))
    old = await s.engine.start("asking", 4)
    await settle()
    await s.deploy(tmp_path / "asking.py", adopt=False)
    new = await s.engine.start("asking", 4)
    await settle()
    ctx = StepContext(s.engine.world, Step(deployment.actions[0], {}, actor=ADA))
    for item in await s.engine.inbox():
        assert await answer_by_rule(ctx, s.engine, item, "data.asking.answers.say")
    assert [(await s.engine.wait(run)).output for run in (old, new)] == [True, False]


async def test_a_run_that_went_on_before_it_heard_of_the_move_goes_back_and_says_so(tmp_path):
    """The event of the move is followed by a step that only the old code asks
    for, as another process would leave it."""
    s = DeploySquad()
    old = await s.deploy(write(tmp_path, "a.py", FLOW))
    run = await waiting(s)
    new = FLOW.replace("value)\n", "N(value.n + 1))\n")
    report = await s.deploy(write(tmp_path, "a.py", new), adopt=False)
    assert report.continue_ == 1
    drive = await s.engine.router.load(run)
    s.engine.outside._seen = await s.ledger.store.size()
    from agentsquad.kernel.event import NewEvent

    body = {"definition": report.digest, "was": old.digest, "reason": "test"}
    told = NewEvent(stream=f"run/{run}", type="run.adopted", payload=body, actor="person:ada")
    drive.moved = True
    s.engine.router.move = lambda drive: None  # this process does not hear in time
    await s.ledger.store.append([told])
    await s.engine.signal(run, "go", None, actor="person:ada")
    await settle()
    await s.restart()
    assert (await s.engine.wait(run, timeout_ms=5000)).output == 1
    assert not s.engine.stuck


async def test_folders_and_modules_beside_a_file_belong_to_the_version(tmp_path):
    write(tmp_path, "one/rates.py", "RATE = 1\n")
    file = write(
        tmp_path, "one/flow.py", FLOW.replace("return 1", "import rates; return rates.RATE")
    )
    s = DeploySquad()
    await s.deploy(file)
    old = await waiting(s)
    write(tmp_path, "one/rates.py", "RATE = 5\n")
    await s.deploy(file, adopt=False)
    new = await waiting(s)
    assert (await finished(s, old), await finished(s, new)) == (1, 5)
    assert "rates" not in sys.modules

    package = FLOW.replace('"flow', '"parcel').replace(
        "return 1", "from parcel.deep import X; return X"
    )
    write(tmp_path, "parcel/__init__.py", package)
    write(tmp_path, "parcel/deep.py", "from .deeper import X\n")
    write(tmp_path, "parcel/deeper.py", "X = 9\n")
    await s.deploy(tmp_path / "parcel")
    run = await s.engine.start("parcel", {"n": 1})
    assert await finished(s, run) == 9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = (\n", "bad.py:1: '(' was never closed"),
        ("\nimport no_such_package\n", "bad.py:2: ModuleNotFoundError"),
        ("def f():\n    return 1 / 0\n\nf()\n", "bad.py:2: ZeroDivisionError"),
        ("x = 1\n", "bad.py holds no workflow"),
        (
            FLOW.replace(
                '(ctx, value: N) -> int:\n    """Send', '(ctx, value) -> int:\n    """Send'
            ),
            "bad.py:17: InvalidError",
        ),
        (FLOW.replace('workflow("flow")', 'workflow("agent-turn")'), "is the program's own"),
        (FLOW.replace("flow.send", "runs.start"), "is installed"),
    ],
)
async def test_what_cannot_be_deployed_is_refused_with_file_and_line(text, said, tmp_path):
    s = DeploySquad()
    with pytest.raises((SourceError, OfferError)) as refused:
        await s.deploy(write(tmp_path, "bad.py", text))
    assert said in refused.value.message
    assert not await s.ledger.store.read_stream(STREAM)


def test_a_module_that_lies_about_on_this_machine_is_not_found(tmp_path, monkeypatch):
    write(tmp_path, "elsewhere/stray.py", "X = 1\n")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    file = write(tmp_path, "here/flow.py", FLOW + "import stray\n")
    with pytest.raises(SourceError, match="no module named 'stray' beside it or installed"):
        PythonLoader().load(DiskSourceFiles().read(str(file)))


def test_the_same_source_has_the_same_digest_wherever_it_lies(tmp_path):
    one = DiskSourceFiles().read(str(write(tmp_path, "a/flow.py", FLOW)))
    other = DiskSourceFiles().read(str(write(tmp_path, "b/flow.py", FLOW)))
    assert (
        one.digest
        == other.digest
        != DiskSourceFiles().read(str(write(tmp_path, "c/flow.py", NEXT))).digest
    )


# --- who may


async def test_only_a_person_deploys_and_it_is_recorded_who(tmp_path):
    s = DeploySquad(policy=load_policy([deployment]))
    file = write(tmp_path, "a.py", FLOW)
    with pytest.raises(DeniedError):
        await s.engine.invoke(
            "deployments.deploy", {"file": str(file)}, actor=Actor.parse("agent:matcher")
        )
    await s.deploy(file, reason="first")
    (made,) = await s.ledger.store.read_stream(STREAM)
    assert (made.actor, made.payload["reason"]) == (str(ADA), "first")


# --- back, and away


async def test_rollback_makes_the_version_before_serve_again(tmp_path):
    s = DeploySquad()
    first = await s.deploy(write(tmp_path, "a.py", FLOW))
    await s.deploy(write(tmp_path, "a.py", OTHER))
    open_run = await waiting(s)
    report = await s.deploy(rollback="flow")
    assert report.digest == first.digest
    assert (report.pinned, report.stuck) == (1, 0)
    assert await finished(s, await waiting(s)) == 1
    assert await finished(s, open_run, "other") == 1
    lines = (await s.call("deployments.list")).items
    assert [(one.state, one.open) for one in lines] == [("kept", 0), ("newest", 0)]


async def test_a_version_is_retired_only_when_no_open_run_needs_it(tmp_path):
    s = DeploySquad()
    first = await s.deploy(write(tmp_path, "a.py", FLOW))
    run = await waiting(s)
    name = first.digest.removeprefix("sha256:")[:12]
    with pytest.raises(NeededError, match="new runs"):
        await s.call("deployments.retire", version=name)
    await s.deploy(write(tmp_path, "a.py", OTHER))
    with pytest.raises(NeededError, match="1 open runs"):
        await s.call("deployments.retire", version=name)
    await finished(s, run)
    assert (await s.call("deployments.retire", version=name, erase=True)).state == "retired"
    assert (await s.call("runs.replay", run=run)).exit_code == 1
    again = await s.deploy(write(tmp_path, "a.py", FLOW))  # the same source brings it back
    assert again.digest == first.digest
    assert (await s.call("runs.replay", run=run)).verdict == "identical"


# --- what would strand runs


async def test_runs_whose_code_was_lost_are_stuck_and_stop_a_deployment(tmp_path):
    s = DeploySquad()
    await s.deploy(write(tmp_path, "a.py", FLOW))
    run = await waiting(s)
    for digest in await s.ledger.blobs.digests():
        await s.ledger.blobs.delete(digest)
    await s.restart()
    file = write(tmp_path, "a.py", OTHER)
    report = await s.deploy(file, check=True)
    assert (report.stuck, report.exit_code) == (1, 1)
    assert "not in the store any more" in report.runs[0].why
    with pytest.raises(StrandedError):
        await s.deploy(file)
    assert (await s.deploy(file, force=True)).deployed
    await s.deploy(write(tmp_path, "a.py", FLOW))  # what was lost comes back by its digest
    assert await finished(s, run) == 1


async def test_a_run_whose_recording_was_erased_is_stuck(tmp_path):
    s = DeploySquad()
    await s.deploy(write(tmp_path, "a.py", FLOW))
    run = await waiting(s)
    stream = f"run/{run}"
    inner = s.world.store.read_stream

    async def erased(name: str, **options: Any) -> Any:
        events = await inner(name, **options)
        if name != stream or not events:
            return events
        return [*events[:-1], msgspec.structs.replace(events[-1], payload=None)]

    s.world.store.read_stream = erased
    report = await s.deploy(write(tmp_path, "a.py", NEXT), check=True)
    assert (report.stuck, report.runs[0].run) == (1, run)


# --- two at once, and crashes


async def test_of_two_who_deploy_at_once_one_is_told_that_the_other_was_first(tmp_path):
    s = DeploySquad()
    await s.deploy(write(tmp_path, "a.py", FLOW))
    await waiting(s)
    store = s.ledger.store
    append, raced = store.append, []

    async def between(events: Any, **options: Any) -> Any:
        if events[0].stream == STREAM and not raced:
            raced.append(True)
            other = msgspec.structs.replace(
                events[0], payload={**events[0].payload, "digest": "sha256:x"}
            )
            await append([other])
        return await append(events, **options)

    store.append = between
    with pytest.raises(RaceError, match="somebody else deployed"):
        await s.deploy(write(tmp_path, "a.py", NEXT))
    assert not [e async for e in _adopted(s)]


async def _adopted(s: DeploySquad) -> Any:
    for event in await s.ledger.store.read(types=["run.adopted"]):
        yield event


async def test_a_deployment_cut_off_anywhere_leaves_every_run_able_to_go_on(tmp_path):
    """Every write of a deployment fails once, at each place in turn; deploying
    the same again then does the rest."""
    for cut in range(1, 8):
        s = DeploySquad()
        await s.deploy(write(tmp_path, "a.py", FLOW))
        runs = [await waiting(s, number) for number in range(3)]
        file = write(tmp_path, "a.py", NEXT)
        count = 0

        def failing(fn: Any, at: int = cut) -> Any:
            async def call(*given: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == at:
                    raise UnavailableError("the power failed", code="test.power")
                return await fn(*given, **options)

            return call

        store, blobs = s.ledger.store, s.ledger.blobs
        whole = (store.append, blobs.put)
        store.append, blobs.put = failing(store.append), failing(blobs.put)
        try:
            await s.deploy(file)
            reached = count < cut
        except UnavailableError:
            reached = False
        store.append, blobs.put = whole
        await s.restart()
        first = await finished(s, runs[0])
        again = await s.deploy(file)
        assert again.stuck == 0
        assert first in (1, 2)
        assert [await finished(s, run) for run in runs[1:]] == [2, 2]
        await s.engine.close()
        if reached:
            break
    else:
        raise AssertionError("the deployment never came to its end")


async def test_a_run_that_goes_on_while_it_is_moved_is_looked_at_again(tmp_path):
    s = DeploySquad()
    await s.deploy(write(tmp_path, "a.py", FLOW))
    run = await waiting(s)
    store = s.ledger.store
    append, raced = store.append, []

    async def between(events: Any, **options: Any) -> Any:
        if events[0].type == "run.adopted" and not raced:
            raced.append(True)
            raise ConflictError("the journal has grown", code="ledger.expect")
        return await append(events, **options)

    store.append = between
    assert (await s.deploy(write(tmp_path, "a.py", NEXT))).adopted == 1
    assert await finished(s, run) == 2


async def test_ended_runs_are_drawn_by_a_seed(tmp_path):
    s = DeploySquad()
    await s.deploy(write(tmp_path, "a.py", FLOW))
    for number in range(6):
        await finished(s, await waiting(s, number))
    changed = write(tmp_path, "b.py", FLOW.replace('flow.send", value', 'flow.send", N(4)'))
    report = await s.deploy(changed, check=True, closed=4, seed="s")
    assert (report.open, report.closed.checked) == (0, 4)
    again = await s.deploy(changed, check=True, closed=4, seed="s")
    assert [one.run for one in again.closed.different] == [
        one.run for one in report.closed.different
    ]
    everything = await s.deploy(changed, check=True, closed=100)
    assert (everything.closed.checked, everything.closed.same) == (6, 1)


SELF = '''
from __future__ import annotations

from agentsquad.runtime.engine.contract import Cron, workflow


@workflow("ticker", schedule=Cron("*/5 * * * *"), on="order.placed")
async def ticker(ctx, value: dict) -> str:
    """Begin by itself."""
    return value.get("scheduled") or value["id"]
'''


async def test_a_deployed_workflow_begins_by_its_schedule_and_by_messages(tmp_path):
    s = DeploySquad()
    await s.deploy(write(tmp_path, "ticker.py", SELF))
    (line,) = (await s.call("schedules.list")).items
    assert (line.workflow, line.cron) == ("ticker", "*/5 * * * *")
    said = await s.call("messages.publish", topic="order.placed", payload={"id": "a"})
    (begun,) = said.started
    assert (await s.engine.wait(begun.run, timeout_ms=5000)).output == "a"
    filled = await s.call("schedules.backfill", workflow="ticker", since="2025-12-31T23:50:00Z")
    outcomes = [await s.engine.wait(one.run, timeout_ms=5000) for one in filled.items]
    assert outcomes and all(one.output.endswith("Z") for one in outcomes)
