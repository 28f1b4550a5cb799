"""What runs are told from outside, with the process dying before and after
every append: updates, signals by key, ladders, and steps moved by hand.

Each time the run ends as the undisturbed one does, every effect arrives once,
the update is answered once, and the journal replays identically. The same run
is swept by the faults of `squad chaos`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.registry import Plugin
from agentsquad.operations.chaos.point import every_point
from agentsquad.operations.chaos.stage import Stage, Subject
from agentsquad.runtime.determinism.past import load
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.ids import keyed_id
from agentsquad.runtime.engine.inbound.contract import Escalation
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled

_spec = importlib.util.spec_from_file_location(
    "simulation_crashing", Path(__file__).with_name("crashing.py")
)
assert _spec is not None and _spec.loader is not None
crashing = sys.modules.get(_spec.name)
if crashing is None:
    crashing = sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(crashing)
CrashSquad, Fuse, play = crashing.CrashSquad, crashing.Fuse, crashing.play

BANK: list[tuple[str, int]] = []
LADDER = (
    Escalation(after_ms=60_000, roles=("manager",)),
    Escalation(after_ms=120_000, roles=("cfo",), keep=False),
)


class N(msgspec.Struct):
    """A number."""

    n: int


@action("desk.look", effect=Effect.READ)
async def look(ctx: Any, value: N) -> N:
    """Look."""
    return N(value.n + 100)


@action("desk.pay", effect=Effect.WRITE, compensate="desk.back", reconcile="desk.known")
async def pay(ctx: Any, value: N) -> N:
    """Pay; 13 is refused."""
    if value.n == 13:
        raise InvalidError("unlucky", code="desk.unlucky")
    BANK.append((ctx.idempotency_key, value.n))
    return value


@action("desk.back", effect=Effect.WRITE, reconcile="desk.known")
async def back(ctx: Any, value: dict[str, Any]) -> N:
    """Take back."""
    BANK.append((ctx.idempotency_key, -value["input"]["n"]))
    return N(0)


@action("desk.known", effect=Effect.READ)
def known(ctx: Any, value: Reconcile) -> Reconciled:
    """Say whether a key arrived."""
    found = [n for key, n in BANK if key == value.key]
    return Reconciled(found=bool(found), output={"n": found[0]} if found else None)


@workflow("desk", on_failure="wait")
async def desk(ctx: Any, value: dict[str, Any]) -> list[Any]:
    """Be told everything a run can be told."""
    taken: list[int] = []
    poked = ctx.latch()

    async def poke(n: int) -> int:
        taken.append((await ctx.call("desk.look", N(n))).n)
        await ctx.call("desk.pay", N(n))
        poked.open()
        return taken[-1]

    ctx.on_update("poke", poke)
    ctx.on_query("taken", lambda: taken)
    saga = ctx.saga()
    paid = (await saga.call("desk.pay", N(13))).n
    answer = await ctx.approve("desk.pay", N(5), because="rise 2", escalate=LADDER)
    came = await ctx.signal("go", escalate=LADDER, timeout_ms=600_000, fallback="nothing")
    if value.get("what") == "poked":
        await poked
    child = await ctx.run("below", {}, timeout_ms=3_600_000)
    return [paid, answer.approver, came, taken, child]


@workflow("below", on_failure="wait")
async def below(ctx: Any, value: dict[str, Any]) -> int:
    """Stand still below."""
    return (await ctx.call("desk.pay", N(13))).n


PLUGIN = Plugin(name="desk", actions=(look, pay, back, known), workflows=(desk, below))
VALUE = {"what": "poked"}


async def lived(fuses: Any = (), *, twice: bool = False, **options: Any) -> Any:
    BANK.clear()
    s = CrashSquad(PLUGIN, fuses=fuses, **options)
    story = await play(s, "desk", VALUE, twice=twice)
    answers = [
        e.payload
        for name, _ in await s.ledger.store.streams("run/")
        for e in await s.ledger.store.read_stream(name)
        if e.type in ("update.completed", "update.failed")
    ]
    return story, sorted(n for _, n in BANK), answers


async def test_the_undisturbed_run_is_told_everything() -> None:
    story, bank, answers = await lived()
    assert story.status == "completed"
    assert story.output == [1, "person:ada", "go!", [107], 1]
    assert bank == [1, 1, 7]
    assert [one["output"] for one in answers] == [107]
    assert story.verdict == "identical"


@pytest.mark.slow
@pytest.mark.parametrize("commits", [False, True])
@pytest.mark.parametrize("durable", [False, True])
async def test_it_ends_the_same_wherever_the_process_dies(durable: bool, commits: bool) -> None:
    calm, bank, answers = await lived(commits=commits)
    dead = 0
    for append in range(1, 60):
        story, received, said = await lived([Fuse(append, durable)], twice=True, commits=commits)
        dead += story.crashes
        assert (story.status, story.output) == (calm.status, calm.output), append
        assert story.resolved == calm.resolved, append
        assert received == bank, append
        assert said == answers, append
        assert story.verdict == "identical", append
        if not story.crashes:
            break
    assert dead > 20


@pytest.mark.slow
async def test_the_faults_of_chaos_change_nothing() -> None:
    """A recorded run is rehearsed with what it was told, and what was done by
    hand; then with a fault at every point."""
    BANK.clear()
    s = CrashSquad(PLUGIN)
    await play(s, "desk", VALUE)
    past = await load(s.ledger.store, keyed_id("desk", crashing.KEY))
    subject = Subject(name="desk", workflow="desk", value=VALUE, past=past)
    stage = await Stage.prepare(s.world, subject, "1")
    assert stage.calm.output == [1, "person:ada", "go!", [107], 1]
    assert {event.type for event in stage.calm.events} >= {
        "incident.opened",
        "intervention.made",
        "update.completed",
    }
    for point in every_point(stage.calm):
        struck = await stage.strike(point)
        assert not struck.why, f"{point}: {struck}"
        assert not struck.repeated, f"{point}: {struck}"
