"""Approval: a person's yes to exact arguments, under one policy, having seen
one page of evidence.

Laws: the binding covers run, position, action, arguments, policy revision,
evidence and expiry; a change of any of them after the answer makes the step
refuse with `approval-stale`; the approver is a person and never the requester;
nothing a model says can create an approval.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentsquad.kernel import hashing
from agentsquad.kernel.event import Event
from agentsquad.kernel.policy import Decision
from agentsquad.runtime.engine.contract import (
    Approval,
    ApprovalRequiredError,
    ApprovalStaleError,
)
from agentsquad.runtime.engine.flow import plain
from agentsquad.runtime.engine.inbound.ladder import wake

if TYPE_CHECKING:
    from agentsquad.runtime.engine.command import Ask
    from agentsquad.runtime.engine.door import Step, World

BOUND = ("action", "run", "input_digest", "policy", "evidence_digest", "expires_ms", "position")


def request(run: str, ask: Ask, policy_revision: str) -> dict[str, Any]:
    """Return the payload of approval.requested, binding included."""
    body: dict[str, Any] = {
        "position": ask.position,
        "run": run,
        "name": ask.name,
        "action": ask.action,
        "input": ask.input,
        "input_digest": hashing.digest(ask.input),
        "policy": policy_revision,
        "evidence": ask.evidence,
        "evidence_digest": hashing.digest(ask.evidence),
        "roles": list(ask.roles),
        "because": ask.because,
        "requester": ask.requester,
        "expires_ms": ask.expires_ms,
    }
    if ask.escalate:
        body["escalate"] = plain(ask.escalate)
        body["wake_ms"] = wake(ask.escalate, 0, ask.expires_ms)
    body["binding"] = binding(body)
    return body


def binding(body: Mapping[str, Any]) -> str:
    """Return the digest an answer is bound to."""
    return hashing.digest({name: body.get(name) for name in BOUND})


async def check_all(world: World, step: Step, decision: Decision) -> None:
    """Check every approval, and that they meet what policy demands.

    Each duty needs its own people: an approval asked of one of its roles, from
    somebody who has not already met another duty.
    """
    asked = [await check(world, step, decision, given) for given in step.approvals]
    free = {given.approver: roles for given, roles in zip(step.approvals, asked, strict=True)}
    for duty in sorted(
        decision.obligations, key=lambda d: len(d.get("approve", {}).get("roles", ()))
    ):
        wanted = duty.get("approve")
        if wanted is None:
            continue
        for _ in range(int(wanted.get("count", 1))):
            met = next(
                (
                    who
                    for who, roles in free.items()
                    if set(wanted.get("roles", roles)) & set(roles)
                ),
                None,
            )
            if met is None:
                raise ApprovalRequiredError(
                    f"{step.action.name} needs an approval by {' or '.join(wanted['roles'])}: "
                    f"{wanted.get('because') or decision.reason}",
                    hint="ask with ctx.approve(…) and pass the answers as approval=",
                    details={"action": step.action.name, "clauses": list(decision.clauses)},
                )
            del free[met]


async def check(world: World, step: Step, decision: Decision, given: Approval) -> tuple[str, ...]:
    """Refuse with `approval-stale` unless the approval is for exactly this
    call, now."""
    assert step.run is not None
    asked = await find(world, step.run, given.position, "approval.requested")
    answer = await find(world, step.run, given.position, "approval.given")
    if asked is None or answer is None or not given.approved:
        raise _stale(step, "no approval was given", "approved")
    body = dict(asked.payload)
    now = {
        **body,
        "action": step.action.name,
        "input_digest": hashing.digest(step.input),
        "policy": decision.revision,
        "evidence_digest": hashing.digest(body["evidence"]),
        "run": step.run,
    }
    for name in BOUND:
        if now.get(name) != body.get(name):
            raise _stale(step, f"{name} changed since it was approved", name)
    bound = binding(now)
    if bound != answer.payload["binding"] or bound != given.binding:
        raise _stale(step, "the answer is bound to something else", "binding")
    if body.get("expires_ms") is not None and world.clock.now_ms() > body["expires_ms"]:
        raise _stale(step, "the approval has expired", "expires_ms")
    approver = answer.payload["approver"]
    if not approver.startswith("person:") or approver == body["requester"]:
        raise _stale(
            step, f"{approver} may not approve what {body['requester']} asked for", "approver"
        )
    return tuple(answer.payload.get("roles", body["roles"]))


async def find(world: World, run: str, position: str, kind: str) -> Event | None:
    """Return the first event of a type for a position in a run."""
    for event in await world.store.read_stream(f"run/{run}"):
        if event.type == kind and event.payload and event.payload.get("position") == position:
            return event
    return None


def _stale(step: Step, why: str, field: str) -> ApprovalStaleError:
    return ApprovalStaleError(
        f"{step.action.name} at step {step.position} is refused: {why}",
        hint="ask again: squad inbox shows open questions",
        details={"action": step.action.name, "position": step.position, "field": field},
    )
