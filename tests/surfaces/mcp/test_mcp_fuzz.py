"""Whatever bytes come, an answer of the protocol goes back: never a crash, a
hang or an answer of 500."""

from __future__ import annotations

import json
import os
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.surfaces.mcp.conftest import ask, modern, stamped

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.jsonrpc import INTERNAL, Request, RpcError, encode, failure, read
from agentsquad.surfaces.mcp.channel import Channel
from agentsquad.surfaces.mcp.headers import encoded, hold_against
from agentsquad.surfaces.mcp.owner import owner
from agentsquad.surfaces.mcp.request import asked_now
from agentsquad.surfaces.mcp.server import Server

CASES = int(os.environ.get("FUZZ_CASES", "10000"))
EXCHANGES = max(CASES // 20, 50)  # with the whole server behind them
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


def mutated(chance: random.Random) -> bytes:
    """Return a message of the protocol with some bytes of it changed, doubled,
    cut out, or taken from another one."""
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randrange(1, 5)):
        place = chance.randrange(len(data) + 1)
        length = chance.randrange(1, 12)
        kind = chance.randrange(4)
        if kind == 0 and data:
            data[place % len(data)] = chance.randrange(256)
        elif kind == 1:
            data[place:place] = data[place : place + length]
        elif kind == 2:
            del data[place : place + length]
        else:
            data[place : place + length] = chance.choice(PIECES)
    return bytes(data)


SEEDS = [
    json.dumps(modern(method, params)).encode()
    for method, params in (
        ("tools/call", {"name": "sums.add", "arguments": {"a": 1}}),
        ("resources/read", {"uri": "squad://runs/x"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "explain-run"}}),
        ("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["squad://runs"]}}),
    )
] + [
    b'{"jsonrpc":"2.0","id":"a","result":{"content":[]}}',
    b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no"}}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}',
]
PIECES = [
    b"{", b"}", b"[" * 600, b'"', b"\\u0000", b"\\ud800", b"1e999", b"-0", b"NaN", b"null", b",",
    b'"id":', b'"id":null', b'"id":[]', b'"method":1', b'"params":[]', b"\xff\xfe", b"\xef\xbb\xbf",
    b"9" * 400, b"true", b'"_meta":7', b"\n",
]  # fmt: skip


def test_the_reader_of_messages_gives_a_message_or_its_own_error() -> None:
    chance = random.Random(20261123)
    caller = owner(Actor("person", "ada"))
    taken = 0
    for _ in range(CASES):
        data = mutated(chance)
        try:
            message = read(data)
            if isinstance(message, Request):
                asked_now(message, caller, unheard)
                names = [message.params.get(name) for name in ("name", "uri")]
                told = next((name for name in names if isinstance(name, str)), "")
                headers = {"mcp-method": message.method, "mcp-name": encoded(told)}
                hold_against({"mcp-protocol-version": "2026-07-28", **headers}, message)
            taken += 1
        except RpcError as error:
            body = json.loads(encode(failure(error.id, error)))
            assert body["error"]["code"] in range(-32799, -32000), data
    assert taken > CASES // 50  # some are messages still


async def unheard(method: str, params: Any) -> None:
    """Nothing is said while requests are read."""


@settings(
    max_examples=EXCHANGES,
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
    max_examples=EXCHANGES,
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
    if isinstance(params, dict) and isinstance(params.get("_meta", {}), dict):
        headers = {**stamped(modern(message["method"], params)), **headers}
        headers = {k: str(v).encode("ascii", "replace").decode() for k, v in headers.items()}
    reply = sync_house.loop.run_until_complete(ask(sync_house.served_app, raw, headers, method=way))
    assert reply.status < 500 or reply.status in (501, 503, 504), reply.body
    if b'"error"' in reply.body:
        assert b"-32603" not in reply.body, reply.body
