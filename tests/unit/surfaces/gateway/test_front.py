"""The front: headers of every answer, errors nobody foresaw, and what is
believed of those who stand before the server."""

from __future__ import annotations

from typing import Any

import pytest

from agentsquad.kernel.errors import InvalidError
from agentsquad.surfaces.gateway.front import Front
from agentsquad.surfaces.gateway.health import routes
from agentsquad.surfaces.gateway.plugin import application
from agentsquad.surfaces.gateway.reached import Reached, reached
from agentsquad.testing import ManualClock
from agentsquad.trust.identity.contract import CredentialError


class Heard:
    """A shield and a watcher that only remember."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.failures: list[str] = []
        self.addresses: list[str] = []

    def answered(self, scope: Any, status: int, took_ms: float, number: str) -> None:
        self.statuses.append(status)

    def failed(self, scope: Any, number: str, error: Exception) -> None:
        self.failures.append(f"{number} {type(error).__name__}")

    def ended(self, hit: Any, status: int) -> None:
        self.addresses.append(hit.address)


async def ask(app: Any, *headers: tuple[str, str], **scope: Any) -> tuple[int, dict[str, str], str]:
    """Send one request; return status, headers and body."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asked = {
        "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"",
        "scheme": "http", "root_path": "", "client": ("127.0.0.1", 1), "server": ("x", 1),
        "headers": [(k.encode(), v.encode()) for k, v in (("host", "squad.example"), *headers)],
        "asgi": {"version": "3.0"}, "http_version": "1.1", **scope,
    }  # fmt: skip
    await app(asked, receive, send)
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(one.get("body", b"") for one in sent[1:]).decode()


def front(app: Any, heard: Heard, known: Reached | None = None) -> Front:
    return Front(app, heard, heard, ManualClock(), lambda: "n-1", known)  # type: ignore[arg-type]


async def broken(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("the password is hunter2")


async def test_what_nobody_foresaw_is_told_to_the_log_alone() -> None:
    heard = Heard()
    status, headers, body = await ask(front(broken, heard))
    assert status == 500 and "hunter2" not in body and "RuntimeError" not in body
    assert heard.failures == ["n-1 RuntimeError"] and headers["squad-request"] == "n-1"
    assert headers["content-type"] == "application/problem+json"


async def test_every_answer_keeps_browsers_careful() -> None:
    for app in (broken, application([])):
        _, headers, _ = await ask(front(app, Heard()), scheme="https")
        policy = headers["content-security-policy"]
        for word in ("object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
            assert word in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    _, plain, _ = await ask(front(application([]), Heard()))
    assert "strict-transport-security" not in plain


SQUAD = reached("https://squad.example", "10.0.0.0/8, 127.0.0.1/32")


@pytest.mark.parametrize(
    ("host", "scheme", "found"),
    [
        ("squad.example", "http", "https"),
        ("SQUAD.example", "ws", "wss"),
        ("127.0.0.1:8420", "http", "http"),
        ("squad.example.evil.example", "http", "http"),
        ("squad.example", "https", "https"),
    ],
)
def test_the_scheme_is_that_of_the_address_people_reach(host: str, scheme: str, found: str) -> None:
    scope = {"type": "http", "scheme": scheme, "headers": [(b"host", host.encode())]}
    assert SQUAD.seen(scope)["scheme"] == found


@pytest.mark.parametrize(
    ("peer", "header", "found"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # nobody that we know
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),  # the left one is a claim
        ("127.0.0.1", "203.0.113.9, 10.9.9.9", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, nonsense", "127.0.0.1"),
        ("127.0.0.1", "10.1.1.1", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
    ],
)
async def test_an_address_is_believed_only_of_those_who_were_named(
    peer: str, header: str, found: str
) -> None:
    heard = Heard()
    said = await ask(
        front(application([]), heard, SQUAD), ("x-forwarded-for", header), client=(peer, 1)
    )
    assert said[0] == 404 and heard.addresses == [found]
    nobody = Heard()
    await ask(front(application([]), nobody), ("x-forwarded-for", header), client=(peer, 1))
    assert nobody.addresses == [peer]


def test_a_network_that_is_none_is_told() -> None:
    with pytest.raises(InvalidError, match="SQUAD_TRUSTED_PROXIES"):
        reached("", "10.0.0.0/8,here")
    assert reached("http://127.0.0.1:8420", "") == Reached()
    assert reached("https://squad.example:443/", "").host == "squad.example"


async def test_measures_are_for_this_machine_unless_something_stands_before_the_server() -> None:
    async def nobody(request: Any) -> None:
        raise CredentialError

    for relayed, address, status in (
        (False, "127.0.0.1", 200),
        (False, "192.0.2.1", 401),
        (True, "127.0.0.1", 401),
    ):
        app = application(routes({}, lambda: b"squad_calls 1\n", nobody, relayed=relayed))
        said = await ask(front(app, Heard()), path="/metrics", client=(address, 1))
        assert said[0] == status, (relayed, address)
        assert ("squad_calls" in said[2]) is (status == 200)
