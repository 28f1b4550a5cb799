"""Whatever bytes come, an answer of the protocol goes back: never a crash, a
hang or an answer of 500."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.surfaces.mcp.conftest import ask, modern, stamped

from agentsquad.kernel.errors import BugError
from agentsquad.kernel.jsonrpc import INTERNAL, RpcError, encode, failure, read
from agentsquad.surfaces.mcp.channel import Channel
from agentsquad.surfaces.mcp.owner import owner
from agentsquad.surfaces.mcp.server import Server

CASES = int(os.environ.get("FUZZ_CASES", "10000"))
METHODS = st.sampled_from(
    [
        "tools/list", "tools/call", "resources/list", "resources/read", "prompts/get",
        "resources/templates/list", "prompts/list", "completion/complete", "server/discover",
        "initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe",
        "notifications/cancelled", "nothing",
    ]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
NAMES = st.sampled_from(
    [
        "jsonrpc", "id", "method", "params", "name", "arguments", "uri", "cursor", "ref", "type",
        "argument", "value", "level", "_meta", "protocolVersion", "capabilities", "a",
    ]
) | st.text(max_size=6)  # fmt: skip
KNOWN = st.sampled_from(
    [
        "sums.add", "runs.show", "squad://runs/x", "squad://events?after=-1", "ref/prompt",
        "explain-run", "ref/resource", "squad://kinds/{kind}/{name}", "approvals.approve",
    ]
)  # fmt: skip
VALUES = st.recursive(
    LEAVES | KNOWN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=10,
)
REQUESTS = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": METHODS},
    optional={"id": st.integers() | st.text(max_size=5) | LEAVES, "params": VALUES},
)


@settings(max_examples=CASES, deadline=None, database=None)
@given(st.binary(max_size=60) | VALUES.map(lambda v: json.dumps(v).encode()))
def test_the_reader_of_messages_gives_a_message_or_its_own_error(data: bytes) -> None:
    try:
        read(data)
    except RpcError as error:
        encode(failure(error.id, error))
    except BugError as bug:
        raise AssertionError(data) from bug


@settings(
    max_examples=max(CASES // 10, 100),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(messages=st.lists(REQUESTS, min_size=5, max_size=10))
def test_a_channel_answers_every_request_and_breaks_at_none(
    messages: list[Any], sync_house: Any
) -> None:
    import asyncio

    async def talk() -> list[Any]:
        said: list[Any] = []

        async def write(message: Any) -> None:
            said.append(json.loads(encode(message)))

        server = Server(sync_house.gateway, sync_house.squad.world.registry)
        channel = Channel(server, owner(sync_house.squad.actor), write)
        for number, message in enumerate(messages):
            meta = modern("x")["params"]["_meta"]
            if number % 2 and isinstance(message.get("params"), dict):
                message["params"]["_meta"] = meta
            await channel.take(json.dumps(message).encode())
        while channel.under_way:
            await asyncio.wait(channel.under_way, timeout=10)
        await channel.close()
        return said

    said = sync_house.loop.run_until_complete(talk())
    for answer in said:
        assert answer.get("error", {}).get("code") != INTERNAL, answer


@settings(
    max_examples=max(CASES // 20, 50),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    message=REQUESTS,
    headers=st.dictionaries(
        st.sampled_from(["mcp-session-id", "mcp-protocol-version", "accept", "last-event-id"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12),
    ),
    way=st.sampled_from(["POST", "POST", "GET", "DELETE"]),
)
def test_the_endpoint_never_answers_500(
    message: Any, headers: dict[str, str], way: str, sync_house: Any
) -> None:
    raw = json.dumps(message).encode()
    params = message.get("params")
    if isinstance(params, dict):
        headers = {**stamped(modern(message["method"], params)), **headers}
        headers = {k: str(v).encode("ascii", "replace").decode() for k, v in headers.items()}
    reply = sync_house.loop.run_until_complete(ask(sync_house.served_app, raw, headers, method=way))
    assert reply.status < 500 or reply.status in (501, 503, 504), reply.body
    if b'"error"' in reply.body:
        assert b"-32603" not in reply.body, reply.body
