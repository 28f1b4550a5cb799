"""The decider: from a run's events to what it wants next.

Pure; no clock, no I/O. `Instance.apply(event)` evolves the state, lets the
workflow run as far as it can, and leaves what it asked for in `commands`.
Feeding the same events in the same order always gives the same commands, so
resuming, replaying and forking are the same loop with another hand on the
events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.kernel import errors
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.event import Event
from agentsquad.kernel.policy import Decision
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.engine import approval as approvals
from agentsquad.runtime.engine.command import (
    Ask,
    Call,
    Child,
    Command,
    Reply,
    Sleep,
    WaitSignal,
    fingerprint,
)
from agentsquad.runtime.engine.contract import (
    Approval,
    CancelSignal,
    ContinueSignal,
    DeadlineSignal,
    NonDeterministicError,
    StepDeadlineError,
    Workflow,
)
from agentsquad.runtime.engine.flow import DEADLINE as DEADLINE
from agentsquad.runtime.engine.flow import DECIDE as DECIDE
from agentsquad.runtime.engine.flow import QUERY as QUERY
from agentsquad.runtime.engine.flow import plain as plain
from agentsquad.runtime.engine.hands import HAND, Hands
from agentsquad.runtime.engine.inbound.contract import ChangeRetiredError
from agentsquad.runtime.engine.links import CONTINUED, successor
from agentsquad.runtime.engine.scheduler import Scheduler
from agentsquad.runtime.engine.state import (
    END_EVENTS,
    ENDED,
    RESOLVING,
    TOLD,
    WITHDRAWN,
    evolve,
    pass_by,
)

_RESOLVING = frozenset(RESOLVING)
NOTES = ("effect.planned", "approval.requested", "timer.set", "signal.waiting")
CHANGED = "the code changed under an open run, or it reads something outside its context"


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The workflow has ended: `type` is run.completed, run.failed or
    run.cancelled."""

    type: str
    payload: dict[str, Any]


class Instance(Hands):
    """One run of one workflow, driven only by its events.

    It is also the workflow's context.
    """

    def __init__(self, run: str, workflow: Workflow, registry: Registry) -> None:
        super().__init__(run, registry, Scheduler(self, self._on_end))
        self.workflow = workflow
        self.end: End | None = None
        self.stopped: CancelSignal | None = None
        self.leaving: set[str] = set()  # not wanted any more, to be ended still
        self.why: dict[str, str] = {}  # it is not wanted
        self.halts: list[str] = []  # positions not wanted any more that nobody has looked at yet
        self.withdrawn: list[str] = []  # what people see of them, until the log takes it back
        self._over: list[str] = []  # positions whose result has come just now
        self._ending: tuple[Any, BaseException | None] | None = None
        self._prepare()

    # --- driven by events

    def apply(self, event: Event) -> None:
        """Fold one event and let the workflow go on; raises
        NonDeterministicError."""
        state = self.state
        kind = event.type
        if kind in _RESOLVING:
            position = event.payload["position"]
            if position in self.commands:
                evolve(state, event)
                self._resolve(position, event)
            elif self.passed(position):
                pass_by(state, event)  # of what is over nothing is kept
            else:
                evolve(state, event)
                self._check(position, event)
        else:
            evolve(state, event)
            if kind == "run.started":
                self._begin()
            elif kind == "signal.received":
                self._deliver(event.payload["name"])
            elif kind == "run.cancel_requested":
                self._stop(CancelSignal(event.payload.get("reason", "")))
            elif kind in END_EVENTS:
                self._check_end(event)
            elif kind in NOTES:
                self._noted(event.payload["position"], event)
            elif kind in TOLD:
                self._told(kind, event)
            elif kind == WITHDRAWN and event.payload["position"] in self.withdrawn:
                self.withdrawn.remove(event.payload["position"])
        self._scheduler.run()
        if self._over:
            self._let_go()

    def _let_go(self) -> None:
        """Forget what is known of finished steps, but for effects that a saga
        may undo."""
        state = self.state
        for position in self._over:
            state.resolved.pop(position, None)
            if state.requests:
                state.requests.pop(position, None)
            if self.leaving:
                self.leaving.discard(position)
                self.why.pop(position, None)
            if state.effects and position not in self.undoable:
                state.effects.pop(position, None)
        self._over.clear()

    def passed(self, position: str) -> bool:
        """Whether the code has gone on from a position."""
        if position == DEADLINE:
            return self.limited
        if position.startswith(HAND):
            return True
        return self._scheduler.passed(position)

    def _told(self, kind: str, event: Event) -> None:
        if kind == "update.accepted":
            self._accepted(event)
        elif kind in ("update.completed", "update.failed"):
            self._answered(event)
        elif kind == "wait.escalated":
            self._escalated(event)
        elif kind == "intervention.made":
            self._intervened(event)
        else:
            position = event.payload["position"]
            if position in self.commands or not self.passed(position):
                self._check(position, event)

    def _noted(self, position: str, event: Event) -> None:
        if position.startswith(HAND):
            return
        waits = event.type in ("timer.set", "signal.waiting")
        if position not in self.commands and (waits or self.passed(position)):
            self.state.timers.pop(position, None)
            self._over.append(position)
            if event.type == "approval.requested":
                self._withdraw(position)
            return  # what is noted came a moment before it was written down
        self._check(position, event)

    def _begin(self) -> None:
        gone = [one for one in self.workflow.retired if one not in self.state.changes]
        if gone:
            raise ChangeRetiredError(
                f"run {self.state.run} began before {', '.join(gone)}, whose old path is gone",
                hint="continue it under the version it began with, or cancel it",
            )
        value = self.state.input
        if self.workflow.input is not Any:
            value = msgspec.convert(value, self.workflow.input, strict=False)
        self._scheduler.root.racing = bool((self.state.parent or {}).get("racing"))
        coro = self.workflow.fn(self, value)
        limit = self.state.timeout_ms or self.workflow.timeout_ms
        if limit is not None:
            self.deadline(limit)
        self._scheduler.spawn(coro)  # type: ignore[arg-type]

    def _resolve(self, position: str, event: Event) -> None:
        value: Any
        error: BaseException | None
        command = self.commands[position]
        body = event.payload
        if not (
            type(command) is Call  # as most are, and as asked for: nothing to tell
            and body.get("action") == command.action
            and body.get("input", body) == command.input
            and "workflow" not in body
        ):
            self._check(position, event)
        del self.commands[position]
        self._over.append(position)
        if event.type == "step.completed":
            value, error = self._typed(command, event)
            self._scheduler.wake(position, value, error)
            return
        if position == DEADLINE:
            self._stop(DeadlineSignal("the run took longer than it may"))
            return
        if position in self.limits:
            self.limits.pop(position).expire()
            return
        if event.type in ("step.failed", "effect.failed"):
            value, error = None, errors.restore(event.payload["error"])
        elif event.type == "timer.fired":
            value, error = self._timer(command)
        elif event.type in ("approval.given", "approval.refused"):
            value, error = approval_of(event), None
        else:
            value, error = self._typed(command, event)
        self._scheduler.wake(position, value, error)

    def _typed(self, command: Command, event: Event) -> tuple[Any, SquadError | None]:
        output = event.payload.get("output")
        if not isinstance(command, Call):
            return output, None
        if command.action == DECIDE:
            return msgspec.convert(output, Decision), None
        action = self.registry.actions.get(command.action)
        if action is None or action.spec.output is Any:
            return output, None
        try:
            return msgspec.convert(output, action.spec.output, strict=False), None
        except msgspec.ValidationError as error:
            return None, NonDeterministicError(
                f"event {event.seq}: the recorded output of {command.action} no longer fits its "
                f"type: {error}",
                details={"event": event.seq, "position": command.position},
            )

    @staticmethod
    def _timer(command: Command) -> tuple[Any, SquadError | None]:
        if isinstance(command, Sleep):
            return None, None
        if isinstance(command, Ask):
            if command.refuse:
                return nobody(command), None
            return None, StepDeadlineError(
                f"nobody answered the question about {command.action} in time",
                code="approval.expired",
            )
        return None, StepDeadlineError(f"{fingerprint(command)[0]} did not happen in time")

    def _check(self, position: str, event: Event) -> Command:
        """Return the command the code asked for at a position; it must be what
        was recorded."""
        command = self.commands.get(position)
        recorded = event.payload
        if command is None:
            asked = ", ".join(f"{p}: {fingerprint(c)[0]}" for p, c in self.commands.items())
            raise NonDeterministicError(
                f"event {event.seq}: the journal holds {_recorded_name(event)} at step {position}, "
                f"but the workflow asked for {asked or 'nothing more'}",
                hint=CHANGED,
                details={
                    "event": event.seq,
                    "position": position,
                    "expected": _recorded_name(event),
                    "came": asked or None,
                },
            )
        name, value = fingerprint(command)
        expected = _recorded_name(event)
        if expected is not None and expected != name:
            raise NonDeterministicError(
                f"event {event.seq}: step {position} was {expected}, now it is {name}",
                hint=CHANGED,
                details={
                    "event": event.seq,
                    "position": position,
                    "expected": expected,
                    "came": name,
                    "field": "action",
                },
            )
        for field, asked_for in self._requested(command, value, event).items():
            if recorded.get(field) == asked_for:
                continue
            from agentsquad.kernel.pointer import diff

            pointer, was, now = next(
                iter(diff(recorded.get(field), asked_for)), ("", recorded.get(field), asked_for)
            )
            raise NonDeterministicError(
                f"event {event.seq}: step {position} ({name}) was called with "
                f"{field}{pointer} = {was!r}, now with {now!r}",
                hint=CHANGED,
                details={
                    "event": event.seq,
                    "position": position,
                    "expected": name,
                    "came": name,
                    "field": f"/{field}{pointer}",
                    "was": was,
                    "now": now,
                },
            )
        return command

    def _requested(self, command: Command, value: Any, event: Event) -> dict[str, Any]:
        """Return the fields of a recorded event that the code itself
        decides."""
        body = event.payload
        if event.type == "approval.requested" and isinstance(command, Ask):
            return approvals.request(self.state.run, command, body["policy"])
        if isinstance(command, (Sleep, WaitSignal)):
            return {"due_ms": command.due_ms} if "due_ms" in body else {}
        return {"input": value} if "input" in body else {}

    def _check_end(self, event: Event) -> None:
        end = self.end
        self.commands.clear()
        if event.type == "run.cancelled" and end is None:
            self._scheduler.close()
            return
        came = end.type if end else "still running"
        if end is None or end.type != event.type:
            raise NonDeterministicError(
                f"event {event.seq}: the run ended with {event.type}, now it is {came}",
                details={"event": event.seq, "expected": event.type, "came": came, "field": "type"},
            )
        for field in ("output", "error", "undone", "successor", "input"):
            was, now = event.payload.get(field), end.payload.get(field)
            if was != now:
                from agentsquad.kernel.pointer import diff

                pointer, old, new = next(iter(diff(was, now)), ("", was, now))
                raise NonDeterministicError(
                    f"event {event.seq}: {field}{pointer} was {old!r}, now it is {new!r}",
                    details={
                        "event": event.seq,
                        "field": f"/{field}{pointer}",
                        "was": old,
                        "now": new,
                    },
                )

    def _deliver(self, name: str) -> None:
        for position, command in self.commands.items():
            if isinstance(command, WaitSignal) and command.name == name:
                event = self._take(name)
                if event is not None:
                    del self.commands[position]
                    self._over.append(position)
                    self.state.timers.pop(position, None)
                    self._scheduler.wake(position, self._payload(name, event))
                return

    def _take(self, name: str) -> Event | None:
        box = self.state.mailbox.get(name)
        if not box:
            return None
        event = box.pop(0)
        if event.payload.get("key") is not None:
            self.state.keys.add((name, event.payload["key"]))
        return event

    def _stop(self, why: CancelSignal) -> None:
        """Throw into everything that waits, once; what was asked for is not
        wanted any more."""
        if self.end is not None or self._ending is not None or self.stopped is not None:
            return
        self.stopped = why
        self.drop(DEADLINE)
        self._scheduler.cancel(self._scheduler.root, why)

    def drop(self, position: str) -> None:
        """Want nothing any more of what was asked for at a position."""
        command = self.commands.pop(position, None)
        if command is not None:
            state = self.state
            asked = isinstance(command, Ask) and position in state.requests
            if asked or position in state.incidents or position in state.levels:
                self._withdraw(position)
            state.timers.pop(position, None)
            self.halts.append(position)
            self._over.append(position)

    def _withdraw(self, position: str) -> None:
        """Note that people are to see no more of a step, unless the whole run
        stops, which says so by itself."""
        if self.stopped is None and self.end is None:
            self.withdrawn.append(position)
            self.halts.append(position)

    def keeps(self, position: str) -> bool:
        """Whether what was asked for there is brought to an end first: effects
        and child runs, since they may have happened already and must be known
        to be undone."""
        command = self.commands.get(position)
        if position in self.state.incidents:
            return False  # nothing of it is under way
        if isinstance(command, Call):
            action = self.registry.actions.get(command.action)
            return action is not None and action.spec.effect.outward
        return isinstance(command, (Child, Reply))

    def asks(self, position: str) -> bool:
        """Whether a person is asked at a position."""
        return isinstance(self.commands.get(position), Ask)

    def halted(self, position: str, signal: CancelSignal, *, kept: bool) -> None:
        """Hear that a step is not wanted any more."""
        if kept:
            self.leaving.add(position)
            self.why[position] = signal.reason
            self.halts.append(position)
        else:
            self.drop(position)

    def _on_end(self, value: Any, error: BaseException | None) -> None:
        if self._hold(value, error):
            return
        failed = error is not None and not isinstance(error, ContinueSignal)
        if self._ending is None and failed and any(saga.entries for saga in self.sagas):
            self._ending = (value, error)
            self._scheduler.spawn(self._undo(), "undo.")
            return
        undone: dict[str, Any] = {}
        if self._ending is not None:
            undone = {"undone": value} if error is None else {"undo_error": errors.record(error)}
            value, error = self._ending
        self.end = self._end_of(value, error, undone)

    async def _undo(self) -> list[dict[str, Any]]:
        report: list[dict[str, Any]] = []
        for saga in reversed(self.sagas):
            report += await (saga.undo() if self.only is None else saga.undo(only=self.only))
        return report

    def _end_of(self, value: Any, error: BaseException | None, undone: Mapping[str, Any]) -> End:
        if error is None:
            return End(type="run.completed", payload={"output": plain(value)})
        if isinstance(error, ContinueSignal):
            following = successor(self.state.run)
            return End(type=CONTINUED, payload={"successor": following, "input": error.value})
        if isinstance(error, DeadlineSignal):
            error = StepDeadlineError(error.reason, code="run.deadline")
        if isinstance(error, CancelSignal):
            return End(type="run.cancelled", payload={"reason": error.reason, **undone})
        return End(type="run.failed", payload={"error": errors.record(error), **undone})

    def release(self) -> None:
        """Let go of what a run that has ended held on to, itself included, so
        that its memory is free at once."""
        self._scheduler.close()
        self.sagas.clear()

    def forget(self) -> None:
        """Let go of a run that only waits: it is made anew from its journal.

        The circle of the context, its branches and their code is broken here,
        so that the collector need not look for it.
        """
        self._scheduler.forget()
        self.sagas.clear()
        self.limits.clear()

    @property
    def ending(self) -> bool:
        """Whether the workflow's own code has ended or is being stopped."""
        states = (self.end, self._ending, self._held, self.stopped)
        return any(one is not None for one in states)

    @property
    def ended(self) -> bool:
        """Whether the log itself says that the run has ended."""
        return self.state.status in ENDED


def approval_of(event: Event) -> Approval:
    """Return the Approval that an approval.given or approval.refused event
    holds."""
    body = event.payload
    return Approval(
        approved=event.type == "approval.given",
        approver=body["approver"],
        reason=body["reason"],
        position=body["position"],
        binding=body["binding"],
        expires_ms=body.get("expires_ms"),
    )


def nobody(command: Ask) -> Approval:
    """Return the no of a question that nobody answered in time."""
    return Approval(
        approved=False,
        approver="service:squad",
        reason="nobody answered in time",
        position=command.position,
        binding="",
        expires_ms=command.expires_ms,
    )


def _recorded_name(event: Event) -> str | None:
    body = event.payload
    if event.type == "approval.requested":
        return f"approve {body['action']}"
    if "workflow" in body:
        return f"run {body['workflow']}"
    if "action" in body:
        return f"call {body['action']}"
    return None
