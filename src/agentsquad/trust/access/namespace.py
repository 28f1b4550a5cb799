"""Namespaces as the system log tells them: created, and deleted for good.

Pure but for the store it is given. A name is never used twice: grants, proofs
and keys that name a namespace mean one log for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import nearest
from agentsquad.trust.access.contract import (
    RESERVED,
    NamespaceMissingError,
    NamespaceNameError,
)

CREATED, DELETED = "namespace.created", "namespace.deleted"
STREAM = "namespace/"
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """One namespace: since when, by whom, and what for; `deleted` is when that
    happened, empty while it is there."""

    name: str
    created: str = ""
    by: str = ""
    description: str = ""
    deleted: str = ""


def check_name(name: str) -> str:
    """Return a name that is a DNS label; NamespaceNameError otherwise."""
    if not _LABEL.fullmatch(name):
        raise NamespaceNameError(
            f"{name!r} is not the name of a namespace",
            hint="a DNS label: at most 63 of a-z, 0-9 and - inside, e.g. acme-west",
        )
    return name


def created_event(name: str, description: str, actor: str) -> NewEvent:
    """Return the event that creates a namespace."""
    payload = {"name": name, "description": description}
    return NewEvent(stream=STREAM + name, type=CREATED, payload=payload, actor=actor)


def deleted_event(name: str, actor: str) -> NewEvent:
    """Return the event that deletes a namespace."""
    return NewEvent(stream=STREAM + name, type=DELETED, payload={"name": name}, actor=actor)


def fold(
    events: Iterable[Event], known: Mapping[str, Namespace] | None = None
) -> dict[str, Namespace]:
    """Return every namespace that was ever created, by name; `known` are those
    of the events before."""
    found = dict(known or {})
    for event in events:
        name = event.stream.removeprefix(STREAM)
        if event.type == CREATED:
            payload = event.payload or {}
            found[name] = Namespace(
                name=name,
                created=event.time,
                by=event.actor,
                description=payload.get("description", ""),
            )
        elif event.type == DELETED and name in found:
            deleted = event.time
            found[name] = msgspec.structs.replace(found[name], deleted=deleted)
    return found


async def recorded(
    store: EventStore, known: Mapping[str, Namespace] | None = None, *, after: int = 0
) -> dict[str, Namespace]:
    """Return what the system log says, deleted ones too; with `known`, what it
    says after that event besides."""
    events: list[Event] = []
    while batch := await store.read(after=after, limit=1000, types=(CREATED, DELETED)):
        events += batch
        after = batch[-1].seq
    return fold(events, known)


def there(known: dict[str, Namespace]) -> list[Namespace]:
    """Return those that are there now, the reserved ones first."""
    always = [Namespace(name=name) for name in RESERVED]
    return [*always, *(known[name] for name in sorted(known) if not known[name].deleted)]


def missing(name: str, names: Sequence[str]) -> NamespaceMissingError:
    """Return the error for a namespace that is not there."""
    hint = nearest(name, names) or "squad namespaces list shows those there are"
    return NamespaceMissingError(f"no namespace named {name!r}", hint=hint)
