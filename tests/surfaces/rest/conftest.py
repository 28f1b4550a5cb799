"""The real gateway over everything that ships and the shop, and a client that
speaks ASGI to its routes.

Who asks is their token: `ada` is an administrator, `eve` holds no role. Guards
are open but for that; they have tests of their own.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from agentsquad.assembly.squad import Squad
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.policy import Decision
from agentsquad.surfaces.gateway.adapters.scratch import ScratchFolder
from agentsquad.surfaces.gateway.gateway import ServingGateway
from agentsquad.surfaces.gateway.plugin import web
from agentsquad.surfaces.rest.contract import Options
from agentsquad.surfaces.rest.routes import Rest
from agentsquad.trust.access.contract import AccessDeniedError, Ask
from agentsquad.trust.identity.contract import CredentialError, Principal, Shown
from agentsquad.trust.threats.contract import Hit, Verdict


class OpenShield:
    """Lets everything in."""

    reads = False

    def outer(self, hit: Hit) -> Verdict:
        return Verdict()

    def inner(self, hit: Hit) -> Verdict:
        return Verdict()

    def ended(self, hit: Hit, status: int) -> None:
        return None


class Names:
    """Tokens are names; who was sent away is not recognised."""

    def __init__(self) -> None:
        self.gone: set[str] = set()

    async def recognise(self, shown: Shown) -> Principal:
        name = shown.bearer or shown.session
        if not name or name in self.gone or not name.isalnum():
            raise CredentialError
        roles = () if name == "eve" else ("admin", "boss")
        return Principal(actor=Actor("person", name), grants={"*": roles}, credential=f"key:{name}")

    async def confirm(self, principal: Principal) -> Principal:
        if principal.actor.name in self.gone:
            raise CredentialError
        return principal


class AnyRole:
    """Lets those in who hold any role."""

    def decide(self, principal: Principal, ask: Ask) -> Decision:
        return Decision(
            allow=bool(principal.roles(ask.namespace)), reason="a role", revision="none"
        )

    async def require(self, principal: Principal, ask: Ask) -> Decision:
        if not principal.roles(ask.namespace):
            raise AccessDeniedError
        return Decision(allow=True, reason="a role", revision="none")


class Unmeasured:
    """Counts calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def called(self, call: Any, took_ms: float, error: BaseException | None) -> None:
        self.calls.append(call.action)


class Desk:
    """One server in this process."""

    def __init__(self, squad: Squad, options: Options | None = None) -> None:
        self.squad = squad
        self.names = Names()
        self.measures = Unmeasured()
        clock = squad.world.clock
        self.gateway = ServingGateway(
            squad.registry,
            squad.namespaces,
            (OpenShield(), self.names, AnyRole()),
            clock,
            self.measures,
            ScratchFolder,
        )
        self.rest = Rest(self.gateway, squad.registry, clock, options)
        self.app = Starlette(routes=self.rest.routes)

    def client(self, token: str | None = "ada", **headers: str) -> httpx.AsyncClient:
        found: Mapping[str, str] = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://127.0.0.1",
            headers={**found, **headers},
        )

    async def close(self) -> None:
        await self.rest.close()
        await self.gateway.leave(1000)
        await self.squad.close()


@pytest.fixture
def options() -> Options:
    return Options()


@pytest.fixture
async def make_desk(
    shop: Any, seeded: Path, options: Options
) -> AsyncIterator[Callable[[Path], Awaitable[Desk]]]:
    """Make servers, each on a copy of the seeded store and with the same
    chance."""
    made: list[Desk] = []

    async def make(folder: Path) -> Desk:
        home = folder / ".squad"
        shutil.copytree(seeded, home)
        shop.opened = 0
        made.append(Desk(shop.open(str(home)), options))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture
async def desk(make_desk: Any, tmp_path: Path) -> Desk:
    """A server on a copy of the seeded store."""
    found: Desk = await make_desk(tmp_path)
    return found


@pytest.fixture
def address(shop: Any, seeded: Path, tmp_path: Path, options: Options) -> Iterator[str]:
    """The same server on loopback, in a thread of its own, for clients that
    know nothing of event loops."""
    home = tmp_path / "server" / ".squad"
    shutil.copytree(seeded, home)
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        found["loop"], found["end"] = asyncio.get_running_loop(), asyncio.Event()
        desk = Desk(shop.open(str(home)), options)
        listening = web("127.0.0.1", 0, None)
        found["url"] = listening.url
        ready.set()
        await listening.serve(desk.app, found["end"].wait, 1000)
        await desk.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(30)
    yield found["url"]
    found["loop"].call_soon_threadsafe(found["end"].set)
    thread.join(30)
