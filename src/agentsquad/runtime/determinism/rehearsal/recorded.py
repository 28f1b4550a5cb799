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
        if past is not None:
            self.learn(past)

    def learn(self, past: Past) -> None:
        """Take in a run and everything below it."""
        for position, event in past.resolved.items():
            if event.type in ("approval.given", "approval.refused"):
                self.approvals[past.run, position] = event
            name, value = past.prints.get(position, ("", None))
            kind, _, action = name.partition(" ")
            if kind != "call" or event.type == "timer.fired":
                continue
            body = event.payload
            answer = Answer(
                output=body.get("output"),
                error=body.get("error"),
                usage=tuple(body.get("usage") or ()),
            )
            text = _encode(value)
            self._placed[past.run, position, action, text] = answer
            self._asked.setdefault((action, text), answer)
        if past.signals:
            self.signals[past.run] = list(past.signals)
        for child in past.children.values():
            self.learn(child)

    def answer(self, run: str | None, position: str, action: str, value: Any) -> Answer | None:
        """Return what was answered to a request; None when it was not made."""
        text = _encode(value)
        return self._placed.get((run or "", position, action, text)) or self._asked.get(
            (action, text)
        )
