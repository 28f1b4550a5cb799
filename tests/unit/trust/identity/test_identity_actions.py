"""The actions as surfaces call them: through the door, asked of policy."""

from __future__ import annotations

import pytest

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import DeniedError, InvalidError, UnsupportedError
from agentsquad.runtime.engine.door import CallPath, Step
from agentsquad.runtime.engine.interceptors import STANDARD
from agentsquad.runtime.policy.plugin import load_policy
from agentsquad.testing import TestSquad
from agentsquad.trust.identity.adapters.memory import GivenSecrets
from agentsquad.trust.identity.contract import (
    CredentialError,
    CredentialMissingError,
    InsideRunError,
    PasswordWeakError,
    SecretSource,
    Shown,
    Visit,
)
from agentsquad.trust.identity.office import Office
from agentsquad.trust.identity.plugin import plugin

GOOD = "plum tractor quietly 7 boats"
ROOT = Actor("person", "root")


class Settings:
    def __init__(self, home):
        self.home, self.environment = home, {}


class Door:
    """Calls actions of a small installation."""

    def __init__(self, home):
        self.squad = TestSquad(plugin, policy=load_policy((plugin,), None))
        self.world = self.squad.world
        self.secrets = GivenSecrets({"good": GOOD, "weak": "Password1234!"})
        self.world.ports.put(SecretSource, self.secrets)
        self.world.ports.provide(Office, lambda: plugin.ports[Office](Settings(home)))
        self.path = CallPath(self.world, STANDARD)
        self.world.ports.put(CallPath, self.path)

    @property
    def desk(self):
        world = self.world
        return world.ports.get(Office).at(world.store, world.clock, world.entropy)

    async def call(self, called, /, actor=ROOT, run=None, **value):
        action = self.world.registry.action(called)
        return await self.path.run(Step(action, value, actor=actor, run=run))


@pytest.fixture
async def door(tmp_path):
    made = Door(tmp_path)
    yield made
    await made.squad.engine.close()
    made.squad.ledger.close()


async def test_a_person_is_added_with_a_password_and_signs_in(door):
    made = await door.call("users.add", name="ada", password_file="good", admin=True)
    assert (made.account, made.password, made.grants) == ("person:ada", True, {"*": ("admin",)})

    progress = await door.desk.sign_in.begin("ada", GOOD, Visit())

    listed = (await door.call("sessions.list", owner="ada")).items
    assert [one.session for one in listed] == [progress.session.id]
    assert (await door.call("users.list")).items[0].signed_in is not None
    await door.call("sessions.revoke", session=progress.session.id)
    assert (await door.call("sessions.list")).items == ()


async def test_a_person_with_a_weak_password_is_not_added_at_all(door):
    with pytest.raises(PasswordWeakError):
        await door.call("users.add", name="ada", password_file="weak")
    assert (await door.call("users.list")).items == ()


async def test_a_service_works_by_a_key_until_it_is_revoked(door):
    await door.call("services.add", name="nightly", display="Nightly import")
    await door.call("grants.add", name="nightly", role="operator", where="acme")
    made = await door.call("keys.create", owner="nightly", scopes=["runs.*"], days=7)

    who = await door.desk.recognition.recognise(Shown(bearer=made.secret))
    assert (str(who.actor), who.roles("acme")) == ("service:nightly", ("operator",))
    (listed,) = (await door.call("keys.list", owner="nightly")).items
    assert listed.tail == made.secret[-4:] and made.secret not in str(listed)

    assert (await door.call("keys.revoke", key=made.key)).revoked
    with pytest.raises(CredentialError):
        await door.desk.recognition.recognise(Shown(bearer=made.secret))


async def test_grants_are_listed_as_they_are(door):
    await door.call("users.add", name="ada")
    await door.call("grants.add", name="ada", role="viewer")
    await door.call("grants.add", name="ada", role="operator", where="acme")
    listed = [(one.account, one.where, one.role) for one in (await door.call("grants.list")).items]
    assert listed == [("person:ada", "acme", "operator"), ("person:ada", "default", "viewer")]
    await door.call("grants.remove", name="ada", role="viewer")
    assert len((await door.call("grants.list", name="ada")).items) == 1


async def test_an_account_is_disabled_enabled_and_deleted(door):
    await door.call("users.add", name="ada", password_file="good")
    assert (await door.call("users.disable", name="ada", reason="leave")).disabled
    assert not (await door.call("users.enable", name="ada")).disabled
    await door.call("users.set_password", name="ada", password_file="good")
    await door.call("users.delete", name="ada")
    assert (await door.call("users.list")).items == ()


async def test_an_authenticator_app_is_set_up_by_its_owner(door):
    await door.call("users.add", name="ada", password_file="good")
    ada = Actor("person", "ada")
    app = await door.call("factors.add_app", actor=ada, label="phone")
    step = door.world.clock.now_ms() // 30_000
    from agentsquad.trust.identity.adapters.pyotp_codes import PyotpCodes

    door.secrets.secrets["code"] = PyotpCodes().code(app.secret, step)
    codes = await door.call("factors.confirm", actor=ada, factor=app.factor, code_file="code")
    assert len(codes.recovery_codes) == 10
    listed = await door.call("factors.list", actor=ada)
    assert [(one.label, one.ready) for one in listed.items] == [("phone", True)]
    assert listed.recovery_codes == 10
    assert len((await door.call("factors.new_codes", actor=ada)).recovery_codes) == 10
    assert (await door.call("factors.remove", actor=ada, factor=app.factor)).items == ()


async def test_tokens_are_listed_looked_into_and_revoked(door):
    from agentsquad.trust.identity.tokens import Request

    await door.call("users.add", name="ada")
    made = await door.desk.tokens.issue(Request(owner="ada", client="squad-cli", refresh=True))
    door.secrets.secrets["token"] = made.access_token
    (listed,) = (await door.call("tokens.list")).items
    assert (listed.account, listed.client, listed.refreshes) == ("person:ada", "squad-cli", True)
    assert (await door.call("tokens.introspect", token_file="token"))["active"] is True

    assert (await door.call("tokens.revoke", token_file="token")).revoked
    assert await door.call("tokens.introspect", token_file="token") == {"active": False}
    assert (await door.call("tokens.revoke", grant=listed.grant)).revoked
    with pytest.raises(CredentialMissingError):
        await door.call("tokens.revoke", grant=listed.grant)
    rotated = await door.call("tokens.rotate_key")
    assert len(rotated.verifying) == 2 and rotated.kid in rotated.verifying


async def test_the_bootstrap_token_is_made_anew_and_revoked(door):
    one = (await door.call("tokens.bootstrap")).token
    other = (await door.call("tokens.bootstrap")).token
    assert one != other
    assert (await door.call("tokens.revoke", grant="bootstrap")).revoked
    assert not (await door.call("tokens.revoke", grant="bootstrap")).revoked


async def test_programs_are_added_and_removed(door):
    address = "https://reports.example.com/callback"
    await door.call("clients.add", client="reports", redirects=[address], label="Reports")
    assert [one.client for one in (await door.call("clients.list")).items] == [
        "squad-cli",
        "reports",
    ]
    await door.call("clients.remove", client="reports")
    with pytest.raises(CredentialMissingError):
        await door.call("clients.remove", client="reports")
    with pytest.raises(InvalidError):
        await door.call("clients.add", client="bad", redirects=["http://reports.example.com/"])


async def test_what_makes_a_secret_is_refused_where_a_log_would_keep_it(door):
    await door.call("users.add", name="ada")
    for name, value in (
        ("keys.create", {"owner": "ada"}),
        ("users.set_password", {"name": "ada", "password_file": "good"}),
        ("users.add", {"name": "bob"}),
        ("factors.add_app", {"name": "ada"}),
        ("factors.new_codes", {"name": "ada"}),
        ("tokens.bootstrap", {}),
    ):
        with pytest.raises(InsideRunError):
            await door.call(name, run="abc", **value)


@pytest.mark.parametrize("who", [Actor("agent", "matcher"), Actor("schedule", "nightly")])
async def test_agents_and_schedules_keep_no_accounts(door, who):
    for name, value in (("users.list", {}), ("users.add", {"name": "eve"}), ("keys.list", {})):
        with pytest.raises(DeniedError):
            await door.call(name, actor=who, **value)


def test_every_action_of_this_room_concerns_the_installation():
    assert {one.spec.realm for one in plugin.actions} == {"system"}


def test_without_the_extra_it_is_said_what_to_install(monkeypatch):
    import sys

    from agentsquad.trust.identity import plugin as made

    for name in ("pyotp_codes", "passkeys", "ed25519_tokens", "oidc", "ldap", "saml"):
        monkeypatch.setitem(sys.modules, f"agentsquad.trust.identity.adapters.{name}", None)
    for make in (made.code_maker, made.security_keys, made.token_signer, made.oidc_login,
                 made.ldap_login, made.saml_login):  # fmt: skip
        with pytest.raises(UnsupportedError, match="agentsquad\\["):
            make(None)


def test_what_a_setting_cannot_be_is_told():
    from agentsquad.trust.identity.plugin import demanded

    assert (demanded("offered"), demanded("required")) == (False, True)
    with pytest.raises(InvalidError, match="SQUAD_SECOND_FACTOR"):
        demanded("maybe")
