"""GraphQL over WebSocket: the protocol as it is spoken at its address, and who
counts as whom when a browser opens it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

PROTOCOL = "graphql-transport-ws"
HOST = "127.0.0.1:8420"


class Client:
    """A browser that opens `/graphql` from a page of some origin."""

    def __init__(self, app: Any, *headers: tuple[bytes, bytes], protocol: str = PROTOCOL) -> None:
        self._sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._came: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {
            "type": "websocket", "path": "/graphql", "raw_path": b"/graphql", "query_string": b"",
            "scheme": "ws", "root_path": "", "headers": [(b"host", HOST.encode()), *headers],
            "client": ("192.0.2.7", 1), "server": ("127.0.0.1", 8420), "subprotocols": [protocol],
            "asgi": {"version": "3.0"}, "http_version": "1.1",
        }  # fmt: skip
        self._sent.put_nowait({"type": "websocket.connect"})
        self._served = asyncio.ensure_future(app(scope, self._sent.get, self._came.put))

    def say(self, message: Any) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        self._sent.put_nowait({"type": "websocket.receive", "text": text})

    def begin(self, query: str = "", number: str = "1") -> None:
        """Say hello, and ask something."""
        self.say({"type": "connection_init"})
        if query:
            self.say({"type": "subscribe", "id": number, "payload": {"query": query}})

    async def until(self, *kinds: str) -> dict[str, Any]:
        """Return the next message of some type, or the closing."""
        while True:
            frame = await asyncio.wait_for(self._came.get(), 20)
            message: dict[str, Any] = json.loads(frame.get("text") or "{}")
            if frame["type"] == "websocket.close":
                return frame
            if message.get("type") in kinds:
                return message

    async def leave(self) -> None:
        self._sent.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await self._served


MUTATION = (
    'mutation { budgetSet(scope: "tenant:all", currency: "USD", amount: "5") { __typename } }'
)
READ = "{ runsList(limit: 1) { items { id } } }"
FOLLOW = 'subscription { events(after: 0, types: ["run.*"]) { seq type } }'
ADA = (b"authorization", b"Bearer ada")


async def test_a_cookie_counts_on_a_socket_only_for_pages_of_this_server(desk: Any) -> None:
    cookie = (b"cookie", b"squad=ada")
    ours = Client(desk.app, cookie, (b"origin", f"http://{HOST}".encode()))
    ours.begin(MUTATION)
    assert (await ours.until("next", "error"))["payload"]["data"]
    await ours.leave()
    for theirs in (
        (b"origin", b"https://evil.example"),
        (b"origin", f"https://{HOST}".encode()),
        (b"origin", b"null"),
        (b"x-none", b""),
    ):
        client = Client(desk.app, cookie, theirs)
        client.begin(MUTATION)
        assert (await client.until("next", "error")).get("code") == 4403, theirs


async def test_a_token_counts_wherever_the_page_is_from(desk: Any) -> None:
    client = Client(desk.app, ADA, (b"origin", b"https://evil.example"))
    client.begin(READ)
    assert (await client.until("next", "error"))["payload"]["data"]["runsList"]["items"]
    assert (await client.until("complete"))["id"] == "1"
    await client.leave()
    said = Client(desk.app)
    said.say({"type": "connection_init", "payload": {"authorization": "Bearer ada"}})
    assert (await said.until("connection_ack"))["type"] == "connection_ack"
    await said.leave()


async def test_events_come_over_a_socket_until_they_are_wanted_no_more(desk: Any) -> None:
    client = Client(desk.app, ADA)
    client.begin(FOLLOW, "e")
    seen = [await client.until("next", "error") for _ in range(3)]
    numbers = [one["payload"]["data"]["events"]["seq"] for one in seen]
    assert numbers == sorted(set(numbers)) and {one["id"] for one in seen} == {"e"}
    client.say({"type": "complete", "id": "e"})
    client.say({"type": "ping"})
    assert await client.until("pong") == {"type": "pong"}
    await client.leave()


async def test_what_is_wrong_with_a_document_is_an_error_and_the_socket_lives_on(
    desk: Any,
) -> None:
    client = Client(desk.app, ADA)
    client.begin("{ nothing }")
    assert (await client.until("next", "error"))["type"] == "error"
    client.say({"type": "subscribe", "id": "2", "payload": {"query": READ}})
    assert (await client.until("next", "error"))["id"] == "2"
    await client.leave()


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (('{"type": "subscribe", "id": "1", "payload": {}}',), 4401),
        (("no JSON",), 4400),
        (("[]",), 4400),
        (("[" * 100_000,), 4400),
        (('{"type": "connection_init"}', '{"type": "connection_init"}'), 4429),
        (('{"type": "connection_init"}', '{"type": "other"}'), 4400),
        (('{"type": "connection_init", "payload": {"authorization": "Bearer "}}',), 4403),
    ],
)
async def test_who_does_not_speak_the_protocol_is_closed_with_its_code(
    desk: Any, messages: tuple[str, ...], code: int
) -> None:
    client = Client(desk.app, *(() if code == 4403 else (ADA,)))
    for message in messages:
        client.say(message)
    assert (await client.until("next"))["code"] == code


async def test_one_number_is_one_subscription_and_another_subprotocol_is_none(desk: Any) -> None:
    client = Client(desk.app, ADA)
    client.begin(FOLLOW, "e")
    await client.until("next")
    client.say({"type": "subscribe", "id": "e", "payload": {"query": FOLLOW}})
    assert (await client.until("error"))["code"] == 4409
    other = Client(desk.app, ADA, protocol="graphql-ws")
    assert (await other.until("connection_ack"))["code"] == 4406
