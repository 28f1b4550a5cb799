"""A gateway over a log in memory, and a client that speaks ASGI to the
routes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.ports import Clock
from agentsquad.runtime.ledger.adapters.memory import MemoryKeyRing, MemoryVolume
from agentsquad.runtime.ledger.contract import ClosedError
from agentsquad.runtime.ledger.log import EventLog
from agentsquad.surfaces.gateway.contract import Answer, Call, Caller, File, Following
from agentsquad.surfaces.gateway.hub import Hub
from agentsquad.surfaces.websocket.contract import Limits
from agentsquad.surfaces.websocket.routes import routes
from agentsquad.testing.clock import ManualClock, settle
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.trust.access.contract import AccessDeniedError
from agentsquad.trust.identity.contract import CredentialError, Principal, Shown
from agentsquad.trust.threats.contract import Hit


class LogGateway:
    """A gateway of one namespace: tokens are names, `confirm` knows who was
    sent away, and the only action gives its input back."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = EventLog(
            MemoryVolume(), self.clock, SeededEntropy(), MemoryKeyRing(SeededEntropy())
        )
        self.hub = Hub(self.log, queue_max=4)
        self.revoked: set[str] = set()
        self.leaving = False
        self.grants: dict[str, tuple[str, ...]] = {}
        self.shown: list[Shown] = []
        self.calls: list[Call] = []
        self.held: asyncio.Event | None = None

    async def put(self, stream: str, kind: str = "step.completed") -> int:
        [event] = await self.log.append([NewEvent(stream=stream, type=kind, payload={})])
        return event.seq

    def _principal(self, name: str) -> Principal:
        return Principal(
            actor=Actor("person", name),
            grants={"*": self.grants.get(name, ("viewer",))},
            credential=f"key:{name}",
        )

    async def enter(
        self, hit: Hit, shown: Shown, *, namespace: str = "default", trace: str = ""
    ) -> Caller:
        self.shown.append(shown)
        name = shown.bearer or shown.session
        if not name or name in self.revoked:
            raise CredentialError
        return Caller(principal=self._principal(name), namespace=namespace, surface=hit.surface)

    async def confirm(self, caller: Caller) -> Caller:
        if self.leaving:
            raise ClosedError("the server ends")
        name = caller.principal.actor.name
        if name in self.revoked:
            raise CredentialError
        return msgspec.structs.replace(caller, principal=self._principal(name))

    async def place(self, caller: Caller) -> int:
        await self._may(caller)
        return await self.log.size()

    async def _may(self, caller: Caller) -> None:
        if not (await self.confirm(caller)).principal.roles(caller.namespace):
            raise AccessDeniedError

    async def call(self, call: Call) -> Answer:
        self.calls.append(call)
        if self.held is not None:
            await self.held.wait()
        if call.action != "shop.echo":
            raise MissingError(f"no action named {call.action!r}", code="action.missing")
        file = File(name="a.txt", data=b"abc", media_type="text/plain")
        return Answer(value=dict(call.value), files=(file,), replayed=call.key is not None)

    async def follow(self, caller: Caller, what: Following) -> AsyncIterator[Event]:
        await self._may(caller)
        async with aclosing(self.hub.follow(what)) as events:
            async for event in events:
                yield event

    def operations(self) -> Sequence[Any]:
        return ()

    def operation(self, action: str) -> Any:
        raise MissingError(f"no action named {action!r}")

    def kinds(self) -> Mapping[str, Any]:
        return {}

    async def blob(self, caller: Caller, digest: str) -> File:
        raise MissingError(f"no blob {digest!r}")

    async def keep(self, caller: Caller, file: File) -> Mapping[str, Any]:
        return {}


class Client:
    """One connection, as a server of ASGI would carry it."""

    def __init__(self, app: Any, headers: Mapping[str, str], offered: Sequence[str]) -> None:
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.reading = asyncio.Event()
        self.reading.set()
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": "/ws",
            "raw_path": b"/ws",
            "root_path": "",
            "query_string": b"",
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            "client": ("203.0.113.9", 4711),
            "server": ("squad.example", 80),
            "subprotocols": list(offered),
            "extensions": {"websocket.http.response": {}},
        }
        self.inbox.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.ensure_future(app(scope, self.inbox.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            await self.reading.wait()
        self.sent.append(message)

    def raw(self, text: str | None, data: bytes | None = None) -> None:
        self.inbox.put_nowait({"type": "websocket.receive", "text": text, "bytes": data})

    async def say(self, **message: Any) -> None:
        self.raw(json.dumps(message))
        await settle()

    @property
    def heard(self) -> list[dict[str, Any]]:
        """The messages that came, in order."""
        return [json.loads(m["text"]) for m in self.sent if m["type"] == "websocket.send"]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.heard if message["type"] == kind]

    @property
    def closed(self) -> int | None:
        """The code it was closed with."""
        codes = [m["code"] for m in self.sent if m["type"] == "websocket.close"]
        return codes[0] if codes else None

    @property
    def status(self) -> int | None:
        """The status of a refusal before it was opened."""
        found = [m for m in self.sent if m["type"] == "websocket.http.response.start"]
        return found[0]["status"] if found else None

    async def leave(self) -> None:
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await settle()
        assert self.task.done()


class Service:
    """The routes and what they stand on."""

    def __init__(self, clock: Clock | None = None, **limits: int) -> None:
        self.gateway = LogGateway()
        self.clock = self.gateway.clock
        served = routes(self.gateway, clock=clock or self.clock, limits=Limits(**limits))
        self.app = Starlette(routes=served)

    async def connect(
        self,
        token: str | None = "ada",
        *,
        headers: Mapping[str, str] | None = None,
        offered: Sequence[str] = (),
    ) -> Client:
        shown = {"authorization": f"Bearer {token}"} if token else {}
        client = Client(self.app, {"host": "squad.example", **shown, **(headers or {})}, offered)
        await settle()
        return client


@pytest.fixture
def service() -> type[Service]:
    """Makes a service, with limits."""
    return Service
