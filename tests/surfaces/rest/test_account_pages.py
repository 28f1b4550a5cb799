"""One's own account in a browser: what it asks for the password again, whom it
lets do what, and what other sites cannot make it do."""

from __future__ import annotations

import html
import importlib.util
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from agentsquad.kernel.policy import Decision
from agentsquad.surfaces.gateway.adapters.scratch import ScratchFolder
from agentsquad.surfaces.gateway.gateway import ServingGateway
from agentsquad.surfaces.rest.routes import auth_routes
from agentsquad.trust.access.contract import SYSTEM
from agentsquad.trust.identity.contract import External, Visit
from agentsquad.trust.identity.office import Desk, Office
from agentsquad.trust.identity.tokens import Request
from agentsquad.trust.threats.contract import Verdict

pytestmark = pytest.mark.slow
PASSWORD = "correct horse battery staple 9"
BETTER = "seven quiet boats tractor plum"
ORIGIN = "https://squad.example"
SPEC = importlib.util.spec_from_file_location(
    "squad_authenticator", Path(__file__).parents[2] / "unit/trust/identity/authenticator.py"
)
assert SPEC and SPEC.loader
authenticator = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(authenticator)


class Open:
    """Guards that are open: who asks is identity's."""

    reads = False

    def outer(self, hit: Any) -> Verdict:
        return Verdict()

    def inner(self, hit: Any) -> Verdict:
        return Verdict()

    def ended(self, hit: Any, status: int) -> None:
        return None

    def decide(self, principal: Any, ask: Any) -> Decision:
        return Decision(allow=True)

    async def require(self, principal: Any, ask: Any) -> Decision:
        return Decision(allow=True)

    def called(self, call: Any, took_ms: float, error: BaseException | None) -> None:
        return None


class Flat:
    """The pages over a real log, and browsers to visit them with."""

    def __init__(self, squad: Any, desk: Desk) -> None:
        self.desk, self.clock = desk, squad.world.clock
        free = Open()
        gateway = ServingGateway(
            squad.registry, squad.namespaces, (free, desk.recognition, free), self.clock, free,
            ScratchFolder,
        )  # fmt: skip
        self.app = Starlette(routes=auth_routes(gateway, lambda: desk))

    @asynccontextmanager
    async def browser(self, name: str = "ada", password: str = PASSWORD) -> AsyncIterator[Browser]:
        async with Browser(
            transport=httpx.ASGITransport(self.app, client=("192.0.2.7", 1)),
            base_url=ORIGIN,
            headers={"Accept": "text/html", "Origin": ORIGIN, "User-Agent": f"{name}'s browser"},
        ) as made:
            said = await made.post("/login", data={"name": name, "password": password})
            assert said.status_code == 303, said.text
            yield made

    def code(self, secret: str) -> str:
        return self.desk.factors._codes().code(secret, self.clock.now_ms() // 30_000)


class Browser(httpx.AsyncClient):
    """A browser that fills in forms."""

    async def home(self) -> str:
        said = await self.get("/account")
        assert said.status_code == 200
        return said.text

    async def fill(self, action: str, fields: dict[str, str]) -> httpx.Response:
        """Send a form with the token that the page holds."""
        csrf = re.search(r'name="csrf" value="([^"]+)"', await self.home())
        return await self.post(action, data={"csrf": csrf[1], **fields})


def hidden(text: str) -> dict[str, str]:
    """The hidden fields of a page's form."""
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', text)
    return {name: html.unescape(value) for name, value in found}


@pytest.fixture
async def flat(shop: Any, tmp_path: Path) -> AsyncIterator[Flat]:
    squad = shop.open(str(tmp_path / ".squad"))
    world = (await squad.namespaces.use(SYSTEM)).world
    desk = world.ports.get(Office).at(world.store, world.clock, world.entropy)
    for name in ("ada", "bob"):
        await desk.administration.add(f"person:{name}", by="person:root")
        await desk.administration.set_password(name, PASSWORD, "person:root")
    yield Flat(squad, desk)
    await squad.close()


async def test_who_is_not_signed_in_is_sent_to_sign_in_and_back(flat: Flat) -> None:
    async with flat.browser() as browser:
        browser.cookies.clear()
        said = await browser.get("/account")
        sent = await browser.post("/account/codes", data={"current": PASSWORD})
    assert (said.status_code, said.headers["location"]) == (303, "/login?next=/account")
    assert sent.status_code == 401


async def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(flat: Flat) -> None:
    async with flat.browser() as browser:
        said = await browser.get("/account")
        assets = [
            await browser.get(place)
            for place in re.findall(r'(?:href|src)="(/\w+/[\w.-]+\.(?:css|js))"', said.text)
        ]
        script = await browser.get("/account/account.js")
    ids = re.findall(r' id="([^"]+)"', said.text)
    assert len(ids) == len(set(ids)), "labels point at one field each"
    for name in re.findall(r'(?:for|aria-\w+by)="([^"]+)"', said.text):
        assert name in ids
    policy = said.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert said.headers["cache-control"] == "no-store"
    assert len(assets) == 2 and [one.status_code for one in assets] == [200, 200]
    assert script.headers["content-type"].startswith("text/javascript")
    assert not re.search(r"<script>| style=| on\w+=|https?://", said.text)


async def test_a_password_is_changed_by_who_knows_it_and_everything_else_ends(flat: Flat) -> None:
    async with flat.browser() as browser, flat.browser() as other:
        new = {"password": BETTER, "repeated": BETTER}
        for fields, status in (
            ({"current": "wrong", **new}, 401),
            (new, 401),
            ({"current": PASSWORD, **new, "repeated": "differs"}, 400),
            ({"current": PASSWORD, "password": "short", "repeated": "short"}, 400),
        ):
            said = await browser.fill("/account/password", fields)
            assert said.status_code == status and 'role="alert"' in said.text, fields
        flat.clock._now += 3_600_000  # after the failures
        async with flat.browser() as third:
            done = await third.fill("/account/password", {"current": PASSWORD, **new})
            assert done.status_code == 200 and "is changed" in done.text
        for one in (browser, other):
            assert (await one.get("/account")).status_code == 303
    async with flat.browser(password=BETTER) as browser:
        assert "person:ada" in await browser.home()


async def test_an_app_is_added_asked_for_at_the_next_sign_in_and_removed(flat: Flat) -> None:
    async with flat.browser() as browser:
        asked = await browser.fill("/account/app", {"label": "phone <1>"})
        assert 'name="current"' in asked.text and "secret" not in hidden(asked.text)
        wrong = await browser.post(
            "/account/app", data={**hidden(asked.text), "current": "not the password"}
        )
        assert wrong.status_code == 401 and 'role="alert"' in wrong.text
        flat.clock._now += 600_000
        made = await browser.post("/account/app", data={**hidden(wrong.text), "current": PASSWORD})
        kept = hidden(made.text)
        grouped = re.search(r'<p class="secret"><code>([A-Z2-7 ]+)</code>', made.text)[1]
        assert grouped.replace(" ", "") == kept["secret"]
        assert {len(one) for one in grouped.split()} == {4}
        assert kept["uri"].startswith("otpauth://totp/")
        bad = await browser.post("/account/app/confirm", data={**kept, "code": "000000"})
        assert bad.status_code == 400 and hidden(bad.text) == kept
        code = flat.code(kept["secret"])
        good = await browser.post(
            "/account/app/confirm", data={**kept, "code": f"{code[:3]} {code[3:]}"}
        )
        codes = re.findall(r"<li><code>([^<]+)</code>", good.text)
        assert len(codes) == 10 and codes[0] not in await browser.home()
        assert "phone &lt;1&gt;" in await browser.home()

        account = await flat.desk.administration.find("ada")
        assert account.methods == ("totp",)
        step = await flat.desk.sign_in.begin("ada", PASSWORD, Visit(address="192.0.2.9"))
        assert step.session is None and "totp" in step.wants

        remove = {"factor": kept["factor"]}
        asked = await browser.fill("/account/factors/remove", remove)
        assert (await flat.desk.administration.find("ada")).methods == ("totp",)
        gone = await browser.post(
            "/account/factors/remove", data={**hidden(asked.text), "current": PASSWORD}
        )
        assert (gone.status_code, gone.headers["location"]) == (303, "/account")
    assert (await flat.desk.administration.find("ada")).methods == ()


async def test_a_security_key_is_added_and_signs_in(flat: Flat) -> None:
    device = authenticator.Authenticator("squad.example", ORIGIN)
    async with flat.browser() as browser, flat.browser("bob") as bob:
        asked = await browser.fill("/account/key", {"label": "blue"})
        page = await browser.post("/account/key", data={**hidden(asked.text), "current": PASSWORD})
        options = json.loads(html.unescape(re.search(r'data-options="([^"]+)"', page.text)[1]))
        answer = json.dumps(device.make(options))
        kept = hidden(page.text)
        stolen = await bob.fill("/account/key/confirm", {"ticket": kept["ticket"], "value": answer})
        empty = await browser.post("/account/key/confirm", data={**kept, "value": ""})
        done = await browser.post("/account/key/confirm", data={**kept, "value": answer})
        again = await browser.post("/account/key/confirm", data={**kept, "value": answer})
        assert (stolen.status_code, empty.status_code) == (401, 400)
        assert done.status_code == 200 and len(re.findall("<li><code>", done.text)) == 10
        assert again.status_code == 400
        assert "blue" in await browser.home()

        first = await bob.post("/login", data={"name": "ada", "password": PASSWORD})
        ticket = hidden(first.text)["ticket"]
        options = (await bob.post("/login/options", json={"ticket": ticket})).json()
        form = {"ticket": ticket, "method": "webauthn", "value": json.dumps(device.use(options))}
        said = await bob.post("/login/verify", data=form)
    assert said.status_code == 303
    assert (await flat.desk.administration.find("bob")).methods == ()


async def test_new_recovery_codes_take_the_place_of_the_old(flat: Flat) -> None:
    enrolled = await flat.desk.factors.enrol_totp("ada", "person:ada")
    async with flat.browser() as browser:
        await flat.desk.factors.confirm_totp(
            "ada", enrolled.factor, flat.code(enrolled.secret), "person:ada"
        )
        before = (await flat.desk.administration.find("ada")).codes
        asked = await browser.fill("/account/codes", {})
        assert (await flat.desk.administration.find("ada")).codes == before
        said = await browser.post(
            "/account/codes", data={**hidden(asked.text), "current": PASSWORD}
        )
    assert len(set(re.findall(r"<li><code>([^<]+)</code>", said.text))) == 10
    after = (await flat.desk.administration.find("ada")).codes
    assert len(after) == 10 and not set(after) & set(before)


async def test_sessions_are_listed_and_ended_but_never_those_of_others(flat: Flat) -> None:
    async with (
        flat.browser() as browser,
        flat.browser() as second,
        flat.browser() as third,
        flat.browser("bob") as bob,
    ):
        text = await browser.home()
        mine = re.findall(r'name="session" value="([0-9a-f]+)"', text)
        theirs = (await flat.desk.sessions.listed("bob"))[0].id
        assert len(mine) == 2 and "this one" in text and "bob" not in text
        asked = await browser.fill("/account/sessions/end", {"session": mine[0]})
        assert 'name="current"' in asked.text and hidden(asked.text)["session"] == mine[0]
        assert "person:ada" in await second.home(), "not before the password was typed"
        again = {"current": PASSWORD}
        forbidden = await browser.fill("/account/sessions/end", {"session": theirs, **again})
        assert forbidden.status_code == 404
        assert "person:bob" in await bob.home()
        await browser.fill("/account/sessions/end", {"session": mine[0], **again})
        assert (await second.get("/account")).status_code == 303
        assert "person:ada" in await third.home()
        await browser.fill("/account/sessions/end", {"session": "others", **again})
        assert (await third.get("/account")).status_code == 303
        assert "person:ada" in await browser.home()
        assert "person:bob" in await bob.home()


async def test_programs_are_listed_and_ended_but_never_those_of_others(flat: Flat) -> None:
    made = [
        await flat.desk.tokens.issue(
            Request(owner=f"person:{name}", client="<squad>", scopes=("runs.*",), refresh=True)
        )
        for name in ("ada", "bob")
    ]
    async with flat.browser() as browser:
        text = await browser.home()
        [mine] = re.findall(r'name="program" value="([^"]+)"', text)
        [theirs] = await flat.desk.tokens.families("bob")
        assert "&lt;squad&gt;" in text and "runs.*" in text
        forbidden = await browser.fill("/account/programs/end", {"program": theirs.id})
        assert forbidden.status_code == 404
        ended = await browser.fill("/account/programs/end", {"program": mine})
        assert ended.status_code == 303 and "nothing acts as you" in await browser.home()
    assert [one.owner for one in await flat.desk.tokens.families()] == ["person:bob"]
    for tokens, active in zip(made, (False, True), strict=True):
        told = await flat.desk.tokens.introspect(tokens.access_token)
        assert told["active"] is active


async def test_every_page_leads_to_signing_out(flat: Flat) -> None:
    async with flat.browser() as browser:
        asked = await browser.fill("/account/app", {"label": "x"})
        key = await browser.fill("/account/key", {"current": PASSWORD})
        made = await browser.post("/account/app", data={**hidden(asked.text), "current": PASSWORD})
        kept = hidden(made.text)
        codes = await browser.post(
            "/account/app/confirm", data={**kept, "code": flat.code(kept["secret"])}
        )
        assert "recovery codes" in codes.text
        for page in (asked, key, made, codes):
            assert '<a href="/login">Sign out</a>' in page.text
        assert 'action="/logout"' in await browser.home()
        assert 'action="/logout"' in (await browser.get("/login")).text


async def test_nothing_is_left_in_the_browser_of_who_signed_out(flat: Flat) -> None:
    async with flat.browser() as browser:
        left = await browser.fill("/logout", {})
        assert left.headers["clear-site-data"] == '"cache", "storage"'
        assert "__Host-squad=" in left.headers["set-cookie"]
    async with flat.browser() as browser:
        new = {"current": PASSWORD, "password": BETTER, "repeated": BETTER}
        changed = await browser.fill("/account/password", new)
        assert changed.headers["clear-site-data"] == '"cache", "storage"'


async def state(flat: Flat) -> Any:
    """How the account stands, and its open sessions."""
    account = await flat.desk.administration.find("ada")
    return account.version, [one.id for one in await flat.desk.sessions.listed("ada")]


ACTIONS = (
    "password", "app", "app/confirm", "key", "key/confirm", "factors/remove", "codes",
    "sessions/end", "programs/end",
)  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS)
async def test_what_another_site_sends_or_has_no_token_changes_nothing(
    flat: Flat, action: str
) -> None:
    fields = {
        "current": PASSWORD, "password": BETTER, "repeated": BETTER, "session": "others",
        "label": "x", "factor": "x", "code": "1", "ticket": "x", "value": "{}",
        "program": "x",
    }  # fmt: skip
    async with flat.browser() as browser, flat.browser() as other:
        csrf = hidden(await browser.home())["csrf"]
        before = await state(flat)
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            said = await browser.post(
                f"/account/{action}", data={**fields, "csrf": csrf}, headers=headers
            )
            assert said.status_code == 403
        for token in (
            {},
            {"csrf": ""},
            {"csrf": "x"},
            {"csrf": hidden(await other.home())["csrf"]},
        ):
            said = await browser.post(f"/account/{action}", data={**fields, **token})
            assert said.status_code == 401, token
        assert (await browser.get(f"/account/{action}")).status_code == 405
        assert await state(flat) == before


async def test_who_has_no_password_here_needs_a_sign_in_of_just_now(flat: Flat) -> None:
    external = External(
        provider="corp", method="oidc", subject="s-1", name="grace", display="Grace", email=""
    )
    progress = await flat.desk.sign_in.vouched(external, Visit(address="192.0.2.8"))
    async with flat.browser() as browser:
        browser.cookies.clear()
        browser.headers["Cookie"] = f"__Host-squad={progress.session.value}"
        assert "<b>corp</b>" in await browser.home()
        fresh = await browser.fill("/account/app", {"label": "phone"})
        assert fresh.status_code == 200 and "secret" in hidden(fresh.text)
        flat.clock._now += 600_001
        stale = await browser.fill("/account/app", {"label": "phone"})
        assert stale.status_code == 401 and "sign in again" in stale.text
        none = await browser.fill(
            "/account/password", {"current": "", "password": BETTER, "repeated": BETTER}
        )
        assert none.status_code == 401
