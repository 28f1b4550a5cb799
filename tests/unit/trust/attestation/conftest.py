"""A small office: a run with an approval, a payment, a child run, a blob and
personal values.
"""

from __future__ import annotations

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.door import CallPath, Step
from agentsquad.runtime.ledger.plugin import plugin as ledger
from agentsquad.runtime.policy.plugin import load_policy
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle
from agentsquad.trust.attestation.adapters.memory import MemoryFiles, MemoryNotary
from agentsquad.trust.attestation.contract import Files, Notary
from agentsquad.trust.attestation.plugin import plugin as attestation

BANK_RULES = """package bank.rules

actions := {"bank.pay", "approvals.give", "log.erase"}

allow contains {"clause": "bank.rules.allowed", "reason": "within limits"} if input.action != ""

obligations contains {
	"clause": "bank.rules.large",
	"approve": {"roles": ["controller"], "count": 1},
} if {
	input.action == "bank.pay"
	input.input.amount > 100
}
"""


class Pay(msgspec.Struct, frozen=True):
    amount: int
    to: str


@action("bank.pay", effect=Effect.IRREVERSIBLE)
def pay(ctx, input: Pay) -> dict:
    """Pay."""
    return {"reference": f"PAY-{input.amount}", "rate": 1.25e-9}


@workflow("review")
async def review(ctx, value: Pay) -> dict:
    return {"risk": 0.5, "to": value.to}


@workflow("settle")
async def settle_order(ctx, value: Pay) -> dict:
    found = await ctx.run("review", value, key="review")
    answer = await ctx.approve(
        "bank.pay",
        value,
        evidence={"invoice": "INV-1", "risk": found["risk"]},
        roles=["controller"],
        because="over the limit",
        requester="agent:matcher",
        expires_ms=value.amount * 10**10,
    )
    return await ctx.call("bank.pay", value, approval=answer)


class Office:
    """The squad, and what a test asks of it."""

    def __init__(self, store: str = "memory:") -> None:
        bank = Plugin(
            name="bank",
            actions=(pay,),
            workflows=(review, settle_order),
            policies={"bank/rules.rego": BANK_RULES},
        )
        policy = load_policy([bank, attestation])
        self.squad = TestSquad(bank, attestation, ledger, policy=policy, store=store)
        self.store = self.squad.ledger.store
        self.files = MemoryFiles()
        self.notary = MemoryNotary(bytes(range(32)))
        for role, adapter in ((Files, self.files), (Notary, self.notary)):
            self.squad.world.ports.put(role, adapter)

    async def settle(self, amount: int = 500) -> str:
        """Let one order be approved and paid; return the run's id."""
        run = await self.squad.engine.start("settle", Pay(amount, "ACME"))
        await settle()
        (question,) = await self.squad.engine.inbox()
        await self.squad.engine.answer(
            question.id, approve=True, approver="person:ada", reason="checked"
        )
        outcome = await self.squad.engine.wait(run, timeout_ms=5000)
        assert outcome.status == "completed", outcome
        return run

    async def note(self, run: str) -> int:
        """Add an event with personal values and a blob to a run; return its
        seq.
        """
        blob = await self.squad.ledger.blobs.put(b"%PDF-1.7 the invoice", "application/pdf")
        event = NewEvent(
            stream=f"run/{run}",
            type="note.added",
            payload={
                "scan": blob,
                "contact": {"name": "Zoë O’Neil", "phone": "+44 20 7946 0000"},
                "lines": [{"clerk": "Max"}, {"a/b~c": "é\u2028\U0001f600", "total": 12.5}],
            },
            personal={"/contact/name": "person:4711", "/lines/0/clerk": "person:12"},
            correlation=run,
        )
        return (await self.store.append([event]))[0].seq

    async def call(self, name: str, **value):
        """Call an action as a person at the command line does."""
        world = self.squad.world
        step = Step(
            world.registry.action(name), value, actor=Actor.parse("person:ada", ("controller",))
        )
        return await world.ports.get(CallPath).run(step)


@pytest.fixture
def office() -> Office:
    return Office()
