"""Authorize: ask policy, keep its Decision, and see that its obligations are
met.

A pure action cannot reach the world and is not asked about. An obligation to
approve is met only by an Approval bound to exactly this call; without one the
step is refused, never quietly done.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from agentsquad.kernel.action import Effect
from agentsquad.kernel.errors import DeniedError
from agentsquad.kernel.policy import Decision, Question
from agentsquad.runtime.engine import approval as approvals
from agentsquad.runtime.engine.door import Proceed, Step, World, only

ASKING = ("policy.decide", "policy.query")  # these are the question itself


@only(lambda spec: spec.effect is not Effect.PURE and spec.name not in ASKING)
def authorize(world: World, step: Step, proceed: Proceed) -> Awaitable[Any]:
    """Let the call pass only if policy allows it and every obligation is
    met."""
    spec = step.action.spec
    sent = step.effect is not None and step.effect.status != "planned"
    if sent:
        return proceed(step)
    decision = ask(world, step)
    step.decision = decision
    if not decision.allow:
        raise DeniedError(
            f"{step.actor} may not call {spec.name}: {decision.reason}",
            code="policy.denied",
            hint=f"squad policy ask --action {spec.name} --actor {step.actor} shows the rule",
            details={
                "action": spec.name,
                "clauses": list(decision.clauses),
                "revision": decision.revision,
            },
        )
    if step.approvals or decision.obligations:
        return _approved(world, step, proceed, decision)
    return proceed(step)


async def _approved(world: World, step: Step, proceed: Proceed, decision: Decision) -> Any:
    await approvals.check_all(world, step, decision)
    return await proceed(step)


def ask(world: World, step: Step) -> Decision:
    """Ask policy about one step."""
    action = step.action
    if step.facts:
        facts = dict(step.facts)
        if step.run is not None:
            facts.setdefault("run", step.run)
    else:
        facts = {} if step.run is None else {"run": step.run}
    if action.spec.effect.outward:  # what was given, whatever a workflow claims
        facts["approvals"] = [
            {"approver": given.approver, "position": given.position} for given in step.approvals
        ]
    return world.policy.decide(
        Question(
            actor=str(step.actor),
            roles=step.actor.roles,
            action=action.spec.name,
            effect=action.effect,
            input=step.input,
            facts=facts,
        )
    )
