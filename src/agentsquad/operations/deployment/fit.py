"""Fit: whether a run's journal is what a version of its workflow would have
written.

Hermetic, as a replay is: it runs workflow code and pure actions over recorded
events, and nothing else. It is stricter than going on needs: a wait that the
code no longer asks for, or a child run it would begin otherwise, counts as past
the change, although the engine would not notice before it is too late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.event import Event
from agentsquad.kernel.pointer import diff, shown
from agentsquad.kernel.ports import BlobStore
from agentsquad.runtime.determinism.contract import Replay
from agentsquad.runtime.determinism.replay import incomplete, pure_difference
from agentsquad.runtime.engine.command import Ask, Child, Command, Sleep, WaitSignal
from agentsquad.runtime.engine.contract import NonDeterministicError
from agentsquad.runtime.engine.decider import Instance
from agentsquad.runtime.engine.parking import child_id
from agentsquad.runtime.engine.state import END_EVENTS, RESOLVING
from agentsquad.runtime.engine.versions import Version

WAITS: Mapping[str, type] = {
    "timer.set": Sleep,
    "signal.waiting": WaitSignal,
    "approval.requested": Ask,
}


class Misfit(msgspec.Struct, frozen=True, kw_only=True):
    """Where a journal and a version part, or what the recording lacks.

    `blind` says that no version can tell: something of the recording is gone.
    """

    at: int
    why: str
    step: str | None = None
    field: str | None = None
    was: Any = None
    now: Any = None
    blind: bool = False


async def misfit(
    run: str,
    events: Sequence[Event],
    children: Sequence[Event],
    version: Version,
    blobs: BlobStore | None = None,
) -> Misfit | None:
    """Return where a journal does not fit a version, None where it fits.

    `children` are the first events of the runs that this one has begun.
    """
    missing = incomplete(list(events))
    if missing is not None:
        return Misfit(at=missing[0], why=missing[1], blind=True)
    instance = Instance(run, version.workflow, version.world.registry)
    waits: dict[str, Command] = {}
    for event in events:
        try:
            instance.apply(event)
        except NonDeterministicError as error:
            return _told(error, event)
        except SquadError as error:
            return Misfit(at=event.seq, why=error.message, step=_position(event))
        asked, instance.asked = instance.asked, []
        waits.update((p, c) for p in asked if (c := instance.commands.get(p)) is not None)
        found = _wait(event, waits) or await _pure(event, version, blobs)
        if found is not None:
            return found
    if events[-1].type in END_EVENTS:
        return None
    ended = {event.payload["position"] for event in events if event.type in RESOLVING}
    under_way = [one for one in children if _begun_at(one) not in ended and not _goes_on(one)]
    return next(filter(None, (_child(instance, child) for child in under_way)), None)


def _told(error: NonDeterministicError, event: Event) -> Misfit:
    details = error.details
    return Misfit(
        at=details.get("event") or event.seq,
        why=error.message,
        step=details.get("position"),
        field="/" + str(details.get("field", "action")).removeprefix("/"),
        was=shown(details.get("was", details.get("expected"))),
        now=shown(details.get("now", details.get("came"))),
    )


def _wait(event: Event, asked: Mapping[str, Command]) -> Misfit | None:
    """Return how the code waits otherwise than was noted."""
    kind = WAITS.get(event.type)
    if kind is None:
        return None
    position = event.payload["position"]
    command = asked.get(position)
    was = _name(event)
    if isinstance(command, kind) and (
        not isinstance(command, WaitSignal) or command.name == event.payload["name"]
    ):
        return None
    now = "nothing" if command is None else _said(command)
    return Misfit(
        at=event.seq,
        why=f"event {event.seq}: step {position} was {was}, now it is {now}",
        step=position,
        field="/action",
        was=was,
        now=now,
    )


def _name(event: Event) -> str:
    if event.type == "signal.waiting":
        return f"signal {event.payload['name']}"
    return "sleep" if event.type == "timer.set" else f"approve {event.payload['action']}"


def _said(command: Command) -> str:
    from agentsquad.runtime.engine.command import fingerprint

    return fingerprint(command)[0]


async def _pure(event: Event, version: Version, blobs: BlobStore | None) -> Misfit | None:
    found = await pure_difference(event, version.world.registry, blobs)
    if not isinstance(found, Replay):
        return None
    return Misfit(
        at=event.seq,
        why=found.reason or "a pure step gives something else now",
        step=found.position,
        field=found.field,
        was=found.was,
        now=found.now,
        blind=found.verdict == "not_replayable",
    )


def _child(instance: Instance, begun: Event) -> Misfit | None:
    """Return how the code would have begun a child run otherwise."""
    body = begun.payload or {}
    position = _begun_at(begun)
    if position is None:
        return None
    command = instance.commands.get(position)
    child = begun.stream.removeprefix("run/")
    was = f"run {body['workflow']}"
    same = isinstance(command, Child) and child_id(instance.run_id, command) == child
    if not same or not isinstance(command, Child) or command.workflow != body["workflow"]:
        now = "nothing" if command is None else _said(command)
        return Misfit(
            at=begun.seq,
            why=f"event {begun.seq}: step {position} began {was}, now it is {now}",
            step=position,
            field="/action",
            was=was,
            now=now,
        )
    for pointer, old, new in diff(body["input"], command.input):
        return Misfit(
            at=begun.seq,
            why=f"event {begun.seq}: step {position} ({was}) was called with "
            f"input{pointer} = {old!r}, now with {new!r}",
            step=position,
            field=f"/input{pointer}",
            was=shown(old),
            now=shown(new),
        )
    return None


def _begun_at(begun: Event) -> str | None:
    """Return the step that began a child run."""
    return ((begun.payload or {}).get("parent") or {}).get("position")


def _goes_on(begun: Event) -> bool:
    """Whether a child run goes on for another, which its parent began."""
    return "continues" in (begun.payload or {})


def _position(event: Event) -> str | None:
    return (event.payload or {}).get("position")
