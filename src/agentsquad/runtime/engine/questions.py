"""Questions: what waits for a person, as a reading of the log.

Questions, signals that do not come, and steps that stand still. Kept beside the
log, so that a list costs what has happened since the last one, and what it
holds.
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
from agentsquad.runtime.engine.inbound.contract import Said
from agentsquad.runtime.engine.reading import Reading
from agentsquad.runtime.engine.state import DELEGATED, END_EVENTS, NOTED, WITHDRAWN
from agentsquad.runtime.ledger.projection import Projection, Row, Table, Tables

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
    NOTED,
    DELEGATED,
    *END_EVENTS,
)

NAME, ASKING = "inbox", "asking"
NOTHING: dict[str, Any] = {"rung": None, "said": []}  # was said or escalated yet


class Open(msgspec.Struct, kw_only=True):
    """What waits at one position: the event that asks, the last rung of its
    ladder, and what was said about it."""

    asked: Event | None = None
    rung: Event | None = None
    said: tuple[Event, ...] = ()


def fold(tables: Tables, event: Event) -> None:
    """Keep what waits at each position, as far as one event says it."""
    run, kind, body = event.stream, event.type, event.payload or {}
    asking = tables.get(ASKING, run)
    if kind in ("approval.requested", "incident.opened"):
        _put(tables, asking, event, {"asked": event.seq, "about": _about(body), **NOTHING})
    elif kind == "wait.escalated":
        known = tables.get(NAME, run, body["position"])
        row = known or {"asked": None, "about": None, **NOTHING}
        _put(tables, asking, event, {**row, "rung": event.seq})
    elif kind in (NOTED, DELEGATED):
        known = tables.get(NAME, run, body["position"])
        if known is not None and known["asked"] is not None:
            tables.put(NAME, {**known, "said": [*known["said"], event.seq]})
    elif asking is None:
        return
    elif kind in END_EVENTS or kind == "run.cancel_requested" or _stops(kind, body):
        _drop(tables, run, asking["positions"], asking["positions"])
    else:
        _drop(tables, run, asking["positions"], _ended(tables, run, asking, event))


def _put(tables: Tables, asking: Row | None, event: Event, row: Row) -> None:
    run, position = event.stream, event.payload["position"]
    place = {"run": run, "position": position, "seq": row["asked"] or row["rung"]}
    tables.put(NAME, {**row, **place})
    positions = asking["positions"] if asking else []
    if position not in positions:
        tables.put(ASKING, {"run": run, "positions": [*positions, position]})


def _about(body: Mapping[str, Any]) -> str | None:
    """Return the step that a question about something done by hand is about."""
    if not body["position"].startswith(HAND):
        return None
    found = body["input"].get("position")
    return None if found is None else str(found)


def _ended(tables: Tables, run: str, asking: Row, event: Event) -> list[str]:
    """Return where nothing waits any more: what was answered, and what was
    asked about a step that does not stand still any more."""
    body = event.payload or {}
    position = str(body.get("position"))
    gone = [position]
    if "means" in body or event.type == WITHDRAWN:
        for place in asking["positions"]:
            row = tables.get(NAME, run, place) if place.startswith(HAND) else None
            if row is not None and row["about"] == position:
                gone.append(place)
    return gone


def _drop(tables: Tables, run: str, positions: list[str], gone: list[str]) -> None:
    left = [one for one in positions if one not in gone]
    for one in positions:
        if one in gone:
            tables.delete(NAME, run, one)
    if not left:
        tables.delete(ASKING, run)
    elif len(left) < len(positions):
        tables.put(ASKING, {"run": run, "positions": left})


def _stops(kind: str, body: Mapping[str, Any]) -> bool:
    """Whether an event stops its run: its own time limit, or the wish to have
    it undone."""
    if kind == "timer.fired":
        return body.get("position") == DEADLINE
    return kind == "intervention.made" and body["means"] == "compensate"


INBOX = Projection(
    NAME,
    2,
    (
        Table(
            NAME,
            ("run", "position"),
            ("seq", "asked", "rung", "about", "said"),
            (("seq", "run", "position"),),
        ),
        Table(ASKING, ("run",), ("positions",)),
    ),
    fold,
    TYPES,
)


class Questions:
    """The open questions of all runs."""

    def __init__(self, store: EventStore, reading: Reading | None = None) -> None:
        """`reading`: the reading `INBOX` of this log, where one is kept."""
        self._store = store
        self._reading = reading or Reading(INBOX, store)
        self._events: dict[int, Event] = {}  # those shown at the last look
        self._came: set[int] = set()  # rungs whose signal has come since

    async def open(self) -> list[Open]:
        """Return what waits for somebody, oldest first."""
        found, shown = [], dict[int, Event]()
        async for row in self._reading.each(("seq", "run", "position")):
            asked = await self._event(row["asked"], shown)
            rung = await self._event(row["rung"], shown)
            said = [await self._event(seq, shown) for seq in row["said"]]
            one = Open(asked=asked, rung=rung, said=tuple(event for event in said if event))
            if one.asked is not None or await self._awaited(one):
                found.append(one)
        self._events = shown
        return found

    async def _event(self, seq: int | None, shown: dict[int, Event]) -> Event | None:
        if seq is None:
            return None
        known = self._events.get(seq)
        shown[seq] = found = known or (await self._store.read(after=seq - 1, limit=1))[0]
        return found

    async def _awaited(self, one: Open) -> bool:
        """Whether a signal that was escalated has not come since."""
        rung = one.rung
        assert rung is not None
        if rung.seq in self._came:
            return False
        for event in await self._store.read_stream(rung.stream, after=rung.stream_seq):
            body = event.payload or {}
            if event.type == "signal.received" and body["name"] == rung.payload["signal"]:
                self._came.add(rung.seq)
                return False
        return True


def inbox_item(one: Open) -> InboxItem:
    """Return what waits for a person."""
    if one.asked is None:
        assert one.rung is not None
        return _overdue(one.rung)
    if one.asked.type == "incident.opened":
        return msgspec.structs.replace(_incident(one.asked), said=_said(one))
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
        said=_said(one),
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


def _said(one: Open) -> tuple[Said, ...]:
    """Return what was said about a question, oldest first."""
    return tuple(
        Said(
            by=event.actor,
            at=event.time,
            text=event.payload["text"],
            to=event.payload.get("to"),
            roles=tuple(event.payload.get("roles", ())),
        )
        for event in one.said
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
