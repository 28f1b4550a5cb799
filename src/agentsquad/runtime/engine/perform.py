"""Performing commands: a step through the door, a wait, or a child run.

Apart from the shell, which keeps the books of what is under way: this says only
how one command is carried out and which event tells of it.
"""

from __future__ import annotations

import asyncio
from copy import copy
from functools import partial
from typing import Any

from agentsquad.kernel import errors
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import ConflictError, InvalidError, MissingError, SquadError
from agentsquad.kernel.event import Event
from agentsquad.runtime.engine import approval as approvals
from agentsquad.runtime.engine.command import Call, Child, Command, Sleep, WaitSignal
from agentsquad.runtime.engine.contract import EffectAmbiguousError, Outcome
from agentsquad.runtime.engine.decider import DECIDE, QUERY, Instance, plain
from agentsquad.runtime.engine.door import CallPath, Step, World
from agentsquad.runtime.engine.state import ENDED
from agentsquad.runtime.engine.timers import Timers


class Drive:
    """One run in memory: its instance and the steps under way."""

    __slots__ = ("instance", "issued", "next", "settling", "stopped", "stream", "tasks")

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.stream = f"run/{instance.run_id}"
        self.issued: set[str] = set()
        self.settling: set[str] = set()
        self.stopped = False
        self.next: tuple[str, Command | None] | None = None
        self.tasks: dict[str, asyncio.Task[None]] = {}


class Performer:
    """The part of an engine that carries out commands."""

    world: World
    path: CallPath
    timers: Timers
    drives: dict[str, Drive]
    stuck: dict[str, SquadError]

    async def append(
        self, drive: Drive, *told: tuple[str, dict[str, Any]], chain: bool = False
    ) -> None:
        """Append events to a run, all or none, and feed them back; `chain` when
        it ends a step."""
        raise NotImplementedError

    def accept(self, drive: Drive, events: list[Event]) -> None:
        """Feed events back that were appended to a run."""
        raise NotImplementedError

    async def begin(
        self, run: str, name: str, value: Any, *, actor: str, parent: dict[str, Any] | None
    ) -> None:
        """Start a run unless it is there already."""
        raise NotImplementedError

    async def outcome(self, run_id: str) -> Outcome:
        """Return how a run stands now."""
        raise NotImplementedError

    async def tell(self, run: str, kind: str, body: dict[str, Any], actor: str) -> None:
        """Append an event from outside to a run that has not ended."""
        raise NotImplementedError

    async def perform(self, drive: Drive, command: Command) -> None:
        """Carry out one command; the event it ends in has been fed back on
        return."""
        if isinstance(command, Call):
            await self._call(drive, command)
        elif isinstance(command, Child):
            await self._child(drive, command)
        elif isinstance(command, Sleep):
            await self._wait_for(drive, "timer.set", command.position, {"due_ms": command.due_ms})
        elif isinstance(command, WaitSignal):
            await self._wait_for(
                drive,
                "signal.waiting",
                command.position,
                {"name": command.name, "due_ms": command.due_ms},
            )
        else:
            body = approvals.request(drive.instance.run_id, command, self.world.policy.revision)
            await self._wait_for(drive, "approval.requested", command.position, body)

    async def _wait_for(self, drive: Drive, kind: str, position: str, body: dict[str, Any]) -> None:
        state = drive.instance.state
        if position not in state.requests:
            await self.append(drive, (kind, {"position": position, **body}))
        due = body.get("due_ms") if kind != "approval.requested" else body.get("expires_ms")
        if position in state.requests:
            due = state.timers.get(position)
        if due is not None:
            self.timers.add(due, state.run, position)

    async def _call(self, drive: Drive, command: Call) -> None:
        state = drive.instance.state
        if command.position in drive.instance.leaving and command.position not in state.effects:
            asked = {"action": command.action, "input": command.input}
            await self._never_begun(drive, command, asked)
            return
        step = self._step(drive, command)
        body: dict[str, Any] = {"position": command.position, "name": command.name}
        outward = step.action.spec.effect.outward
        try:
            if command.action in (DECIDE, QUERY):
                step.facts = {}
            output = await self.path.run(step)
        except EffectAmbiguousError:
            return  # the step stays open until a person resolves it
        except SquadError as error:
            kind = "effect.failed" if outward and step.effect is not None else "step.failed"
            body["error"] = errors.record(error)
        else:
            kind = "effect.confirmed" if outward else "step.completed"
            body["output"] = plain(output)
        if kind == "step.completed" or kind == "step.failed":
            body["action"] = command.action
            body["effect"] = step.action.spec.effect.value
            body["input"] = command.input
            if step.decision is not None:
                body["decision"] = plain(step.decision)
        if step.attempts > 1:
            body["attempts"] = step.attempts
        if step.usage:
            body["usage"] = step.usage
        body["ms"] = round(self.world.clock.monotonic_ms() - step.started_ms, 3)
        if command.position in state.resolved:
            return
        if command.undoes in state.effects and "output" in body:
            undone = {
                "position": command.undoes,
                "key": state.effects[command.undoes].key,
                "by": command.position,
            }
            await self.append(drive, ("effect.compensated", undone), (kind, body), chain=True)
            return
        await self.append(drive, (kind, body), chain=True)

    def _step(self, drive: Drive, command: Call) -> Step:
        state = drive.instance.state
        step = Step(
            self.world.registry.action(command.action),
            command.input,
            actor=Actor.parse(state.actor),
            run=state.run,
            position=command.position,
            name=command.name,
        )
        step.facts = command.facts
        step.approvals = command.approvals
        step.correlation = state.correlation
        step.cause = state.last_seq
        step.effect = copy(state.effects.get(command.position))
        step.told = partial(self.accept, drive)
        if command.retry is not None:
            step.retry = command.retry
        if command.timeout_ms is not None:
            step.timeout_ms = command.timeout_ms
        return step

    async def _child(self, drive: Drive, command: Child) -> None:
        state = drive.instance.state
        child = self.child_id(state.run, command)
        parent: dict[str, Any] = {"run": state.run, "position": command.position}
        if command.timeout_ms is not None:
            parent["timeout_ms"] = command.timeout_ms
        actor = state.actor
        if command.workflow == "agent-turn":
            actor = f"agent:{command.input['agent']}"
        if command.position in drive.instance.leaving:
            await self._stop_child(drive, command, child)
            return
        try:
            await self.begin(child, command.workflow, command.input, actor=actor, parent=parent)
        except (InvalidError, MissingError) as error:
            failed = {
                "position": command.position,
                "name": command.name,
                "workflow": command.workflow,
                "input": command.input,
                "child": child,
                "error": errors.record(error),
            }
            await self.append(drive, ("step.failed", failed))
            return
        if child not in self.drives and child not in self.stuck:
            outcome = await self.outcome(child)
            if outcome.status in ENDED:
                await self.child_ended(drive, command, child, outcome)

    async def _stop_child(self, drive: Drive, command: Child, child: str) -> None:
        """Ask the child of a stopped run to stop; its end ends the step."""
        stopped = drive.instance.stopped
        assert stopped is not None
        try:
            state = drive.instance.state
            await self.tell(child, "run.cancel_requested", {"reason": stopped.reason}, state.actor)
        except MissingError:
            body = {"workflow": command.workflow, "input": command.input, "child": child}
            await self._never_begun(drive, command, body)
        except ConflictError:
            await self.child_ended(drive, command, child, await self.outcome(child))

    async def _never_begun(self, drive: Drive, command: Call | Child, body: dict[str, Any]) -> None:
        """Record that a stopped run did not do what it had asked for."""
        error = ConflictError(f"{command.name} was not begun: the run stops", code="run.stopped")
        known = {"position": command.position, "name": command.name, **body}
        await self.append(drive, ("step.failed", {**known, "error": errors.record(error)}))

    @staticmethod
    def child_id(run: str, command: Child) -> str:
        """Return the id of a child run: its parent's id and its key or position
        there."""
        return f"{run}/{command.key or command.position}"

    async def child_ended(self, drive: Drive, command: Child, child: str, outcome: Outcome) -> None:
        """Give the parent's step the outcome of its child run, once."""
        if command.position in drive.settling:
            return
        drive.settling.add(command.position)
        body: dict[str, Any] = {
            "position": command.position,
            "name": command.name,
            "workflow": command.workflow,
            "input": command.input,
            "child": child,
        }
        if outcome.status == "completed":
            await self.append(drive, ("step.completed", {**body, "output": outcome.output}))
            return
        error = outcome.error or {
            "class": "ConflictError",
            "code": "run.cancelled",
            "message": f"run {child} {outcome.status}",
        }
        await self.append(drive, ("step.failed", {**body, "error": error}))
