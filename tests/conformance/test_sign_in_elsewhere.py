"""A browser signs in at providers that other people wrote, through our HTTP and
theirs: oidc-provider, OpenLDAP, and pysaml2's identity provider."""

from __future__ import annotations

import html
import importlib.util
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from agentsquad.surfaces.rest.routes import auth_routes

SPEC = importlib.util.spec_from_file_location(
    "squad_identity_providers", Path(__file__).with_name("test_identity_providers.py")
)
assert SPEC and SPEC.loader
world = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(world)
openid, slapd, pair, idp = world.openid, world.slapd, world.pair, world.idp

pytestmark = pytest.mark.slow
ORIGIN = "http://127.0.0.1:8420"
CALLBACK = f"{ORIGIN}/auth/providers/corp/callback"
LEAVING, SESSION = "squad-leaving", "squad"


class Door:
    """As much of a gateway as pages ask: nobody is kept out, identity says who
    it is."""

    def __init__(self, desk: Any) -> None:
        self._desk = desk

    async def enter(self, hit: Any, shown: Any, *, namespace: str, trace: str = "") -> Any:
        return SimpleNamespace(principal=await self._desk.recognition.recognise(shown))


class Surfer:
    """A browser: one cookie jar for us, one for everybody else; what is posted
    from another site carries no cookie but those that say so."""

    def __init__(self, app: Any, origin: str = ORIGIN) -> None:
        self.origin = origin
        transport = httpx.ASGITransport(app, client=("192.0.2.7", 1))
        self.us = httpx.AsyncClient(
            transport=transport, base_url=origin, headers={"Accept": "text/html"}
        )
        self.them = httpx.AsyncClient(timeout=10)

    async def close(self) -> None:
        await self.us.aclose()
        await self.them.aclose()

    async def at_provider(self, location: str, name: str = "grace") -> str:
        """Sign in and agree at the provider; return where it sends us back."""
        answer = await self.them.get(location)
        for _ in range(12):
            if answer.is_redirect:
                to = urljoin(str(answer.url), answer.headers["location"])
                if to.startswith(self.origin):
                    return to
                answer = await self.them.get(to)
                continue
            action = re.search(r'action="([^"]+)"', answer.text)
            prompt = re.search(r'name="prompt" value="([^"]+)"', answer.text)
            assert action is not None and prompt is not None, answer.text
            form = {"prompt": prompt[1], "login": name, "password": "any"}
            answer = await self.them.post(urljoin(str(answer.url), action[1]), data=form)
        raise AssertionError("the provider never sent the browser back")

    async def who(self) -> str:
        """Who we say that they are."""
        said = await self.us.get("/auth/session", headers={"Accept": "application/json"})
        return str(said.json().get("actor", said.status_code))


@pytest.fixture
async def bench(tmp_path: Path, pair: Path) -> AsyncIterator[Any]:
    shutil.copytree(pair, tmp_path / "keys")
    made = world.Bench(tmp_path)
    yield made
    made.ledger.close()


@pytest.fixture
async def surfer(bench: Any) -> AsyncIterator[Surfer]:
    app = Starlette(routes=auth_routes(Door(bench.desk), lambda: bench.desk))
    made = Surfer(app)
    yield made
    await made.close()


async def test_a_browser_follows_the_link_signs_in_at_oidc_provider_and_is_in(
    bench: Any, surfer: Surfer, openid: dict[str, str]
) -> None:
    await world.oidc(bench, openid)
    form = await surfer.us.get("/login?next=/account")
    link = html.unescape(re.search(r'href="(/auth/providers/corp[^"]*)"', form.text)[1])
    away = await surfer.us.get(link)
    cookie = away.headers["set-cookie"]
    assert away.status_code == 303
    assert away.headers["location"].startswith(openid["issuer"])
    assert cookie.startswith(f"{LEAVING}=") and "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower() and "no-store" in away.headers["cache-control"]

    back = await surfer.at_provider(away.headers["location"])
    assert back.startswith(CALLBACK)
    home = await surfer.us.get(back)
    assert (home.status_code, home.headers["location"]) == (303, "/account")
    assert home.headers["referrer-policy"] == "no-referrer"
    assert LEAVING not in surfer.us.cookies and SESSION in surfer.us.cookies
    assert await surfer.who() == "person:grace"
    page = await surfer.us.get("/account")
    assert "You sign in at <b>corp</b>" in page.text

    again = await surfer.us.get(back)
    assert again.status_code == 401


async def test_a_way_back_that_belongs_to_another_browser_signs_nobody_in(
    bench: Any, surfer: Surfer, openid: dict[str, str]
) -> None:
    await world.oidc(bench, openid)
    away = await surfer.us.get("/auth/providers/corp")
    back = await surfer.at_provider(away.headers["location"])
    mine = surfer.us.cookies.get(LEAVING)
    surfer.us.cookies.clear()
    none = await surfer.us.get(back)  # they were lured to the attacker's way back
    await surfer.us.get("/auth/providers/corp")
    other = await surfer.us.get(back)
    assert (none.status_code, other.status_code) == (401, 401)
    assert SESSION not in surfer.us.cookies and mine
    assert await surfer.who() == "401"


async def test_whoever_refuses_at_the_provider_is_told_on_a_page(
    bench: Any, surfer: Surfer, openid: dict[str, str]
) -> None:
    await world.oidc(bench, openid)
    away = await surfer.us.get("/auth/providers/corp")
    state = re.search(r"state=([^&]+)", away.headers["location"])[1]
    said = await surfer.us.get(
        CALLBACK, params={"error": "access_denied", "state": state, "iss": openid["issuer"]}
    )
    assert said.status_code == 401 and 'role="alert"' in said.text
    assert "text/html" in said.headers["content-type"]


async def test_name_and_password_of_openldap_sign_in_and_wrong_ones_do_not(
    bench: Any, surfer: Surfer, slapd: dict[str, str]
) -> None:
    await world.ldap(bench, slapd)
    form = await surfer.us.get("/auth/providers/corp?next=/account")
    action = html.unescape(re.search(r'action="([^"]+)"', form.text)[1])
    fields = {"name": "grace", "next": "/account"}
    assert action == "/auth/providers/corp" and 'value="/account"' in form.text
    wrong = await surfer.us.post(action, data={**fields, "password": "wrong"})
    evil = await surfer.us.post(
        action,
        data={**fields, "password": slapd["password"]},
        headers={"Origin": "https://evil.example"},
    )
    assert (wrong.status_code, evil.status_code) == (401, 403)
    assert 'role="alert"' in wrong.text and f'action="{action}"' in wrong.text
    good = await surfer.us.post(action, data={**fields, "password": slapd["password"]})
    assert (good.status_code, good.headers["location"]) == (303, "/account")
    assert await surfer.who() == "person:grace"


async def test_what_pysaml2_has_the_browser_post_from_its_own_site_signs_in(
    bench: Any, surfer: Surfer, idp: Any
) -> None:
    await bench.apply(saml={"metadataFile": str(idp.metadata)})
    known = await surfer.us.get("/auth/providers/corp/metadata")
    assert known.headers["content-type"].startswith("application/samlmetadata+xml")
    assert CALLBACK in known.text
    away = await surfer.us.get("/auth/providers/corp?next=/account")
    cookie = away.headers["set-cookie"]
    for part in ("Secure", "HttpOnly", "SameSite=none", "Path=/"):
        assert part in cookie, part
    form = idp.answer(known.text, away.headers["location"])
    # Secure: httpx keeps it from http, browsers send it to this machine.
    sent = {
        "Cookie": cookie.partition(";")[0],
        "Origin": "https://idp.example.com",
        "Sec-Fetch-Site": "cross-site",
    }
    bare = await surfer.us.post(CALLBACK, data=form, headers={**sent, "Cookie": ""})
    assert bare.status_code == 401
    home = await surfer.us.post(CALLBACK, data=form, headers=sent)
    assert (home.status_code, home.headers["location"]) == (303, "/account")
    assert await surfer.who() == "person:grace"
    again = await surfer.us.post(CALLBACK, data=form, headers=sent)
    assert again.status_code == 401


async def test_a_provider_that_cannot_be_reached_is_told_and_one_that_is_none_is_missing(
    bench: Any, surfer: Surfer, openid: dict[str, str]
) -> None:
    await world.oidc(bench, openid, issuer="http://127.0.0.1:9")
    gone = await surfer.us.get("/auth/providers/corp")
    for path in ("/auth/providers/none", "/auth/providers/none/metadata"):
        assert (await surfer.us.get(path)).status_code == 404
    assert gone.status_code == 503 and "location" not in gone.headers
    assert 'role="alert"' in gone.text and "text/html" in gone.headers["content-type"]


async def test_whoever_may_not_sign_in_without_a_second_factor_is_told_on_a_page(
    bench: Any, surfer: Surfer, slapd: dict[str, str]
) -> None:
    await world.ldap(bench, slapd)
    bench.desk.sign_in._strict = True
    fields = {"name": "grace", "password": slapd["password"]}
    said = await surfer.us.post("/auth/providers/corp", data=fields)
    assert said.status_code == 403 and 'role="alert"' in said.text
    assert SESSION not in surfer.us.cookies


async def test_behind_a_proxy_the_way_back_is_the_address_that_the_server_is_said_to_have(
    bench: Any, surfer: Surfer, openid: dict[str, str]
) -> None:
    bench.desk.instruments = msgspec.structs.replace(
        bench.desk.instruments, issuer="https://squad.example/"
    )
    await world.oidc(bench, openid)
    away = await surfer.us.get("/auth/providers/corp")
    told = parse_qs(urlsplit(away.headers["location"]).query)["redirect_uri"]
    assert told == ["https://squad.example/auth/providers/corp/callback"]
