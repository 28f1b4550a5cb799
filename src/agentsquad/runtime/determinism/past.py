"""The past of a run: its recorded results by position, its children and its
effects."""

from __future__ import annotations

from typing import Any

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine.links import CONTINUED, successor
from agentsquad.runtime.engine.state import END_EVENTS, RESOLVING

BY_HAND = (
    "update.accepted",
    "update.completed",
    "update.failed",
    "incident.opened",
    "intervention.made",
)


class Past(msgspec.Struct, kw_only=True):
    """What is recorded of one run and, by position, of the runs below it.

    `output` is what it handed on, if it went on as new. `row` are the runs that
    then went on for it, in order: of each run below, and of the run itself
    where that is asked for.
    """

    run: str
    workflow: str
    input: Any
    started: dict[str, Any]
    events: list[Event] = []
    status: str = "running"
    output: Any = None
    error: Any = None
    resolved: dict[str, Event] = {}
    prints: dict[str, tuple[str, Any]] = {}
    effects: dict[str, tuple[str, Any]] = {}
    signals: list[Event] = []
    cancel: Event | None = None
    told: list[Event] = []  # updates, in their order
    answers: dict[str, Event] = {}  # to updates, by position
    hands: dict[str, list[Event]] = {}  # by position, how a step that stood still was moved
    made: list[Event] = []  # every intervention
    patches: dict[str, Any] = {}  # by position, with what input it was tried again
    children: dict[str, Past] = {}
    row: list[Past] = []

    @classmethod
    def blank(cls, run: str, workflow: str, value: Any, actor: str = "service:fork") -> Past:
        """Return the past of a run that never was; an agent's turn is the
        agent's."""
        if workflow == "agent-turn" and isinstance(value, dict):
            actor = f"agent:{value.get('agent')}"
        started = {"workflow": workflow, "definition": "", "input": value, "parent": None}
        event = Event(
            seq=0,
            stream=f"run/{run}",
            stream_seq=1,
            type="run.started",
            version=1,
            at="1970-01-01T00:00:00.000Z/0000",
            actor=actor,
            cause=None,
            correlation=None,
            payload_digest="",
            prev=None,
            payload=started,
        )
        return cls(run=run, workflow=workflow, input=value, started=started, events=[event])

    @property
    def actor(self) -> Actor:
        """Who asked for the run."""
        return Actor.parse(self.events[0].actor)

    @property
    def asked_people(self) -> bool:
        """Whether a person was asked anything, here or below."""
        return any(event.type == "approval.requested" for event in self.events) or any(
            below.asked_people for below in self.others()
        )

    @property
    def last(self) -> Past:
        """The run that its row ended with: itself, if it never went on."""
        return self.row[-1] if self.row else self

    def others(self) -> list[Past]:
        """Return the runs right below, and those of the row."""
        return [*self.children.values(), *self.row]

    def all_effects(self) -> list[tuple[str, Any]]:
        """Return (action, input) of every effect confirmed here, below and in
        the row."""
        own = list(self.effects.values())
        for below in self.others():
            own += below.all_effects()
        return own

    def planned(self, position: str) -> dict[str, Any] | None:
        """Return what the first plan of the effect at a position says."""
        for event in self.events:
            if event.type == "effect.planned" and event.payload["position"] == position:
                return dict(event.payload)
        return None

    def knows(self, target: str) -> bool:
        """Whether a position, or a path of positions through children, was
        recorded."""
        first, _, rest = target.partition("/")
        if not rest:
            return first in self.resolved or first in self.children
        return first in self.children and (rest == "input" or self.children[first].knows(rest))


async def load(store: EventStore, run: str) -> Past | None:
    """Read a run and everything below it."""
    events = await store.read_stream(f"run/{run}")
    if not events:
        return None
    past = fold(run, events)
    for position, event in past.resolved.items():
        child = event.payload.get("child")
        if child is not None:
            below = await load_row(store, child)
            if below is not None:
                past.children[position] = below
    return past


async def load_row(store: EventStore, run: str, most: int | None = None) -> Past | None:
    """Read a run, everything below it and those that went on for it: all, or
    the first ones."""
    past = await load(store, run)
    last = past
    while past is not None and last is not None and last.status == "continued":
        if most is not None and len(past.row) >= most:
            break
        last = await load(store, successor(last.run))
        if last is not None:
            past.row.append(last)
    return past


def _by_hand(past: Past, event: Event, body: dict[str, Any]) -> None:
    """Keep what came from outside: updates, and what people did by hand."""
    if event.type == "update.accepted":
        past.told.append(event)
        return
    if event.type in ("update.completed", "update.failed"):
        past.answers.setdefault(body["position"], event)
        return
    if event.type == "intervention.made":
        past.made.append(event)
        if body["means"] == "compensate":
            past.cancel = past.cancel or event
        if body["means"] not in ("retry", "patch"):
            return
        if "input" in body:
            past.patches[body["position"]] = body["input"]
    position = body["position"]
    if event.type == "incident.opened" and position not in past.hands:
        kind = f"run {body['workflow']}" if "workflow" in body else f"call {body['action']}"
        past.prints[position] = (kind, body["input"])
    past.hands.setdefault(position, []).append(event)


def fold(run: str, events: list[Event]) -> Past:
    """Return the past of one run from its own events."""
    started = events[0].payload
    past = Past(
        run=run,
        workflow=started["workflow"],
        input=started["input"],
        started=started,
        events=events,
        resolved={},
        prints={},
        effects={},
        signals=[],
        told=[],
        answers={},
        hands={},
        made=[],
        patches={},
        children={},
        row=[],
    )
    for event in events:
        body = event.payload or {}
        if event.type in BY_HAND:
            _by_hand(past, event, body)
        elif event.type == "effect.planned":
            if body["position"] not in past.hands:  # else it may be of another input
                past.prints[body["position"]] = (f"call {body['action']}", body["input"])
        elif event.type == "approval.requested":
            past.prints[body["position"]] = (f"approve {body['action']}", body["input"])
        elif event.type == "signal.received":
            past.signals.append(event)
        elif event.type == "run.cancel_requested":
            past.cancel = past.cancel or event
        elif event.type in RESOLVING and body["position"] not in past.resolved:
            position = body["position"]
            past.resolved[position] = event
            if position in past.hands:
                pass  # what the code asked for is what first failed
            elif "workflow" in body:
                past.prints[position] = (f"run {body['workflow']}", body["input"])
            elif "action" in body and "input" in body:
                past.prints[position] = (f"call {body['action']}", body["input"])
            if event.type == "effect.confirmed" and position in past.prints:
                name, value = past.prints[position]
                value = past.patches.get(position, value)
                past.effects[position] = (name.removeprefix("call "), value)
        elif event.type in END_EVENTS:
            past.status = END_EVENTS[event.type]
            past.output = body.get("input" if event.type == CONTINUED else "output")
            past.error = body.get("error")
    return past
