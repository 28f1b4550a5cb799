"""Resource streams: desired state kept as events, one stream a resource.

The last event of `resource/<Kind>/<name>` says what should be; nothing else is
stored. Deleting is an event too, and applying again brings the resource back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.hashing import digest
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import nearest
from agentsquad.kernel.resource import Kind, Resource
from agentsquad.runtime.control.contract import (
    APPLIED,
    DELETED,
    Location,
    ResourceMissingError,
    ResourceRealmError,
    ResourceShippedError,
)

PREFIX = "resource/"
SHIPPED = {"origin": "shipped"}
SYSTEM = "system"  # the realm of what concerns the whole installation, and its namespace


class Stored(msgspec.Struct, frozen=True):
    """What a resource's stream says: the resource, or None, and its version."""

    resource: dict[str, Any] | None
    version: int

    @property
    def digest(self) -> str | None:
        """Digest of the resource."""
        return None if self.resource is None else digest(self.resource)


def stream_of(kind: str, name: str) -> str:
    """Return the stream of a resource."""
    return f"{PREFIX}{kind}/{name}"


def plain(resource: Resource) -> dict[str, Any]:
    """Return a resource as it is stored and shown: exactly re-applicable."""
    return {
        "apiVersion": resource.apiVersion,
        "kind": resource.kind,
        "metadata": msgspec.to_builtins(resource.metadata),
        "spec": resource.spec,
    }


def fold(events: Sequence[Event]) -> Stored:
    """Return what the last event of a stream leaves."""
    if not events:
        return Stored(None, 0)
    last = events[-1]
    payload = last.payload or {}
    held = dict(payload["resource"]) if last.type == APPLIED and "resource" in payload else None
    return Stored(held, last.stream_seq)


def applied_event(value: Mapping[str, Any], actor: str) -> NewEvent:
    """Return the event that makes a resource desired."""
    return NewEvent(
        stream=stream_of(value["kind"], value["metadata"]["name"]),
        type=APPLIED,
        payload={"resource": dict(value), "digest": digest(value)},
        actor=actor,
    )


def deleted_event(kind: str, name: str, was: str | None, actor: str) -> NewEvent:
    """Return the event that takes a resource away; `was` is its digest."""
    return NewEvent(
        stream=stream_of(kind, name), type=DELETED, payload={"digest": was}, actor=actor
    )


async def stored(store: EventStore, kind: str, name: str) -> Stored:
    """Return what is stored of one resource."""
    stream = stream_of(kind, name)
    heads = dict(await store.streams(stream))
    version = heads.get(stream, 0)
    if version == 0:
        return Stored(None, 0)
    return fold(await store.read_stream(stream, after=version - 1))


class NothingShipped:
    """The shelf of a distribution that brings no resources along."""

    def resources(self, kind: str) -> tuple[Mapping[str, Any], ...]:
        """Return nothing."""
        return ()


def with_shipped(
    applied: Sequence[dict[str, Any]], shipped: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return what was applied and, marked, what ships and was not replaced, by
    name."""
    whole = {one["metadata"]["name"]: {**one, "status": SHIPPED} for one in shipped}
    whole.update({one["metadata"]["name"]: one for one in applied})
    return [whole[name] for name in sorted(whole)]


async def find(
    store: EventStore, kind: str, name: str, shipped: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return one resource, a shipped one if none was applied;
    ResourceMissingError names the nearest."""
    held = (await stored(store, kind, name)).resource
    if held is not None:
        return held
    there = {
        one["metadata"]["name"]: one for one in with_shipped(await listed(store, kind), shipped)
    }
    if name not in there:
        raise ResourceMissingError(
            f"no {kind} named {name!r}", hint=nearest(name, list(there)) or "apply one first"
        )
    return there[name]


def refuse_elsewhere(ctx: Context, kind: Kind) -> None:
    """Refuse a resource of the whole installation in any namespace but
    `system`."""
    if kind.realm != SYSTEM:
        return
    here = ctx.port(Location)
    if here.namespace != SYSTEM:
        raise ResourceRealmError(
            f"a {kind.name} concerns the whole installation, not the namespace {here.namespace!r}",
            hint="squad --namespace system apply -f FILE",
        )


def refuse_shipped(resource: Mapping[str, Any]) -> None:
    """Refuse to delete what comes with the program, and say what to do
    instead."""
    if resource.get("status") != SHIPPED:
        return
    kind, name = resource["kind"], resource["metadata"]["name"]
    words = f"{kind.lower()} {name}"
    raise ResourceShippedError(
        f"{kind} {name!r} ships with the program: there is no manifest of yours to delete",
        hint=f"to put yours in its place: squad get {words} > {name}.yaml, change it, "
        f"squad apply -f {name}.yaml; squad delete {words} then brings the shipped one back",
    )


async def listed(store: EventStore, kind: str) -> list[dict[str, Any]]:
    """Return all resources of a kind, by name."""
    prefix = f"{PREFIX}{kind}/"
    names = sorted(stream.removeprefix(prefix) for stream, _ in await store.streams(prefix))
    found = [await stored(store, kind, name) for name in names]
    return [one.resource for one in found if one.resource is not None]


def kind_named(kinds: Mapping[str, Kind], name: str) -> Kind:
    """Return a kind by its name or plural, in any case."""
    wanted = name.lower()
    for kind in kinds.values():
        if wanted in (kind.name.lower(), plural(kind)):
            return kind
    # As typed: a kind as manifests spell it, or a word of the command line.
    names = [kind.name for kind in kinds.values()]
    if not name[:1].isupper():
        names = [word for kind in kinds.values() for word in (kind.name.lower(), plural(kind))]
    raise MissingError(
        f"no kind named {name!r}",
        code="kind.missing",
        hint=nearest(name, names) or f"known: {', '.join(sorted(kinds))}",
    )


def plural(kind: Kind) -> str:
    """Return the lower-case plural of a kind."""
    return (kind.plural or f"{kind.name}s").lower()


def refuse_doubles(resources: Sequence[Resource]) -> None:
    """Raise InvalidError when one apply names a resource twice."""
    seen: set[tuple[str, str]] = set()
    for resource in resources:
        key = (resource.kind, resource.metadata.name)
        if key in seen:
            raise InvalidError(
                f"{key[0]} {key[1]!r} is given twice",
                code="manifest.doubled",
                hint="keep one of them",
            )
        seen.add(key)
