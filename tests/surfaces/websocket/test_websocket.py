"""The WebSocket as a client sees it: who may come in, events once and in order
however slow, calls, limits, and how it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentsquad.testing.clock import settle


def seqs(client: Any, name: str = "a") -> list[int]:
    return [m["event"]["seq"] for m in client.of("event") if m["id"] == name]


async def test_a_header_a_subprotocol_or_a_hello_says_who_connects(service: Any) -> None:
    squad = service()
    by_header = await squad.connect("ada")
    by_protocol = await squad.connect(None, offered=("squad.v1", "bearer.ada"))
    by_hello = await squad.connect(None, headers={"squad-namespace": "shop"})
    assert by_hello.heard == []
    await by_hello.say(type="hello", token="ada")
    welcomes = [client.of("welcome")[0] for client in (by_header, by_protocol, by_hello)]
    assert [w["actor"] for w in welcomes] == ["person:ada"] * 3
    assert [w["namespace"] for w in welcomes] == ["default", "default", "shop"]
    assert by_protocol.sent[0] == {
        "type": "websocket.accept",
        "subprotocol": "squad.v1",
        "headers": [],
    }


async def test_a_cookie_counts_only_on_pages_of_this_server(service: Any) -> None:
    squad = service()
    ours = await squad.connect(
        None, headers={"cookie": "squad=ada", "origin": "http://squad.example"}
    )
    assert ours.of("welcome")
    for origin in ({"origin": "http://evil.example"}, {}):
        theirs = await squad.connect(None, headers={"cookie": "squad=ada", **origin})
        assert not theirs.of("welcome")
        await theirs.say(type="ping")
        assert theirs.closed == 4401


async def test_who_is_not_known_gets_a_status_before_the_connection_opens(service: Any) -> None:
    squad = service()
    squad.gateway.revoked.add("eve")
    client = await squad.connect("eve")
    assert client.status == 401
    assert client.task.done()


async def test_who_says_nothing_is_sent_away(service: Any) -> None:
    squad = service(hello_ms=1_000)
    client = await squad.connect(None)
    await squad.clock.advance(900)
    assert client.closed is None
    await squad.clock.advance(1_000)
    assert client.closed == 4401
    assert client.task.done()


async def test_a_subscription_brings_what_was_and_what_comes(service: Any) -> None:
    squad = service()
    for number in range(6):
        await squad.gateway.put(f"run/{number % 2}")
    client = await squad.connect()
    await client.say(type="subscribe", id="a", after=2, streams=["run/1"])
    await squad.gateway.put("run/1")
    await settle()
    assert client.of("subscribed") == [{"type": "subscribed", "id": "a", "after": 2}]
    assert seqs(client) == [4, 6, 7]


async def test_without_a_number_it_begins_now_and_says_after_which(service: Any) -> None:
    squad = service()
    await squad.gateway.put("run/1")
    client = await squad.connect()
    await client.say(type="subscribe", id="a")
    assert client.of("subscribed")[0]["after"] == 1
    await squad.gateway.put("run/2")
    await settle()
    assert seqs(client) == [2]


async def test_nothing_is_lost_or_doubled_across_reconnects(service: Any) -> None:
    squad = service()
    got: list[int] = []
    for round_ in range(6):
        client = await squad.connect()
        await client.say(type="subscribe", id="a", after=got[-1] if got else 0)
        for number in range(7):
            await squad.gateway.put(f"run/{number}")
            if number == round_:  # leaves amid the stream, and misses the rest
                await settle(number)
                await client.leave()
        got += seqs(client)
    client = await squad.connect()
    await client.say(type="subscribe", id="a", after=got[-1])
    got += seqs(client)
    assert got == list(range(1, 43))


async def test_one_that_stops_reading_holds_up_nobody_and_is_closed(service: Any) -> None:
    squad = service(slow_ms=5_000)
    slow, quick = await squad.connect("ada"), await squad.connect("bob")
    for client in (slow, quick):
        await client.say(type="subscribe", id="a", after=0)
    slow.reading.clear()
    for number in range(50):
        await squad.gateway.put(f"run/{number}")
        await settle(5)
    await settle()
    assert seqs(quick) == list(range(1, 51))
    assert squad.gateway.hub.waiting <= 4
    await squad.clock.advance(4_000)
    assert slow.closed is None
    await squad.clock.advance(2_000)
    assert slow.closed == 4008
    assert quick.closed is None
    assert slow.task.done()


async def test_one_that_reads_again_in_time_gets_everything(service: Any) -> None:
    squad = service()
    client = await squad.connect()
    await client.say(type="subscribe", id="a", after=0)
    client.reading.clear()
    for number in range(50):
        await squad.gateway.put(f"run/{number}")
        await settle(5)
    client.reading.set()
    await settle(300)
    assert seqs(client) == list(range(1, 51))


async def test_unsubscribing_ends_the_events(service: Any) -> None:
    squad = service()
    client = await squad.connect()
    await client.say(type="subscribe", id="a", after=0)
    await client.say(type="unsubscribe", id="a")
    await squad.gateway.put("run/1")
    await settle()
    assert client.of("unsubscribed") == [{"type": "unsubscribed", "id": "a"}]
    assert seqs(client) == []
    assert squad.gateway.hub.followers == 0
    await client.say(type="subscribe", id="a", after=0)
    assert seqs(client) == [1]


async def test_actions_are_called_and_answered_side_by_side(service: Any) -> None:
    squad = service()
    client = await squad.connect()
    squad.gateway.held = asyncio.Event()
    await client.say(type="call", id="1", action="shop.echo", input={"a": [1]}, key="k")
    await client.say(type="call", id="2", action="shop.none")
    await client.say(type="ping", n=3)
    assert client.of("pong") == [{"type": "pong", "n": 3}]
    squad.gateway.held.set()
    await settle()
    [answer] = client.of("answer")
    assert answer["value"] == {"a": [1]}
    assert answer["replayed"] is True
    assert answer["files"] == [{"name": "a.txt", "media_type": "text/plain", "base64": "YWJj"}]
    [failure] = client.of("error")
    assert (failure["id"], failure["error"]["code"]) == ("2", "action.missing")
    assert failure["error"]["status"] == 404


async def test_who_is_revoked_is_out_within_a_second(service: Any) -> None:
    squad = service()
    client, other = await squad.connect("ada"), await squad.connect("bob")
    await client.say(type="subscribe", id="a", after=0)
    squad.gateway.revoked.add("ada")
    await squad.clock.advance(1_000)
    assert client.closed == 4401
    assert client.task.done()
    assert other.closed is None


async def test_who_loses_the_role_loses_the_events(service: Any) -> None:
    squad = service()
    client = await squad.connect("ada")
    await client.say(type="subscribe", id="a", after=0)
    squad.gateway.grants["ada"] = ()
    await squad.clock.advance(1_000)
    assert client.closed == 4403


async def test_a_quiet_connection_hears_a_beat(service: Any) -> None:
    squad = service(heartbeat_ms=5_000)
    client = await squad.connect()
    await squad.clock.advance(11_500)
    assert len(client.of("beat")) == 2


async def test_limits_are_said_and_the_connection_lives_on(service: Any) -> None:
    squad = service(subscriptions=1, calls=1)
    client = await squad.connect()
    squad.gateway.held = asyncio.Event()
    for name in ("a", "b"):
        await client.say(type="subscribe", id=name)
        await client.say(type="call", id=name, action="shop.echo")
    codes = [(m["id"], m["error"]["code"]) for m in client.of("error")]
    assert codes == [("b", "websocket.crowded")] * 2
    await client.say(type="subscribe", id="a")
    assert client.of("error")[-1]["error"]["code"] == "websocket.message"
    await client.leave()
    assert squad.gateway.hub.followers == 0


async def test_too_many_connections_of_one_actor_are_refused(service: Any) -> None:
    squad = service(connections_per_actor=2)
    first = [await squad.connect("ada") for _ in range(2)]
    assert (await squad.connect("ada")).status == 429
    assert (await squad.connect("bob")).of("welcome")
    await first[0].leave()
    assert (await squad.connect("ada")).of("welcome")


async def test_too_many_strangers_are_refused(service: Any) -> None:
    squad = service(strangers=1)
    stranger = await squad.connect(None)
    assert (await squad.connect(None)).status == 429
    await stranger.say(type="hello", token="ada")
    assert (await squad.connect(None)).status is None


@pytest.mark.parametrize(
    ("text", "code"),
    [("x" * 2_000, 1009), ("ä" * 700, 1009), (None, 1003)],
)
async def test_what_is_too_large_or_no_text_ends_the_connection(
    service: Any, text: str | None, code: int
) -> None:
    squad = service(message_bytes=1_000)
    client = await squad.connect()
    client.raw(text, b"" if text is None else None)
    await settle()
    assert client.closed == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        '{"type":"subscribe"}',
        '{"type":"dance"}',
        '{"type":"call","id":"1","action":"a","input":' + "[" * 20_000 + "]" * 20_000 + "}",
        '{"type":"subscribe","id":"a","after":-1}',
        '{"type":"ping","n":1,"more":true}',
        '{"type":"hello","token":"ada"}',
    ],
)
async def test_what_is_no_message_is_said_so(service: Any, text: str) -> None:
    squad = service()
    client = await squad.connect()
    client.raw(text)
    await settle()
    assert client.of("error")[0]["error"]["code"] == "websocket.message"
    await client.say(type="ping", n=1)
    assert client.of("pong")


async def test_a_server_that_ends_says_come_back(service: Any) -> None:
    squad = service()
    client = await squad.connect()
    await client.say(type="subscribe", id="a")
    await squad.gateway.hub.close()
    await settle()
    assert client.closed == 1012


async def test_a_server_that_ends_says_so_to_whoever_follows_nothing(service: Any) -> None:
    squad = service()
    client = await squad.connect()
    squad.gateway.leaving = True
    await squad.clock.advance(1_000)
    assert client.closed == 1012


async def test_the_description_names_every_message(service: Any) -> None:
    from agentsquad.surfaces.websocket.asyncapi import document

    described = document("ws", "squad.example")
    heard = {one["$ref"].rpartition("/")[2] for one in described["operations"]["hear"]["messages"]}
    said = {one["$ref"].rpartition("/")[2] for one in described["operations"]["say"]["messages"]}
    assert heard == {"hello", "subscribe", "unsubscribe", "call", "ping"}
    assert said == {
        "welcome",
        "subscribed",
        "event",
        "unsubscribed",
        "answer",
        "error",
        "pong",
        "beat",
    }
    assert all(one["summary"] for one in described["components"]["messages"].values())
