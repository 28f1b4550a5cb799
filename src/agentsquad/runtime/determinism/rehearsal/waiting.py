"""What waits in a rehearsal: questions, signals and effects of unknown outcome,
folded from what is appended.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentsquad.kernel.event import Event
from agentsquad.runtime.engine.hands import HAND
from agentsquad.runtime.engine.state import END_EVENTS, WITHDRAWN

Place = tuple[str, str]  # run and position


class Waiting:
    """Everything somebody outside the process has yet to do something about."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: dict[str, Event] = {}
        self.questions: dict[Place, Event] = {}
        self.signals: dict[Place, Event] = {}
        self.unknown: dict[Place, Event] = {}
        self.still: dict[Place, Event] = {}  # steps that stand still
        self.moved: dict[Place, int] = {}  # how often a step was moved by hand
        self.wishes: dict[Place, Event] = {}  # what was asked to be done by hand

    def fold(self, events: Sequence[Event]) -> None:
        """Take in what was appended."""
        for event in events:
            if event.stream.startswith("run/"):
                self._fold(event.stream[4:], event)

    def _fold(self, run: str, event: Event) -> None:
        kind, body = event.type, event.payload
        if kind == "run.started":
            self.started.append(run)
        elif kind == "approval.requested":
            asked = self.wishes if body["position"].startswith(HAND) else self.questions
            asked[run, body["position"]] = event
        elif kind == "incident.opened":
            self.still[run, body["position"]] = event
        elif kind == "signal.waiting":
            self.signals[run, body["position"]] = event
        elif kind == "effect.ambiguous":
            self.unknown[run, body["position"]] = event
        elif kind == "signal.received":
            self._delivered(run, body["name"])
        elif kind in END_EVENTS:
            self.ended[run] = event
            self._forget(run)
        elif kind == "run.cancel_requested":
            self._forget(run, effects=False)
        elif "position" in body:
            place = (run, body["position"])
            if kind == "timer.fired":
                self.signals.pop(place, None)
                self.questions.pop(place, None)
            elif kind.startswith("approval."):
                self.questions.pop(place, None)
                self.wishes.pop(place, None)
            elif kind == WITHDRAWN:
                for table in (self.questions, self.signals, self.still, self.wishes):
                    table.pop(place, None)
            elif kind == "intervention.made":
                self.still.pop(place, None)
                self.signals.pop(place, None)
                self.moved[place] = self.moved.get(place, 0) + 1
            if "intervention" in body:
                self.signals.pop(place, None)
                self.questions.pop(place, None)
            elif kind in ("effect.confirmed", "effect.failed"):
                self.unknown.pop(place, None)

    def _delivered(self, run: str, name: str) -> None:
        for place, waits in self.signals.items():
            if place[0] == run and waits.payload["name"] == name:
                del self.signals[place]
                return

    def _forget(self, run: str, *, effects: bool = True) -> None:
        waits = (self.questions, self.signals, self.still, self.wishes)
        for table in (*waits, *((self.unknown,) if effects else ())):
            for place in [one for one in table if one[0] == run]:
                del table[place]
