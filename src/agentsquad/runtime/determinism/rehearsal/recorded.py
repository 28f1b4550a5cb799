"""What the world answered in a recorded run, found again by what it was
asked."""

from __future__ import annotations

from typing import Any

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.runtime.determinism.past import Past

_encode = msgspec.json.Encoder(order="deterministic").encode


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded answer: an output, or the error it was."""

    output: Any = None
    error: dict[str, Any] | None = None
    usage: tuple[dict[str, Any], ...] = ()


class Recorded:
    """The answers of a run and the runs below it.

    First the same request at the same place of the same run, then the same
    request anywhere.
    """

    def __init__(self, past: Past | None = None) -> None:
        self._placed: dict[tuple[str, str, str, bytes], Answer] = {}
        self._asked: dict[tuple[str, bytes], Answer] = {}
        self.approvals: dict[tuple[str, str], Event] = {}
        self.signals: dict[str, list[Event]] = {}
        self.updates: dict[str, list[Event]] = {}
        self.hands: dict[tuple[str, str], list[Event]] = {}  # interventions, by step
        if past is not None:
            self.learn(past)

    def learn(self, past: Past) -> None:
        """Take in a run, everything below it and its row."""
        for position, event in past.resolved.items():
            if event.type in ("approval.given", "approval.refused"):
                self.approvals[past.run, position] = event
            name, value = past.prints.get(position, ("", None))
            kind, _, action = name.partition(" ")
            if kind != "call" or event.type == "timer.fired":
                continue
            body = event.payload
            for moved in past.hands.get(position, ()):
                if moved.type == "incident.opened":
                    failed = Answer(error=moved.payload["error"])
                    asked = _encode(moved.payload["input"])
                    self._placed[past.run, position, action, asked] = failed
            if "intervention" in body:
                continue
            text = _encode(past.patches.get(position, value))
            answer = Answer(
                output=body.get("output"),
                error=body.get("error"),
                usage=tuple(body.get("usage") or ()),
            )
            self._placed[past.run, position, action, text] = answer
            self._asked.setdefault((action, text), answer)
        if past.told:
            self.updates[past.run] = list(past.told)
        for event in past.made:
            if "position" in event.payload:
                place = (past.run, event.payload["position"])
                self.hands.setdefault(place, []).append(event)
        if past.signals:
            self.signals[past.run] = list(past.signals)
        for other in past.others():
            self.learn(other)

    def answer(self, run: str | None, position: str, action: str, value: Any) -> Answer | None:
        """Return what was answered to a request; None when it was not made."""
        text = _encode(value)
        return self._placed.get((run or "", position, action, text)) or self._asked.get(
            (action, text)
        )
