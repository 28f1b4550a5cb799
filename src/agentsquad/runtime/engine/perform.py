"""Performing commands: a step through the door, a wait, or a child run.

Apart from `tasks`, which keeps the books of what is under way: this says only
how one command is carried out and which event tells of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from functools import lru_cache, partial
from typing import Any

from agentsquad.kernel import errors
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import (
    ConflictError,
    InvalidError,
    MissingError,
    SquadError,
    UnavailableError,
)
from agentsquad.kernel.policy import Decision
from agentsquad.runtime.engine import approval as approvals
from agentsquad.runtime.engine.command import Ask, Call, Child, Command, Reply, Sleep, WaitSignal
from agentsquad.runtime.engine.contract import EffectAmbiguousError, Outcome
from agentsquad.runtime.engine.decider import DEADLINE, DECIDE, QUERY, Instance, plain
from agentsquad.runtime.engine.door import CallPath, Step, World
from agentsquad.runtime.engine.drive import Drive
from agentsquad.runtime.engine.hands import opened
from agentsquad.runtime.engine.inbound.ladder import wake
from agentsquad.runtime.engine.interceptors.execute import left
from agentsquad.runtime.engine.links import origin
from agentsquad.runtime.engine.parking import child_id
from agentsquad.runtime.engine.router import Router
from agentsquad.runtime.engine.state import ENDED
from agentsquad.runtime.engine.timers import Timers

SLOW_MS = 5
LOOKED_AT_MAX = 32  # other waits of a run up to which it is seen that all of it waits

Tell = Callable[[str, str, dict[str, Any], str], Awaitable[None]]


class Performer:
    """Carries out commands, one at a time."""

    def __init__(self, router: Router, path: CallPath, timers: Timers, tell: Tell) -> None:
        self._router = router
        self._world = router.world
        self._path = path
        self._timers = timers
        self._tell = tell

    async def perform(self, drive: Drive, command: Command) -> None:
        """Carry out one command; the event it ends in has been fed back on
        return."""
        if command.position in drive.instance.state.incidents:
            return  # it waits for somebody to intervene
        if isinstance(command, Call):
            await self._call(drive, command)
        elif isinstance(command, Child):
            await self._child(drive, command)
        elif isinstance(command, Sleep):
            await self._wait_for(drive, "timer.set", command.position, {"due_ms": command.due_ms})
        elif isinstance(command, WaitSignal):
            body = {"name": command.name, "due_ms": command.due_ms}
            if command.escalate:
                body["wake_ms"] = wake(command.escalate, 0, command.due_ms)
                body["escalate"] = plain(command.escalate)
            await self._wait_for(drive, "signal.waiting", command.position, body)
        elif isinstance(command, Reply):
            await self._reply(drive, command)
        else:
            revision = self._home(drive).policy.revision
            body = approvals.request(drive.instance.run_id, command, revision)
            await self._wait_for(drive, "approval.requested", command.position, body)

    async def _wait_for(self, drive: Drive, kind: str, position: str, body: dict[str, Any]) -> None:
        state = drive.instance.state
        if position not in drive.instance.commands:
            return  # it is over before it was noted
        if position not in state.requests:
            body |= _company(drive.instance, position)
            await self._router.append(drive, (kind, {"position": position, **body}))
        due = body.get("due_ms") if kind != "approval.requested" else body.get("expires_ms")
        due = body.get("wake_ms", due)
        if position in state.requests:
            due = state.timers.get(position)
        if due is not None:
            self._timers.add(due, state.run, position)

    async def _reply(self, drive: Drive, command: Reply) -> None:
        """Write the answer to an update, once."""
        if command.position in drive.instance.state.answers:
            return
        kind = "update.failed" if "error" in command.came else "update.completed"
        body = {"position": command.position, "key": command.key, "name": command.name}
        await self._router.append(drive, (kind, {**body, **command.came}))

    async def _call(self, drive: Drive, command: Call) -> None:
        state = drive.instance.state
        if command.position in drive.instance.leaving:
            known = state.effects.get(command.position)
            if known is None or known.status == "failed":
                asked = {"action": command.action, "input": command.input}
                await self._never_begun(drive, command, asked)
                return
        step = self._step(drive, command)
        body: dict[str, Any] = {"position": command.position, "name": command.name}
        outward = step.action.spec.effect.outward
        try:
            if command.action in (DECIDE, QUERY):
                step.facts = {}
            path = self._path if drive.version is None else drive.version.home.path
            if step.deadline_ms is not None and (
                step.effect is None or step.effect.status in ("planned", "failed")
            ):
                left(self._world, step)
            output = await path.run(step)
        except EffectAmbiguousError:
            return  # the step stays open until a person resolves it
        except SquadError as error:
            if log_failed(error):
                raise  # not what became of the step: it goes on once the disk is well
            kind = "effect.failed" if outward and step.effect is not None else "step.failed"
            body["error"] = errors.record(error)
        else:
            kind = "effect.confirmed" if outward else "step.completed"
            body["output"] = plain(output)
        failed = command.waits and "error" in body
        if kind == "step.completed" or kind == "step.failed" or failed:
            body["action"] = command.action
            body["effect"] = step.action.effect
            body["input"] = command.input
            if step.decision is not None:
                body["decision"] = told(step.decision)
        if step.attempts > 1:
            body["attempts"] = step.attempts
        if step.usage:
            body["usage"] = step.usage
        if step.beat is not None:
            step.notes |= step.beat.end()
        if step.notes:
            body |= step.notes
        # To the microsecond, without round(), which is slow.
        took_us = int((self._world.clock.monotonic_ms() - step.started_ms) * 1000 + 0.5)
        body["ms"] = took_us / 1000
        # What would cost to do again is not risked on what follows.
        drive.firm |= outward or bool(step.usage) or body["ms"] > SLOW_MS
        if command.position not in drive.instance.commands:
            return
        gone = command.position in drive.instance.leaving
        if failed and not gone and drive.instance.stopped is None:
            kind, body = opened(kind, body)
        if step.undoes is not None and "output" in body:
            undone = {**step.undoes, "by": command.position}
            await self._router.append(
                drive, ("effect.compensated", undone), (kind, body), chain=True
            )
            return
        if not self._router.note(drive, (kind, body), chain=True):
            await self._router.append(drive, (kind, body), chain=True)

    def _step(self, drive: Drive, command: Call) -> Step:
        state = drive.instance.state
        step = Step(
            drive.instance.registry.action(command.action),
            command.input,
            actor=_actor(state.actor),
            run=state.run,
            position=command.position,
            name=command.name,
        )
        step.workflow = state.workflow
        if command.facts:
            step.facts = command.facts
        if command.approvals:
            step.approvals = command.approvals
        step.correlation = state.correlation
        step.cause = state.last_seq
        step.deadline_ms = drive.instance.until_ms
        if state.effects:
            known = state.effects.get(command.position)
            if known is not None and (not command.attempt or known.input == command.input):
                step.effect = copy(known)
            if command.undoes in state.effects:
                undone = state.effects[command.undoes]
                step.undoes = {"position": command.undoes, "key": undone.key}
        step.told = partial(self._router.accept, drive)
        if command.retry is not None:
            step.retry = command.retry
        if command.timeout_ms is not None:
            step.timeout_ms = command.timeout_ms
        return step

    async def _child(self, drive: Drive, command: Child) -> None:
        state = drive.instance.state
        child = child_id(state.run, command)
        parent: dict[str, Any] = {"run": state.run, "position": command.position}
        if command.timeout_ms is not None:
            parent["timeout_ms"] = command.timeout_ms
        until = drive.instance.until_ms
        if until is not None:
            parent["deadline_ms"] = until
        if command.attempt:
            drive.settling.discard(command.position)
        parent |= _company(drive.instance, command.position)
        if command.racing:
            parent["racing"] = True
        actor = state.actor
        if command.workflow == "agent-turn":
            actor = f"agent:{command.input['agent']}"
        if command.position in drive.instance.leaving:
            await self._stop_child(drive, command, child)
            return
        try:
            await self._router.begin(
                child, command.workflow, command.input, actor=actor, parent=parent
            )
        except (InvalidError, MissingError) as error:
            failed = {
                "position": command.position,
                "name": command.name,
                "workflow": command.workflow,
                "input": command.input,
                "child": child,
                "error": errors.record(error),
            }
            await self._router.append(drive, unwilling(command, ("step.failed", failed)))
            return
        if child not in self._router.drives and child not in self._router.stuck:
            outcome = await self._router.outcome(child)
            if outcome.status in ENDED:
                await self.child_ended(drive, command, child, outcome)

    async def _stop_child(self, drive: Drive, command: Child, child: str) -> None:
        """Ask the child of a stopped run to stop; its end ends the step."""
        reason = drive.instance.why[command.position]
        try:
            state = drive.instance.state
            await self._tell(child, "run.cancel_requested", {"reason": reason}, state.actor)
        except MissingError:
            body = {"workflow": command.workflow, "input": command.input, "child": child}
            await self._never_begun(drive, command, body)
        except ConflictError:
            await self.child_ended(drive, command, child, await self._router.outcome(child))

    async def _never_begun(self, drive: Drive, command: Call | Child, body: dict[str, Any]) -> None:
        """Record that a stopped run did not do what it had asked for."""
        error = ConflictError(f"{command.name} was not begun: the run stops", code="run.stopped")
        known = {"position": command.position, "name": command.name, **body}
        await self._router.append(drive, ("step.failed", {**known, "error": errors.record(error)}))

    async def child_ended(self, drive: Drive, command: Child, child: str, outcome: Outcome) -> None:
        """Give the parent's step the outcome of its child run, once."""
        open_ = command.position in drive.instance.commands
        if open_ and command.position not in drive.settling:
            drive.settling.add(command.position)
            await self._router.append(drive, ended_child(command, child, outcome))

    def _home(self, drive: Drive) -> World:
        """Return the world that a run's version runs in."""
        return self._world if drive.version is None else drive.version.world

    def outward(self, command: Command, drive: Drive | None = None) -> bool:
        """Whether a command, of this run, changes the world."""
        if not isinstance(command, Call):
            return False
        registry = self._world.registry if drive is None else drive.instance.registry
        action = registry.actions.get(command.action)
        return action is not None and action.spec.effect.outward


def _company(instance: Instance, position: str) -> dict[str, bool]:
    """Return what a wait says of the rest of its run: in its first branch that
    anything else is under way, in another that nothing is (`waiting`)."""
    waits = instance.state.requests
    others = len(instance.commands) - 1
    alone = others <= LOOKED_AT_MAX and all(
        p == position or (p in waits and isinstance(c, (Sleep, WaitSignal, Ask)))
        for p, c in instance.commands.items()
    )
    if "." in position or position == DEADLINE:
        return {"alone": True} if alone else {}
    return {} if alone else {"beside": True}


def told(decision: Decision) -> dict[str, Any]:
    """Return a decision as plain JSON, sooner than by way of text."""
    return {
        "allow": decision.allow,
        "reason": decision.reason,
        "revision": decision.revision,
        "clauses": list(decision.clauses),
        "obligations": plain(decision.obligations) if decision.obligations else [],
    }


def ended_child(command: Child, child: str, outcome: Outcome) -> tuple[str, dict[str, Any]]:
    """Return the event that gives a step the outcome of its child run."""
    body: dict[str, Any] = {
        "position": command.position,
        "name": command.name,
        "workflow": command.workflow,
        "input": command.input,
        "child": origin(child),
    }
    if outcome.status == "completed":
        return "step.completed", {**body, "output": outcome.output}
    error = outcome.error or {
        "class": "ConflictError",
        "code": "run.cancelled",
        "message": f"run {child} {outcome.status}",
    }
    return unwilling(command, ("step.failed", {**body, "error": error}))


def unwilling(command: Child, told: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Return the event that a failed child leaves: where its step waits for a
    person, an incident."""
    return opened(*told) if command.waits else told


_actor = lru_cache(maxsize=256)(Actor.parse)


def log_failed(error: SquadError) -> bool:
    """Whether it was our own log, or what lies beside it, that failed."""
    return isinstance(error, UnavailableError) and error.code.startswith("ledger.")
