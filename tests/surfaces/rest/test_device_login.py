"""`squad login`: somebody confirms in a browser, the command line stays signed
in, and what ends it ends it on the next command."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from agentsquad.assembly.remote import RemoteInstallation
from agentsquad.kernel.policy import Decision
from agentsquad.surfaces.cli.main import carried_out, guarded
from agentsquad.surfaces.gateway.adapters.scratch import ScratchFolder
from agentsquad.surfaces.gateway.gateway import ServingGateway
from agentsquad.surfaces.gateway.plugin import web
from agentsquad.surfaces.rest.adapters import signing
from agentsquad.surfaces.rest.adapters.signing import Renewal
from agentsquad.surfaces.rest.contract import Login, LoginEndedError, Logins, Place, Screen
from agentsquad.surfaces.rest.plugin import logins
from agentsquad.surfaces.rest.routes import Rest, auth_routes
from agentsquad.trust.access.contract import SYSTEM, Ask
from agentsquad.trust.identity.contract import Principal
from agentsquad.trust.identity.office import Office
from agentsquad.trust.threats.contract import Hit, Verdict

pytestmark = pytest.mark.slow
PASSWORD = "correct horse battery staple 9"
DAY_MS = 86_400_000


class Open:
    """Guards that are open but for who asks."""

    reads = False

    def outer(self, hit: Hit) -> Verdict:
        return Verdict()

    def inner(self, hit: Hit) -> Verdict:
        return Verdict()

    def ended(self, hit: Hit, status: int) -> None:
        return None

    def decide(self, principal: Principal, ask: Ask) -> Decision:
        return Decision(allow=True, reason="open", revision="none")

    async def require(self, principal: Principal, ask: Ask) -> Decision:
        return Decision(allow=True, reason="open", revision="none")

    def called(self, call: Any, took_ms: float, error: BaseException | None) -> None:
        return None


@pytest.fixture
def server(shop: Any, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A server on loopback with one account, in a thread of its own."""
    ready, found = threading.Event(), {}

    async def serve() -> None:
        squad = shop.open(str(tmp_path / "server"))
        world = (await squad.namespaces.use(SYSTEM)).world
        desk = world.ports.get(Office).at(world.store, world.clock, world.entropy)
        await desk.administration.add("person:ada", by="person:root")
        await desk.administration.set_password("ada", PASSWORD, "person:root")
        free, clock = Open(), squad.world.clock
        gateway = ServingGateway(
            squad.registry, squad.namespaces, (free, desk.recognition, free), clock, free,
            ScratchFolder,
        )  # fmt: skip
        rest = Rest(gateway, squad.registry, clock)
        app = Starlette(routes=[*rest.routes, *auth_routes(gateway, lambda: desk)])
        listening = web("127.0.0.1", 0, None)
        desk.reached_at(listening.url)
        found.update(
            url=listening.url, loop=asyncio.get_running_loop(), end=asyncio.Event(), clock=clock
        )
        ready.set()
        await listening.serve(app, found["end"].wait, 1000)
        await rest.close()
        await squad.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(30)
    yield found
    found["loop"].call_soon_threadsafe(found["end"].set)
    thread.join(30)


class Typist:
    """Somebody at a terminal of another machine, and the browser in their
    hand."""

    attended = True

    def __init__(self, url: str, installation: Any, capsys: Any) -> None:
        self.url, self.read = url, ""
        self.answer: str | None = "allow"
        self._installation, self._capsys = installation, capsys

    def say(self, text: str) -> None:
        self.read += text
        if self.answer is None:
            return
        address = re.search(r"http\S+", text)[0]
        with httpx.Client(base_url=self.url, headers={"Accept": "text/html"}) as browser:
            browser.post("/login", data={"name": "ada", "password": PASSWORD})
            page = browser.get(address).text
            csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
            code = re.search(r"\b[A-Z]{4}-[A-Z]{4}\b", text)[0]
            said = {"user_code": code, "csrf": csrf, "answer": self.answer}
            assert browser.post("/auth/activate", data=said).status_code == 200

    def __call__(self, *words: str) -> tuple[int, Any]:
        self._capsys.readouterr()
        here, typed = self._installation, [*words, "-o", "json"]
        code = guarded(lambda: carried_out(here, typed), here, typed)
        return code, json.loads(self._capsys.readouterr().out)


@pytest.fixture
def typist(
    server: dict[str, Any], shop: Any, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> Typist:
    monkeypatch.setenv("SQUAD_SERVER", server["url"])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("SQUAD_HOME", str(tmp_path / "here"))
    made = Typist(server["url"], RemoteInstallation(shop), capsys)
    opened = shop.open

    def open_(*words: Any) -> Any:
        squad = opened(*words)
        squad.ports.put(Logins, logins(os.environ))
        squad.ports.put(Screen, made)
        return squad

    async def pause(seconds: float) -> None:
        server["clock"]._now += int(seconds * 1000)

    monkeypatch.setattr(shop, "open", open_)
    monkeypatch.setattr(signing.SigningIn.__init__, "__defaults__", (pause,))
    return made


def kept(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "config" / "squad" / "logins.json").read_text())


def test_somebody_confirms_in_a_browser_and_is_signed_in_until_they_log_out(
    typist: Typist, tmp_path: Path
) -> None:
    assert typist("runs", "list")[0] == 3
    code, out = typist("login", typist.url)
    assert (code, out["actor"]) == (0, "person:ada")
    assert f"{typist.url}/auth/activate?user_code=" in typist.read
    file = tmp_path / "config" / "squad" / "logins.json"
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert typist("runs", "list")[0] == 0
    login = kept(tmp_path)[typist.url]

    code, out = typist("logout", typist.url)
    assert (code, out["forgotten"], out["revoked"]) == (0, True, True)
    assert typist("runs", "list")[0] == 3
    bearer = {"Authorization": f"Bearer {login['access']}"}
    assert httpx.get(f"{typist.url}/v1/runs", headers=bearer).status_code == 401


def test_a_login_is_renewed_when_its_token_has_ended_and_ends_with_its_family(
    typist: Typist, server: dict[str, Any], tmp_path: Path
) -> None:
    typist("login", typist.url)
    first = kept(tmp_path)[typist.url]
    server["clock"]._now += 660_000  # refused there before this clock would ask
    assert typist("runs", "list")[0] == 0
    second = kept(tmp_path)[typist.url]
    assert second["refresh"] != first["refresh"] and second["access"] != first["access"]
    server["clock"]._now += 31 * DAY_MS
    code, out = typist("runs", "list")
    assert (code, out["error"]["code"]) == (3, "server.login_ended")
    assert "squad login" in out["error"]["hint"]


def test_a_new_login_ends_the_one_it_replaces(typist: Typist, tmp_path: Path) -> None:
    typist("login", typist.url)
    before = kept(tmp_path)[typist.url]["access"]
    typist("login", typist.url, "--scopes", "runs.*")
    bearer = {"Authorization": f"Bearer {before}"}
    assert httpx.get(f"{typist.url}/v1/runs", headers=bearer).status_code == 401
    assert typist("runs", "list")[0] == 0


@pytest.mark.parametrize("answer", ["deny", None])
def test_who_is_refused_or_not_heard_keeps_nothing(
    typist: Typist, tmp_path: Path, answer: str | None
) -> None:
    typist.answer = answer
    code, out = typist("login", typist.url)
    assert (code, out["error"]["code"]) == (3, "server.login_refused")
    assert not (tmp_path / "config" / "squad" / "logins.json").exists()


def test_ways_to_sign_in_are_not_mixed(typist: Typist) -> None:
    for words in (("--device", "--token", "x"), ("--token", "x", "--scopes", "runs.*")):
        code, out = typist("login", typist.url, *words)
        assert (code, out["error"]["code"]) == (2, "server.login_way")


def test_processes_that_renew_at_once_do_not_end_the_login(
    typist: Typist, server: dict[str, Any], tmp_path: Path
) -> None:
    typist("login", typist.url)
    place, folder = Place(url=typist.url), {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    stale = kept(tmp_path)[typist.url]
    aged = Login(access=stale["access"], refresh=stale["refresh"], until_ms=0)
    logins(folder).keep(typist.url, aged)

    async def all_at_once() -> list[str | None]:
        return await asyncio.gather(*(Renewal(place, logins(folder)).token() for _ in range(8)))

    tokens = set(asyncio.run(all_at_once()))
    assert len(tokens) == 1 and tokens != {stale["access"]}
    assert typist("runs", "list")[0] == 0

    logins(folder).keep(typist.url, aged)  # a copy of the old one, as a thief has it
    with pytest.raises(LoginEndedError):
        asyncio.run(Renewal(place, logins(folder)).token())
