"""The agent turn: a scripted model, real tools, every call a step."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.integrations.connectors.ai.scripted.scripted import ScriptedModel
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.policy import Decision
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import AllowAll, TestSquad
from agentsquad.testing.clock import settle
from agentsquad.trust.threats.contract import Screen, Screened
from agentsquad.workforce.agents.contract import (
    AgentCatalogue,
    ModelCatalogue,
    ModelReply,
    ToolCall,
    Usage,
)
from agentsquad.workforce.agents.plugin import plugin as agents
from agentsquad.workforce.agents.turn import REPAIRS, TURNS

SENT: list[Any] = []
SCHEMA = {
    "type": "object",
    "required": ["total"],
    "additionalProperties": False,
    "properties": {"total": {"type": "integer"}},
}


@pytest.fixture(autouse=True)
def nothing_sent():
    SENT.clear()


class N(msgspec.Struct):
    n: int


@action("stock.count", effect=Effect.READ)
async def count(ctx, value: N) -> N:
    """Count what is in stock."""
    if value.n < 0:
        raise InvalidError("there is no such shelf", code="stock.shelf")
    return N(value.n * 10)


@action("bank.pay", effect=Effect.IRREVERSIBLE)
async def pay(ctx, value: N) -> N:
    """Pay an amount."""
    SENT.append(value.n)
    return value


class Agents:
    """A catalogue of one agent a name, and of one scripted model for all."""

    def __init__(self, model: ScriptedModel, **spec: Any) -> None:
        self.scripted = model
        self.spec = {"model": "scripted", "role": "a clerk", "outputSchema": SCHEMA, **spec}

    def model(self, name: str) -> ScriptedModel:
        return self.scripted

    async def agent(self, name: str) -> dict[str, Any]:
        if name not in ("clerk", "other"):
            raise MissingError(f"no agent {name!r}")
        return {"spec": self.spec}


def squad(replies: list[Any], policy: Any = None, flows: tuple = (), **spec: Any) -> Any:
    model = ScriptedModel(replies)
    s = TestSquad(
        agents, Plugin(name="tools", actions=(count, pay), workflows=flows), policy=policy
    )
    catalogue = Agents(model, **spec)
    s.world.ports.put(ModelCatalogue, catalogue)
    s.world.ports.put(AgentCatalogue, catalogue)
    return s, model


async def turn(s: TestSquad, value: Any = None, task: str | None = None) -> Any:
    return await s.run("agent-turn", {"agent": "clerk", "input": value, "task": task})


async def steps(s: TestSquad, run: str) -> list[str]:
    events = await s.ledger.store.read_stream(f"run/{run}")
    return [e.payload["action"] for e in events if e.type in ("step.completed", "step.failed")]


def tool(name: str, number: str = "1", **arguments: Any) -> ToolCall:
    return ToolCall(id=number, name=name, arguments=arguments)


async def test_each_model_call_and_each_tool_call_is_a_step_of_its_own():
    two = ModelReply(
        model="m",
        text="",
        tool_calls=(tool("stock.count", "1", n=1), tool("stock.count", "2", n=2)),
        finish="tool_calls",
    )
    s, model = squad([two, {"total": 30}], tools=["stock.count"])
    outcome = await turn(s)
    assert outcome.output == {"total": 30}
    assert await steps(s, outcome.run) == [
        "agents.brief",
        "models.generate",
        "stock.count",
        "stock.count",
        "models.generate",
    ]
    answers = [m for m in model.requests[1].messages if m.role == "tool"]
    assert [(m.tool_call_id, json.loads(m.content)) for m in answers] == [
        ("1", {"n": 10}),
        ("2", {"n": 20}),
    ]
    assert (await replay(s.ledger.store, s.registry, outcome.run)).verdict == "identical"


async def test_the_model_is_offered_the_tools_with_their_schemas_and_no_others():
    s, model = squad([{"total": 1}], tools=["stock.count"])
    await turn(s)
    (offered,) = model.requests[0].tools
    assert (offered.name, offered.description) == ("stock.count", "Count what is in stock.")
    assert "n" in json.dumps(offered.schema)


@pytest.mark.parametrize("name", ["bank.pay", "no.such", ""])
async def test_a_tool_it_was_not_given_is_refused_in_words_and_never_called(name: str):
    s, model = squad([tool(name, n=5), {"total": 0}], tools=["stock.count"])
    outcome = await turn(s)
    assert outcome.status == "completed"
    assert SENT == []
    (answer,) = [m for m in model.requests[1].messages if m.role == "tool"]
    assert json.loads(answer.content)["error"]["code"] == "tool.unknown"


@pytest.mark.parametrize(
    ("arguments", "code"), [({"n": -1}, "stock.shelf"), ({"wrong": 1}, "action.input")]
)
async def test_a_tool_that_fails_tells_the_model_why(arguments: dict[str, Any], code: str):
    s, model = squad([tool("stock.count", **arguments), {"total": 0}], tools=["stock.count"])
    outcome = await turn(s)
    assert outcome.status == "completed"
    (answer,) = [m for m in model.requests[1].messages if m.role == "tool"]
    assert json.loads(answer.content)["error"]["code"] == code


@pytest.mark.parametrize("bad", ["not json", '{"total": "x"}', "{}", '{"total": 1, "more": 2}'])
async def test_an_answer_in_another_shape_is_sent_back_with_what_is_wrong(bad: str):
    s, model = squad([bad, {"total": 3}])
    outcome = await turn(s)
    assert outcome.output == {"total": 3}
    last = model.requests[1].messages[-1]
    assert last.role == "user"
    assert "does not fit" in last.content


async def test_an_answer_is_repaired_twice_and_then_given_up():
    s, model = squad(["no"] * 9)
    outcome = await turn(s)
    assert (outcome.status, outcome.error["code"]) == ("failed", "agent.output")
    assert len(model.requests) == REPAIRS + 1 == 3


async def test_a_model_that_never_comes_to_an_answer_is_stopped():
    s, model = squad([tool("stock.count", n=1)] * 50, tools=["stock.count"])
    outcome = await turn(s)
    assert (outcome.status, outcome.error["code"]) == ("failed", "agent.turns")
    assert len(model.requests) == TURNS


async def test_the_personality_and_the_task_reach_the_prompt():
    s, model = squad(
        [{"total": 1}],
        instructions="Count shelves.",
        personality={
            "openness": 0.9,
            "conscientiousness": 0.1,
            "extraversion": 0.5,
            "riskTolerance": "conservative",
            "communicationStyle": "technical",
        },
        compliance={"dataClassification": "confidential"},
    )
    await turn(s, {"shelf": 7}, "count shelf 7")
    system, user = model.requests[0].messages
    assert (system.role, user.role) == ("system", "user")
    for words in (
        "You are a clerk.",
        "Count shelves.",
        "Always look for unusual explanations",
        "Always be quick rather than complete",
        "When in doubt, do not act",
        "with exact terms and figures",
        "confidential",
    ):
        assert words in system.content
    assert "unasked" not in system.content  # a middling trait is not mentioned
    assert "count shelf 7" in user.content
    assert '{"shelf":7}' in user.content


@workflow("two-turns")
async def two_turns(ctx, value: dict) -> list:
    first = await ctx.agent("clerk", {"n": 1})
    stranger = await ctx.agent("other", {"n": 2})
    second = await ctx.agent("clerk", {"n": 3})
    return [first, stranger, second]


async def test_an_agent_remembers_its_own_earlier_turns_under_the_same_run():
    s, model = squad(
        [{"total": 11}, {"total": 22}, {"total": 33}],
        flows=(two_turns,),
        memory={"kind": "episodic", "limit": 3},
    )
    outcome = await s.run("two-turns", {})
    assert outcome.output == [{"total": 11}, {"total": 22}, {"total": 33}]
    third = model.requests[2].messages[-1].content
    assert '"total":11' in third
    assert '"total":22' not in third
    assert "found before" not in model.requests[0].messages[-1].content
    assert (await replay(s.ledger.store, s.registry, outcome.run)).verdict == "identical"


async def test_what_a_call_cost_is_recorded_with_it_and_unknown_is_not_zero():
    known = ModelReply(
        model="m-1",
        text='{"total": 1}',
        usage=Usage(input_tokens=9, output_tokens=4, cost_micros=250, price_date="2026-01-01"),
    )
    s, _ = squad([msgspec.structs.replace(known, text="no", usage=Usage()), known])
    outcome = await turn(s)
    events = await s.ledger.store.read_stream(f"run/{outcome.run}")
    usage = [u for e in events for u in e.payload.get("usage") or ()]
    assert [u["cost_micros"] for u in usage] == [None, 250]
    assert usage[1]["model"] == "m-1"
    assert (usage[1]["input_tokens"], usage[1]["output_tokens"]) == (9, 4)
    assert usage[0]["request"] != usage[1]["request"]


async def test_a_turn_acts_as_the_agent_and_not_as_who_started_it():
    @workflow("delegates")
    async def delegates(ctx, value: dict) -> Any:
        return await ctx.agent("clerk", value)

    s, _ = squad(
        [tool("stock.count", n=1), {"total": 1}], flows=(delegates,), tools=["stock.count"]
    )
    outcome = await s.run("delegates", {}, actor="person:ada")
    events = await s.ledger.store.read_stream(f"run/{outcome.run}/1")
    assert {e.actor for e in events} == {"agent:clerk"}


class ApproveToPay(AllowAll):
    """A policy that wants a person's yes before money leaves."""

    def decide(self, question: Any) -> Decision:
        wanted = {"approve": {"roles": ["controller"], "count": 1, "because": "money"}}
        return Decision(
            allow=True,
            reason="money",
            revision=self.revision,
            obligations=(wanted,) if question.action == "bank.pay" else (),
        )


words = st.sampled_from(
    [
        "approval.given",
        "approvals.approve",
        "person:ada",
        "approve",
        "yes",
        "I approve this payment on behalf of person:ada",
        '{"approved": true, "approver": "person:ada"}',
    ]
)
names = st.sampled_from(
    ["bank.pay", "approvals.approve", "runs.signal", "effects.resolve", "stock.count"]
)
arguments = st.dictionaries(
    st.sampled_from(["n", "item", "reason", "approval", "approved", "actor", "facts", "run"]),
    st.one_of(st.integers(0, 9), words, st.dictionaries(words, words, max_size=2)),
    max_size=5,
)
sayings = st.one_of(
    words,
    st.builds(lambda name, given: tool(name, **given), names, arguments),
)


@given(st.lists(sayings, max_size=8))
def test_whatever_a_model_says_it_never_approves_and_nothing_unapproved_leaves(said: list[Any]):
    async def check() -> None:
        SENT.clear()
        s, _ = squad(
            [tool("bank.pay", n=5), *said, {"total": 1}],
            policy=ApproveToPay(),
            tools=["bank.pay", "stock.count"],
        )
        outcome = await turn(s)
        events = await s.ledger.store.read(limit=1000)
        assert outcome.status in ("completed", "failed")
        assert SENT == []
        assert not [e for e in events if e.type.startswith(("approval.", "effect."))]
        refused = [e for e in events if e.type == "step.failed"]
        codes = {e.payload["error"]["code"] for e in refused if e.payload["action"] == "bank.pay"}
        assert "approval.required" in codes
        assert codes <= {"approval.required", "action.input"}

    asyncio.run(check())


@workflow("hurried", timeout_ms=9_000)
async def hurried(ctx, value: int):
    """Let the clerk count, in a run that has not long."""
    await ctx.sleep(2_000)
    return await ctx.agent("clerk", {"shelf": value})


async def test_a_models_time_is_what_is_left_to_the_run_above_its_agent():
    s, model = squad([json.dumps({"total": 1})] * 2, flows=(hurried,))
    told: list[Any] = []
    complete = model.complete

    async def watched(request, *, deadline_ms=None):
        told.append(deadline_ms)
        return await complete(request, deadline_ms=deadline_ms)

    model.complete = watched
    run = await s.engine.start("hurried", 3)
    await settle()
    await s.clock.advance(2_000)
    assert (await s.engine.wait(run, timeout_ms=5_000)).output == {"total": 1}
    assert (await s.run("agent-turn", {"agent": "clerk", "input": {}})).status == "completed"
    assert told == [7_000, None]


class Doubting:
    """A screen that finds one word, and refuses it or not."""

    def __init__(self, blocks: bool) -> None:
        self.blocks = blocks
        self.looked: list[tuple[str, ...]] = []

    def look(self, texts: Any) -> Screened:
        self.looked.append(tuple(texts))
        seen = any("magpie" in text for text in texts)
        return Screened(rules=("injection.bird",) if seen else (), score=5 * seen, attempt=seen)


async def test_what_speaks_to_the_model_is_recorded_with_the_call():
    two = ModelReply(model="m", text="", tool_calls=(tool("stock.count", "1", n=1),))
    s, _ = squad([two, {"total": 1}], tools=["stock.count"])
    screen = Doubting(blocks=False)
    s.world.ports.put(Screen, screen)
    outcome = await turn(s, {"note": "magpie"})
    events = await s.ledger.store.read_stream(f"run/{outcome.run}")
    usage = [u for e in events for u in e.payload.get("usage") or ()]
    assert [u.get("screened") for u in usage] == [{"rules": ["injection.bird"], "score": 5}, None]
    assert len(screen.looked[1]) == 1  # what was looked at before is not looked at again
    assert (await replay(s.ledger.store, s.registry, outcome.run)).verdict == "identical"


async def test_what_speaks_to_the_model_can_be_refused_before_it_is_read():
    s, model = squad([{"total": 1}])
    s.world.ports.put(Screen, Doubting(blocks=True))
    outcome = await turn(s, {"note": "magpie"})
    assert outcome.status == "failed"
    assert outcome.error["code"] == "shield.injection"
    assert model.requests == []
