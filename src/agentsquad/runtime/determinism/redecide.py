"""Asking policy again about what a run was allowed, and comparing the answers.

Replay takes recorded decisions as they are; this is the other question: would
the rules installed here decide the same today? The run's code is driven over
its journal, because the facts a workflow gives to policy are its own and not
recorded. Nothing else runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.event import Event
from agentsquad.kernel.pointer import diff
from agentsquad.kernel.policy import PolicyEngine, Question
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.engine.command import Call
from agentsquad.runtime.engine.decider import DECIDE, QUERY, Instance, plain

BY = ("allow", "clauses", "obligations")  # what of a decision must stay; wording may change


class Redecided(msgspec.Struct, frozen=True, kw_only=True):
    """One decision that would be another now."""

    run: str
    event: int
    type: str
    position: str
    action: str
    field: str
    was: Any
    now: Any


async def redecide(
    events: Mapping[str, Sequence[Event]], registry: Registry, policy: PolicyEngine
) -> tuple[int, list[Redecided]]:
    """Return how many decisions were asked again, and those that differ."""
    asked = 0
    found: list[Redecided] = []
    for run, journal in events.items():
        count, differing = _of_run(run, journal, registry, policy)
        asked += count
        found += differing
    return asked, sorted(found, key=lambda one: one.event)


def _of_run(
    run: str, journal: Sequence[Event], registry: Registry, policy: PolicyEngine
) -> tuple[int, list[Redecided]]:
    workflow = registry.workflows.get(journal[0].payload["workflow"])
    if workflow is None:
        return 0, []  # replay says that it is not installed
    instance = Instance(run, workflow, registry)
    asked = 0
    found = []
    for event in journal:
        pair = _answers(event, instance, registry, policy)
        if pair is not None:
            asked += 1
            found += _differing(run, event, *pair)[:1]
        try:
            instance.apply(event)
        except SquadError:
            break  # replay names this place
    return asked, found


def _answers(
    event: Event, instance: Instance, registry: Registry, policy: PolicyEngine
) -> tuple[str, Any, Any] | None:
    """Return (field, recorded answer, answer now), None where none was
    recorded."""
    body = event.payload or {}
    name = body.get("action")
    if event.type not in ("step.completed", "step.failed", "effect.planned") or name is None:
        return None
    if name == QUERY:
        if event.type != "step.completed":
            return None
        asked = body["input"]
        return "/output", body["output"], plain(policy.query(asked["path"], asked["input"]))
    actor = Actor.parse(instance.state.actor)
    if name == DECIDE:
        if event.type != "step.completed":
            return None
        asked = body["input"]
        known = registry.actions.get(asked["action"])
        effect = known.spec.effect.value if known else "write"
        question = _question(actor, (asked["action"], effect), asked["input"], asked["facts"])
        return "/output", _kept(body["output"]), _kept(plain(policy.decide(question)))
    command = instance.commands.get(body["position"])
    if not body.get("decision") or not isinstance(command, Call):
        return None
    action = registry.actions.get(name)
    if action is None:
        return None
    facts = {**command.facts, "run": command.facts.get("run", instance.run_id)}
    if action.spec.effect.outward:
        facts["approvals"] = [
            {"approver": given.approver, "position": given.position} for given in command.approvals
        ]
    question = _question(actor, (name, action.spec.effect.value), body["input"], facts)
    return "/decision", _kept(body["decision"]), _kept(plain(policy.decide(question)))


def _question(
    actor: Actor, asked: tuple[str, str], value: Any, facts: Mapping[str, Any]
) -> Question:
    action, effect = asked
    return Question(
        actor=str(actor),
        roles=actor.roles,
        action=action,
        effect=effect,
        input=value,
        facts=facts,
    )


def _kept(decision: Mapping[str, Any]) -> dict[str, Any]:
    return {name: decision.get(name) for name in BY}


def _differing(run: str, event: Event, field: str, was: Any, now: Any) -> list[Redecided]:
    body = event.payload
    asked = body["input"] if body["action"] in (DECIDE, QUERY) else {}
    return [
        Redecided(
            run=run,
            event=event.seq,
            type=event.type,
            position=body["position"],
            action=asked.get("action") or asked.get("path") or body["action"],
            field=field + pointer,
            was=old,
            now=new,
        )
        for pointer, old, new in diff(was, now)
    ]
