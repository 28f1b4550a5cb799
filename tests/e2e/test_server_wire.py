"""What the server does with bytes and ciphers that no ordinary client
sends."""

from __future__ import annotations

import importlib.util
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SPEC = importlib.util.spec_from_file_location(
    "squad_serving", Path(__file__).with_name("test_server.py")
)
assert SPEC and SPEC.loader
serving = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(serving)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    found = serving.Server(tmp_path_factory.mktemp("wire") / ".squad")
    found.start()
    yield found
    assert found.stop() == 0


def say(server: Any, text: str) -> list[str]:
    """Send bytes on one connection; return the status of each answer."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(text.encode())
        data = b""
        while part := raw.recv(65536):
            data += part
    return re.findall(r"HTTP/1\.1 ([0-9]{3}) ", data.decode("latin-1"))


HIDDEN = "GET /v1/runs HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        f"Content-Length: 5\r\nContent-Length: {5 + len(HIDDEN)}\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length : 5\r\n",
        "X: a\r\n Content-Length: 5\r\n\tb: c\x00\r\n",
    ],
)
def test_a_request_whose_end_is_in_doubt_is_refused_and_nothing_after_it_is_read(
    server: Any, headers: str
) -> None:
    text = f"POST /login HTTP/1.1\r\nHost: x\r\n{headers}\r\nhello{HIDDEN}"
    assert say(server, text) in (["400"], ["501"])


def test_where_both_ways_say_where_a_request_ends_chunks_count(server: Any) -> None:
    both = (
        "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n"
        f"\r\n{len(HIDDEN):x}\r\n{HIDDEN}\r\n0\r\n\r\n"
    )
    well = "GET /healthz HTTP/1.1\r\nHost: x\r\n"
    last = well + "Connection: close\r\n\r\n"
    assert say(server, f"{well}\r\n{last}") == ["200", "200"], "one after the other is no harm"
    assert say(server, both + last) == ["400", "200"], "and none for what was within"


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "DEBUG", "PROPFIND"])
@pytest.mark.parametrize("path", ["/v1/runs", "/login", "/healthz", "/graphql", "/mcp", "/nothing"])
def test_methods_that_are_not_meant_are_answered_with_nothing_of_the_request(
    server: Any, method: str, path: str
) -> None:
    text = f"{method} {path} HTTP/1.1\r\nHost: x\r\nCookie: squad=abc\r\nConnection: close\r\n\r\n"
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(text.encode())
        raw.shutdown(socket.SHUT_WR)
        data = b""
        while part := raw.recv(65536):
            data += part
    assert data[9:12] in (b"400", b"404", b"405"), data[:200]
    assert b"abc" not in data


@pytest.mark.parametrize(
    "path",
    ["/.git/config", "/.env", "/account/%2e%2e/page.py", "/login/../auth.py",
     "/static/", "/login/%2e%2e%2fauth.py"],
)  # fmt: skip
def test_no_folder_is_listed_and_no_file_but_the_named_ones_is_given(
    server: Any, path: str
) -> None:
    found = say(server, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert found[0] in ("404", "400"), found


def test_tls_older_than_1_2_and_weak_ciphers_are_refused(tmp_path: Path) -> None:
    server = serving.Server(tmp_path / ".squad", "--tls-own", "--grpc-listen", "127.0.0.1:0")
    root = server.home / "tls" / "ca.pem"
    server.ready = root.exists
    server.start()
    server.until(lambda: " serving grpc=" in server.said())
    line = next(one for one in server.said().splitlines() if " serving grpc=" in one)
    places = (server.url.removeprefix("https://"), line.rpartition("grpc=")[2])

    def connect(place: str, version: Any, ciphers: str) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(root)
        context.set_alpn_protocols(["h2"])
        context.minimum_version = context.maximum_version = version
        context.set_ciphers(ciphers)
        host, _, port = place.partition(":")
        with (
            socket.create_connection((host, int(port)), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname=host) as wrapped,
        ):
            return str(wrapped.version())

    try:
        for place in places:
            strong = "ECDHE+AESGCM"
            assert connect(place, ssl.TLSVersion.TLSv1_3, strong) == "TLSv1.3"
            assert connect(place, ssl.TLSVersion.TLSv1_2, strong) == "TLSv1.2"
            with pytest.warns(DeprecationWarning), pytest.raises(OSError):
                connect(place, ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0")
            for weak in ("AES128-SHA", "AES256-GCM-SHA384", "ECDHE+AES+SHA1", "eNULL:aNULL"):
                with pytest.raises(OSError):
                    connect(place, ssl.TLSVersion.TLSv1_2, weak + ":@SECLEVEL=0")
    finally:
        assert server.stop() == 0
