"""Intervening: what a person may do by hand about a step that stands still, and
what it takes.

Nobody does it alone: whoever wants it asks, policy decides, and another person
approves exactly that, this step as it stood, with these arguments and no
others. What was asked, allowed and done are events of the run.

Laws: who asked never approves; an approval of one incident does nothing to the
next; an effect of unknown outcome is not passed over; a person's approval is
not given by skipping the question.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.event import Event
from agentsquad.kernel.policy import Decision, PolicyEngine, Question
from agentsquad.runtime.engine import approval as approvals
from agentsquad.runtime.engine.command import Ask, Call, Child, Command, Sleep, WaitSignal
from agentsquad.runtime.engine.contract import ApprovalStaleError
from agentsquad.runtime.engine.decider import Instance
from agentsquad.runtime.engine.flow import plain
from agentsquad.runtime.engine.hands import HAND
from agentsquad.runtime.engine.inbound.contract import (
    InterventionDeniedError,
    InterventionError,
    Means,
)
from agentsquad.runtime.engine.outside import refuse_ended
from agentsquad.runtime.engine.resolving import Told

ASKED = "interventions.make"  # the action policy is asked about
GIVEN = {"output": "gave"}  # the output itself is the step's
Copy = Callable[[str, Sequence[Event]], Awaitable[Instance]]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants done: `given` is {"output": …} to skip, {"input": …}
    to patch, {"only": […]} to compensate."""

    run: str
    means: Means
    position: str | None
    reason: str
    given: Mapping[str, Any] = {}


def asked(
    wish: Wish, copy: Instance, journal: Sequence[Event], who: Actor, policy: PolicyEngine
) -> Told:
    """Return the question that is put to the other person; raises what speaks
    against asking it."""
    refuse_ended(wish.run, journal)
    if not wish.reason.strip():
        raise InvalidError("an intervention needs a reason", code="intervention.reason")
    command = judge(wish, copy)
    decision = _decide(wish, copy, command, who, policy)
    count = sum(
        event.type == "approval.requested" and event.payload["position"].startswith(HAND)
        for event in journal
    )
    ask = Ask(
        position=f"{HAND}{count + 1}",
        name=f"{wish.means} {wish.position or 'the run'}",
        action=f"runs.{wish.means}",
        input=_bound(wish, copy),
        evidence=_evidence(copy, command, decision),
        roles=_roles(decision),
        because=wish.reason,
        requester=str(who),
    )
    return "approval.requested", approvals.request(wish.run, ask, decision.revision)


def allowed(
    request: Mapping[str, Any], answer: dict[str, Any], copy: Instance, policy: PolicyEngine
) -> list[Told]:
    """Return what an approved intervention writes, the answer first; it must
    still be the one that was asked for."""
    wish = _wish(request)
    try:
        command = judge(wish, copy)
    except (InterventionError, MissingError) as error:
        raise _stale(request, f"the step has gone on: {error.message}", "step") from error
    if _bound(wish, copy) != request["input"]:
        raise _stale(request, "it stands still for another reason by now", "incident")
    if policy.revision != request["policy"]:
        raise _stale(request, "the policy changed since it was asked", "policy")
    made: dict[str, Any] = {
        "means": wish.means,
        "by": request["requester"],
        "approver": answer["approver"],
        "reason": wish.reason,
        "approval": request["position"],
        "decision": request["evidence"]["decision"],
        **({} if wish.position is None else {"position": wish.position}),
        **{GIVEN.get(name, name): value for name, value in wish.given.items()},
    }
    told: list[Told] = [("approval.given", answer), ("intervention.made", made)]
    if wish.means in ("skip", "fail"):
        assert command is not None
        told.append(_ended(wish, command, copy, request["position"]))
    return told


def judge(wish: Wish, copy: Instance) -> Command | None:
    """Return the command the wish is about; raises why it cannot be done."""
    if copy.ending:
        raise InterventionError(f"run {wish.run} is about to end")
    if wish.means == "compensate":
        _known_steps(wish, copy)
        return None
    assert wish.position is not None
    command = copy.commands.get(wish.position)
    if command is None:
        raise MissingError(
            f"run {wish.run} does not wait at step {wish.position}",
            code="intervention.step",
            hint=f"squad runs query {wish.run} waiting",
        )
    _refuse_unknown(wish, copy)
    incident = wish.position in copy.state.incidents
    if wish.means in ("retry", "patch"):
        if not incident:
            raise InterventionError(
                f"step {wish.position} has not failed for good, so it cannot be tried again",
                hint='only a step of on_failure="wait" waits for that',
            )
        if wish.means == "patch":
            _fits(copy, command, wish.given["input"])
    elif not incident and not isinstance(command, _passable(wish.means)):
        raise InterventionError(
            f"step {wish.position} is under way or asks a person; it cannot be "
            + ("skipped" if wish.means == "skip" else "made to fail"),
            hint="squad approve or squad reject answers a question; squad runs cancel stops a run",
        )
    elif wish.means == "skip":
        _fits_output(copy, command, wish.given["output"])
    return command


def _passable(means: Means) -> tuple[type, ...]:
    """What may be passed over though it did not fail: waiting, but never a
    person's answer."""
    return (Sleep, WaitSignal) if means == "skip" else (Sleep, WaitSignal, Ask)


def _refuse_unknown(wish: Wish, copy: Instance) -> None:
    effect = copy.state.effects.get(wish.position or "")
    if effect is not None and effect.status in ("sent", "ambiguous"):
        raise InterventionError(
            f"what became of the effect at step {wish.position} is not known",
            hint=f"find out, then: squad effects resolve {wish.run} {wish.position} "
            "--confirmed|--failed --reason …",
        )


def _known_steps(wish: Wish, copy: Instance) -> None:
    only = wish.given.get("only")
    if only is None:
        return
    known = {entry.undoes for saga in copy.sagas for entry in saga.entries}
    for position in only:
        if position not in known:
            raise MissingError(
                f"step {position} of run {wish.run} has nothing to undo",
                code="intervention.step",
                hint=f"one of: {', '.join(sorted(one for one in known if one)) or 'none'}",
            )


def _fits(copy: Instance, command: Command, value: Any) -> None:
    kind: Any = Any
    if isinstance(command, Call):
        kind = copy.registry.action(command.action).spec.input
    elif isinstance(command, Child):
        kind = copy.registry.workflow(command.workflow).input
    _convert(value, kind, "input")


def _fits_output(copy: Instance, command: Command, value: Any) -> None:
    kind: Any = Any
    if isinstance(command, Call):
        kind = copy.registry.action(command.action).spec.output
    elif isinstance(command, Child):
        kind = copy.registry.workflow(command.workflow).output
    elif isinstance(command, WaitSignal):
        kind = copy.workflow.signals.get(command.name, Any)
    _convert(value, kind, "output")


def _convert(value: Any, kind: Any, what: str) -> None:
    if kind is Any:
        return
    try:
        msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidError(f"{what} of the step: {error}", code=f"intervention.{what}") from error


def _bound(wish: Wish, copy: Instance) -> dict[str, Any]:
    """Return what the approval is bound to: the step as it stands, and what is
    done with it."""
    incident = copy.state.incidents.get(wish.position or "")
    return {
        "run": wish.run,
        "means": wish.means,
        "position": wish.position,
        "incident": None if incident is None else incident.seq,
        **plain(wish.given),
    }


def _wish(request: Mapping[str, Any]) -> Wish:
    said = dict(request["input"])
    run, means, position = said.pop("run"), said.pop("means"), said.pop("position")
    del said["incident"]
    return Wish(run=run, means=means, position=position, reason=request["because"], given=said)


def _evidence(copy: Instance, command: Command | None, decision: Decision) -> dict[str, Any]:
    found: dict[str, Any] = {"workflow": copy.workflow.name, "decision": plain(decision)}
    if command is not None:
        found["step"] = getattr(command, "action", None) or command.name
        found["called_with"] = getattr(command, "input", None)
        incident = copy.state.incidents.get(command.position)
        if incident is not None:
            found["error"] = incident.payload["error"]
    return found


def _ended(wish: Wish, command: Command, copy: Instance, approval: str) -> Told:
    body: dict[str, Any] = {
        "position": command.position,
        "name": command.name,
        "intervention": approval,
    }
    if isinstance(command, Call):
        spec = copy.registry.action(command.action).spec
        body |= {"action": command.action, "effect": spec.effect.value, "input": command.input}
    elif isinstance(command, Child):
        body |= {"workflow": command.workflow, "input": command.input}
    if wish.means == "skip":
        return "step.completed", {**body, "output": wish.given["output"]}
    error = {
        "class": "ConflictError",
        "code": "step.given_up",
        "message": f"step {command.position} was given up: {wish.reason}",
    }
    return "step.failed", {**body, "error": error}


def _decide(
    wish: Wish, copy: Instance, command: Command | None, who: Actor, policy: PolicyEngine
) -> Decision:
    action = getattr(command, "action", None)
    decision = policy.decide(
        Question(
            actor=str(who),
            roles=who.roles,
            action=ASKED,
            effect="write",
            input={"means": wish.means, "position": wish.position, **plain(wish.given)},
            facts={
                "run": wish.run,
                "workflow": copy.workflow.name,
                "action": action,
                "requester": str(who),
            },
        )
    )
    if not decision.allow:
        raise InterventionDeniedError(
            f"{who} may not {wish.means} here: {decision.reason}",
            hint=f"squad policy ask --action {ASKED} --actor {who} shows the rule",
            details={"clauses": list(decision.clauses), "revision": decision.revision},
        )
    return decision


def _roles(decision: Decision) -> tuple[str, ...]:
    """Return who policy wants to approve; nobody named means any other
    person."""
    found: dict[str, None] = {}
    for duty in decision.obligations:
        for role in duty.get("approve", {}).get("roles", ()):
            found[role] = None
    return tuple(found)


def _stale(request: Mapping[str, Any], why: str, field: str) -> ApprovalStaleError:
    return ApprovalStaleError(
        f"{request['action']} is refused: {why}",
        hint="ask again: squad inbox shows what waits",
        details={"action": request["action"], "position": request["position"], "field": field},
    )
