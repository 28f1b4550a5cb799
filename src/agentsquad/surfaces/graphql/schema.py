"""The schema: built once from what the gateway offers; nothing in it is written
by hand for one action."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLString,
    GraphQLUnionType,
    print_schema,
)

from agentsquad.kernel.registry import Registry
from agentsquad.surfaces.gateway.contract import Following, Gateway
from agentsquad.surfaces.gateway.shapes import shapes_of
from agentsquad.surfaces.graphql import entity
from agentsquad.surfaces.graphql.calling import action_field, looks
from agentsquad.surfaces.graphql.contract import Asked
from agentsquad.surfaces.graphql.naming import field_name
from agentsquad.surfaces.graphql.scalar import ANY, LONG
from agentsquad.surfaces.graphql.shape import Shapes

LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])\n\n'
OWN = ("Event", "Run", "File", "FileInput", "Query", "Mutation", "Subscription", "JSON", "Long")
TEXTS = GraphQLList(GraphQLNonNull(GraphQLString))


def build(gateway: Gateway, registry: Registry) -> GraphQLSchema:
    """Return the schema of a federation subgraph."""
    plain = _Parts(gateway, registry)
    whole = _Parts(gateway, registry)
    return whole.schema(_document(plain))


def document(gateway: Gateway, registry: Registry) -> str:
    """Return the subgraph as a document of types (SDL), with its keys."""
    return _document(_Parts(gateway, registry))


def _document(parts: _Parts) -> str:
    text = print_schema(parts.schema(None))
    for name, key in parts.keys.items():
        text = text.replace(f"type {name} {{", f'type {name} @key(fields: "{key}") {{', 1)
    return LINK + text


class _Parts:
    """The types and fields of one schema; a type belongs to one schema."""

    def __init__(self, gateway: Gateway, registry: Registry) -> None:
        operations = gateway.operations()
        actions = [registry.action(one.action) for one in operations]
        found, components = shapes_of(actions)
        kinds = gateway.kinds()
        named = {name: f"{name}Resource" if name in OWN else name for name in kinds}
        pages = [f"{name}Page" for name in named.values()]
        shapes = Shapes(components, (*OWN, *named.values(), *pages))
        self.query: dict[str, GraphQLField] = {}
        self.mutation: dict[str, GraphQLField] = {}
        for operation, action in zip(operations, actions, strict=True):
            field = action_field(operation, action, found[operation.action], shapes)
            table = self.query if looks(action) else self.mutation
            table[field_name(operation.action)] = field
        offered = {one.action for one in operations}
        self.keys: dict[str, str] = {}
        self.entities: dict[str, GraphQLObjectType] = {}
        for kind in kinds.values():
            made = self.entities[named[kind.name]] = entity.kind_type(kind, named[kind.name])
            self.keys[named[kind.name]] = entity.RESOURCE_KEY
            self.query[_free(self.query, kind.name)] = entity.resource_field(kind, made)
            if entity.LIST in offered:
                plural = kind.plural or f"{kind.name}s"
                self.query[_free(self.query, plural)] = entity.resources_field(kind, made)
        if entity.SHOW in offered:
            shown = shapes.output(found[entity.SHOW].output)
            run = self.entities["Run"] = entity.run_type(shown)
            self.keys["Run"] = entity.RUN_KEY
            self.query["run"] = entity.run_field(run)

    def schema(self, document: str | None) -> GraphQLSchema:
        """Return the schema; with the fields that a gateway of subgraphs asks
        when there is a document to give it."""
        query = dict(self.query)
        if document is not None:
            query |= _federation(self.entities, document)
        return GraphQLSchema(
            query=GraphQLObjectType("Query", query),
            mutation=GraphQLObjectType("Mutation", self.mutation) if self.mutation else None,
            subscription=GraphQLObjectType("Subscription", {"events": _events()}),
            types=list(self.entities.values()),
        )


def _free(table: dict[str, GraphQLField], name: str) -> str:
    found = field_name(name)
    return found if found not in table else f"{found}Resource"


def _events() -> GraphQLField:
    """Return the subscription to events: first those there are after `after`,
    then those that come."""

    async def subscribe(
        source: Any,
        info: GraphQLResolveInfo[Asked],
        after: int | None = None,
        types: list[str] | None = None,
        streams: list[str] | None = None,
    ) -> AsyncIterator[Any]:
        asked: Asked = info.context
        if after is None:
            after = await asked.gateway.place(asked.caller)
        wanted = Following(after=after, types=tuple(types or ()), streams=tuple(streams or ()))
        async for event in asked.gateway.follow(asked.caller, wanted):
            yield entity.event_source(event)

    return GraphQLField(
        GraphQLNonNull(entity.EVENT),
        {
            "after": GraphQLArgument(LONG, description="from there on; what comes from now on"),
            "types": GraphQLArgument(TEXTS, description="such as `run.completed` or `run.*`"),
            "streams": GraphQLArgument(TEXTS, description="what their streams begin with"),
        },
        resolve=lambda event, info, **given: event,
        subscribe=subscribe,
    )


def _federation(entities: dict[str, GraphQLObjectType], document: str) -> dict[str, GraphQLField]:
    union = GraphQLUnionType(
        "_Entity", list(entities.values()), resolve_type=lambda one, info, kind: one["__typename"]
    )
    service = GraphQLObjectType("_Service", {"sdl": GraphQLField(GraphQLNonNull(GraphQLString))})

    def found(
        source: Any, info: GraphQLResolveInfo[Asked], representations: list[Any]
    ) -> list[Any]:
        return [entity.representation(entities, one) for one in representations]

    many = GraphQLNonNull(GraphQLList(GraphQLNonNull(ANY)))
    return {
        "_service": GraphQLField(
            GraphQLNonNull(service), resolve=lambda source, info: {"sdl": document}
        ),
        "_entities": GraphQLField(
            GraphQLNonNull(GraphQLList(union)), {"representations": GraphQLArgument(many)}, found
        ),
    }
