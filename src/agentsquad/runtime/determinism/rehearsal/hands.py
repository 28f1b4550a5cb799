"""Hands: what somebody does in a rehearsal about a step that stands still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentsquad.kernel.event import Event
from agentsquad.runtime.engine.intervening import Wish

REASON = "done in a rehearsal"


def wish_of(run: str, position: str, then: Sequence[Event], done: int) -> Wish:
    """Return what is asked for: what was done then about the same incident,
    else to try again, and at the second time to give up."""
    if done < len(then):
        body = then[done].payload
        given: dict[str, Any] = {"input": body["input"]} if "input" in body else {}
        if body["means"] == "skip":
            given = {"output": body["gave"]}
        return Wish(run=run, means=body["means"], position=position, reason=REASON, given=given)
    means: Any = "fail" if done else "retry"
    return Wish(run=run, means=means, position=position, reason=REASON)
