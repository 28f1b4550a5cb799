"""Questions: what waits for a person, as a reading of the log.

Questions, signals that do not come, and steps that stand still. Followed from
where it last read, so that a list costs what has happened since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.kernel import hashing
from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine.contract import InboxItem
from agentsquad.runtime.engine.flow import DEADLINE
from agentsquad.runtime.engine.hands import HAND
from agentsquad.runtime.engine.state import END_EVENTS, WITHDRAWN

TYPES = (
    "approval.requested",
    "approval.given",
    "approval.refused",
    "timer.fired",
    "wait.escalated",
    "incident.opened",
    "intervention.made",
    "run.cancel_requested",
    WITHDRAWN,
    *END_EVENTS,
)


class Open(msgspec.Struct, kw_only=True):
    """What waits at one position: the event that asks, and the last rung of its
    ladder."""

    asked: Event | None = None
    rung: Event | None = None


class Questions:
    """The open questions of all runs, followed from where it last read."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._after = 0
        self._open: dict[str, dict[str, Open]] = {}

    async def open(self) -> list[Open]:
        """Return what waits for somebody, oldest first."""
        while batch := await self._store.read(after=self._after, limit=5000, types=TYPES):
            for event in batch:
                self._fold(event)
            self._after = batch[-1].seq
        found = [one for run in self._open.values() for one in run.values()]
        kept = [one for one in found if one.asked is not None or await self._awaited(one)]
        return sorted(kept, key=_seq)

    async def _awaited(self, one: Open) -> bool:
        """Whether a signal that was escalated has not come since."""
        rung = one.rung
        assert rung is not None
        for event in await self._store.read_stream(rung.stream, after=rung.stream_seq):
            body = event.payload or {}
            if event.type == "signal.received" and body["name"] == rung.payload["signal"]:
                del self._open[rung.stream][rung.payload["position"]]
                return False
        return True

    def _fold(self, event: Event) -> None:
        body = event.payload or {}
        kind = event.type
        if kind in ("approval.requested", "incident.opened"):
            self._at(event)[body["position"]] = Open(asked=event)
        elif kind == "wait.escalated":
            self._at(event).setdefault(body["position"], Open()).rung = event
        elif event.stream not in self._open:
            return
        elif kind in END_EVENTS or kind == "run.cancel_requested" or _stops(kind, body):
            del self._open[event.stream]
            return
        else:
            self._ended(self._open[event.stream], kind, body)
        if not self._open[event.stream]:
            del self._open[event.stream]

    def _at(self, event: Event) -> dict[str, Open]:
        return self._open.setdefault(event.stream, {})

    @staticmethod
    def _ended(run: dict[str, Open], kind: str, body: Mapping[str, Any]) -> None:
        """Forget what was answered, and what was asked about a step that does
        not stand still any more."""
        position = body.get("position")
        run.pop(str(position), None)
        if "means" in body or kind == WITHDRAWN:
            for place, one in list(run.items()):
                if one.asked is None or not place.startswith(HAND):
                    continue
                if one.asked.payload["input"]["position"] == position:
                    del run[place]


def _seq(one: Open) -> int:
    event = one.asked or one.rung
    assert event is not None
    return event.seq


def _stops(kind: str, body: Mapping[str, Any]) -> bool:
    """Whether an event stops its run: its own time limit, or the wish to have
    it undone."""
    if kind == "timer.fired":
        return body.get("position") == DEADLINE
    return kind == "intervention.made" and body["means"] == "compensate"


def inbox_item(one: Open) -> InboxItem:
    """Return what waits for a person."""
    if one.asked is None:
        assert one.rung is not None
        return _overdue(one.rung)
    if one.asked.type == "incident.opened":
        return _incident(one.asked)
    body = one.asked.payload
    item = InboxItem(
        id=body["binding"].removeprefix("sha256:")[:12],
        run=body["run"],
        position=body["position"],
        action=body["action"],
        because=body["because"],
        roles=tuple(body["roles"]),
        requester=body["requester"],
        input=body["input"],
        evidence=body["evidence"],
        binding=body["binding"],
        asked=one.asked.time,
        expires_ms=body["expires_ms"],
        kind="intervention" if body["position"].startswith(HAND) else "approval",
    )
    if one.rung is None:
        return item
    rung = one.rung.payload
    return msgspec.structs.replace(
        item,
        level=rung["level"],
        since=one.rung.time,
        roles=tuple(rung["roles"]),
        because=rung["because"] or item.because,
    )


def _incident(event: Event) -> InboxItem:
    """Return a step that failed for good and waits to be dealt with."""
    body = event.payload
    error = body["error"]
    return InboxItem(
        **_place(event),
        action=body.get("action") or body.get("workflow", ""),
        because=f"{error.get('code')}: {error.get('message')}",
        roles=(),
        input=body.get("input"),
        evidence={"error": error},
        kind="incident",
    )


def _overdue(event: Event) -> InboxItem:
    """Return a signal that somebody should see to."""
    body = event.payload
    return InboxItem(
        **_place(event),
        action=body["signal"],
        because=body["because"] or "the signal does not come",
        roles=tuple(body["roles"]),
        input=None,
        evidence=None,
        kind="signal",
        level=body["level"],
        since=event.time,
    )


def _place(event: Event) -> dict[str, Any]:
    run, position = event.stream.removeprefix("run/"), event.payload["position"]
    binding = hashing.digest([run, position, event.seq])
    return {
        "id": binding.removeprefix("sha256:")[:12],
        "run": run,
        "position": position,
        "requester": event.actor,
        "binding": binding,
        "asked": event.time,
    }
