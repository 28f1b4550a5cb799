"""Connections of one's own: kept and taken again, given up when they are stale,
and no wait without an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agentsquad.integrations.connectors.ai.adapters.wire import WireTransport
from agentsquad.integrations.connectors.ai.contract import (
    HttpRequest,
    ModelDeadlineError,
    ModelUnavailableError,
)

WHOLE = b"HTTP/1.1 200 OK\r\nX-Kind: whole\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
Answer = Callable[[int, int], bytes | None]


class Other:
    """The other side: how many connections and requests there were."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.connections = 0
        self.requests: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        own, nth = self.connections, 0
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(
                    head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0
                )
                self.requests.append(head + await reader.readexactly(size))
                nth += 1
                said = self.answer(own, nth)
                if said is None:
                    break
                writer.write(said)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def met(answer: Answer) -> AsyncIterator[tuple[Other, WireTransport]]:
    other, transport = Other(answer), WireTransport()
    server = await asyncio.start_server(other.serve, "127.0.0.1", 0)
    other.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield other, transport
    finally:
        await transport.close()
        server.close()
        await server.wait_closed()


def asked(url: str, body: bytes = b"{}") -> HttpRequest:
    return HttpRequest(method="POST", url=f"{url}/v1/x?a=1", headers={"x-a": "b"}, body=body)


async def test_a_connection_is_taken_again_and_answers_are_whole() -> None:
    async with met(lambda own, nth: WHOLE if nth % 2 else CHUNKED) as (other, transport):
        for _ in range(6):
            reply = await transport.send(asked(other.url), timeout_ms=5000)
            assert (reply.status, reply.body) == (200, b"hello")
        assert other.connections == 1
        assert other.requests[0].startswith(b"POST /v1/x?a=1 HTTP/1.1\r\n")
        assert b"x-a: b" in other.requests[0].lower()
        assert reply.headers == {"transfer-encoding": "chunked"}


async def test_calls_at_the_same_time_have_connections_of_their_own() -> None:
    async with met(lambda own, nth: WHOLE) as (other, transport):
        sent = (transport.send(asked(other.url), timeout_ms=5000) for _ in range(20))
        replies = await asyncio.gather(*sent)
        assert {reply.body for reply in replies} == {b"hello"}
        assert 1 < other.connections <= 20
        before = other.connections
        await transport.send(asked(other.url), timeout_ms=5000)
        assert other.connections == before


async def test_a_kept_connection_that_was_closed_is_replaced_once() -> None:
    # The second request of a connection is met by silence and its end.
    async with met(lambda own, nth: WHOLE if nth == 1 else None) as (other, transport):
        for _ in range(3):
            assert (await transport.send(asked(other.url), timeout_ms=5000)).body == b"hello"
        assert other.connections == 3


async def test_a_new_connection_that_is_closed_is_not_tried_again() -> None:
    async with met(lambda own, nth: None) as (other, transport):
        with pytest.raises(ModelUnavailableError, match="broke off"):
            await transport.send(asked(other.url), timeout_ms=5000)
        assert len(other.requests) == 1


@pytest.mark.parametrize(
    "said", [WHOLE[:-2], CHUNKED[:-9], b"HTTP/1.1 200 OK\r\n", b"nonsense\r\n\r\n"]
)
async def test_an_answer_that_breaks_off_is_an_error_and_its_connection_is_gone(
    said: bytes,
) -> None:
    def answer(own: int, nth: int) -> bytes | None:
        return said if own == 1 and nth == 1 else None if own == 1 else WHOLE

    async with met(answer) as (other, transport):
        waiting = asyncio.ensure_future(transport.send(asked(other.url), timeout_ms=300))
        with pytest.raises((ModelUnavailableError, ModelDeadlineError)):
            await waiting
        assert (await transport.send(asked(other.url), timeout_ms=5000)).body == b"hello"
        assert other.connections == 2


async def test_no_wait_is_longer_than_the_time_there_is() -> None:
    async with met(lambda own, nth: b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal") as both:
        other, transport = both
        with pytest.raises(ModelDeadlineError):
            await transport.send(asked(other.url), timeout_ms=100)
        async with transport.stream(asked(other.url), timeout_ms=100) as reply:
            found: list[Any] = []
            with pytest.raises(ModelDeadlineError):
                async for piece in reply.pieces():
                    found.append(piece)
            assert found == [b"hal"]


async def test_nobody_there_is_said_in_words() -> None:
    transport = WireTransport()
    async with met(lambda own, nth: WHOLE) as (other, _):
        url = other.url
    with pytest.raises(ModelUnavailableError, match="cannot connect"):
        await transport.send(asked(url), timeout_ms=5000)
    await transport.close()


async def test_a_stream_that_is_left_early_hangs_up() -> None:
    async with met(lambda own, nth: WHOLE) as (other, transport):
        async with transport.stream(asked(other.url), timeout_ms=5000) as reply:
            assert reply.status == 200
        await transport.send(asked(other.url), timeout_ms=5000)
        assert other.connections == 2
