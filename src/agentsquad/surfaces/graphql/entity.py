"""Entities: resources of every kind, runs and events, found by their keys.

Other subgraphs refer to them by key (Apollo Federation 2); what is asked for
together is loaded together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLID,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLString,
)

from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.event import Event
from agentsquad.kernel.resource import Kind
from agentsquad.surfaces.gateway.contract import Call
from agentsquad.surfaces.graphql.contract import Asked
from agentsquad.surfaces.graphql.loader import Loader
from agentsquad.surfaces.graphql.scalar import JSON, LONG

TEXT, NEEDED = GraphQLString, GraphQLNonNull(GraphQLString)
LIST, GET, SHOW, EVENTS = "resources.list", "resources.get", "runs.show", "events.list"
PAGE, PAGE_MAX = 100, 1000
RESOURCE_KEY, RUN_KEY = "namespace name", "namespace id"

EVENT = GraphQLObjectType(
    "Event",
    description="A fact as the log holds it.",
    fields={
        "seq": GraphQLField(GraphQLNonNull(LONG)),
        "stream": GraphQLField(NEEDED),
        "streamSeq": GraphQLField(GraphQLNonNull(LONG)),
        "type": GraphQLField(NEEDED),
        "version": GraphQLField(GraphQLNonNull(GraphQLInt)),
        "at": GraphQLField(NEEDED),
        "actor": GraphQLField(NEEDED),
        "cause": GraphQLField(LONG),
        "correlation": GraphQLField(TEXT),
        "payload": GraphQLField(JSON),
        "payloadDigest": GraphQLField(NEEDED),
    },
)


def event_source(event: Event) -> dict[str, Any]:
    """Return an event as the fields of its type read it."""
    return {
        "seq": event.seq,
        "stream": event.stream,
        "streamSeq": event.stream_seq,
        "type": event.type,
        "version": event.version,
        "at": event.at,
        "actor": event.actor,
        "cause": event.cause,
        "correlation": event.correlation,
        "payload": event.payload,
        "payloadDigest": event.payload_digest,
    }


# --- resources


def kind_type(kind: Kind, name: str) -> GraphQLObjectType:
    """Return the type of a kind of resource, under this name."""

    def below(*path: str) -> Any:
        async def resolve(source: Mapping[str, Any], info: GraphQLResolveInfo[Asked]) -> Any:
            found = source.get("resource")
            if found is None:
                found = await loaded(info.context, kind.name, source["namespace"], source["name"])
            for part in path:
                found = found.get(part) if isinstance(found, Mapping) else None
            return found

        return resolve

    return GraphQLObjectType(
        name,
        {
            "namespace": GraphQLField(NEEDED),
            "name": GraphQLField(NEEDED),
            "labels": GraphQLField(JSON, resolve=below("metadata", "labels")),
            "annotations": GraphQLField(JSON, resolve=below("metadata", "annotations")),
            "revision": GraphQLField(TEXT, resolve=below("metadata", "revision")),
            "spec": GraphQLField(JSON, resolve=below("spec")),
            "status": GraphQLField(JSON, resolve=below("status")),
        },
        description=kind.summary,
    )


async def loaded(asked: Asked, kind: str, namespace: str, name: str) -> Any:
    """Return a resource; those asked for in the same moment come together."""
    key = (kind, namespace)
    loader: Loader[str] | None = asked.loaders.get(key)
    if loader is None:

        async def load(names: Sequence[str]) -> Sequence[Any]:
            return await asyncio.gather(
                *(
                    _value(asked, GET, {"kind": kind, "name": one}, namespace)
                    for one in dict.fromkeys(names)
                ),
                return_exceptions=True,
            )

        loader = asked.loaders[key] = Loader(load)
    return await loader.get(name)


async def _value(asked: Asked, action: str, value: dict[str, Any], namespace: str) -> Any:
    caller = asked.within(namespace)
    return (await asked.gateway.call(Call(action=action, value=value, caller=caller))).value


def resource_field(kind: Kind, made: GraphQLObjectType) -> GraphQLField:
    """Return the field that finds one resource of a kind; null where there is
    none."""

    async def resolve(
        source: Any, info: GraphQLResolveInfo[Asked], name: str, namespace: str | None = None
    ) -> Any:
        asked: Asked = info.context
        place = namespace or asked.caller.namespace
        try:
            found = await loaded(asked, kind.name, place, name)
        except MissingError as error:
            if error.code.startswith("namespace."):
                raise
            return None
        return {"namespace": place, "name": name, "resource": found}

    return GraphQLField(
        made,
        {"name": GraphQLArgument(NEEDED), "namespace": GraphQLArgument(TEXT)},
        resolve,
        description=kind.summary,
    )


def resources_field(kind: Kind, made: GraphQLObjectType) -> GraphQLField:
    """Return the field that lists resources of a kind, a page at a time."""
    page = GraphQLObjectType(
        f"{made.name}Page",
        {
            "items": GraphQLField(GraphQLNonNull(GraphQLList(GraphQLNonNull(made)))),
            "cursor": GraphQLField(TEXT, description="where the next page begins; null at the end"),
        },
    )

    async def resolve(
        source: Any, info: GraphQLResolveInfo[Asked], namespace: str | None = None, **given: Any
    ) -> Any:
        asked: Asked = info.context
        place = namespace or asked.caller.namespace
        value = {"kind": kind.name, **{k: v for k, v in given.items() if v is not None}}
        found = await _value(asked, LIST, value, place)
        items = [
            {"namespace": place, "name": one["metadata"]["name"], "resource": one}
            for one in found["items"]
        ]
        return {"items": items, "cursor": found.get("cursor")}

    return GraphQLField(
        GraphQLNonNull(page),
        {
            "selector": GraphQLArgument(TEXT, description="labels, as in `app=billing,tier!=test`"),
            "limit": GraphQLArgument(GraphQLInt, default_value=PAGE),
            "cursor": GraphQLArgument(TEXT),
            "namespace": GraphQLArgument(TEXT),
        },
        resolve,
        description=f"Resources of the kind {kind.name}.",
    )


# --- runs


def run_type(shown: Any) -> GraphQLObjectType:
    """Return the type of a run; `shown` is what `runs.show` answers."""

    async def detail(source: Mapping[str, Any], info: GraphQLResolveInfo[Asked]) -> Any:
        return await _value(info.context, SHOW, {"run": source["id"]}, source["namespace"])

    async def events(
        source: Mapping[str, Any],
        info: GraphQLResolveInfo[Asked],
        after: int = 0,
        limit: int = PAGE,
    ) -> Any:
        value = {"stream": f"run/{source['id']}", "after": after, "limit": min(limit, PAGE_MAX)}
        found = await _value(info.context, EVENTS, value, source["namespace"])
        return [_event_of(one) for one in found["items"]]

    return GraphQLObjectType(
        "Run",
        {
            "namespace": GraphQLField(NEEDED),
            "id": GraphQLField(GraphQLNonNull(GraphQLID)),
            "detail": GraphQLField(shown, resolve=detail),
            "events": GraphQLField(
                GraphQLNonNull(GraphQLList(GraphQLNonNull(EVENT))),
                {
                    "after": GraphQLArgument(LONG, default_value=0),
                    "limit": GraphQLArgument(GraphQLInt, default_value=PAGE),
                },
                events,
            ),
        },
        description="One durable execution of a workflow, agent turn or action.",
    )


def _event_of(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **found,
        "streamSeq": found.get("stream_seq"),
        "payloadDigest": found.get("payload_digest"),
    }


def run_field(made: GraphQLObjectType) -> GraphQLField:
    """Return the field that refers to one run."""

    def resolve(
        source: Any, info: GraphQLResolveInfo[Asked], id: str, namespace: str | None = None
    ) -> Any:
        return {"namespace": namespace or info.context.caller.namespace, "id": id}

    return GraphQLField(
        made,
        {"id": GraphQLArgument(GraphQLNonNull(GraphQLID)), "namespace": GraphQLArgument(TEXT)},
        resolve,
    )


def representation(kinds: Iterable[str], given: Any) -> dict[str, Any] | None:
    """Return what a reference of another subgraph stands for; None where it is
    none of ours."""
    if not isinstance(given, Mapping):
        return None
    name, namespace = given.get("__typename"), given.get("namespace")
    if not isinstance(name, str) or not isinstance(namespace, str):
        return None
    key = "id" if name == "Run" else "name" if name in kinds else ""
    if not key or not isinstance(given.get(key), str):
        return None
    return {"__typename": name, "namespace": namespace, key: given[key]}
