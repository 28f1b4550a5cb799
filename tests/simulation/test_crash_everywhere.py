"""A crash at every event boundary of every kind of run changes nothing.

For each workflow the undisturbed run is played once; then it is played again
for every append n, crashing once right before and once right after the n-th one
is durable. Status, output, the result of every step and the set of confirmed
effects must come out the same, the bank must have received every key once, and
the journal must replay identically.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import InvalidError, SquadError, UnavailableError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.control.interpret import NAME as MANIFEST
from agentsquad.runtime.control.plugin import plugin as control
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
from agentsquad.workforce.agents.contract import (
    AgentCatalogue,
    ModelCatalogue,
    ModelReply,
    ModelRequest,
    ToolCall,
    Usage,
)
from agentsquad.workforce.agents.plugin import plugin as agents

_spec = importlib.util.spec_from_file_location(
    "simulation_crashing", Path(__file__).with_name("crashing.py")
)
assert _spec is not None and _spec.loader is not None
crashing = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(crashing)
CrashSquad, Fuse, play = crashing.CrashSquad, crashing.Fuse, crashing.play


class N(msgspec.Struct):
    n: int


class Bank:
    """The other side: what reached it, by key."""

    def __init__(self) -> None:
        self.received: list[tuple[str, Any]] = []
        self.lost_answers: set[str] = set()


BANK = Bank()


@action("math.double", effect=Effect.PURE)
def double(ctx, value: N) -> N:
    """Double."""
    return N(value.n * 2)


@action("net.look", effect=Effect.READ)
async def look(ctx, value: N) -> N:
    """Look."""
    await asyncio.sleep(0)
    return N(value.n + 100)


@action("bank.pay", effect=Effect.IRREVERSIBLE, reconcile="bank.lookup")
async def pay(ctx, value: N) -> N:
    """Pay; the answer comes a moment after the deed, and 66 is answered by
    nobody the first time."""
    await asyncio.sleep(0)
    BANK.received.append((ctx.idempotency_key, value.n))
    await asyncio.sleep(0)
    if value.n == 66 and ctx.idempotency_key not in BANK.lost_answers:
        BANK.lost_answers.add(ctx.idempotency_key)
        raise UnavailableError("the answer was lost")
    return value


@action("bank.lookup", effect=Effect.READ)
def lookup(ctx, value: Reconcile) -> Reconciled:
    """Look for a key."""
    for key, n in BANK.received:
        if key == value.key:
            return Reconciled(found=True, output={"n": n})
    return Reconciled(found=False)


@action("stock.reserve", effect=Effect.WRITE, compensate="stock.release", reconcile="bank.lookup")
async def reserve(ctx, value: N) -> N:
    """Reserve; 13 is refused."""
    if value.n == 13:
        raise InvalidError("unlucky")
    BANK.received.append((ctx.idempotency_key, value.n))
    await asyncio.sleep(0)
    return value


@action("stock.release", effect=Effect.WRITE, reconcile="bank.lookup")
async def release(ctx, value: dict) -> N:
    """Release."""
    BANK.received.append((ctx.idempotency_key, value["input"]["n"]))
    await asyncio.sleep(0)
    return N(value["input"]["n"])


@action("goods.reserve", effect=Effect.WRITE, reconcile="bank.lookup")
async def take(ctx, value: N) -> N:
    """Reserve, for manifests."""
    BANK.received.append((ctx.idempotency_key, value.n))
    await asyncio.sleep(0)
    return value


@action("goods.release", effect=Effect.WRITE, reconcile="bank.lookup")
async def give_back(ctx, value: N) -> N:
    """Release, for manifests."""
    BANK.received.append((ctx.idempotency_key, value.n))
    await asyncio.sleep(0)
    return value


@workflow("child")
async def child(ctx, value: N) -> N:
    doubled = await ctx.call("math.double", value)
    await ctx.sleep(1000)
    return await ctx.call("bank.pay", doubled)


@workflow("everything")
async def everything(ctx, value: N) -> dict:
    first = await ctx.call("math.double", value)
    both = await ctx.parallel(ctx.call("net.look", N(2)), ctx.run("child", N(3)))

    async def one(n: int) -> int:
        return (await ctx.call("math.double", N(n))).n

    mapped = await ctx.map(one, range(4), limit=2)
    answer = await ctx.approve(
        "bank.pay",
        N(9),
        evidence={"page": 1},
        roles=["controller"],
        because="big",
        requester="agent:matcher",
    )
    paid = await ctx.call("bank.pay", N(9), approval=answer)
    go = await ctx.signal("go")
    lost = await ctx.call("bank.pay", N(66))
    return {
        "first": first.n,
        "both": [both[0].n, both[1].n],
        "mapped": mapped,
        "paid": paid.n,
        "go": go,
        "lost": lost.n,
        "chance": ctx.random(),
    }


@workflow("saga")
async def saga(ctx, value: dict) -> None:
    s = ctx.saga()
    await ctx.parallel(*(s.call("stock.reserve", N(n)) for n in value["side"]))
    for n in value["reserve"]:
        await s.call("stock.reserve", N(n))
        await ctx.sleep(10)


@workflow("nest")
async def nest(ctx, value: N) -> list:
    if value.n == 0:
        return [(await ctx.run("child", N(1), key="leaf")).n]
    below = await ctx.parallel(
        ctx.run("nest", N(value.n - 1)), ctx.call("bank.pay", N(10 + value.n))
    )
    return [below[0], below[1].n]


@workflow("patient")
async def patient(ctx, value: dict) -> list:
    async def side(name: str) -> Any:
        try:
            return await ctx.signal(name, timeout_ms=value["limit"])
        except SquadError as error:
            return error.code

    got = await ctx.parallel(*(side(name) for name in value["names"]), ctx.sleep(50_000))
    answer = await ctx.approve("bank.pay", N(1), roles=["x"], because="y", requester="agent:z")
    return [*got, answer.approved, answer.approver]


GRAPH = yaml.safe_load("""
graph:
  nodes:
    - id: look
      action: net.look
      with: {n: "${input.n}"}
    - id: each
      dependsOn: [look]
      foreach: "${[1, 2, 3]}"
      limit: 2
      action: goods.reserve
      with: {n: "${item}"}
      compensate: {action: goods.release, with: {n: "${nodes.each.n}"}}
    - id: nap
      sleep: 5s
    - id: ask
      dependsOn: [nap]
      approval: {roles: [boss], because: "is it fine"}
    - id: pay
      dependsOn: [each, ask]
      action: bank.pay
      with: {n: "${nodes.look.n}"}
result: {paid: "${nodes.pay.n}"}
""")


class Conversation:
    """A model that answers by how far the conversation has come, so that asking
    again after a crash gets the same answer; it counts what it was asked."""

    provider = "conversation"

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def model(self, name: str) -> Conversation:
        return self

    async def agent(self, name: str) -> dict[str, Any]:
        return {
            "spec": {
                "model": "conversation",
                "role": "a clerk",
                "tools": ["net.look", "goods.reserve"],
                "outputSchema": {"type": "object", "required": ["n"]},
            }
        }

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        self.asked.append(msgspec.json.encode(request))
        turn = sum(message.role == "assistant" for message in request.messages)
        await asyncio.sleep(0)
        usage = Usage(input_tokens=10, output_tokens=2, cost_micros=7)
        if turn == 0:
            calls = (
                ToolCall(id="1", name="net.look", arguments={"n": 1}),
                ToolCall(id="2", name="goods.reserve", arguments={"n": 5}),
            )
            return ModelReply(
                model="c", text="", tool_calls=calls, finish="tool_calls", usage=usage
            )
        text = "not json" if turn == 1 else '{"n": 3}'
        return ModelReply(model="c", text=text, usage=usage)


ACTIONS = (double, look, pay, lookup, reserve, release, take, give_back)
FLOWS = (child, everything, saga, nest, patient)

CASES: dict[str, tuple[str, Any]] = {
    "everything": ("everything", N(1)),
    "saga that fails": ("saga", {"side": [1, 2], "reserve": [3, 13]}),
    "children of children": ("nest", N(2)),
    "signals and approvals": ("patient", {"names": ["a", "b"], "limit": 1_000_000}),
    "signals too late": ("patient", {"names": ["never", "b"], "limit": 40_000}),
    "manifest": (MANIFEST, {"name": "m", "spec": GRAPH, "input": {"n": 1}}),
    "agent turn": ("agent-turn", {"agent": "clerk", "input": {"x": 1}}),
}


def squad(model: Conversation, fuses=(), commits: bool = False) -> Any:
    BANK.__init__()
    mine = Plugin(name="test", actions=ACTIONS, workflows=FLOWS)
    return CrashSquad(
        mine,
        control,
        agents,
        fuses=fuses,
        ports={ModelCatalogue: model, AgentCatalogue: model},
        commits=commits,
    )


WHERE = pytest.mark.parametrize("commits", [False, True], ids=["append", "commit"])


def same(story, calm, bank_calm) -> None:
    assert (story.status, story.output, story.error) == (calm.status, calm.output, calm.error)
    assert story.resolved == calm.resolved
    assert len(story.confirmed) == len(set(story.confirmed))
    assert sorted(story.confirmed) == sorted(calm.confirmed)
    assert sorted(BANK.received) == sorted(bank_calm)
    assert story.verdict == "identical"


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@WHERE
@pytest.mark.parametrize("durable", [False, True], ids=["before", "after"])
async def test_a_crash_at_any_append_changes_nothing(name: str, durable: bool, commits: bool):
    flow, value = CASES[name]
    calm = await play(squad(Conversation(), commits=commits), flow, value)
    bank = list(BANK.received)
    assert calm.verdict == "identical"
    assert len({key for key, _ in bank}) == len(bank)
    for n in range(1, calm.appends + 1):
        model = Conversation()
        story = await play(squad(model, [Fuse(n, durable)], commits), flow, value)
        try:
            assert story.crashes == 1
            same(story, calm, bank)
        except AssertionError as error:
            raise AssertionError(f"crash at append {n} of {calm.appends}: {error}") from error


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@WHERE
async def test_crashing_every_third_append_changes_nothing(name: str, commits: bool):
    flow, value = CASES[name]
    calm = await play(squad(Conversation(), commits=commits), flow, value)
    bank = list(BANK.received)
    fuses = [Fuse(3, durable=bool(i % 2)) for i in range(200)]
    story = await play(squad(Conversation(), fuses, commits), flow, value)
    assert story.crashes > (0 if commits else 2)
    same(story, calm, bank)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
async def test_another_process_that_writes_before_any_commit_changes_nothing(name: str):
    flow, value = CASES[name]
    calm = await play(squad(Conversation(), commits=True), flow, value)
    bank = list(BANK.received)
    for n in range(1, calm.appends + 1):
        s = squad(Conversation(), commits=True)
        s.intrusions = [n, n + 1]
        story = await play(s, flow, value)
        assert await s.ledger.store.read(types=["noise.made"])
        same(story, calm, bank)


@pytest.mark.parametrize("name", CASES)
async def test_every_answer_and_signal_delivered_twice_changes_nothing(name: str):
    flow, value = CASES[name]
    calm = await play(squad(Conversation()), flow, value)
    bank = list(BANK.received)
    same(await play(squad(Conversation()), flow, value, twice=True), calm, bank)


@WHERE
async def test_a_finished_model_call_is_never_paid_again(commits: bool):
    flow, value = CASES["agent turn"]
    calm = Conversation()
    appends = (await play(squad(calm, commits=commits), flow, value)).appends
    assert len(calm.asked) == 3
    for n in range(1, appends + 1):
        model = Conversation()
        s = squad(model, [Fuse(n, durable=True)], commits)
        await play(s, flow, value)
        # Every append is durable before the crash, so at most the call under
        # way is asked again; a finished one is read from the journal.
        recorded = [
            e
            for e in await s.ledger.store.read(limit=1000, types=["step.completed"])
            if e.payload["action"] == "models.generate"
        ]
        assert len(recorded) == 3
        assert list(dict.fromkeys(model.asked)) == calm.asked
        assert len(model.asked) <= 4
