"""Replay and fork over real journals: verdicts, located differences, no effect
ever."""

from __future__ import annotations

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.determinism.actions import parse
from agentsquad.runtime.determinism.contract import Change, ChangeInvalidError, ForkStuckError
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.determinism.replay import replay, replay_events
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle

WORLD = {"calls": 0, "factor": 2}


@pytest.fixture(autouse=True)
def fresh_world():
    WORLD.update(calls=0, factor=2)


class Amount(msgspec.Struct):
    micros: int
    currency: str = "USD"


class Payment(msgspec.Struct):
    amount: Amount


class N(msgspec.Struct):
    n: int


@action("math.scale", effect=Effect.PURE)
def scale(ctx, value: N) -> N:
    """Scale a number."""
    return N(value.n * WORLD["factor"])


@action("net.rate", effect=Effect.READ)
async def rate(ctx, value: N) -> N:
    """Look something up."""
    WORLD["calls"] += 1
    return N(value.n + 100)


@action("bank.pay", effect=Effect.IRREVERSIBLE, preview="bank.preview")
async def pay(ctx, value: Payment) -> N:
    """Pay."""
    WORLD["calls"] += 1000
    return N(value.amount.micros)


@action("bank.preview", effect=Effect.PURE)
def preview(ctx, value: Payment) -> N:
    """Say what a payment would give."""
    return N(value.amount.micros)


@action("bank.burn", effect=Effect.IRREVERSIBLE)
async def burn(ctx, value: N) -> N:
    """An effect without a preview."""
    WORLD["calls"] += 1000
    return value


@workflow("line")
async def line(ctx, value: N) -> N:
    scaled = await ctx.call("math.scale", value)
    if scaled.n > 100:
        raise InvalidError("too much", code="line.limit")
    return scaled


@workflow("order")
async def order(ctx, value: dict) -> dict:
    lines = await ctx.map(lambda n: ctx.run("line", N(n)), value["lines"])
    total = sum(one.n for one in lines)
    looked = await ctx.call("net.rate", N(total))
    if total > 50:
        answer = await ctx.approve("bank.pay", N(total), roles=["boss"], requester="agent:x")
        if not answer.approved:
            return {"paid": 0, "rate": looked.n}
    paid = await ctx.call("bank.pay", Payment(Amount(total * 1_000_000)))
    return {"paid": paid.n, "rate": looked.n}


@workflow("burner")
async def burner(ctx, value: N) -> N:
    for _ in range(value.n):
        await ctx.call("bank.burn", value)
    return value


PLUGIN = Plugin(
    name="test", actions=(scale, rate, pay, preview, burn), workflows=(line, order, burner)
)


async def done(lines=(1, 2, 3)):
    s = TestSquad(PLUGIN)
    outcome = await s.run("order", {"lines": list(lines)})
    assert outcome.status == "completed"
    WORLD["calls"] = 0
    return s, outcome.run


async def test_an_unchanged_run_replays_identically_and_calls_nothing():
    s, run = await done()
    found = await replay(s.ledger.store, s.registry, run)
    assert found.verdict == "identical"
    assert found.recomputed == 3
    assert WORLD["calls"] == 0


async def test_a_pure_step_that_gives_something_else_is_located_to_event_and_field():
    s, run = await done()
    WORLD["factor"] = 3
    found = await replay(s.ledger.store, s.registry, run)
    assert (found.verdict, found.field, found.was, found.now) == ("diverged", "/output/n", 2, 3)
    (event,) = [e for e in await s.ledger.store.read(limit=99) if e.seq == found.event]
    assert event.type == "step.completed"
    assert event.stream == f"run/{run}/1.0.1"


async def test_changed_code_with_the_same_behaviour_is_compatible():
    s, run = await done()
    newer = Plugin(
        name="test",
        actions=PLUGIN.actions,
        workflows=(line, msgspec.structs.replace(order, digest="sha256:newer"), burner),
    )
    found = await replay(s.ledger.store, Registry.of(newer), run)
    assert found.verdict == "compatible"


async def test_a_changed_request_is_located_to_its_field():
    s, run = await done()

    async def other(ctx, value: dict) -> dict:
        lines = await ctx.map(lambda n: ctx.run("line", N(n)), value["lines"])
        await ctx.call("net.rate", N(sum(one.n for one in lines) + 1))
        return {}

    changed = msgspec.structs.replace(order, fn=other, digest="sha256:newer")
    registry = Registry.of(
        Plugin(name="test", actions=PLUGIN.actions, workflows=(line, changed, burner))
    )
    found = await replay(s.ledger.store, registry, run)
    assert (found.verdict, found.field) == ("diverged", "/input/n")
    assert (found.was, found.now) == (12, 13)


async def test_any_changed_recorded_output_is_found():
    s, run = await done()
    for name in (f"run/{run}", f"run/{run}/1.0.1"):
        events = await s.ledger.store.read_stream(name)
        for place, event in enumerate(events):
            if "output" not in event.payload:
                continue
            body = {**event.payload, "output": {"n": 999, "paid": 999}}
            forged = list(events)
            forged[place] = msgspec.structs.replace(event, payload=body)
            found = await replay_events(name.removeprefix("run/"), forged, s.registry)
            assert found.verdict == "diverged", event


async def test_a_missing_or_erased_event_is_not_replayable():
    s, run = await done()
    events = await s.ledger.store.read_stream(f"run/{run}")
    gap = await replay_events(run, events[:2] + events[3:], s.registry)
    assert gap.verdict == "not_replayable"
    erased = list(events)
    erased[2] = msgspec.structs.replace(events[2], payload=None)
    assert (await replay_events(run, erased, s.registry)).verdict == "not_replayable"


async def test_a_run_of_an_unknown_workflow_is_not_replayable():
    s, run = await done()
    found = await replay(s.ledger.store, Registry.of(), run)
    assert found.verdict == "not_replayable"


async def test_a_fork_without_a_change_reuses_everything():
    s, run = await done()
    size = await s.ledger.store.size()
    fork = await Forker(s.world).fork(run, [])
    assert (fork.rerun, fork.output_changed, fork.differences) == (0, False, [])
    assert fork.money == {"USD": {"was": "12.00", "now": "12.00", "difference": "0.00"}}
    assert WORLD["calls"] == 0
    assert await s.ledger.store.size() == size


async def test_a_fork_reruns_only_what_changed_and_never_an_effect():
    s, run = await done()
    fork = await Forker(s.world).fork(run, [Change(path="input/lines/0", value=5)])
    assert fork.output == {"paid": 20_000_000, "rate": 120}
    assert fork.reused == 2
    assert WORLD["calls"] == 1
    assert [line.now for line in fork.suppressed] == [
        {"amount": {"micros": 20_000_000, "currency": "USD"}}
    ]
    assert fork.money["USD"]["difference"] == "8.00"


async def test_a_fork_that_asks_a_new_question_assumes_what_it_is_told():
    s, run = await done()
    changes = [Change(path="input/lines/0", value=40)]
    yes = await Forker(s.world, people="approve").fork(run, changes)
    no = await Forker(s.world, people="reject").fork(run, changes)
    assert yes.output["paid"] == 90_000_000
    assert no.output["paid"] == 0
    assert no.money["USD"]["now"] == "0.00"


async def test_a_fork_can_change_one_steps_output():
    s, run = await done()
    fork = await Forker(s.world).fork(run, [Change(path="n", value=7)], at="2")
    assert fork.output["rate"] == 7
    below = await Forker(s.world).fork(run, [Change(path="n", value=7)], at="1.0.1/1")
    assert below.output["paid"] == 17_000_000


async def test_a_failing_branch_fails_the_fork_as_it_would_the_run():
    s, run = await done()
    fork = await Forker(s.world).fork(run, [Change(path="input/lines/0", value=51)])
    assert fork.status == "failed"
    assert fork.error["code"] == "line.limit"


async def test_a_new_effect_without_preview_stops_the_fork():
    s = TestSquad(PLUGIN)
    outcome = await s.run("burner", N(1))
    await settle()
    with pytest.raises(ForkStuckError):
        await Forker(s.world).fork(outcome.run, [Change(path="input/n", value=2)])


async def test_a_slip_in_a_change_is_refused_with_the_nearest_name():
    s, run = await done()
    with pytest.raises(ChangeInvalidError) as caught:
        await Forker(s.world).fork(run, [Change(path="input/line", value=[1])])
    assert caught.value.hint == "did you mean 'lines'?"
    with pytest.raises(ChangeInvalidError):
        await Forker(s.world).fork(run, [Change(path="1.0.1/1/n", value=1)])


async def test_a_text_that_looks_like_a_number_stays_a_text():
    @workflow("account")
    async def account(ctx, value: dict) -> dict:
        return {"to": value["account"]}

    s = TestSquad(Plugin(name="t", workflows=(account,)))
    outcome = await s.run("account", {"account": "111"})
    fork = await Forker(s.world).fork(outcome.run, [parse("input/account=222")])
    assert fork.output == {"to": "222"}


async def test_a_difference_with_nothing_on_one_side_can_be_printed():
    s, run = await done()
    fork = await Forker(s.world).fork(run, [Change(path="", value={"n": 7, "more": 1})], at="2")
    assert msgspec.json.encode(fork)
