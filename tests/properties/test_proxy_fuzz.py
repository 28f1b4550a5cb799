"""The parsers of the proxy that a network reaches, under arbitrary bytes: no
crash, no hang, and no answer of 500.

Ten thousand inputs in CI, split over what is parsed: HTTP as it comes from a
socket, bodies and headers of each API, and what upstreams answer.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.integrations.proxy import api as apis
from agentsquad.integrations.proxy.adapters.server import Connection, HttpDoor, path_of
from agentsquad.integrations.proxy.answering import Finished, refusal, session_of
from agentsquad.integrations.proxy.sending import read_whole
from agentsquad.kernel.errors import SquadError, record

pytestmark = pytest.mark.slow
PATHS = ["/v1" + path for path in apis.PATHS] + ["/v1/models", "/v1/models/gpt-4o", "/", "/v1"]
FIELDS = ["model", "stream", "messages", "input", "max_tokens", "n", "stream_options", "seed",
          "temperature", "tools", "metadata", "user", "system"]  # fmt: skip
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10))
keys = st.text(max_size=5)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
)
bodies = st.dictionaries(st.one_of(st.sampled_from(FIELDS), st.text(max_size=8)), values)
likely = st.fixed_dictionaries({"model": st.text(max_size=300)}, optional={
    "messages": values, "input": values, "stream": st.one_of(st.booleans(), values),
    "max_tokens": values, "n": values, "stream_options": values})  # fmt: skip
headers = st.dictionaries(
    st.sampled_from(["authorization", "x-api-key", "anthropic-version", "squad-session", "x"]),
    st.text(max_size=20),
)


def answered(method: str, path: str, head: Any, data: bytes) -> int:
    """Read a request as the proxy does and return the status of a refusal, 0
    for a request that would be sent."""
    vendor = apis.vendor_of(path, head)
    try:
        _, below = session_of(path, head)
        request = apis.read(method, below, head, data)
    except SquadError as error:
        answer = refusal(vendor, record(error))
        assert json.loads(answer.data)
        return answer.status
    body, _ = apis.outgoing(request)
    assert request.api.method == "GET" or body["model"] == request.model
    return 0


@settings(max_examples=2500)
@given(st.sampled_from(PATHS), headers, st.one_of(st.binary(max_size=200), bodies, likely))
def test_no_body_breaks_a_request(path: str, head: Any, body: Any) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    for method in ("POST", "GET"):
        assert answered(method, path, head, data) in (0, 400, 404, 413)


@settings(max_examples=1500)
@given(st.text(max_size=60), st.text(max_size=12), headers)
def test_no_path_and_no_method_break_a_request(path: str, method: str, head: Any) -> None:
    for below in (path, f"/v1/models/{path}", f"/session/{path}"):
        assert answered(method, below, head, b"{}") in (0, 400, 404)
        assert answered("GET", below, head, b"") in (0, 404)


@settings(max_examples=1500)
@given(st.binary(max_size=80))
def test_no_target_breaks_the_path(target: bytes) -> None:
    assert path_of(target).startswith("/")


@settings(max_examples=1500)
@given(
    st.sampled_from(list(apis.APIS.values())), st.one_of(st.binary(max_size=200), bodies, values)
)
def test_no_answer_of_an_upstream_breaks_what_is_read_of_it(api: Any, body: Any) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    found, inside = read_whole(200, {}, data, "up")
    assert found.status == 200
    usage = apis.usage_of(api, {"usage": inside})
    again = apis.usage_of(api, inside, usage)
    assert again is None or again.input_tokens >= 0


def test_nesting_is_refused_before_anything_recurses() -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        for depth in (99, 101, 1_000, 100_000):
            inner = opening * depth + b"1" + closing * depth
            status = answered("POST", "/v1/embeddings", {}, b'{"model":"m","input":%s}' % inner)
            assert status == (0 if depth == 99 else 400)


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.sent = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed


class Echo:
    """Answers everything."""

    async def answer(self, method: str, path: str, head: Any, data: bytes) -> Any:
        return Finished(200, {"content-type": "application/json"}, b'{"ok":true}')


lines = st.sampled_from([
    b"POST /v1/messages HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n",
    b"GET http://x/v1/models HTTP/1.1\r\n",
    b"host: a\r\n", b"content-length: 5\r\n", b"content-length: 99999999999999\r\n",
    b"transfer-encoding: chunked\r\n", b"expect: 100-continue\r\n", b"\r\n", b"5\r\nhello\r\n",
    b"0\r\n\r\n", b"hello", b"connection: close\r\n", b"x: \xff\r\n", b"ffffffffffffffffffff\r\n",
])  # fmt: skip


@settings(max_examples=3000)
@given(st.lists(st.one_of(lines, st.binary(max_size=30)), max_size=12), st.integers(1, 400))
def test_no_bytes_break_a_connection(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)

    async def spoken() -> Wire:
        wire = Wire()
        connection = Connection(HttpDoor(Echo()))
        connection.connection_made(wire)  # type: ignore[arg-type]
        for begin in range(0, len(data), size):
            if wire.closed:
                break
            connection.data_received(data[begin : begin + size])
            await asyncio.sleep(0)
        for _ in range(40):
            await asyncio.sleep(0)
        connection.connection_lost(None)
        return wire

    wire = asyncio.run(spoken())
    statuses = heard(wire.sent)
    assert all(status < 500 for status in statuses), wire.sent


def heard(data: bytes) -> list[int]:
    """Return the statuses of all answers, each of which is whole HTTP."""
    found = []
    client = h11.Connection(h11.CLIENT)
    for part in data.split(b"HTTP/1.1 ")[1:]:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(b"HTTP/1.1 " + part)
        event = client.next_event()
        assert isinstance(event, (h11.Response, h11.InformationalResponse))
        found.append(event.status_code)
    return found
