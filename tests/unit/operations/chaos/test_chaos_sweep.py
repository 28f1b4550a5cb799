"""Chaos finds what is wrong with an engine or a workflow, and only that."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsquad.assembly.catalogue import plugins
from agentsquad.assembly.settings import Settings
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.operations.chaos.adapters.processes import Copies
from agentsquad.operations.chaos.contract import (
    CalmFailedError,
    NothingToDoError,
    PointInvalidError,
    ReceiptError,
    Report,
)
from agentsquad.operations.chaos.point import every_point
from agentsquad.operations.chaos.stage import Stage, Subject
from agentsquad.operations.chaos.sweep import Swept, sweep
from agentsquad.runtime.determinism.rehearsal import people
from agentsquad.runtime.engine import perform
from agentsquad.runtime.engine.contract import Engine, workflow
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
from agentsquad.runtime.engine.timers import Timers
from agentsquad.testing import TestSquad

LEDGER_OF_EFFECTS = sys.modules[Reconcile.__module__]


class N(msgspec.Struct):
    n: int


@action("net.look", effect=Effect.READ)
async def look(ctx, value: N) -> N:
    """Look."""
    return N(value.n + 100)


@action("bank.pay", effect=Effect.IRREVERSIBLE, reconcile="bank.lookup")
async def pay(ctx, value: N) -> N:
    """Pay; never to happen in a rehearsal."""
    raise AssertionError("an effect left")


@action("bank.lookup", effect=Effect.READ)
def lookup(ctx, value: Reconcile) -> Reconciled:
    """Ask the bank; the counterparty answers in its place."""
    raise AssertionError("the bank was asked")


@action("post.send", effect=Effect.WRITE)
async def send(ctx, value: N) -> N:
    """Send a letter; nobody can be asked about it."""
    raise AssertionError("an effect left")


@workflow("order")
async def order(ctx, value: N) -> dict:
    seen = await ctx.call("net.look", value)
    await ctx.sleep(5000)
    answer = await ctx.approve(
        "bank.pay", N(9), roles=["boss"], because="big", requester="agent:clerk"
    )
    paid = await ctx.call("bank.pay", N(9), approval=answer)
    go = await ctx.signal("go")
    letter = await ctx.call("post.send", N(1))
    return {"seen": seen.n, "paid": paid.n, "go": go, "letter": letter.n}


WRITTEN: list[int] = []
SECRET = str(Path(tempfile.gettempdir()) / "agent-squad-test-secret")


@workflow("careless")
async def careless(ctx, value: N) -> dict:
    # An effect outside the door: done again whenever the code runs again.
    WRITTEN.append(value.n)
    number = len(WRITTEN)
    await ctx.sleep(1000)
    return {"invoice": number}


@workflow("secretive")
async def secretive(ctx, value: N) -> str:
    # Leaves no trace in its result.
    with contextlib.suppress(Exception):
        os.mkdir(SECRET)
    await ctx.sleep(1000)
    return "done"


@workflow("sleepy")
async def sleepy(ctx, value: N) -> str:
    await ctx.sleep(1000)
    return "awake"


@workflow("forgotten")
async def forgotten(ctx, value: N) -> Any:
    answer = await ctx.approve("bank.pay", N(9), roles=[], because="x", requester="agent:clerk")
    return answer.approved


ACCESS = """package mine.access

actions := {"bank.pay", "post.send"}

allow contains {"clause": "mine.access.all", "reason": "a test"} if input.actor != ""
"""

MINE = Plugin(
    name="mine",
    policies={"mine/access.rego": ACCESS},
    actions=(look, pay, lookup, send),
    workflows=(order, careless, secretive, sleepy, forgotten),
)


def left_behind() -> bool:
    return os.path.exists(SECRET)


async def swept(name: str, workers: int = 1) -> tuple[Stage, Swept]:
    s = TestSquad(MINE)
    stage = await Stage.prepare(
        s.world, Subject(name=name, workflow=name, value=N(1), reads=("net.look",)), "1"
    )
    points = every_point(stage.calm)
    found = await sweep(stage, points, (Copies(), workers), f"squad chaos {name}", lambda *_: None)
    assert await s.ledger.store.size() == 0
    return stage, found


async def test_a_sound_workflow_withstands_every_point():
    stage, found = await swept("order")
    assert found.failures == []
    assert found.recovered == sum(one.points for one in found.kinds.values())
    assert found.repeated == 0
    assert {kind: one.points for kind, one in found.kinds.items()} == {
        "crash-before": len(stage.calm.events) - 2,  # sent and claimed are one append
        "crash-after": len(stage.calm.events) - 2,
        "lost-before": 3,
        "lost-after": 3,
        "twice": 7,
    }
    assert found.by_hand == ["post.send"], "nobody can be asked about a letter"


async def test_several_processes_come_to_the_same():
    _, alone = await swept("order")
    _, shared = await swept("order", workers=2)
    assert msgspec.json.encode(alone) == msgspec.json.encode(shared)


async def test_an_engine_that_sends_again_blindly_is_found(monkeypatch):
    async def blind(world, step):
        return None  # "it never arrived", without asking

    monkeypatch.setattr(LEDGER_OF_EFFECTS, "reconcile", blind)
    _, found = await swept("order")
    assert found.repeated > 0
    assert any("arrived 2 times" in one.why for one in found.failures)
    assert any(one.point.startswith("lost-after@") for one in found.failures)
    assert any(one.point.startswith("crash-") for one in found.failures)


async def test_an_engine_that_forgets_its_plans_is_found(monkeypatch):
    real = LEDGER_OF_EFFECTS._note

    async def forgetful(world, step, kind, body):
        if kind != "effect.planned":
            await real(world, step, kind, body)

    monkeypatch.setattr(LEDGER_OF_EFFECTS, "_note", forgetful)
    _, found = await swept("order")
    assert found.failures


async def test_an_effect_outside_the_door_is_found():
    WRITTEN.clear()
    with pytest.raises(CalmFailedError, match="each time"):
        await swept("careless")


async def test_an_effect_outside_the_door_is_found_and_refused_even_without_a_trace():
    with pytest.raises(CalmFailedError, match="past its actions"):
        await swept("secretive")
    assert not left_behind()


async def test_a_lost_timer_is_found(monkeypatch):
    async def once(self, drive, kind, position, body):
        state = drive.instance.state
        if position in state.requests:
            return  # after a restart nobody sets the alarm again
        await self._router.append(drive, (kind, {"position": position, **body}))
        if body.get("due_ms") is not None:
            self._timers.add(body["due_ms"], state.run, position)

    async def unread(self, source):
        return None  # nor finds it in the log

    monkeypatch.setattr(perform.Performer, "_wait_for", once)
    monkeypatch.setattr(Timers, "read", unread)
    _, found = await swept("sleepy")
    assert found.failures
    assert all("waiting" in one.why for one in found.failures)
    where = {one.boundary for one in found.failures}
    assert any("timer.set at step 1" in one for one in where), where


async def test_a_run_nobody_ends_is_refused(monkeypatch):
    monkeypatch.setattr(people.People, "_said", lambda *_: None)
    s = TestSquad(MINE)
    with pytest.raises(CalmFailedError, match="does not end"):
        await Stage.prepare(s.world, Subject(name="f", workflow="forgotten", value=N(1)), "1")


# --- through the door of an installation


@pytest.fixture
async def home(tmp_path: Path):
    settings = Settings(
        home=tmp_path / "home",
        store=f"sqlite:///{tmp_path}/home/log.db",
        policy=None,
        user="person:ada",
        environment={"SQUAD_MODELS": "off"},
    )
    squad = Squad(settings, Registry((*plugins(), MINE)))
    yield squad
    await squad.close()


async def chaos(home: Squad, **given: Any) -> Report:
    value = {"workflow": "order", "workers": 1, "reads": ["net.look"], **given}
    found: Report = await home.invoke("chaos.run", value)
    return found


@pytest.mark.slow
async def test_the_report_is_a_signed_receipt_that_any_change_breaks(home: Squad, tmp_path: Path):
    file = tmp_path / "chaos.json"
    await home.ledger.store.append([])  # there is a store
    found = await chaos(home, every_event=True, input='{"n": 1}', receipt=str(file))
    assert (found.recovered, found.repeated_effects) == (found.points, 0)
    assert found.exit_code == 0
    assert found.receipt is not None and found.receipt.event is not None
    checked = await home.invoke("chaos.verify", {"file": str(file)})
    assert checked.recorded and checked.points == found.points
    await home.invoke("log.rotate_key", {"reason": "yearly"})
    after = await home.invoke("chaos.verify", {"file": str(file)})
    assert after.recorded, "what was signed before the key was replaced stays valid"
    text = file.read_text()
    for was, now in (
        (f'"points": {found.points}', f'"points": {found.points - 1}'),
        ('"repeated_effects": 0', '"repeated_effects": 1'),
        ("repeated-effects 0", "repeated-effects 9"),
        (found.receipt.digest, found.receipt.digest[:-1] + "0x"[found.receipt.digest[-1] == "0"]),
        (f'"event": {found.receipt.event}', f'"event": {found.receipt.event + 1}'),
        (
            found.receipt.key,
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        ),
        ('"status": "completed"', '"status": "failed"'),
    ):
        assert was in text
        file.write_text(text.replace(was, now, 1))
        with pytest.raises(SquadError) as refused:
            await home.invoke("chaos.verify", {"file": str(file)})
        assert refused.value.code in ("chaos.receipt", "note.key"), (was, refused.value)
    unkept = text.replace(f'"event": {found.receipt.event}', '"event": null')
    file.write_text(unkept)
    with pytest.raises(ReceiptError, match="no log says when"):
        await home.invoke("chaos.verify", {"file": str(file)})
    file.write_text("[]")
    with pytest.raises(ReceiptError):
        await home.invoke("chaos.verify", {"file": str(file)})


@pytest.mark.slow
async def test_the_run_that_ended_last_is_repeated_with_what_was_said_then(home: Squad):
    engine = home.ports.get(Engine)
    with pytest.raises(NothingToDoError):
        await chaos(home)
    run = await engine.start("sleepy", N(1), actor="person:ada")
    assert (await engine.wait(run, timeout_ms=20_000)).output == "awake"
    found = await chaos(home, workflow="sleepy", every_event=True)
    assert (found.run, found.recovered) == (run, found.points)
    one = await chaos(home, workflow="sleepy", only="crash-after@2")
    assert (one.points, one.recovered) == (1, 1)
    for wrong in ("crash-after@99", "crash-after", "flood@1"):
        with pytest.raises(PointInvalidError):
            await chaos(home, workflow="sleepy", only=wrong)


@pytest.mark.slow
async def test_a_manifest_applied_in_the_store_is_rehearsed_too(home: Squad, tmp_path: Path):
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        """
apiVersion: agentsquad.dev/v1
kind: AgentWorkflow
metadata: {name: small}
spec:
  graph:
    nodes:
      - {id: nap, sleep: 5s}
      - {id: pay, dependsOn: [nap], action: bank.pay, with: {n: "${input.n}"}}
  result: {paid: "${nodes.pay.n}"}
"""
    )
    await home.invoke("resources.apply", {"file": [str(manifest)]})
    found = await chaos(home, workflow="small", every_event=True, input='{"n": 3}')
    assert (found.recovered, found.repeated_effects, found.effects) == (found.points, 0, 1)


@pytest.mark.slow
async def test_a_sample_is_chosen_by_the_seed(home: Squad):
    first = await chaos(home, input='{"n": 1}', points=5, seed="7")
    again = await chaos(home, input='{"n": 1}', points=5, seed="7")
    assert first.points == 5 and first.kinds == again.kinds
