"""Signing in over HTTP: pages, sessions, tokens, devices, and what other sites
may not do."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.policy import Decision
from agentsquad.surfaces.gateway.adapters.scratch import ScratchFolder
from agentsquad.surfaces.gateway.gateway import ServingGateway
from agentsquad.surfaces.rest.auth import here
from agentsquad.surfaces.rest.routes import Rest, auth_routes
from agentsquad.testing import ManualClock
from agentsquad.trust.access.contract import SYSTEM, Ask
from agentsquad.trust.identity.contract import Principal, Vouched
from agentsquad.trust.identity.office import Office
from agentsquad.trust.identity.providers import Protocols
from agentsquad.trust.threats.contract import Hit, Verdict

pytestmark = pytest.mark.slow
PASSWORD = "correct horse battery staple 9"
ORIGIN = "https://squad.example"


class Free:
    """Guards that are open but for who asks."""

    reads = False

    def outer(self, hit: Hit) -> Verdict:
        return Verdict()

    def inner(self, hit: Hit) -> Verdict:
        return Verdict()

    def ended(self, hit: Hit, status: int) -> None:
        return None

    def decide(self, principal: Principal, ask: Ask) -> Decision:
        return Decision(allow=True, reason="free", revision="none")

    async def require(self, principal: Principal, ask: Ask) -> Decision:
        return Decision(allow=True, reason="free", revision="none")

    def called(self, call: Any, took_ms: float, error: BaseException | None) -> None:
        return None


class House:
    def __init__(self, squad: Any, desk: Any) -> None:
        self.squad, self.desk = squad, desk
        free, clock = Free(), squad.world.clock
        self.gateway = ServingGateway(
            squad.registry, squad.namespaces, (free, desk.recognition, free), clock, free,
            ScratchFolder,
        )  # fmt: skip
        self.rest = Rest(self.gateway, squad.registry, clock)
        routes = [*self.rest.routes, *auth_routes(self.gateway, lambda: desk)]
        self.app = Starlette(routes=routes)

    def browser(self, origin: str = ORIGIN) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, client=("192.0.2.7", 1)),
            base_url=origin,
            headers={"Accept": "text/html", "Origin": origin},
        )


@pytest.fixture
async def house(shop: Any, tmp_path: Path) -> AsyncIterator[House]:
    squad = shop.open(str(tmp_path / ".squad"))
    system = await squad.namespaces.use(SYSTEM)
    world = system.world
    desk = world.ports.get(Office).at(world.store, world.clock, world.entropy)
    await desk.administration.add("person:ada", by="person:root")
    await desk.administration.set_password("ada", PASSWORD, "person:root")
    found = House(squad, desk)
    yield found
    await found.rest.close()
    await squad.close()


async def signed_in(browser: httpx.AsyncClient) -> httpx.Response:
    return await browser.post("/login", data={"name": "ada", "password": PASSWORD})


async def test_a_browser_signs_in_looks_round_and_signs_out(house: House) -> None:
    async with house.browser() as browser:
        form = await browser.get("/login?next=/docs")
        said = await browser.post(
            "/login", data={"name": "ada", "password": PASSWORD, "next": "/docs"}
        )
        cookie = said.headers["set-cookie"]
        inside = await browser.get("/login")
        csrf = re.search(r'name="csrf" value="([^"]+)"', inside.text)
        read = await browser.get("/v1/runs")
        kept = read.headers["cache-control"]
        bare = await browser.post("/v1/actions/shop.work", json={"n": 1})
        written = await browser.post(
            "/v1/actions/shop.work", json={"n": 1}, headers={"Squad-Csrf": csrf[1]}
        )
        forged = await browser.post("/logout")
        left = await browser.post("/logout", data={"csrf": csrf[1]})
        after = await browser.get("/v1/runs", headers={"Cookie": cookie.partition(";")[0]})
    assert 'name="password"' in form.text and 'value="/docs"' in form.text
    assert (said.status_code, said.headers["location"]) == (303, "/docs")
    assert cookie.startswith("__Host-squad=")
    for part in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie and said.headers["cache-control"] == "no-store"
    assert "person:ada" in inside.text and kept == "no-store"
    assert (read.status_code, bare.status_code, written.status_code) == (200, 401, 200)
    assert (forged.status_code, left.status_code, after.status_code) == (401, 200, 401)


async def test_wrong_and_unknown_names_hear_the_same(house: House) -> None:
    async with house.browser() as browser:
        said = [
            await browser.post("/login", data={"name": name, "password": "wrong"})
            for name in ("ada", "nobody")
        ]
    assert [one.status_code for one in said] == [401, 401]
    assert said[0].text == said[1].text and 'role="alert"' in said[0].text


async def test_a_second_factor_comes_before_the_session(house: House) -> None:
    enrolled = await house.desk.factors.enrol_totp("ada", "person:ada")
    codes = house.desk.factors._codes()
    clock: ManualClock = house.squad.world.clock
    step = clock.now_ms() // 30_000
    await house.desk.factors.confirm_totp(
        "ada", enrolled.factor, codes.code(enrolled.secret, step), "person:ada"
    )
    async with house.browser() as browser:
        first = await signed_in(browser)
        ticket = re.search(r'name="ticket" value="([^"]+)"', first.text)[1]
        step_form = {"ticket": ticket, "method": "totp"}
        wrong = await browser.post("/login/verify", data={**step_form, "value": "000000"})
        clock._now += 60_000
        good = await browser.post(
            "/login/verify",
            data={**step_form, "value": codes.code(enrolled.secret, clock.now_ms() // 30_000)},
        )
    assert first.status_code == 200 and "set-cookie" not in first.headers
    assert (wrong.status_code, good.status_code) == (401, 303)
    assert "__Host-squad" in good.headers["set-cookie"]


async def test_a_console_signs_in_by_json(house: House) -> None:
    async with house.browser() as browser:
        browser.headers["Accept"] = "application/json"
        said = await browser.post("/login", json={"name": "ada", "password": PASSWORD})
        session = (await browser.get("/auth/session")).json()
        wrong = await browser.post("/login", json={"name": "ada", "password": "no"})
    assert said.json()["csrf"] == session["csrf"]
    assert session["actor"] == "person:ada"
    assert (wrong.status_code, wrong.json()["code"]) == (401, "identity.sign_in")


async def test_other_sites_sign_nobody_in(house: House) -> None:
    async with house.browser() as browser:
        for headers in (
            {"Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": "null"},
            {"Origin": "http://[::1"},
        ):
            said = await browser.post(
                "/login", data={"name": "ada", "password": PASSWORD}, headers=headers
            )
            assert said.status_code == 403, headers
            assert "set-cookie" not in said.headers


async def test_a_host_that_is_none_is_no_bug(house: House) -> None:
    async with house.browser() as browser:
        for host in ("[", "a b", "[::1", ""):
            for path in ("/login", "/auth/session", "/v1/runs", "/v1/runs/", "/docs"):
                said = await browser.get(path, headers={"Host": host})
                assert said.status_code < 500, (host, path)
            said = await browser.post(
                "/login",
                data={"name": "ada", "password": PASSWORD},
                headers={"Host": host, "Origin": f"https://{host}"},
            )
            assert said.status_code < 500, host


@pytest.mark.parametrize(
    "place",
    ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/a\nb", "javascript:1"],
)
def test_nobody_is_sent_elsewhere_after_signing_in(place: str) -> None:
    assert here(place) == "/login"


async def test_what_people_type_is_never_markup(house: House) -> None:
    async with house.browser() as browser:
        said = await browser.get('/login?next=/"><script>alert(1)</script>')
    assert "<script>alert" not in said.text
    assert "script-src 'self'" in said.headers["content-security-policy"]


async def test_a_program_gets_a_token_with_pkce(house: House) -> None:
    verifier = "v" * 64
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    query = {
        "response_type": "code", "client_id": "squad-cli", "scope": "runs.*", "state": "s1",
        "redirect_uri": "http://127.0.0.1:5555/callback", "code_challenge": challenge,
        "code_challenge_method": "S256",
    }  # fmt: skip
    async with house.browser() as browser:
        metadata = (await browser.get("/.well-known/oauth-authorization-server")).json()
        unknown = await browser.get("/auth/authorize", params={**query, "client_id": "x"})
        sent = await browser.get("/auth/authorize", params=query)
        double = [*query.items(), ("redirect_uri", "https://evil.example/callback")]
        twice = await browser.get("/auth/authorize", params=double)
        await signed_in(browser)
        asked = await browser.get("/auth/authorize", params=query)
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', asked.text))
        no_csrf = await browser.post(
            "/auth/authorize", data={**query, "answer": "allow", "csrf": "x"}
        )
        said = await browser.post("/auth/authorize", data={**query, "answer": "allow",
                                                           "csrf": fields["csrf"]})  # fmt: skip
        code = httpx.URL(said.headers["location"]).params["code"]
        form = {
            "grant_type": "authorization_code", "client_id": "squad-cli", "code": code,
            "redirect_uri": query["redirect_uri"], "code_verifier": verifier,
        }  # fmt: skip
        browser.cookies.clear()
        tokens = await browser.post("/auth/token", data=form)
        again = await browser.post("/auth/token", data=form)
        wrong = await browser.post("/auth/token", data={**form, "code_verifier": "w" * 64})
        keys = (await browser.get("/.well-known/jwks.json")).json()
    assert metadata["token_endpoint"] == ORIGIN + "/auth/token"
    assert (unknown.status_code, sent.status_code) == (400, 303)
    assert sent.headers["location"].startswith("/login?next=/auth/authorize")
    assert "runs.*" in asked.text
    assert "30 days" in asked.text and "person:ada" in asked.text
    assert '<a href="/login">Sign out</a>' in asked.text
    assert (twice.status_code, twice.json()["code"]) == (400, "rest.body")
    assert "http://127.0.0.1:5555" in asked.headers["content-security-policy"]
    assert (no_csrf.status_code, said.status_code) == (401, 303)
    assert (tokens.status_code, tokens.json()["token_type"]) == (200, "Bearer")
    assert tokens.headers["cache-control"] == "no-store"
    for one in (wrong, again):
        assert (one.status_code, one.json()["error"]) == (400, "invalid_grant")
    assert keys["keys"] and keys["keys"][0]["kty"] == "OKP"


async def test_a_device_is_connected_and_its_token_works_until_revoked(house: House) -> None:
    clock: ManualClock = house.squad.world.clock
    async with house.browser() as browser:
        begun = (await browser.post("/auth/device", data={"client_id": "squad-cli"})).json()
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "client_id": "squad-cli", "device_code": begun["device_code"],
        }  # fmt: skip
        early = await browser.post("/auth/token", data=form)
        await signed_in(browser)
        page = await browser.get("/auth/activate", params={"user_code": begun["user_code"]})
        assert begun["user_code"] in page.text and "192.0.2.7" in page.text
        assert "Nobody who helps you needs you to open this page" in page.text
        csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
        data = {"user_code": begun["user_code"], "csrf": csrf, "answer": "allow"}
        done = await browser.post("/auth/activate", data=data)
        clock._now += 6_000
        browser.cookies.clear()
        tokens = (await browser.post("/auth/token", data=form)).json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        inside = await browser.get("/v1/runs", headers=bearer)
        said = await browser.post(
            "/auth/introspect", data={"token": tokens["access_token"]}, headers=bearer
        )
        nobody = await browser.post("/auth/introspect", data={"token": tokens["access_token"]})
        await browser.post(
            "/auth/revoke", data={"token": tokens["refresh_token"], "client_id": "squad-cli"}
        )
        outside = await browser.get("/v1/runs", headers=bearer)
    assert early.json()["error"] == "authorization_pending"
    assert done.status_code == 200 and "connected" in done.text
    assert inside.status_code == 200
    assert said.json()["active"] is True and nobody.status_code == 401
    assert outside.status_code == 401


async def test_codes_of_devices_are_neither_made_nor_guessed_without_end(house: House) -> None:
    async with house.browser() as browser:
        begun = [await browser.post("/auth/device", data={"client_id": "squad-cli"})
                 for _ in range(21)]  # fmt: skip
        await signed_in(browser)
        tried = [await browser.get("/auth/activate", params={"user_code": "BCDF-GHJK"})
                 for _ in range(11)]  # fmt: skip
        right = begun[0].json()["user_code"]
        late = await browser.get("/auth/activate", params={"user_code": right})
    assert [one.status_code for one in begun] == [200] * 20 + [429]
    assert [one.status_code for one in tried] == [404] * 10 + [429]
    assert late.status_code == 429 and int(late.headers["retry-after"]) > 0


async def test_on_loopback_without_tls_the_cookie_has_no_prefix(house: House) -> None:
    async with house.browser("http://127.0.0.1:8420") as browser:
        cookie = (await signed_in(browser)).headers["set-cookie"]
    assert cookie.startswith("squad=") and "Secure" not in cookie and "HttpOnly" in cookie


class Abroad:
    """Providers that are scripted: the protocols have tests against real
    ones; here it is about redirects, cookies and forms."""

    more: Mapping[str, Any] = {}

    async def location(self, oidc: Any, request: Any) -> str:
        self.request = dict(request)
        return f"https://id.example/authorize?state={request['state']}"

    async def claims(self, oidc: Any, redemption: Any) -> Vouched:
        assert redemption["code"] == "c1"
        return Vouched(subject="s-1", facts={"preferred_username": "bea", **self.more})

    async def vouch(self, ldap: Any, name: str, password: str) -> Vouched | None:
        return Vouched(subject="u1", facts={"uid": name}) if password == PASSWORD else None


@pytest.fixture
async def abroad(house: House) -> Abroad:
    found = Abroad()
    house.desk.instruments = msgspec.structs.replace(
        house.desk.instruments,
        protocols=Protocols(oidc=lambda: found, ldap=lambda: found, saml=lambda: found),
    )
    system = await house.squad.namespaces.use(SYSTEM)
    for name, spec in {
        "corp": {"label": "Corp", "oidc": {"issuer": "https://id.example", "clientId": "squad"}},
        "people": {"ldap": {"url": "ldaps://d.example", "baseDn": "dc=example"}},
    }.items():
        value = {"kind": "identityprovider", "name": name, "resource": {"spec": spec}}
        await system.invoke("resources.put", value, actor=Actor("person", "root"))
    return found


async def test_a_provider_sends_the_browser_back_signed_in(house: House, abroad: Abroad) -> None:
    async with house.browser() as browser:
        form = await browser.get("/login?next=/docs")
        listed = (await browser.get("/auth/providers")).json()["items"]
        away = await browser.get("/auth/providers/corp?next=/docs")
        cookie = away.headers["set-cookie"]
        state = away.headers["location"].partition("state=")[2]
        back = {"code": "c1", "state": state}
        forged = await browser.get(
            "/auth/providers/corp/callback", params={**back, "state": "other"}
        )
        home = await browser.get("/auth/providers/corp/callback", params=back)
        inside = await browser.get("/login")
        again = await browser.get("/auth/providers/corp/callback", params=back)
    assert 'href="/auth/providers/corp?next=/docs">Corp' in form.text
    assert [(one["name"], one["protocol"]) for one in listed] == [
        ("corp", "oidc"), ("people", "ldap")
    ]  # fmt: skip
    assert abroad.request["redirect_uri"] == ORIGIN + "/auth/providers/corp/callback"
    assert cookie.startswith("__Host-squad-leaving=") and "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert forged.status_code == 401
    assert (home.status_code, home.headers["location"]) == (303, "/docs")
    assert "person:bea" in inside.text
    assert again.status_code == 401, "the way back is gone with the cookie"


@pytest.mark.parametrize(("told", "status"), [(["pwd"], 403), (["pwd", "mfa"], 303), (None, 403)])
async def test_where_a_second_factor_is_demanded_the_provider_must_say_that_there_was_one(
    house: House, abroad: Abroad, told: Any, status: int
) -> None:
    abroad.more = {"amr": told}
    house.desk.instruments = msgspec.structs.replace(house.desk.instruments, strict=True)
    system = await house.squad.namespaces.use(SYSTEM)
    spec = {"oidc": {"issuer": "https://id.example", "clientId": "squad"}, "strongWhen": ["mfa"]}
    value = {"kind": "identityprovider", "name": "corp", "resource": {"spec": spec}}
    await system.invoke("resources.put", value, actor=Actor("person", "root"))
    async with house.browser() as browser:
        away = await browser.get("/auth/providers/corp")
        state = away.headers["location"].partition("state=")[2]
        back = {"code": "c1", "state": state}
        home = await browser.get("/auth/providers/corp/callback", params=back)
    assert home.status_code == status
    assert ("__Host-squad=" in home.headers.get("set-cookie", "")) is (status == 303)


async def test_a_directory_is_asked_by_name_and_password(house: House, abroad: Abroad) -> None:
    async with house.browser() as browser:
        form = await browser.get("/auth/providers/people")
        wrong = await browser.post(
            "/auth/providers/people", data={"name": "carl", "password": "no"}
        )
        evil = await browser.post(
            "/auth/providers/people",
            data={"name": "carl", "password": PASSWORD},
            headers={"Origin": "https://evil.example"},
        )
        good = await browser.post(
            "/auth/providers/people", data={"name": "carl", "password": PASSWORD}
        )
        missing = await browser.get("/auth/providers/nobody")
    assert 'action="/auth/providers/people"' in form.text
    assert (wrong.status_code, evil.status_code, good.status_code) == (401, 403, 303)
    assert "__Host-squad=" in good.headers["set-cookie"]
    assert missing.status_code == 404
