"""Ten thousand broken messages: each gets an answer that is no fault of ours,
and the connection lives on."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from agentsquad.testing.clock import settle

VALID = (
    '{"type":"subscribe","id":"a","after":0,"types":["run.*"],"streams":["run/"]}',
    '{"type":"unsubscribe","id":"a"}',
    '{"type":"call","id":"1","action":"shop.echo","input":{"a":[1,{"b":null}]},"key":"k"}',
    '{"type":"ping","n":3}',
    '{"type":"hello","token":"ada"}',
)
PIECES = (
    *("{", "}", "[", "]", '"', ":", ",", "-", "'", " ", "\\", "\\u0000", "\\ud800", "1e999"),
    *("9" * 40, "null", "true", "\x00", "\u00e9", "\U0001f600", '"type"', '"id"', "[" * 300),
)


def broken(chance: random.Random) -> str:
    """Return a valid message with a few things done to it."""
    text = chance.choice(VALID)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(text))
        match chance.randint(0, 3):
            case 0:
                text = text[:at] + chance.choice(PIECES) + text[at:]
            case 1:
                text = text[:at] + text[at + chance.randint(1, 6) :]
            case 2:
                text = text[:at]
            case _:
                other = chance.choice(VALID)
                text = text[:at] + other[chance.randint(0, len(other)) :]
    return text


@pytest.mark.slow
async def test_ten_thousand_broken_messages_are_answered(service: Any) -> None:
    chance = random.Random(20261123)
    squad = service(subscriptions=3, calls=3)
    client = await squad.connect()
    for number in range(10_000):
        client.raw(broken(chance))
        if number % 200 == 199:
            await settle(200)
            assert client.closed is None
    await client.say(type="ping", n=424242)
    await settle(200)
    assert {"type": "pong", "n": 424242} in client.of("pong")
    statuses = {message["error"]["status"] for message in client.of("error")}
    assert 400 in statuses
    assert all(status < 500 for status in statuses), statuses
    assert len(json.dumps(client.heard)) > 100_000
    await client.leave()
    assert squad.gateway.hub.followers == 0
