from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from agentsquad.trust.identity.administration import Wanted
from agentsquad.trust.identity.contract import (
    CredentialError,
    DeviceLimitError,
    OAuthError,
    Shown,
    TicketError,
)
from agentsquad.trust.identity.devices import ALL, EACH, MISTYPED
from agentsquad.trust.identity.issued import Client
from agentsquad.trust.identity.oauth import (
    DEVICE_GRANT,
    RedirectError,
    challenge_of,
    fits,
    good_redirect,
    verified,
)

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CALLBACK = "http://127.0.0.1:53123/callback"
QUERY = {
    "response_type": "code",
    "client_id": "squad-cli",
    "redirect_uri": CALLBACK,
    "scope": "runs.*",
    "state": "xyz",
    "code_challenge": challenge_of(VERIFIER),
    "code_challenge_method": "S256",
}


async def ada(bench, desk=None):
    """Ada, signed in at a browser."""
    if bench.desk.directory.state.account("person:ada") is None:
        await bench.ada()
    session = await bench.session()
    shown = Shown(session=session.value, csrf=session.csrf)
    return await (desk or bench.desk).recognition.recognise(shown)


async def code(bench, **changes):
    who = await ada(bench)
    asked = await bench.desk.oauth.check({**QUERY, **changes})
    address = await bench.desk.oauth.allow(asked, who)
    return parse_qs(urlsplit(address).query)


def form(shown, **changes):
    found = {
        "grant_type": "authorization_code",
        "client_id": "squad-cli",
        "code": shown,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


async def error(awaitable):
    with pytest.raises(OAuthError) as caught:
        await awaitable
    return caught.value.error


def test_the_challenge_is_that_of_the_rfc():
    # RFC 7636 appendix B
    assert challenge_of(VERIFIER) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert verified(challenge_of(VERIFIER), VERIFIER)
    assert not verified(challenge_of(VERIFIER), VERIFIER[:-1] + "A")
    assert not verified(challenge_of("short"), "short")


async def test_a_person_lets_a_program_have_tokens(bench):
    back = await code(bench)
    assert (back["state"], back["iss"]) == (["xyz"], ["https://squad.example.com"])

    tokens = await bench.other().oauth.token(form(back["code"][0]))

    who = await bench.desk.recognition.recognise(Shown(bearer=tokens.access_token))
    assert (str(who.actor), who.scopes, who.method) == ("person:ada", ("runs.*",), "password")
    assert tokens.refresh_token is not None
    again = await bench.desk.oauth.token(
        {"grant_type": "refresh_token", "client_id": "squad-cli",
         "refresh_token": tokens.refresh_token}
    )  # fmt: skip
    assert again.refresh_token != tokens.refresh_token


async def test_a_code_shown_twice_ends_the_tokens_of_the_first_time(bench):
    shown = (await code(bench))["code"][0]
    tokens = await bench.desk.oauth.token(form(shown))

    assert await error(bench.other().oauth.token(form(shown))) == "invalid_grant"

    with pytest.raises(CredentialError):
        await bench.desk.recognition.recognise(Shown(bearer=tokens.access_token))


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "A" * 43},
        {"code_verifier": None},
        {"redirect_uri": "http://127.0.0.1:1/callback"},
        {"client_id": "another"},
        {"code": "sqc_nonsense"},
    ],
)
async def test_a_code_without_all_that_belongs_to_it_is_refused(bench, change):
    shown = (await code(bench))["code"][0]
    assert await error(bench.desk.oauth.token(form(shown, **change))) == "invalid_grant"


async def test_a_code_lives_a_minute(bench):
    shown = (await code(bench))["code"][0]
    await bench.clock.advance(60_000)
    assert await error(bench.desk.oauth.token(form(shown))) == "invalid_grant"


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "nobody"},
        {"redirect_uri": "https://evil.example.com/callback"},
        {"redirect_uri": "http://127.0.0.1:5/other"},
        {"redirect_uri": "http://127.0.0.1@evil.example.com/callback"},
        {"redirect_uri": "http://localhost/callback"},
        {"redirect_uri": ""},
    ],
)
async def test_nobody_is_sent_to_an_address_that_is_not_the_programs_own(bench, change):
    with pytest.raises(OAuthError) as caught:
        await bench.desk.oauth.check({**QUERY, **change})
    assert not isinstance(caught.value, RedirectError)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "no scope!"}, "invalid_scope"),
    ],
)
async def test_a_program_hears_of_what_it_did_wrong(bench, change, told):
    with pytest.raises(RedirectError) as caught:
        await bench.desk.oauth.check({**QUERY, **change})
    back = parse_qs(urlsplit(caught.value.location).query)
    assert caught.value.location.startswith(CALLBACK)
    assert (back["error"], back["state"]) == ([told], ["xyz"])


async def test_a_person_who_says_no_sends_the_program_away(bench):
    asked = await bench.desk.oauth.check(QUERY)
    assert parse_qs(urlsplit(bench.desk.oauth.deny(asked)).query)["error"] == ["access_denied"]


async def test_a_token_cannot_allow_a_program_more_tokens(bench):
    shown = (await code(bench))["code"][0]
    tokens = await bench.desk.oauth.token(form(shown))
    who = await bench.desk.recognition.recognise(Shown(bearer=tokens.access_token))
    asked = await bench.desk.oauth.check(QUERY)
    assert await error(bench.desk.oauth.allow(asked, who)) == "access_denied"


async def test_a_service_gets_a_token_for_its_key_and_no_more_than_the_key_allows(bench):
    office = bench.desk.administration
    await office.add("nightly", "person:root", kind="service")
    made = await office.create_key(
        Wanted(owner="nightly", scopes=("runs.*",), within=("acme",)), "person:root"
    )
    ask = {"grant_type": "client_credentials"}

    tokens = await bench.desk.oauth.token(ask, ("nightly", made.secret))

    who = await bench.desk.recognition.recognise(Shown(bearer=tokens.access_token))
    assert (str(who.actor), who.scopes) == ("service:nightly", ("runs.*",))
    assert tokens.refresh_token is None
    wide = bench.desk.oauth.token({**ask, "scope": "users.*"}, ("nightly", made.secret))
    assert await error(wide) == "invalid_scope"
    for basic in (("nightly", "sqk_wrong"), ("other", made.secret), ("", "")):
        assert await error(bench.desk.oauth.token(ask, basic)) == "invalid_client"
    await office.revoke_key(made.key.id, "person:root")
    late = bench.desk.oauth.token(ask, ("nightly", made.secret))
    assert await error(late) == "invalid_client"


async def test_a_device_gets_tokens_once_somebody_typed_what_it_shows(bench):
    who = await ada(bench)
    device = await bench.desk.oauth.device({"client_id": "squad-cli", "scope": "runs.*"})
    ask = {"grant_type": DEVICE_GRANT, "client_id": "squad-cli", "device_code": device.device_code}
    assert await error(bench.desk.oauth.token(ask)) == "authorization_pending"
    assert await error(bench.desk.oauth.token(ask)) == "slow_down"

    typed = device.user_code.lower().replace("-", " ")
    assert (await bench.other().oauth.waiting(typed)).client == "squad-cli"
    await bench.other().oauth.activate(typed, who)
    await bench.clock.advance(5_000)
    tokens = await bench.desk.oauth.token(ask)

    found = await bench.desk.recognition.recognise(Shown(bearer=tokens.access_token))
    assert (str(found.actor), found.scopes) == ("person:ada", ("runs.*",))
    assert await error(bench.desk.oauth.token(ask)) == "invalid_grant"
    with pytest.raises(TicketError):
        await bench.desk.oauth.activate(typed, who)


async def test_a_device_that_somebody_refused_or_forgot_gets_nothing(bench):
    who = await ada(bench)
    asks = []
    for _ in range(2):
        device = await bench.desk.oauth.device({"client_id": "squad-cli"})
        asks.append((device, {"grant_type": DEVICE_GRANT, "client_id": "squad-cli",
                              "device_code": device.device_code}))  # fmt: skip
    await bench.desk.oauth.activate(asks[0][0].user_code, who, allow=False)

    assert await error(bench.desk.oauth.token(asks[0][1])) == "access_denied"
    await bench.clock.advance(600_000)
    assert await error(bench.desk.oauth.token(asks[1][1])) == "expired_token"
    with pytest.raises(TicketError):
        await bench.desk.oauth.waiting(asks[1][0].user_code)


@pytest.mark.parametrize("kind", ["", "password", "implicit", "urn:x"])
async def test_no_other_grant_is_offered(bench, kind):
    assert await error(bench.desk.oauth.token({"grant_type": kind})) == "unsupported_grant_type"


async def test_a_program_that_was_added_is_asked_for_by_name_and_ends_when_removed(bench):
    address = "https://reports.example.com/callback"
    await bench.desk.oauth.add_client(Client(id="reports", redirects=(address,)), "person:root")
    changes = {"client_id": "reports", "redirect_uri": address}
    shown = (await code(bench, **changes))["code"][0]
    tokens = await bench.desk.oauth.token(form(shown, **changes))

    await bench.other().oauth.remove_client("reports", "person:root")

    with pytest.raises(CredentialError):
        await bench.desk.recognition.recognise(Shown(bearer=tokens.access_token))
    assert await error(bench.desk.oauth.check({**QUERY, **changes})) == "invalid_request"


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("https://a.example.com/cb", True),
        ("http://127.0.0.1/cb", True),
        ("http://[::1]:80/cb", True),
        ("http://a.example.com/cb", False),
        ("https://a.example.com/cb#x", False),
        ("https://u@a.example.com/cb", False),
        ("javascript:alert(1)", False),
        ("https://", False),
        ("http://[::1", False),
    ],
)
def test_which_addresses_people_may_be_sent_to(address, good):
    assert good_redirect(address) is good


def test_only_the_port_of_the_loopback_is_free():
    assert fits("http://127.0.0.1/cb", "http://127.0.0.1:99/cb")
    for given in (
        "http://127.0.0.1:99/cb?x=1",
        "http://127.0.0.1:99/cb#x",
        "https://127.0.0.1/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://x@127.0.0.1/cb",
        "http://[",
        "",
    ):
        assert not fits("http://127.0.0.1/cb", given)  # fmt: skip
    assert not fits("https://a.example.com/cb", "https://a.example.com:444/cb")


async def test_tokens_are_issued_by_the_address_that_people_reach(bench):
    told = bench.desk.oauth.metadata("https://squad.example.com")
    assert told["issuer"] == "https://squad.example.com"
    bench.desk.reached_at("http://127.0.0.1:9999/")  # but another was set
    assert bench.desk.oauth.metadata("http://127.0.0.1:9999")["issuer"] == told["issuer"]

    bench.issuer = ""
    fresh = bench.other()
    fresh.reached_at("http://127.0.0.1:9999/")
    assert fresh.oauth.metadata("http://127.0.0.1:9999")["issuer"] == "http://127.0.0.1:9999"


async def test_devices_are_begun_only_so_often_from_one_address_and_by_all(bench):
    oauth = bench.desk.oauth
    before = len(await bench.events("token.asked"))
    for _ in range(EACH.limit):
        await oauth.device({"client_id": "squad-cli"}, address="192.0.2.7")
    with pytest.raises(DeviceLimitError) as told:
        await oauth.device({"client_id": "squad-cli"}, address="192.0.2.7")
    await oauth.device({"client_id": "squad-cli"}, address="192.0.2.8")
    assert len(await bench.events("token.asked")) - before == EACH.limit + 1

    await bench.clock.advance(told.value.retry_after_ms)
    for one in range(ALL.limit):
        await oauth.device({"client_id": "squad-cli"}, address=f"192.0.2.{one // EACH.limit}")
    with pytest.raises(DeviceLimitError):
        await oauth.device({"client_id": "squad-cli"}, address="198.51.100.1")


async def test_whoever_guesses_codes_is_stopped_before_a_right_one_helps(bench):
    who = await ada(bench)
    device = await bench.desk.oauth.device({"client_id": "squad-cli"}, address="192.0.2.7")
    for one in range(MISTYPED.limit):
        with pytest.raises(TicketError):
            await bench.desk.oauth.waiting(f"BCDF-GH{'BCDFGHJKLM'[one]}B", str(who.actor))
    with pytest.raises(DeviceLimitError) as told:
        await bench.desk.oauth.activate(device.user_code, who)
    assert (await bench.desk.oauth.waiting(device.user_code, "person:bob")).address == "192.0.2.7"

    await bench.clock.advance(told.value.retry_after_ms - 1)
    with pytest.raises(DeviceLimitError):
        await bench.desk.oauth.waiting(device.user_code, str(who.actor))


async def test_a_program_asks_for_no_more_than_it_was_added_for(bench):
    address = "https://reports.example.com/callback"
    made = Client(id="reports", redirects=(address,), scopes=("runs.*",))
    await bench.desk.oauth.add_client(made, "person:root")
    asked = {**QUERY, "client_id": "reports", "redirect_uri": address}

    told = await bench.other().oauth.check({**asked, "scope": "runs.list"})
    assert told.scopes == ("runs.list",)
    assert (await bench.desk.oauth.check({**asked, "scope": ""})).scopes == ("runs.*",)
    for scope in ("users.add", "runs.list users.*", "*"):
        assert await error(bench.desk.oauth.check({**asked, "scope": scope})) == "invalid_scope"
    device = bench.desk.oauth.device({"client_id": "reports"})
    assert await error(device) == "unauthorized_client"


async def test_a_service_ends_its_tokens_by_its_secret_and_nobody_elses(bench):
    office = bench.desk.administration
    secrets = []
    for name in ("nightly", "other"):
        await office.add(name, "person:root", kind="service")
        secrets.append((await office.create_key(Wanted(owner=name), "person:root")).secret)
    grant = {"grant_type": "client_credentials"}
    tokens = await bench.desk.oauth.token(grant, ("nightly", secrets[0]))
    form = {"token": tokens.access_token}

    for basic in (None, ("nightly", "sqk_wrong"), ("nightly", secrets[1]), ("nightly", "")):
        assert await error(bench.desk.oauth.revoke(form, basic)) == "invalid_client"
    named = {**form, "client_id": "nightly"}
    assert await error(bench.desk.oauth.revoke(named)) == "invalid_client"
    await bench.desk.oauth.revoke(form, ("other", secrets[1]))
    assert await bench.desk.recognition.recognise(Shown(bearer=tokens.access_token))

    await bench.desk.oauth.revoke({"token": "nonsense"})
    await bench.other().oauth.revoke(form, ("nightly", secrets[0]))
    with pytest.raises(CredentialError):
        await bench.desk.recognition.recognise(Shown(bearer=tokens.access_token))
