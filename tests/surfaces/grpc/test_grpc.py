"""gRPC: methods of all actions by reflection, streams, deadlines, errors, and
field numbers that never change."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from google.protobuf import message_factory
from google.protobuf.struct_pb2 import Value
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.surfaces.grpc.contract import PACKAGE
from agentsquad.surfaces.grpc.description import Description, source
from agentsquad.surfaces.grpc.numbering import locked, numbered, written
from agentsquad.surfaces.grpc.server import GrpcServer

SPEC = importlib.util.spec_from_file_location(
    "squad_rest_conftest", Path(__file__).parent.parent / "rest" / "conftest.py"
)
assert SPEC and SPEC.loader
serving = sys.modules.setdefault(SPEC.name, importlib.util.module_from_spec(SPEC))
SPEC.loader.exec_module(serving)
ADA = (("authorization", "Bearer ada"),)
PROTO = Path(__file__).parents[3] / "docs" / "reference" / "squad.proto"


class Client:
    """A server on loopback, and a channel to it."""

    def __init__(self, desk: Any, server: GrpcServer, address: str) -> None:
        self.desk = desk
        self.described = server.described
        self.channel = grpc.aio.insecure_channel(address)

    def kind(self, name: str) -> Any:
        return self.described.kind(name)

    def unary(self, service: str, method: str) -> Any:
        found = self.described.pool.FindServiceByName(f"{PACKAGE}.{service}")
        one = found.methods_by_name[method]
        answered = message_factory.GetMessageClass(one.output_type)
        return self.channel.unary_unary(
            f"/{PACKAGE}.{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answered.FromString,
        )

    def coding(self, answered: str) -> dict[str, Any]:
        return {
            "request_serializer": lambda message: message.SerializeToString(),
            "response_deserializer": self.kind(answered).FromString,
        }


@pytest.fixture
async def client(shop: Any, seeded: Path, tmp_path: Path) -> AsyncIterator[Client]:
    home = tmp_path / ".squad"
    shutil.copytree(seeded, home)
    desk = serving.Desk(shop.open(str(home)))
    server = GrpcServer(desk.gateway, desk.squad.registry)
    address = await server.start("127.0.0.1", 0, None)
    found = Client(desk, server, address)
    yield found
    await found.channel.close()
    await server.stop(100)
    await desk.close()


def told(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    trailers = dict(error.trailing_metadata())
    return msgspec.json.decode(trailers["squad-error-bin"])


async def test_every_action_is_a_method(client: Client) -> None:
    methods = {one.action for one in client.described.methods}
    assert methods == {one.action for one in client.desk.gateway.operations()}


async def test_reads_are_typed(client: Client) -> None:
    found = await client.unary("RunsService", "List")(
        client.kind("RunsListRequest")(), metadata=ADA
    )
    assert [one.id for one in found.items] and found.items[0].workflow


async def test_a_workflow_is_started_with_json_once_for_a_key(client: Client) -> None:
    request = client.kind("RunsStartRequest")(workflow="order")
    request.input.json.struct_value.update({"lines": [1, 2]})
    start, keyed = client.unary("RunsService", "Start"), (*ADA, ("idempotency-key", "k-1"))
    first = await start(request, metadata=keyed)
    call = start(request, metadata=keyed)
    again = await call
    assert again.run == first.run and first.status in ("completed", "waiting")
    assert dict(await call.trailing_metadata())["squad-replayed"] == "true"


@pytest.mark.parametrize(
    ("metadata", "service", "method", "fields", "status", "code"),
    [
        ((), "RunsService", "List", {}, "UNAUTHENTICATED", "identity.credential"),
        ((("authorization", "Bearer eve"),), "RunsService", "List", {}, "PERMISSION_DENIED",
         "access.denied"),
        (ADA, "RunsService", "Show", {"run": "nosuchrun000"}, "NOT_FOUND", "run.missing"),
        (ADA, "RunsService", "List", {"status": "asleep"}, "INVALID_ARGUMENT", "action.input"),
        ((*ADA, ("squad-namespace", "nowhere")), "RunsService", "List", {}, "NOT_FOUND",
         "namespace.missing"),
    ],
)  # fmt: skip
async def test_errors_are_those_of_the_table(
    client: Client, metadata: Any, service: str, method: str, fields: Any, status: str, code: str
) -> None:
    request = client.kind(f"{service.removesuffix('Service')}{method}Request")(**fields)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await client.unary(service, method)(request, metadata=metadata)
    assert failed.value.code() is grpc.StatusCode[status]
    assert told(failed.value)["code"] == code


async def test_events_are_followed_from_any_number_on(client: Client) -> None:
    follow = client.channel.unary_stream(
        f"/{PACKAGE}.EventsService/Follow", **client.coding("Event")
    )
    request = client.kind("FollowRequest")(after=0, types=["run.*"])
    seen = []
    async with asyncio.timeout(10):
        async for event in follow(request, metadata=ADA):
            seen.append(event)
            if len(seen) == 3:
                break
    assert [one.seq for one in seen] == sorted(one.seq for one in seen)
    assert json.loads(seen[0].payload_json)


async def test_blobs_go_in_and_out_in_pieces(client: Client) -> None:
    put = client.channel.stream_unary(
        f"/{PACKAGE}.BlobsService/Put", **client.coding("BlobReference")
    )
    get = client.channel.unary_stream(f"/{PACKAGE}.BlobsService/Get", **client.coding("BlobChunk"))
    chunk = client.kind("BlobChunk")
    data = bytes(range(256)) * 1000
    pieces = [chunk(data=data[n : n + 50_000]) for n in range(0, len(data), 50_000)]
    kept = await put(iter(pieces), metadata=ADA)
    assert kept.size == len(data) and kept.digest.startswith("sha256:")
    request = client.kind("BlobRequest")(digest=kept.digest)
    back = [one.data async for one in get(request, metadata=ADA)]
    assert b"".join(back) == data and len(back) > 1


async def test_calls_over_one_stream_say_which_they_were(client: Client) -> None:
    stream = client.channel.stream_stream(
        f"/{PACKAGE}.CallsService/Stream", **client.coding("CallAnswer")
    )
    request = client.kind("CallRequest")

    def asked() -> Any:
        for number in range(20):
            one = request(id=str(number), action="runs.list" if number % 2 else "runs.nothing")
            one.input.struct_value.update({"limit": 1})
            yield one

    answers = {one.id: one async for one in stream(asked(), metadata=ADA)}
    assert sorted(answers, key=int) == [str(number) for number in range(20)]
    assert answers["1"].output.struct_value["items"]
    assert answers["2"].error.code == "action.missing"
    assert answers["2"].error.grpc_status == "NOT_FOUND"


async def test_a_deadline_is_a_deadline(client: Client) -> None:
    request = client.kind("RunsListRequest")()
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await client.unary("RunsService", "List")(request, metadata=ADA, timeout=0.000001)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_it_says_that_it_is_well_and_what_it_is(client: Client) -> None:
    health = health_pb2_grpc.HealthStub(client.channel)
    found = await health.Check(health_pb2.HealthCheckRequest(service=f"{PACKAGE}.RunsService"))
    assert found.status == health_pb2.HealthCheckResponse.SERVING
    stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)

    def asked() -> Any:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        yield reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"{PACKAGE}.Event")

    listed, file = [one async for one in stub.ServerReflectionInfo(asked())]
    names = {one.name for one in listed.list_services_response.service}
    assert set(client.described.services) < names
    assert file.file_descriptor_response.file_descriptor_proto


async def test_the_lock_and_the_protobuf_file_are_as_the_specs_are(client: Client) -> None:
    class Shipped:
        """What ships, without the shop of these tests."""

        @staticmethod
        def operations() -> Any:
            shipped = set(Registry(plugins()).actions)
            return [one for one in client.desk.gateway.operations() if one.action in shipped]

    from agentsquad.assembly.catalogue import plugins
    from agentsquad.kernel.registry import Registry

    described = Description(Shipped(), client.desk.squad.registry)  # type: ignore[arg-type]
    assert described.numbers == locked(), "run tools/grpc_fields.py"
    assert source(described.file) == PROTO.read_text(), "run tools/grpc_fields.py"


NAMES = st.text("abc", min_size=1, max_size=2)
MESSAGES = st.dictionaries(NAMES, st.lists(NAMES, unique=True, max_size=6), max_size=4)


@given(histories=st.lists(MESSAGES, min_size=1, max_size=6))
def test_a_number_is_given_once_and_never_again(histories: Any) -> None:
    given_: dict[str, dict[str, int]] = {}
    for wanted in histories:
        found = numbered(given_, wanted)
        for message, fields in given_.items():
            assert fields.items() <= found[message].items()  # nothing moves, nothing goes
        for message, fields in wanted.items():
            assert set(fields) <= set(found[message])
        for fields in found.values():
            assert len(set(fields.values())) == len(fields)
        given_ = found
    assert json.loads(written(given_)) == given_


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05a"])
async def test_bytes_that_are_no_message_are_refused(client: Client, data: bytes) -> None:
    raw = client.channel.unary_unary(f"/{PACKAGE}.RunsService/List")
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await raw(data, metadata=ADA)
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert told(failed.value)["code"] == "grpc.message"
    found = await client.unary("RunsService", "List")(
        client.kind("RunsListRequest")(), metadata=ADA
    )
    assert found.items


def test_a_value_keeps_whole_numbers_whole() -> None:
    from agentsquad.surfaces.grpc.translation import _whole

    value = Value()
    value.struct_value.update({"n": 5, "x": 1.5})
    assert _whole({"n": 5.0, "x": [1.5, 2.0**60]}) == {"n": 5, "x": [1.5, 2.0**60]}
