"""A fork asks policy in the name of whoever asked for the run."""

from __future__ import annotations

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.policy import Decision, Question
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.contract import Change
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad


class Sum(msgspec.Struct, frozen=True):
    amount: int


class OnlyAda:
    """Ada may pay, nobody else."""

    revision = "sha256:only-ada"

    def decide(self, question: Question) -> Decision:
        allow = question.action != "bank.pay" or question.actor == "person:ada"
        return Decision(allow=allow, reason=question.actor, revision=self.revision)

    def query(self, path, value):
        return None


@action("bank.quote", effect=Effect.PURE)
def quote(ctx, value: Sum) -> Sum:
    """Say what paying would answer."""
    return value


@action("bank.pay", effect=Effect.WRITE, preview="bank.quote")
def pay(ctx, value: Sum) -> Sum:
    """Pay."""
    return value


@workflow("actor-decides")
async def decides(ctx, value: Sum) -> str:
    decision = await ctx.decide("bank.pay", {"amount": value.amount})
    return "may" if decision.allow else f"may not: {decision.reason}"


@workflow("actor-pays")
async def pays(ctx, value: Sum) -> int:
    return (await ctx.call("bank.pay", {"amount": value.amount})).amount


async def forked(name: str):
    plugin = Plugin(name="bank", actions=(pay, quote), workflows=(decides, pays))
    squad = TestSquad(plugin, policy=OnlyAda())
    done = await squad.run(name, {"amount": 1}, actor="person:ada")
    assert done.status == "completed"
    change = Change(path="input/amount", value=2)
    return await Forker(squad.world).fork(done.run, [change])


async def test_a_decision_that_is_asked_again_is_asked_for_the_runs_actor():
    assert (await forked("actor-decides")).output == "may"


async def test_an_effect_that_would_be_another_is_asked_about_for_the_runs_actor():
    fork = await forked("actor-pays")
    assert (fork.status, fork.output) == ("completed", 2)
