"""Selection: which events belong into the case of a run or of an event.

A run's case holds its whole stream, the streams of its child runs, and the
chains of causes that lead out of them. An event's case holds the event and its
causes. Either holds the approvals of the effects in it.
"""

from __future__ import annotations

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.runtime.ledger.contract import RecordStore
from agentsquad.trust.attestation.contract import SubjectMissingError


class Selection(msgspec.Struct, frozen=True):
    """The events of a case: `seqs` ascending, and the streams that
    are whole.
    """

    about: dict[str, str | int]
    seqs: list[int]
    complete: list[str]


async def select(store: RecordStore, subject: str) -> Selection:
    """Return what belongs to a run, named by its id, or an event, by its seq.

    SubjectMissingError when there is no such thing.
    """
    if subject.isascii() and subject.isdigit():
        return await _event(store, int(subject))
    return await _run(store, subject)


async def _run(store: RecordStore, run: str) -> Selection:
    root = f"run/{run}"
    names = [
        name for name, _ in await store.streams(root) if name == root or name.startswith(root + "/")
    ]
    if root not in names:
        raise SubjectMissingError(
            f"there is no run {run!r}", hint="squad runs list shows them; an event is a number"
        )
    events: dict[int, Event] = {}
    for name in names:
        events.update({event.seq: event for event in await store.read_stream(name)})
    await _follow(store, events)
    return Selection({"run": run}, sorted(events), sorted(names))


async def _event(store: RecordStore, seq: int) -> Selection:
    size = await store.size()
    if not 1 <= seq <= size:
        raise SubjectMissingError(
            f"there is no event {seq}", hint=f"the log has {size} events; a run is named by its id"
        )
    events = {seq: await _one(store, seq)}
    await _follow(store, events)
    return Selection({"event": seq}, sorted(events), [])


async def _follow(store: RecordStore, events: dict[int, Event]) -> None:
    """Add the causes of events and the approvals of effects, and theirs."""
    new = list(events.values())
    while new:
        found = {event.cause for event in new if event.cause is not None}
        added = [await _one(store, seq) for seq in sorted(found - set(events))]
        for effect in [event for event in new if event.type == "effect.planned"]:
            before = await store.read_stream(effect.stream, limit=effect.stream_seq)
            added += [
                event
                for event in before
                if event.type.startswith("approval.") and event.seq not in events
            ]
        events.update({event.seq: event for event in added})
        new = added


async def _one(store: RecordStore, seq: int) -> Event:
    return (await store.read(after=seq - 1, limit=1))[0]
