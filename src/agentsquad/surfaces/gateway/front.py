"""The front of the server: what every HTTP request passes, before and after any
surface.

It numbers requests, answers what went wrong unforeseen, sets the headers that
a browser needs to be careful, and tells measures how a request ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from agentsquad.kernel.ports import Clock
from agentsquad.surfaces.gateway.contract import Call
from agentsquad.surfaces.gateway.http import problem
from agentsquad.surfaces.gateway.reached import Reached
from agentsquad.trust.threats.contract import STANDING, Hit, Shield

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CAREFUL = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'",
    ),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"geolocation=(), camera=(), microphone=()"),
)
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class Watching(Protocol):
    """Hears of requests."""

    def answered(self, scope: Scope, status: int, took_ms: float, number: str) -> None:
        """Hear how a request ended; `scope` names its route."""
        ...

    def failed(self, scope: Scope, number: str, error: Exception) -> None:
        """Hear of an error that nobody foresaw."""
        ...


class Measuring(Watching, Protocol):
    """What a server's measures are for the rest of it, too."""

    @property
    def count(self) -> int:
        """How many calls there were."""
        ...

    def called(self, call: Call, took_ms: float, error: BaseException | None) -> None:
        """Hear how a call ended."""
        ...

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show a number that is asked for when somebody looks."""
        ...

    def exposition(self) -> bytes:
        """Return everything in the text form of Prometheus."""
        ...

    def line(self, event: str, **fields: Any) -> None:
        """Write one line to the log of the process."""
        ...


class Front:
    """The outermost ASGI application."""

    def __init__(
        self,
        app: App,
        watching: Watching,
        shield: Shield,
        clock: Clock,
        number: Callable[[], str],
        reached: Reached | None = None,
    ) -> None:
        self._app = app
        self._reached = reached or Reached()
        self._watching = watching
        self._shield = shield
        self._clock = clock
        self._number = number

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or connection."""
        if scope["type"] in ("http", "websocket"):
            scope = self._reached.seen(scope)
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, number, status = self._clock.monotonic_ms(), self._number(), 0
        STANDING.set(None)

        async def careful(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *_with_care(scope, message.get("headers", ()), number),
                    *((k.lower().encode(), v.encode()) for k, v in (STANDING.get() or {}).items()),
                ]
            await send(message)

        try:
            await self._app(scope, receive, careful)
        except Exception as error:  # noqa: BLE001 - the last door: our bug, not its text
            self._watching.failed(scope, number, error)
            if not status:
                await problem(error)(scope, receive, careful)
        finally:
            took = self._clock.monotonic_ms() - began
            self._watching.answered(scope, status or 499, took, number)
            if status in (401, 403, 404, 429):
                self._shield.ended(_hit(scope), status)


def _with_care(scope: Scope, headers: Any, number: str) -> list[tuple[bytes, bytes]]:
    found = [(name.lower(), value) for name, value in headers]
    there = {name for name, _ in found}
    found += [one for one in CAREFUL if one[0] not in there]
    found.append((b"squad-request", number.encode()))
    if scope.get("scheme") == "https" and STRICT_TRANSPORT[0] not in there:
        found.append(STRICT_TRANSPORT)
    return found


def _hit(scope: Scope) -> Hit:
    client = scope.get("client")
    return Hit(
        surface="http",
        method=scope["method"],
        path=scope["path"],
        address=client[0] if client else "",
    )
