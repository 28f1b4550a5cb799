"""A rehearsal plays a workflow to its end and touches nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, RetryPolicy, action
from agentsquad.kernel.errors import InvalidError, UnavailableError
from agentsquad.kernel.ports import BlobStore, EventStore
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.past import load
from agentsquad.runtime.determinism.rehearsal import Fault, Options, Rehearsal, Said, Story
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
from agentsquad.testing import TestSquad

REACHED: list[str] = []


@pytest.fixture(autouse=True)
def nothing_reached():
    REACHED.clear()


class N(msgspec.Struct):
    n: int


@action("math.double", effect=Effect.PURE)
def double(ctx, value: N) -> N:
    """Double."""
    return N(value.n * 2)


@action("net.look", effect=Effect.READ, retry=RetryPolicy(attempts=3))
async def look(ctx, value: N) -> N:
    """Look."""
    REACHED.append("look")
    await ctx.port(BlobStore).put(b"seen")
    return N(value.n + 100)


@action("net.glance", effect=Effect.READ)
async def glance(ctx, value: N) -> N:
    """Look once."""
    REACHED.append("glance")
    return N(value.n + 1)


@action("bank.pay", effect=Effect.IRREVERSIBLE, reconcile="bank.lookup", preview="math.double")
async def pay(ctx, value: N) -> N:
    """Pay."""
    REACHED.append("pay")
    return value


@action("bank.give", effect=Effect.WRITE)
async def give(ctx, value: N) -> N:
    """Give; nobody can ask about it."""
    REACHED.append("give")
    return value


@action("bank.lookup", effect=Effect.READ)
def lookup(ctx, value: Reconcile) -> Reconciled:
    """Ask the bank."""
    REACHED.append("lookup")
    return Reconciled(found=False)


@workflow("order")
async def order(ctx, value: N) -> dict:
    first = await ctx.call("math.double", value)
    seen = await ctx.call("net.look", first)
    again = await ctx.call("net.glance", first)
    await ctx.sleep(3_600_000)
    answer = await ctx.approve(
        "bank.pay", N(9), roles=["boss"], because="big", requester="agent:clerk"
    )
    paid = await ctx.call("bank.pay", N(9), approval=answer) if answer.approved else None
    given = await ctx.call("bank.give", N(4))
    word = await ctx.signal("go")
    return {
        "seen": seen.n, "again": again.n, "paid": paid and paid.n, "given": given.n,
        "word": word, "hours": ctx.now_ms(),
    }  # fmt: skip


@workflow("patient")
async def patient(ctx, value: N) -> Any:
    return await ctx.signal("never", timeout_ms=14 * 86_400_000)


PLUGIN = Plugin(
    name="test", actions=(double, look, glance, pay, give, lookup), workflows=(order, patient)
)


async def rehearse(faults=(), past=None, flow="order", **options: Any) -> Story:
    s = TestSquad(PLUGIN)
    story = await Rehearsal(
        s.world, past=past, faults=tuple(faults), options=Options(**options)
    ).play(flow, N(1))
    assert await s.ledger.store.size() == 0, "the installation's own log was written to"
    assert await s.ledger.blobs.digests() == []
    return story


async def test_effects_are_taken_by_the_counterparty_and_never_run():
    story = await rehearse()
    assert (story.status, story.verdict) == ("completed", "identical")
    assert REACHED == []
    assert [(e.action, e.arrived, e.confirmed) for e in story.effects.values()] == [
        ("bank.pay", 1, 1),
        ("bank.give", 1, 1),
    ]
    assert story.output["paid"] == 18, "the preview says what paying would answer"
    assert story.made_up == ("bank.give", "net.glance", "net.look")


async def test_the_same_seed_tells_the_same_story():
    first, second = await rehearse(), await rehearse()
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


async def test_a_read_is_done_only_where_it_is_allowed():
    story = await rehearse(reads=("net.look",))
    assert REACHED == ["look"]
    assert story.output["seen"] == 102


async def test_two_weeks_pass_in_a_moment():
    story = await rehearse(flow="patient")
    assert (story.status, story.error["code"]) == ("failed", "step.deadline")


@pytest.mark.parametrize(("say", "paid"), [("approve", 18), ("reject", None), ("twice", 18)])
async def test_people_say_what_they_are_told_to_say(say: str, paid: int | None):
    story = await rehearse(people=say)
    assert story.output["paid"] == paid


async def test_a_function_may_answer_for_people_and_nobody_is_an_answer_too():
    story = await rehearse(
        people=lambda item: Said(approve=item.action != "bank.pay", approver="person:x")
    )
    assert story.output["paid"] is None
    assert (await rehearse(people=lambda item: None)).status == "waiting"


async def test_people_of_another_kind_are_refused():
    with pytest.raises(InvalidError):
        await rehearse(people="maybe")


async def test_the_caller_may_answer_for_the_world_or_refuse():
    def respond(step):
        if step.action.name == "net.glance":
            return {"n": 7}
        if step.action.name == "bank.give":
            raise InvalidError("no", code="bank.no")
        return NotImplemented

    story = await rehearse(respond=respond)
    assert (story.status, story.error["code"]) == ("failed", "bank.no")


async def test_what_was_recorded_is_answered_again():
    s = TestSquad(PLUGIN)
    run = await s.engine.start("order", N(1), actor="person:eve")
    await s.clock.advance(3_600_001)
    for item in await s.engine.inbox():
        await s.engine.answer(item.id, approve=True, approver="person:ada", reason="fine")
    await s.clock.advance(1)
    await s.engine.signal(run, "go", "went", actor="person:ada")
    lived = await s.engine.wait(run, timeout_ms=5000)
    size = await s.ledger.store.size()
    REACHED.clear()
    past = await load(s.ledger.store, run)
    story = await Rehearsal(s.world, past=past).play("order", N(1))
    assert REACHED == [] and await s.ledger.store.size() == size
    assert (story.run, story.verdict, story.made_up) == (run, "identical", ())
    for name in ("seen", "again", "paid", "given", "word"):
        assert story.output[name] == lived.output[name]
    approved = next(e for e in story.events if e.type == "approval.given")
    assert approved.payload["approver"] == "person:ada"
    assert {e.key for e in story.effects.values()} == {
        e.payload["key"] for e in await s.ledger.store.read(types=["effect.planned"])
    }


async def all_points(kind: str, calm: Story) -> list[int]:
    if kind.startswith("crash"):
        return list(range(1, len(calm.appends) + 1))
    return list(range(1, len(calm.calls if kind.startswith("l") else calm.events) + 1))


@pytest.mark.parametrize(
    "kind", ["crash-before", "crash-after", "lost-before", "lost-after", "twice"]
)
async def test_no_fault_at_any_point_changes_the_story(kind: Any):
    calm = await rehearse(reads=("net.look", "net.glance"))
    struck = 0
    for n in await all_points(kind, calm):
        story = await rehearse([Fault(kind=kind, at=n)], reads=("net.look", "net.glance"))
        where = f"{kind} at {n}: {story.status} {story.error} {story.effects}"
        assert (story.status, story.output) == (calm.status, calm.output), where
        assert story.resolved == calm.resolved, where
        assert story.repeated == 0 and story.verdict == "identical", where
        assert story.effects.keys() == calm.effects.keys(), where
        struck += story.crashes > 0 or len(story.events) > len(calm.events)
    assert struck, "no fault of this kind ever struck"


async def test_what_is_delivered_twice_while_the_process_dies_of_it_is_not_counted_twice():
    reads = ("net.look", "net.glance")
    calm = await rehearse(reads=reads)
    told = [n for n, e in enumerate(calm.events, 1) if e.type == "effect.confirmed"]
    struck = 0
    for n in told:
        for append in range(1, len(calm.appends) + 2):
            faults = [Fault(kind="twice", at=n), Fault(kind="crash-after", at=append)]
            story = await rehearse(faults, reads=reads)
            assert (story.status, story.output) == (calm.status, calm.output), faults
            assert story.repeated == 0, (faults, story.effects)
            struck += story.crashes > 0 and len(story.events) > len(calm.events)
    assert struck, "no process died of a second delivery"


async def test_a_late_answer_is_waited_for():
    calm = await rehearse()
    story = await rehearse([Fault(kind="late", at=1, ms=5000)])
    assert story.output["hours"] == calm.output["hours"] + 5000


async def test_a_repeated_effect_is_counted():
    # An effect that cannot be asked about, and a person who claims it never
    # arrived: what a blind retry would do to the other side.
    story = await rehearse()
    line = next(iter(story.effects.values()))
    twice = msgspec.structs.replace(line, arrived=2)
    assert msgspec.structs.replace(story, effects={line.key: twice}).repeated == 1


async def test_a_refused_effect_is_refused_again_as_recorded():
    def respond(step):
        if step.action.name == "net.look":
            raise UnavailableError("down")
        return NotImplemented

    story = await rehearse(respond=respond)
    assert story.status == "failed"
    assert story.error["code"] == "unavailable"


async def test_the_room_lends_no_store_lease_or_engine():
    from agentsquad.kernel.errors import UnsupportedError
    from agentsquad.runtime.engine.contract import Lease

    s = TestSquad(PLUGIN)
    s.world.ports.put(Lease, object())
    rehearsal = Rehearsal(s.world)
    ports = rehearsal.engine.world.ports
    assert not ports.has(Lease)
    with pytest.raises(UnsupportedError):
        ports.get(Lease)
    assert ports.get(EventStore) is not s.ledger.store
    await rehearsal.engine.close()
