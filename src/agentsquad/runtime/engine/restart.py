"""Restart: the journal that a run begins with which goes on from a step of
another one.

Pure. What was done before the step is taken over as recorded, with the time at
which it was; the step and all after it are done anew, for real. Laws: an effect
that was confirmed before the step is never sent again, one that was confirmed
after it only when that is asked for; nothing is taken over that was undone,
whose outcome is unknown, or that a person approved for what is still to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from agentsquad.kernel.errors import ConflictError, InvalidError, MissingError
from agentsquad.kernel.event import Event
from agentsquad.runtime.engine import links
from agentsquad.runtime.engine.state import END_EVENTS, RESOLVING, TOLD

TAKEN = (*RESOLVING, *TOLD, "effect.planned", "signal.received")
# Counted once, by the run that spent it.
SPENT = ("usage", "ms", "attempts")


class RestartError(ConflictError):
    """A run cannot go on from a step as it was left."""

    code = "restart.refused"


def restarted(run: str, journal: Sequence[Event], step: str, *, again: bool) -> list[Event]:
    """Return the events that a new run takes over from an ended one, the first
    of which begins it; raises why it may not.

    `again` allows effects to be sent once more that were confirmed after the
    step.
    """
    _check_ended(run, journal)
    cut = _place(run, journal, step)
    before, after = journal[1:cut], journal[cut:]
    done = {e.payload["position"] for e in before if e.type in RESOLVING}
    _check_effects(journal, done, again=again)
    _check_approvals(before, after, done)
    taken = [event for event in before if _takes(event, done)]
    following = links.successor(run)
    began = {
        **{key: value for key, value in journal[0].payload.items() if key != "continues"},
        "restarts": {"run": run, "from": step, "events": len(taken)},
        "was_at": journal[0].payload.get("was_at", journal[0].at),
        "seed": journal[0].payload.get("seed", run),
    }
    found = [_copy(journal[0], following, 1, began)]
    for number, event in enumerate(taken, 2):
        body = {key: value for key, value in event.payload.items() if key not in SPENT}
        if number <= len(taken):  # after the last of them the time is now
            body["was_at"] = event.payload.get("was_at", event.at)
        found.append(_copy(event, following, number, body))
    return found


def _copy(event: Event, run: str, number: int, body: dict[str, Any]) -> Event:
    return msgspec.structs.replace(
        event, stream=f"run/{run}", stream_seq=number, payload=body, cause=event.seq
    )


def _check_ended(run: str, journal: Sequence[Event]) -> None:
    if "/" in run:
        raise RestartError(
            f"run {run} belongs to another run",
            hint=f"restart {run.partition('/')[0]} from the step that runs it",
        )
    if not any(event.type in END_EVENTS for event in journal[-1:]):
        raise RestartError(f"run {run} has not ended", hint=f"squad runs cancel {run} --reason …")
    if journal[-1].type == links.CONTINUED:
        raise RestartError(
            f"run {run} went on as {links.successor(run)}", hint="restart the last of the row"
        )
    if any(event.payload is None for event in journal):
        raise RestartError(f"a part of what is recorded of run {run} was erased")


def _place(run: str, journal: Sequence[Event], step: str) -> int:
    """Return where the first event of a step stands, by position or name."""
    for key in ("position", "name", "action"):
        for number, event in enumerate(journal):
            body = event.payload
            if "position" in body and body.get(key) == step:
                return number
    raise MissingError(
        f"run {run} has no step {step!r}", code="restart.step", hint=f"squad runs show {run}"
    )


def _check_effects(journal: Sequence[Event], done: set[str], *, again: bool) -> None:
    """See that no effect is taken over that was undone, lost, or sent twice."""
    names: dict[str, str] = {}
    status: dict[str, str] = {}
    for event in journal:
        if event.type.startswith("effect."):
            position = event.payload["position"]
            names.setdefault(position, event.payload.get("action", ""))
            status[position] = event.type.partition(".")[2]
            if event.type == "effect.compensated":
                status[event.payload["position"]] = "compensated"
    undone = [p for p, was in status.items() if was == "compensated" and p in done]
    if undone:
        raise RestartError(
            f"step {undone[0]} ({names[undone[0]]}) was undone when the run ended",
            hint=f"restart from step {undone[0]} or before it",
            details={"undone": undone},
        )
    lost = [p for p, was in status.items() if was in ("sent", "ambiguous")]
    if lost:
        raise RestartError(
            f"what became of step {lost[0]} ({names[lost[0]]}) is not known",
            hint="squad effects resolve says what was found out",
            details={"unknown": lost},
        )
    twice = [p for p, was in status.items() if was == "confirmed" and p not in done]
    twice = [p for p in twice if not p.startswith("undo.")]
    if twice and not again:
        raise RestartError(
            f"step {twice[0]} ({names[twice[0]]}) has happened, and would happen again",
            hint="restart from a later step, or say --again",
            details={"again": [{"step": p, "action": names[p]} for p in twice]},
        )


def _check_approvals(before: Sequence[Event], after: Sequence[Event], done: set[str]) -> None:
    """See that no approval is taken over that something still to come rests
    on: it was given to another run."""
    given = {e.payload["position"] for e in before if e.type == "approval.given"}
    used = [
        approval["position"]
        for event in after
        if event.type == "effect.planned" and event.payload["position"] not in done
        for approval in event.payload.get("approvals") or ()
    ]
    for position in used:
        if position in given:
            raise RestartError(
                f"what was approved at step {position} is still to be done",
                hint=f"restart from step {position}, so that it is asked again",
                details={"approval": position},
            )


def _takes(event: Event, done: set[str]) -> bool:
    if event.type not in TAKEN:
        return False
    if event.type == "effect.planned":
        return event.payload["position"] in done
    position = str(event.payload.get("position", ""))
    return not position.startswith(("undo.", "deadline"))


def check_input(step: str) -> None:
    """Raise InvalidError for an empty step."""
    if not step.strip():
        raise InvalidError("say from which step", code="restart.step", hint="--from 3")
