"""Hands: the part of a run that people move when it stands still.

A step that failed for good, and that is told to wait, opens an incident instead
of failing the workflow. It stays where it is, costs no memory, and goes on when
a person has it tried again, as it is or with another input, says what it would
have given, or gives it up.

Laws: an incident is ended by exactly one intervention; a step tried again with
another input is replayed with that input; what may have happened outside is
never passed over by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.runtime.engine.command import Call, Child
from agentsquad.runtime.engine.contract import CancelSignal, OnFailure
from agentsquad.runtime.engine.flow import DEADLINE
from agentsquad.runtime.engine.listening import Inbound
from agentsquad.runtime.engine.state import WITHDRAWN

# What ends an incident; without a step of its own it ends all.
CLEARING = (
    "intervention.made",
    "step.completed",
    "step.failed",
    "timer.fired",
    "run.cancel_requested",
    WITHDRAWN,
)
HAND = "intervention."  # how the positions of what people ask to do by hand begin


class Hands(Inbound):
    """The context as far as people move it by hand."""

    again: list[str]  # positions that are begun once more
    only: frozenset[str] | None = None  # what is undone, where not everything is

    def _prepare(self) -> None:
        super()._prepare()
        self.again = []

    def _waits(self, on_failure: OnFailure | None) -> bool:
        task = self._scheduler.current
        if task is None or task.path.startswith("undo"):
            return False  # what could not be undone is reported, and the rest is undone
        return (on_failure or self.workflow.on_failure) == "wait"

    def _stop(self, why: CancelSignal) -> None:
        """Stop the workflow."""
        raise NotImplementedError

    def _intervened(self, event: Event) -> None:
        """Do what a person was allowed to."""
        body = event.payload
        if body["means"] == "compensate":
            only = body.get("only")
            self.only = None if only is None else frozenset(only)
            self._stop(CancelSignal(body["reason"]))
            return
        position = body["position"]
        command = self.commands.get(position)
        if self.state.retries.get(position) is not event or not isinstance(command, (Call, Child)):
            return  # a step that is skipped or given up ends by the event that follows
        changed: dict[str, Any] = {"attempt": command.attempt + 1}
        if "input" in body:
            changed["input"] = self.patches[position] = body["input"]
        self.commands[position] = msgspec.structs.replace(command, **changed)
        self.asked.append(position)
        self.again.append(position)

    @property
    def stands(self) -> bool:
        """Whether somebody must intervene before any step can go on."""
        incidents = self.state.incidents
        return bool(incidents) and all(
            position in incidents
            for position, command in self.commands.items()
            if isinstance(command, (Call, Child))
        )


def standing_still(journal: Iterable[Event]) -> set[str]:
    """Return the positions of a run that wait for somebody to intervene."""
    still: set[str] = set()
    for event in journal:
        kind = event.type
        if kind == "incident.opened":
            still.add(event.payload["position"])
        elif kind in CLEARING and still:
            position = (event.payload or {}).get("position")
            if position in still:
                still.discard(position)
            elif kind == "run.cancel_requested" or position in (None, DEADLINE):
                still.clear()
    return still


def opened(kind: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the event that a step which failed for good, and waits, leaves in
    the place of the one that would fail it."""
    return "incident.opened", {**body, "of": kind}
