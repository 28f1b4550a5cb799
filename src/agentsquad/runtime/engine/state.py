"""RunState and `evolve`: what a run's journal says, folded one event at a time.

Laws: `evolve` is pure and total over the event types below; an event whose
position is already resolved changes nothing (a duplicate is harmless); status
only moves along `TRANSITIONS`, else TransitionError.
"""

from __future__ import annotations

from datetime import date as calendar
from functools import lru_cache
from typing import Any

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.runtime.engine.contract import TransitionError

TRANSITIONS: dict[str, tuple[str, ...]] = {
    "new": ("running",),
    "running": ("completed", "failed", "cancelled", "continued"),
    "completed": (),
    "failed": (),
    "cancelled": (),
    "continued": (),
}
ENDED = ("completed", "failed", "cancelled", "continued")
END_EVENTS = {
    "run.completed": "completed",
    "run.failed": "failed",
    "run.cancelled": "cancelled",
    "run.continued": "continued",
}
# Event types that give a position its result; others note progress towards it.
RESOLVING = (
    "step.completed",
    "step.failed",
    "effect.confirmed",
    "effect.failed",
    "timer.fired",
    "approval.given",
    "approval.refused",
)


_RESOLVING = frozenset(RESOLVING)

# What comes from outside, or is written because nobody came.
TOLD = (
    "update.accepted",
    "update.completed",
    "update.failed",
    "wait.escalated",
    "incident.opened",
    "intervention.made",
)


WITHDRAWN = "question.withdrawn"
NOTED, DELEGATED = "question.noted", "question.delegated"  # said about one, answers nothing
"""What waited for a person at a position is not wanted any more; tells people,
not the run."""


class EffectState(msgspec.Struct, kw_only=True):
    """One entry of the effect ledger: planned, sent, confirmed, failed,
    ambiguous, compensated."""

    key: str
    action: str
    input: Any
    status: str = "planned"
    planned_seq: int = 0
    sends: int = 0
    output: Any = None
    error: Any = None


class RunState(msgspec.Struct, kw_only=True):
    """What is known of a run; `resolved` maps a position to the event that gave
    its result."""

    run: str
    status: str = "new"
    workflow: str = ""
    definition: str = ""
    input: Any = None
    parent: Any = None
    actor: str = "service:squad"
    correlation: str | None = None
    policy: str | None = None
    timeout_ms: int | None = None
    started_seq: int = 0
    version: int = 0
    now_ms: int = 0
    last_seq: int = 0
    resolved: dict[str, Event] = {}
    effects: dict[str, EffectState] = {}
    requests: dict[str, Event] = {}
    timers: dict[str, int] = {}
    levels: dict[str, int] = {}  # how far a ladder has been climbed
    updates: dict[str, Event] = {}  # by key
    answers: dict[str, Event] = {}  # to updates, by position
    incidents: dict[str, Event] = {}
    retries: dict[str, Event] = {}  # what last had a step tried again
    changes: tuple[str, ...] = ()
    mailbox: dict[str, list[Event]] = {}
    keys: set[tuple[str, str]] = set()  # of signals that were taken
    restarted: bool = False  # it took over what another run had done
    began_ms: int = 0  # when it did so
    seed: str = ""
    cancel: Event | None = None
    output: Any = None
    error: Any = None


def evolve(state: RunState, event: Event) -> None:
    """Fold one event into the state, in place; events must come in `stream_seq`
    order."""
    pass_by(state, event)
    body = event.payload or {}
    kind = event.type
    if kind in _RESOLVING:
        position = body["position"]
        if position in state.resolved:
            return
        state.resolved[position] = event
        if state.timers:
            state.timers.pop(position, None)
        if state.incidents:
            state.incidents.pop(position, None)
        if state.effects and kind.startswith("effect.") and position in state.effects:
            effect = state.effects[position]
            effect.status = kind.partition(".")[2]
            effect.output, effect.error = body.get("output"), body.get("error")
    elif kind == "run.started":
        _started(state, event, body)
    elif kind == "effect.planned":
        state.effects[body["position"]] = EffectState(
            key=body["key"], action=body["action"], input=body["input"], planned_seq=event.seq
        )
    elif kind in ("effect.sent", "effect.ambiguous", "effect.compensated"):
        entry = state.effects.get(body["position"])
        if entry is not None:
            entry.status = kind.partition(".")[2]
            entry.sends += kind == "effect.sent"
            entry.error = body.get("error", entry.error)
    elif kind in ("timer.set", "signal.waiting"):
        due = body.get("wake_ms", body.get("due_ms"))
        if due is not None:
            state.timers[body["position"]] = due
        state.requests[body["position"]] = event
    elif kind == "approval.requested":
        state.requests[body["position"]] = event
        due = body.get("wake_ms", body.get("expires_ms"))
        if due is not None:
            state.timers[body["position"]] = due
    elif kind == "signal.received":
        box = state.mailbox.setdefault(body["name"], [])
        key = body.get("key")
        if key is None or (
            (body["name"], key) not in state.keys
            and all(one.payload.get("key") != key for one in box)
        ):
            box.append(event)
    elif kind == "run.cancel_requested":
        state.cancel = event
    elif kind in END_EVENTS:
        _move(state, END_EVENTS[kind], event)
        state.output, state.error = body.get("output"), body.get("error")
    elif kind in TOLD:
        _told(state, kind, event)


def _told(state: RunState, kind: str, event: Event) -> None:
    """Fold what came from outside, or tells that nobody came."""
    body = event.payload
    if kind == "update.accepted":
        state.updates.setdefault(body["key"], event)
    elif kind in ("update.completed", "update.failed"):
        state.answers.setdefault(body["position"], event)
    elif kind == "wait.escalated":
        position = body["position"]
        state.levels[position] = body["level"]
        if body.get("wake_ms") is None:
            state.timers.pop(position, None)
        else:
            state.timers[position] = body["wake_ms"]
    elif kind == "incident.opened":
        state.incidents[body["position"]] = event
        effect = state.effects.get(body["position"])
        if effect is not None:
            effect.status, effect.error = "failed", body["error"]
    elif body["means"] in ("retry", "patch"):
        position = body["position"]
        if state.incidents.pop(position, None) is not None:
            state.retries[position] = event


def pass_by(state: RunState, event: Event) -> None:
    """Take the place and the time of an event and nothing else."""
    state.version = event.stream_seq
    state.last_seq = event.seq
    at = event.at
    if state.restarted:  # what was taken over happened when it did
        at = event.payload.get("was_at", at)
    now_ms = _millis(at[:23])
    if now_ms > state.now_ms:
        state.now_ms = now_ms


def _move(state: RunState, status: str, event: Event) -> None:
    if status not in TRANSITIONS[state.status]:
        raise TransitionError(
            f"event {event.seq}: a run that is {state.status} cannot become {status}",
            hint="the journal was not written by an engine: squad log verify",
            details={"event": event.seq, "was": state.status, "now": status},
        )
    state.status = status


def _started(state: RunState, event: Event, body: Any) -> None:
    _move(state, "running", event)
    state.workflow = body["workflow"]
    state.definition = body["definition"]
    state.input = body["input"]
    state.parent = body.get("parent")
    state.policy = body.get("policy")
    state.timeout_ms = body.get("timeout_ms")
    state.changes = tuple(body.get("changes") or ())
    state.actor = event.actor
    state.correlation = event.correlation
    state.started_seq = event.seq
    state.seed = body.get("seed") or state.run
    if body.get("restarts") is not None:
        state.restarted = True
        state.began_ms, state.now_ms = state.now_ms, millis(body["was_at"])


def millis(at: str) -> int:
    """Return the milliseconds since 1970 of a clock reading such as
    "2026-01-01T00:00:00.000Z/0"."""
    return _millis(at[:23])


@lru_cache(maxsize=64)  # events come in the order of time, some in a millisecond
def _millis(at: str) -> int:
    return _second_ms(at[:19]) + int(at[20:23])


@lru_cache(maxsize=64)
def _second_ms(at: str) -> int:
    return (
        _days(at[:10]) * 86_400_000
        + int(at[11:13]) * 3_600_000
        + int(at[14:16]) * 60_000
        + int(at[17:19]) * 1000
    )


def _days(date: str) -> int:
    return (calendar.fromisoformat(date) - calendar(1970, 1, 1)).days
