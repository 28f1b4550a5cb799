"""What people may with their own account by actions, with the rules that ship:
their own, and nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from agentsquad.surfaces.gateway.adapters.scratch import ScratchFolder
from agentsquad.surfaces.gateway.gateway import ServingGateway
from agentsquad.surfaces.rest.routes import Rest
from agentsquad.trust.access.contract import SYSTEM
from agentsquad.trust.access.decision import RoleAccess
from agentsquad.trust.access.own import FIELDS, GRAVE
from agentsquad.trust.identity.administration import Wanted
from agentsquad.trust.identity.contract import FRESH_MS, External, Visit
from agentsquad.trust.identity.office import Desk, Office
from agentsquad.trust.identity.tokens import Request
from agentsquad.trust.threats.contract import Verdict

pytestmark = pytest.mark.slow
HERE = Visit(address="192.0.2.7")
OTHERS = {
    "factors.list": {"name": "bob"},
    "factors.add_app": {"name": "bob"},
    "factors.confirm": {"name": "bob", "factor": "FACTOR", "code_file": {"text": "000000"}},
    "factors.remove": {"name": "bob", "factor": "FACTOR"},
    "factors.new_codes": {"name": "bob"},
    "keys.create": {"owner": "bob"},
    "keys.list": {"owner": "bob"},
    "keys.revoke": {"key": "KEY"},
    "sessions.list": {"owner": "bob"},
    "sessions.revoke": {"session": "SESSION"},
}


class Free:
    """A shield that lets everything through, and measures nobody reads."""

    reads = False

    def outer(self, hit: Any) -> Verdict:
        return Verdict()

    def inner(self, hit: Any) -> Verdict:
        return Verdict()

    def ended(self, hit: Any, status: int) -> None:
        return None

    def called(self, call: Any, took_ms: float, error: BaseException | None) -> None:
        return None


class Town:
    """Accounts without any role, and who calls in their name."""

    def __init__(self, squad: Any, desk: Desk, world: Any) -> None:
        self.desk, self.clock = desk, squad.world.clock
        free, clock = Free(), squad.world.clock
        access = RoleAccess(world.policy, world.store, clock, squad.registry.kinds)
        gateway = ServingGateway(
            squad.registry, squad.namespaces, (free, desk.recognition, access), clock, free,
            ScratchFolder,
        )  # fmt: skip
        self.rest = Rest(gateway, squad.registry, clock)
        self.app = Starlette(routes=self.rest.routes)

    async def session(self, name: str) -> dict[str, str]:
        """Sign in; return the headers that show it."""
        external = External(
            provider="corp", method="oidc", subject=name, name=name, display="", email=""
        )
        session = (await self.desk.sign_in.vouched(external, HERE)).session
        assert session is not None
        return {"Cookie": f"__Host-squad={session.value}", "Squad-Csrf": session.csrf}

    async def call(self, action: str, value: Any, headers: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=("192.0.2.7", 1))
        async with httpx.AsyncClient(
            transport=transport, base_url="https://squad.example"
        ) as client:
            return await client.post(f"/v1/actions/{action}", json=value, headers=headers)

    async def stand(self, name: str) -> Any:
        """How somebody stands: account, keys, sessions."""
        desk = self.desk
        account = await desk.administration.find(name)
        keys = [(one.id, one.revoked_ms) for one in await desk.administration.keys(name)]
        return account.version, keys, [one.id for one in await desk.sessions.listed(name)]


@pytest.fixture
async def town(shop: Any, tmp_path: Path) -> AsyncIterator[Town]:
    squad = shop.open(str(tmp_path / ".squad"))
    world = (await squad.namespaces.use(SYSTEM)).world
    desk = world.ports.get(Office).at(world.store, world.clock, world.entropy)
    found = Town(squad, desk, world)
    yield found
    await found.rest.close()
    await squad.close()


async def test_people_look_after_their_own_account_without_any_role(town: Town) -> None:
    ada, bob = await town.session("ada"), await town.session("bob")
    app = (await town.call("factors.add_app", {"label": "phone"}, ada)).json()
    code = town.desk.factors._codes().code(app["secret"], town.desk.directory.now_ms() // 30_000)
    value = {"factor": app["factor"], "code_file": {"text": code}}
    confirmed = await town.call("factors.confirm", value, ada)
    listed = (await town.call("factors.list", {}, ada)).json()
    key = (await town.call("keys.create", {"label": "laptop"}, ada)).json()
    keys = (await town.call("keys.list", {}, ada)).json()
    sessions = (await town.call("sessions.list", {"owner": "ada"}, ada)).json()
    revoked = (await town.call("keys.revoke", {"key": key["key"]}, ada)).json()
    codes = (await town.call("factors.new_codes", {"name": "person:ada"}, ada)).json()
    removed = (await town.call("factors.remove", {"factor": app["factor"]}, ada)).json()
    ended = await town.call("sessions.revoke", {"session": sessions["items"][0]["session"]}, ada)
    assert len(confirmed.json()["recovery_codes"]) == len(codes["recovery_codes"]) == 10
    assert [one["label"] for one in listed["items"]] == ["phone"] and not removed["items"]
    assert key["owner"] == "person:ada" and revoked["revoked"] is True
    assert [one["owner"] for one in keys["items"]] == ["person:ada"], "not those of all"
    assert [one["account"] for one in sessions["items"]] == ["person:ada"]
    assert ended.status_code == 200
    assert (await town.call("factors.list", {}, ada)).status_code == 401
    assert (await town.call("factors.list", {}, bob)).json()["items"] == []


@pytest.mark.parametrize("action", sorted(FIELDS))
async def test_nobody_without_a_role_reaches_the_account_of_another(
    town: Town, action: str
) -> None:
    ada = await town.session("ada")
    await town.session("bob")
    key = await town.desk.administration.create_key(Wanted(owner="bob"), "person:root")
    made = await town.desk.factors.enrol_totp("bob", "person:bob")
    session = (await town.desk.sessions.listed("bob"))[0]
    places = {"FACTOR": made.factor, "KEY": key.key.id, "SESSION": session.id}
    before = await town.stand("bob")
    value = {name: places.get(str(held), held) for name, held in OTHERS[action].items()}
    field = FIELDS[action]
    for name in ("bob", "person:bob", "service:bob", "ada/../bob", "person:ada/bob"):
        said = await town.call(action, {**value, field: name}, ada)
        assert said.status_code in (403, 404), (name, said.text)
    unnamed = {name: held for name, held in value.items() if name != field}
    said = await town.call(action, unnamed, ada)  # their own, so nothing of his
    assert said.status_code in (200, 400, 404), said.text
    assert "bob" not in said.text
    assert await town.stand("bob") == before


async def test_a_key_looks_but_changes_nothing_of_its_owners_account(town: Town) -> None:
    await town.session("ada")
    for scopes, allowed in ((("*",), 200), (("keys.*",), 200), (("runs.*",), 404)):
        wanted = Wanted(owner="ada", scopes=scopes)
        made = await town.desk.administration.create_key(wanted, "person:root")
        bearer = {"Authorization": f"Bearer {made.secret}"}
        before = await town.stand("ada")
        assert (await town.call("keys.list", {}, bearer)).status_code == allowed
        for action, value in (
            ("keys.create", {}),
            ("keys.revoke", {"key": made.key.id}),
            ("factors.new_codes", {}),
        ):
            assert (await town.call(action, value, bearer)).status_code == 404
        assert await town.stand("ada") == before


async def test_a_service_and_whoever_is_not_signed_in_have_no_account_to_look_after(
    town: Town,
) -> None:
    await town.desk.administration.add("service:nightly", "person:root", kind="service")
    made = await town.desk.administration.create_key(Wanted(owner="nightly"), "person:root")
    bearer = {"Authorization": f"Bearer {made.secret}"}
    assert (await town.call("keys.list", {}, bearer)).status_code == 404
    assert (await town.call("keys.list", {}, {})).status_code == 401


async def test_an_administrator_still_sees_and_changes_those_of_all(town: Town) -> None:
    ada, _ = await town.session("ada"), await town.session("bob")
    await town.desk.administration.grant("ada", SYSTEM, "admin", "person:root")
    sessions = (await town.call("sessions.list", {}, ada)).json()["items"]
    made = (await town.call("keys.create", {"owner": "bob"}, ada)).json()
    revoked = (await town.call("keys.revoke", {"key": made["key"]}, ada)).json()
    assert {one["account"] for one in sessions} == {"person:ada", "person:bob"}
    assert made["owner"] == "person:bob" and revoked["revoked"] is True


async def test_a_browser_left_open_changes_nothing_of_how_its_owner_signs_in(town: Town) -> None:
    ada, _ = await town.session("ada"), await town.session("bob")
    await town.desk.administration.grant("ada", SYSTEM, "admin", "person:root")
    first = await town.desk.tokens.issue(Request(owner="ada", client="c", refresh=True))
    made = (await town.call("keys.create", {"label": "old"}, ada)).json()
    town.clock._now += FRESH_MS + 1
    tokens = await town.desk.tokens.refresh(first.refresh_token or "", "c")
    bearer = {"Authorization": f"Bearer {tokens.access_token}"}
    before = await town.stand("ada")
    for action in GRAVE:
        own = {name: held for name, held in OTHERS[action].items() if name != FIELDS[action]}
        for who in (ada, bearer):
            said = await town.call(action, own, who)
            assert (said.status_code, said.json()["code"]) == (401, "identity.stale"), action
    assert await town.stand("ada") == before

    assert (await town.call("factors.list", {}, ada)).status_code == 200
    assert (await town.call("keys.revoke", {"key": made["key"]}, ada)).status_code == 200
    assert (await town.call("keys.create", {"owner": "bob"}, ada)).status_code == 200
    again = await town.session("ada")
    assert (await town.call("keys.create", {"label": "new"}, again)).status_code == 200
