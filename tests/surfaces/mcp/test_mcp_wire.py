"""MCP at the level of messages: what the specification says of headers,
versions, sessions, streams and origins."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.surfaces.mcp.conftest import ask, modern, stamped

from agentsquad.kernel.jsonrpc import read
from agentsquad.surfaces.mcp.headers import decoded, encoded
from agentsquad.surfaces.mcp.sessions import Stream

BEFORE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t"}}


def rpc(method: str, params: Any = None, id: Any = 1) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": id, "method": method}
    return body if params is None else {**body, "params": params}


async def begun(app: Any, actor: str = "person:ada") -> dict[str, str]:
    reply = await ask(app, rpc("initialize", BEFORE), {"authorization": f"Bearer {actor}"})
    assert reply.json()["result"]["protocolVersion"] == "2025-11-25"
    return {
        "mcp-session-id": reply.headers["mcp-session-id"],
        "mcp-protocol-version": "2025-11-25",
        "authorization": f"Bearer {actor}",
    }


async def test_every_result_of_the_current_revision_says_what_it_is(house: Any) -> None:
    message = modern("server/discover")
    reply = await ask(house.app(), message, stamped(message))
    body = reply.json()["result"]
    assert body["resultType"] == "complete"
    assert body["supportedVersions"][0] == "2026-07-28"
    assert body["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "agentsquad"
    assert body["ttlMs"] >= 0
    assert body["cacheScope"] == "private"


@pytest.mark.parametrize("left_out", ["mcp-protocol-version", "mcp-method", "mcp-name"])
async def test_a_missing_header_is_refused(house: Any, left_out: str) -> None:
    message = modern("tools/call", {"name": "sums.add", "arguments": {"a": 1}})
    headers = {k: v for k, v in stamped(message).items() if k != left_out}
    reply = await ask(house.app(), message, headers)
    assert reply.status == 400
    assert reply.json()["error"]["code"] == -32020
    assert reply.json()["id"] == 1


async def test_a_header_that_says_otherwise_is_refused(house: Any) -> None:
    message = modern("tools/call", {"name": "sums.add", "arguments": {"a": 1}})
    headers = {**stamped(message), "mcp-name": "sums.refuse"}
    assert (await ask(house.app(), message, headers)).json()["error"]["code"] == -32020


def test_names_that_no_header_can_hold_are_written_in_base64() -> None:
    assert encoded("us-west1") == "us-west1"
    assert encoded("Hello, 世界") == "=?base64?SGVsbG8sIOS4lueVjA==?="
    assert encoded("=?base64?literal?=") == "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="
    for text in ("a", " padded ", "line1\nline2", "=?base64?x?=", "é"):
        assert decoded(encoded(text)) == text


async def test_an_unknown_revision_is_refused_with_those_that_are_known(house: Any) -> None:
    message = modern("tools/list")
    message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "1900-01-01"
    headers = {"mcp-protocol-version": "1900-01-01", "mcp-method": "tools/list"}
    reply = await ask(house.app(), message, headers)
    assert reply.status == 400
    error = reply.json()["error"]
    assert error["code"] == -32022
    assert error["data"]["supported"][:2] == ["2026-07-28", "2025-11-25"]


async def test_a_request_without_its_capabilities_is_refused(house: Any) -> None:
    message = modern("tools/list")
    del message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
    reply = await ask(house.app(), message, stamped(message))
    assert (reply.status, reply.json()["error"]["code"]) == (400, -32602)


async def test_an_unknown_method_is_404_with_a_json_rpc_error(house: Any) -> None:
    message = modern("tools/nothing")
    reply = await ask(house.app(), message, stamped(message))
    assert (reply.status, reply.json()["error"]["code"]) == (404, -32601)


async def test_pages_go_on_where_the_one_before_ended(house: Any) -> None:
    from starlette.applications import Starlette

    from agentsquad.surfaces.mcp import routes as http
    from agentsquad.surfaces.mcp.server import Server

    app = house.app()
    served = Server(house.gateway, house.squad.world.registry, page=7)
    endpoint = http.Endpoint(served, house.token, "", ())
    app = Starlette(routes=[http_route(endpoint)])
    names: list[str] = []
    cursor: str | None = None
    for _ in range(100):
        message = modern("tools/list", {} if cursor is None else {"cursor": cursor})
        body = (await ask(app, message, stamped(message))).json()["result"]
        names += [tool["name"] for tool in body["tools"]]
        cursor = body.get("nextCursor")
        if cursor is None:
            break
    assert names == [one.action for one in house.gateway.operations()]
    message = modern("tools/list", {"cursor": "made up"})
    assert (await ask(app, message, stamped(message))).json()["error"]["code"] == -32602


def http_route(endpoint: Any) -> Any:
    from starlette.routing import Route

    return Route("/mcp", endpoint.serve, methods=["POST", "GET", "DELETE"])


async def test_every_tool_has_valid_schemas(house: Any) -> None:
    import jsonschema_rs

    message = modern("tools/list")
    tools = (await ask(house.app(), message, stamped(message))).json()["result"]["tools"]
    assert len(tools) == len(house.gateway.operations())
    for tool in tools:
        assert tool["inputSchema"]["type"] == "object"
        for schema in (tool["inputSchema"], tool.get("outputSchema", {})):
            jsonschema_rs.Draft202012Validator(schema)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"host": "evil.example:8420"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "null"},
    ],
)
async def test_pages_of_other_sites_are_refused(house: Any, headers: dict[str, str]) -> None:
    message = modern("tools/list")
    reply = await ask(house.app(), message, {**stamped(message), **headers})
    assert reply.status == 403


async def test_the_servers_own_name_is_known(house: Any) -> None:
    message = modern("tools/list")
    headers = {**stamped(message), "host": "squad.example", "origin": "https://squad.example"}
    app = house.app(base="https://squad.example")
    assert (await ask(app, message, headers)).status == 200


async def test_without_a_token_it_is_said_where_to_get_one(house: Any) -> None:
    app = house.app(base="https://squad.example", issuers=("https://login.example",))
    message = modern("tools/list")
    reply = await ask(app, message, {**stamped(message), "authorization": ""})
    assert reply.status == 401
    where = "https://squad.example/.well-known/oauth-protected-resource/mcp"
    assert f'resource_metadata="{where}"' in reply.headers["www-authenticate"]
    told = await ask(app, b"", method="GET", path="/.well-known/oauth-protected-resource/mcp")
    assert told.json()["resource"] == "https://squad.example/mcp"
    assert told.json()["authorization_servers"] == ["https://login.example"]


async def test_a_session_belongs_to_whoever_began_it(house: Any) -> None:
    app = house.app()
    session = await begun(app)
    assert (await ask(app, rpc("ping", id=2), session)).json()["result"] == {}
    other = {**session, "authorization": "Bearer person:bob"}
    assert (await ask(app, rpc("ping", id=3), other)).status == 404
    assert (await ask(app, b"", session, method="DELETE")).status == 204
    assert (await ask(app, rpc("ping", id=4), session)).status == 404


async def test_a_broken_stream_is_taken_up_again_where_it_was(house: Any) -> None:
    app = house.app()
    session = await begun(app)
    call = {"name": "sums.add", "arguments": {"a": 1}, "_meta": {}}
    reply = await ask(app, rpc("tools/call", call, 7), session)
    assert reply.said()[-1]["result"]["structuredContent"] == {"sum": 2}
    first = reply.body.decode().split("\n", 1)[0].removeprefix("id: ")
    again = await ask(app, b"", {**session, "last-event-id": first}, method="GET")
    assert again.said() == reply.said()


async def test_a_stream_says_everything_once_and_in_order_to_each_reader() -> None:
    stream = Stream("5")
    stream.say({"n": 1})
    early = asyncio.create_task(_read(stream, None))
    late = asyncio.create_task(_read(stream, "5-1"))
    await asyncio.sleep(0)
    stream.say({"n": 2})
    stream.say({"n": 3})
    stream.end()
    assert await early == [1, 2, 3]
    assert await late == [2, 3]


async def _read(stream: Stream, last: str | None) -> list[int]:
    found = []
    async for event in stream.read(last):
        data = event.partition(b"data: ")[2].strip()
        if data:
            found.append(msgspec.json.decode(data)["n"])
    return found


async def test_the_same_key_gets_the_same_answer(house: Any) -> None:
    app = house.app()
    message = modern(
        "tools/call",
        {
            "name": "runs.start",
            "arguments": {"workflow": "adding", "input": '{"a": 1}'},
            "_meta": {"agentsquad.dev/key": "k1"},
        },
    )
    first, second = [
        (await ask(app, message, stamped(message))).json()["result"]["structuredContent"]
        for _ in range(2)
    ]
    assert first == second
    runs = await house.squad.world.store.read(types=["run.started"])
    assert len(runs) == 1


async def test_a_missing_resource_has_the_number_of_its_revision(house: Any) -> None:
    app = house.app()
    for uri in ("squad://runs/nothing", "squad://elsewhere", "file:///etc/passwd"):
        message = modern("resources/read", {"uri": uri})
        reply = await ask(app, message, stamped(message))
        assert reply.json()["error"]["code"] == -32602
        before = await ask(app, rpc("resources/read", {"uri": uri}), await begun(app))
        assert before.json()["error"]["code"] == -32002


def test_what_is_no_message_says_so() -> None:
    for text in (b"", b"[]", b"{}", b"1", b'{"jsonrpc":"2.0","id":null,"method":"x"}'):
        with pytest.raises(Exception, match=r"expected|not JSON|batches"):
            read(text)
