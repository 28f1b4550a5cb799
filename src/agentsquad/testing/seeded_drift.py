"""Worlds with one known change: claims that an agent judges, before and after.

A real engine, agent turns, tools and policy over a log in memory; from a seed
come the claims, and what of model, prompt, tool and policy changes. What the
others do stays the same even where their versions do not, so that a version
alone proves nothing. Used by tests and by `bench/drift.py`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

import msgspec

from agentsquad.insight.drift.contract import Report
from agentsquad.insight.drift.plugin import plugin as drift
from agentsquad.kernel import canonical, hashing
from agentsquad.kernel.action import Action, Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.context import Context
from agentsquad.kernel.policy import Decision, Question
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.asking import decide, query
from agentsquad.runtime.engine.contract import WorkflowContext, workflow
from agentsquad.testing.world import TestSquad
from agentsquad.workforce.agents.contract import (
    AgentCatalogue,
    ModelCatalogue,
    ModelReply,
    ModelRequest,
    ToolCall,
    Usage,
)
from agentsquad.workforce.agents.plugin import plugin as agents

Kind = Literal["model", "prompt", "tool", "policy", "inputs", "none"]
KINDS: tuple[Kind, ...] = ("model", "prompt", "tool", "policy")
ANSWER = {
    "type": "object",
    "required": ["verdict", "risk"],
    "properties": {"verdict": {"type": "string"}, "risk": {"type": "integer"}},
}


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim: an amount, where it is from, and a customer."""

    amount: int
    region: str
    customer: int


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a claim."""

    outcome: str
    risk: int
    paid: int = 0


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """Which customer."""

    customer: int


class History(msgspec.Struct, frozen=True, kw_only=True):
    """How often a customer claimed before."""

    claims: int


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One state of a world: what each factor does, and what its version is
    called."""

    model: str = "judge-1"
    prompt: str = "Refuse from risk 70."
    offset: int = 0
    limit: int = 80
    note: str = "a"
    shift: int = 0


@workflow("claims", uses=())
async def claims(ctx: WorkflowContext, value: Claim) -> Settled:
    """Let an agent judge a claim, ask policy, and pay."""
    judged = await ctx.agent("judge", msgspec.to_builtins(value), task="Judge the claim.")
    if judged["verdict"] == "refuse":
        return Settled(outcome="refused", risk=judged["risk"])
    decision = await ctx.decide("claims.pay", {"amount": value.amount})
    if not decision.allow:
        return Settled(outcome="held", risk=judged["risk"])
    await ctx.call("claims.pay", {"amount": value.amount, "customer": value.customer})
    return Settled(outcome="paid", risk=judged["risk"], paid=value.amount)


claims_of_now = claims  # the code that is installed; a test may put another here


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """What is paid to whom."""

    amount: int
    customer: int


@action("claims.paid", effect=Effect.PURE)
def paid(ctx: Context, value: Payment) -> Payment:
    """Say what paying would answer."""
    return value


@action("claims.pay", effect=Effect.WRITE, preview="claims.paid")
def pay(ctx: Context, value: Payment) -> Payment:
    """Pay a claim."""
    return value


def lookup(setting: Setting) -> Action:
    """Return the tool of one state; nothing of its spec tells them apart."""

    @action("claims.history", effect=Effect.READ)
    def history(ctx: Context, value: Customer) -> History:
        """Count earlier claims."""
        return History(claims=value.customer % 10 + setting.offset)

    return history


class Limit:
    """Policy of one state: a limit on what is paid."""

    def __init__(self, setting: Setting) -> None:
        self.limit = setting.limit
        self.revision = hashing.digest([setting.limit, setting.note])

    def decide(self, question: Question) -> Decision:
        """Refuse payments above the limit."""
        value = question.input if isinstance(question.input, dict) else {}
        high = question.action == "claims.pay" and value.get("amount", 0) > self.limit
        return Decision(
            allow=not high,
            reason="over the limit" if high else "within it",
            revision=self.revision,
            clauses=("claims.over",) if high else ("claims.within",),
        )

    def query(self, path: str, value: Any) -> Any:
        """Answer nothing."""
        return None


class Judge:
    """The models and the agent of one state: one tool call, then a verdict."""

    provider = "house"

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def model(self, name: str) -> Judge:
        """Return the judge, whatever version is asked for."""
        return self

    async def agent(self, name: str) -> dict[str, Any]:
        """Return the agent."""
        return {
            "spec": {
                "model": f"house/{self.setting.model}",
                "role": "a judge of claims",
                "instructions": f"{self.setting.prompt} ({self.setting.note})",
                "tools": ["claims.history"],
                "outputSchema": ANSWER,
            }
        }

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        """Look the customer up, then judge by what the prompt says."""
        name = request.model.rpartition("/")[2]
        said = request.messages[-1]
        usage = Usage(input_tokens=len(str(request.messages)), output_tokens=20, cost_micros=120)
        claim = canonical.loads(request.messages[1].content.partition("Input:\n")[2])
        if said.role != "tool":
            call = ToolCall(
                id="1", name="claims.history", arguments={"customer": claim["customer"]}
            )
            return ModelReply(
                model=name, text="", tool_calls=(call,), finish="tool_calls", usage=usage
            )
        claimed = canonical.loads(said.content)["claims"]
        number = int(name.rpartition("-")[2])
        risk = min(99, claim["amount"] // 2 + 5 * claimed + 9 * (number - 1))
        found = re.search(r"risk (\d+)", request.messages[0].content)
        limit = int(found[1]) if found else 70
        verdict = "refuse" if risk >= limit else "accept"
        text = canonical.dumps({"verdict": verdict, "risk": risk}).decode()
        return ModelReply(model=name, text=text, usage=usage)


class SeededDrift:
    """One world under one seed: `before()`, `after()`, and what drift says."""

    def __init__(self, seed: int, kind: Kind) -> None:
        self.seed = seed
        self.kind = kind
        self.was = Setting()
        self.now = self._changed()
        self._count = 0
        self.squad = TestSquad(*self._plugins(self.was), policy=Limit(self.was))
        self._mount(self.was)

    def draw(self, name: str, below: int) -> int:
        """Return a number that the seed gives to a name."""
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % below

    def _changed(self) -> Setting:
        note = "ab"[self.draw("decoy", 2)]  # versions of prompt and policy change, or do not
        by = self.draw("effect", 3)
        changes: dict[str, dict[str, Any]] = {
            "model": {"model": f"judge-{3 + by}"},
            "prompt": {"prompt": f"Refuse from risk {52 - 6 * by}."},
            "tool": {"offset": 4 + by},
            "policy": {"limit": 56 - 6 * by},
            "inputs": {"shift": 30 + 5 * by},
        }
        return msgspec.structs.replace(self.was, note=note, **changes.get(self.kind, {}))

    @staticmethod
    def _plugins(setting: Setting) -> tuple[Plugin, ...]:
        tools = Plugin(
            name="claims", actions=(lookup(setting), pay, paid), workflows=(claims_of_now,)
        )
        return agents, drift, tools

    def _mount(self, setting: Setting) -> None:
        judge = Judge(setting)
        self.squad.world.ports.put(ModelCatalogue, judge)
        self.squad.world.ports.put(AgentCatalogue, judge)

    async def before(self, runs: int) -> None:
        """Let claims be judged as they were."""
        await self._run(runs, self.was)

    async def after(self, runs: int) -> None:
        """Change what changes, and let more claims be judged."""
        self.squad.policy = Limit(self.now)
        asking = Plugin(name="asking", actions=(decide, query))
        await self.squad.restart(Registry.of(*self._plugins(self.now), asking))
        self._mount(self.now)
        await self._run(runs, self.now)

    async def _run(self, runs: int, setting: Setting) -> None:
        for _ in range(runs):
            self._count += 1
            place = f"claim {self._count}"
            claim = {
                "amount": min(99, self.draw(f"{place} amount", 85) + setting.shift),
                "region": ("north", "south", "west")[self.draw(f"{place} region", 3)],
                "customer": self.draw(f"{place} customer", 60),
            }
            await self.squad.clock.advance(1000)
            await self.squad.run("claims", claim)

    async def last(self) -> str:
        """Return the id of the run that was started last."""
        names = await self.squad.ledger.store.streams("run/")
        return next(n.removeprefix("run/") for n, _ in reversed(names) if n.count("/") == 1)

    async def report(self, **question: Any) -> Report:
        """Return what drift says."""
        asked = {"workflow": "claims", **question}
        found = await self.squad.engine.invoke("drift.show", asked, actor=Actor.parse("person:ada"))
        return msgspec.convert(msgspec.to_builtins(found), Report)
