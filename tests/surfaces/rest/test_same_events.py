"""Every action by GraphQL, gRPC and WebSocket: the same outcome as by the
gateway itself, and the same events in the log."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from google.protobuf import message_factory
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
)
from starlette.applications import Starlette
from tests.surfaces import every_surface as walk

from agentsquad.kernel.errors import restore
from agentsquad.surfaces.gateway.contract import Caller
from agentsquad.surfaces.graphql.contract import Asked, Limits
from agentsquad.surfaces.graphql.execution import Executor, RefusedError, Request
from agentsquad.surfaces.graphql.naming import enum_name, field_name
from agentsquad.surfaces.graphql.schema import build
from agentsquad.surfaces.grpc.contract import PACKAGE
from agentsquad.surfaces.grpc.server import GrpcServer
from agentsquad.surfaces.grpc.translation import fill, plain
from agentsquad.surfaces.websocket.routes import routes as websocket
from agentsquad.trust.identity.contract import Shown

pytestmark = pytest.mark.slow


async def caller_of(desk: Any) -> Caller:
    principal = await desk.names.recognise(Shown(bearer="ada"))
    return Caller(principal=principal, surface="rest")


# --- the ways


class GraphWay:
    """A document of one field with everything it has to say."""

    def __init__(self, desk: Any, caller: Caller) -> None:
        schema = build(desk.gateway, desk.squad.registry)
        self._executor = Executor(schema, Limits(cost=10**9, depth=50))
        self._desk, self._caller = desk, caller

    async def call(self, action: str, value: Mapping[str, Any], key: str | None) -> Any:
        schema, name = self._executor.schema, field_name(action)
        looks = name in schema.query_type.fields
        field = (schema.query_type if looks else schema.mutation_type).fields[name]
        given = {field_name(one): inner for one, inner in value.items()}
        known = {one: inner for one, inner in given.items() if one in field.args}
        declared = ", ".join(f"${one}: {field.args[one].type}" for one in known)
        handed = ", ".join(f"{one}: ${one}" for one in known)
        query = (
            f"{'query' if looks else 'mutation'} {f'({declared})' if declared else ''} "
            f"{{ {name}{f'({handed})' if handed else ''} {selection(field.type)} }}"
        )
        variables = {one: spelled(field.args[one].type, inner) for one, inner in known.items()}
        try:
            prepared = self._executor.prepare(Request(query=query, variables=variables))
        except RefusedError as error:  # our document does not fit the schema: a bug
            raise AssertionError(f"{query}: {error}") from error
        asked = Asked(self._desk.gateway, self._caller, key)
        found = await self._executor.run(prepared, asked)
        if "errors" in found:
            told = found["errors"][0]
            if "extensions" not in told:  # refused by the types, before the gateway sees it
                raise restore({"class": "InvalidError", "code": "action.input"})
            raise restore({**told["extensions"], "message": told["message"]})
        return found["data"][name]


def selection(kind: Any, depth: int = 0) -> str:
    while isinstance(kind, (GraphQLNonNull, GraphQLList)):
        kind = kind.of_type
    if not isinstance(kind, GraphQLObjectType):
        return ""
    if depth > 6:
        return "{ __typename }"
    inner = [f"{name} {selection(one.type, depth + 1)}" for name, one in kind.fields.items()]
    return "{ " + " ".join(inner) + " }"


def spelled(kind: Any, value: Any) -> Any:
    """Return a value as a variable of a type."""
    if isinstance(kind, GraphQLNonNull):
        return spelled(kind.of_type, value)
    if isinstance(kind, GraphQLList) and isinstance(value, list):
        return [spelled(kind.of_type, one) for one in value]
    if isinstance(kind, GraphQLEnumType) and isinstance(value, str):
        return enum_name(value)
    if isinstance(kind, GraphQLInputObjectType) and isinstance(value, dict):
        return {field_name(name): one for name, one in value.items()}
    return value


class GrpcWay:
    """A method of its own for each action."""

    def __init__(self, server: GrpcServer, channel: Any, registry: Any) -> None:
        self._described, self._channel, self._registry = server.described, channel, registry
        self._methods = {one.action: one for one in server.described.methods}

    async def call(self, action: str, value: Mapping[str, Any], key: str | None) -> Any:
        method, files = self._methods[action], self._registry.action(action).spec.files
        request = self._described.kind(method.given)()
        fill(request, {name: content(files.get(name), one) for name, one in value.items()})
        answered = self._described.pool.FindMessageTypeByName(f"{PACKAGE}.{method.answered}")
        call = self._channel.unary_unary(
            method.path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(answered).FromString,
        )
        metadata = [("authorization", "Bearer ada")]
        metadata += [("idempotency-key", key)] if key else []
        try:
            return plain(await call(request, metadata=tuple(metadata)))
        except grpc.aio.AioRpcError as error:
            told = dict(error.trailing_metadata() or ())["squad-error-bin"]
            raise restore(msgspec.json.decode(told)) from None


def content(way: str | None, value: Any) -> Any:
    if way == "json":
        return {"json": value}
    if way != "in":
        return value
    files = value if isinstance(value, list) else [value]
    return {"files": files} if all(isinstance(one, dict) for one in files) else {"json": value}


class SocketWay:
    """One connection for all of them, spoken to as ASGI servers do."""

    def __init__(self, app: Any) -> None:
        self._sent: asyncio.Queue[Any] = asyncio.Queue()
        self._came: asyncio.Queue[Any] = asyncio.Queue()
        scope = {
            "type": "websocket", "path": "/ws", "raw_path": b"/ws", "query_string": b"",
            "scheme": "ws", "root_path": "", "headers": [(b"authorization", b"Bearer ada")],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "subprotocols": [],
            "asgi": {"version": "3.0"}, "http_version": "1.1",
        }  # fmt: skip
        self._sent.put_nowait({"type": "websocket.connect"})
        self.served = asyncio.ensure_future(app(scope, self._sent.get, self._came.put))

    async def said(self, number: str) -> Any:
        while True:
            frame = await self._came.get()
            assert frame["type"] != "websocket.close", frame
            message = json.loads(frame.get("text") or "{}")
            if message.get("id") == number:
                return message

    async def call(self, action: str, value: Mapping[str, Any], key: str | None) -> Any:
        message = {"type": "call", "id": action, "action": action, "input": value}
        text = json.dumps(message | ({"key": key} if key else {}))
        await self._sent.put({"type": "websocket.receive", "text": text})
        said = await self.said(action)
        if said["type"] == "error":
            raise restore({**said["error"], "message": said["error"]["detail"]})
        return said["value"]

    async def close(self) -> None:
        await self._sent.put({"type": "websocket.disconnect", "code": 1000})
        await self.served


# --- what is compared


async def events_of(desk: Any) -> list[tuple[str, str]]:
    """The events of a log, by kind of stream and type."""
    found, after = [], 0
    while batch := await desk.squad.world.store.read(after=after, limit=1000):
        found += [(re.split(r"[/:]", one.stream)[0], one.type) for one in batch]
        after = batch[-1].seq
    return found


class Told:
    def __init__(self, outcomes: list[Any], events: list[tuple[str, str]]) -> None:
        self.errors = {one.action: one.error for one in outcomes}
        self.events = sorted(events)


@pytest.fixture
async def direct(tmp_path: Path, make_desk: Any) -> Told:
    """What the gateway itself does, on a copy of its own."""
    desk = await make_desk(tmp_path / "direct")
    way = walk.Direct(desk.gateway, await caller_of(desk))
    outcomes = await walk.walk(way, desk.gateway.operations(), await walk.runs_of(desk))
    return Told(outcomes, await events_of(desk))


async def told_by(way: Any, desk: Any) -> Told:
    outcomes = await walk.walk(way, desk.gateway.operations(), await walk.runs_of(desk))
    return Told(outcomes, await events_of(desk))


def compare(found: Told, direct: Told) -> None:
    differ = {
        action: (found.errors.get(action, "not called"), error)
        for action, error in direct.errors.items()
        if found.errors.get(action, "not called") != error
    }
    assert differ == {}
    assert found.events == direct.events


async def test_by_graphql(make_desk: Any, tmp_path: Path, direct: Told) -> None:
    desk = await make_desk(tmp_path / "graphql")
    compare(await told_by(GraphWay(desk, await caller_of(desk)), desk), direct)


async def test_by_grpc(make_desk: Any, tmp_path: Path, direct: Told) -> None:
    desk = await make_desk(tmp_path / "grpc")
    server = GrpcServer(desk.gateway, desk.squad.registry)
    address = await server.start("127.0.0.1", 0, None)
    async with grpc.aio.insecure_channel(address) as channel:
        compare(await told_by(GrpcWay(server, channel, desk.squad.registry), desk), direct)
    await server.stop(100)


async def test_by_websocket(make_desk: Any, tmp_path: Path, direct: Told) -> None:
    desk = await make_desk(tmp_path / "websocket")
    app = Starlette(routes=websocket(desk.gateway, clock=desk.squad.world.clock))
    way = SocketWay(app)
    compare(await told_by(way, desk), direct)
    await way.close()
