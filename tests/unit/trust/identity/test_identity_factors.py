from __future__ import annotations

import importlib.util
from pathlib import Path

import pyotp
import pytest

from agentsquad.trust.identity.contract import (
    FactorError,
    Party,
    SignInFailedError,
    TicketError,
    Visit,
)

SPEC = importlib.util.spec_from_file_location(
    "squad_authenticator", Path(__file__).with_name("authenticator.py")
)
assert SPEC and SPEC.loader
authenticator = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(authenticator)

GOOD = "plum tractor quietly 7 boats"
SITE = Party(id="squad.example.com", origins=("https://squad.example.com",))
HERE = Visit(address="10.0.0.1", party=SITE)


def key(**options):
    return authenticator.Authenticator(**{"rp": SITE.id, "origin": SITE.origins[0], **options})


async def set_up(bench, device):
    begun = await bench.desk.factors.enrol_key("ada", SITE)
    return await bench.desk.factors.confirm_key(
        begun.ticket, device.make(begun.options), SITE, "person:ada", "blue key"
    )


async def half(bench):
    return (await bench.desk.sign_in.begin("ada", GOOD, HERE)).ticket


async def test_an_app_counts_only_after_it_showed_a_code(bench):
    await bench.ada()
    begun = await bench.desk.factors.enrol_totp("ada", "person:ada")
    assert pyotp.parse_uri(begun.uri).secret == begun.secret
    assert (await bench.desk.sign_in.begin("ada", GOOD, HERE)).session is not None

    with pytest.raises(FactorError):
        await bench.desk.factors.confirm_totp("ada", begun.factor, "000000", "person:ada")
    ready = await bench.desk.factors.confirm_totp(
        "ada", begun.factor, bench.code(begun.secret), "person:ada"
    )

    assert len(ready.recovery_codes) == 10
    assert (await bench.desk.sign_in.begin("ada", GOOD, HERE)).wants == ("totp", "recovery")


async def test_the_code_that_set_an_app_up_does_not_sign_in(bench):
    await bench.ada()
    secret, _ = await bench.app()
    with pytest.raises(SignInFailedError):
        await bench.desk.sign_in.verify(await half(bench), "totp", bench.code(secret), HERE)


async def test_one_that_was_begun_and_left_is_replaced_by_the_next(bench):
    await bench.ada()
    for _ in range(3):
        await bench.desk.factors.enrol_totp("ada", "person:ada")
    assert len((await bench.desk.administration.find("ada")).factors) == 1


async def test_a_factor_that_was_taken_away_is_not_asked_for(bench):
    await bench.ada()
    await bench.app()
    (factor,) = (await bench.desk.administration.find("ada")).factors
    await bench.other().factors.remove("ada", factor, "person:ada")
    assert (await bench.desk.sign_in.begin("ada", GOOD, HERE)).session is not None
    with pytest.raises(FactorError):
        await bench.desk.factors.remove("ada", factor, "person:ada")


async def test_who_is_given_another_password_still_shows_their_second_factor(bench):
    await bench.ada()
    await bench.app()
    await bench.desk.administration.set_password("ada", GOOD + " again", "person:root")

    step = await bench.other().sign_in.begin("ada", GOOD + " again", HERE)

    assert (step.session, step.wants) == (None, ("totp", "recovery"))


async def test_new_recovery_codes_replace_the_old_ones(bench):
    await bench.ada()
    _, old = await bench.app()
    new = await bench.desk.factors.renew_codes("ada", "person:ada")
    with pytest.raises(SignInFailedError):
        await bench.desk.sign_in.verify(await half(bench), "recovery", old[0], HERE)
    assert (await bench.desk.sign_in.verify(await half(bench), "recovery", new[0], HERE)).session


async def test_a_security_key_signs_in(bench):
    await bench.ada()
    device = key()
    ready = await set_up(bench, device)
    assert len(ready.recovery_codes) == 10

    ticket = await half(bench)
    options = await bench.desk.sign_in.options(ticket, HERE)
    done = await bench.other().sign_in.verify(ticket, "webauthn", device.use(options), HERE)

    assert done.session is not None


async def test_what_a_security_key_answered_counts_once(bench):
    await bench.ada()
    device = key()
    await set_up(bench, device)
    ticket = await half(bench)
    answer = device.use(await bench.desk.sign_in.options(ticket, HERE))
    await bench.desk.sign_in.verify(ticket, "webauthn", answer, HERE)

    with pytest.raises((TicketError, SignInFailedError)):
        await bench.desk.sign_in.verify(ticket, "webauthn", answer, HERE)
    with pytest.raises(SignInFailedError):
        await bench.desk.sign_in.verify(await half(bench), "webauthn", answer, HERE)


@pytest.mark.parametrize("spoil", ["site", "origin", "other key", "clone", "torn", "empty"])
async def test_another_security_key_or_another_site_does_not_sign_in(bench, spoil):
    await bench.ada()
    device = key()
    await set_up(bench, device)
    ticket = await half(bench)
    options = dict(await bench.desk.sign_in.options(ticket, HERE))
    if spoil == "site":
        device.rp = "evil.example.com"
    elif spoil == "origin":
        device.origin = "https://evil.example.com"
    elif spoil == "other key":
        device.private = key().private
    elif spoil == "clone":
        await bench.desk.sign_in.verify(ticket, "webauthn", device.use(options), HERE)
        ticket, device.count = await half(bench), 0
        options = dict(await bench.desk.sign_in.options(ticket, HERE))
    answer = device.use(options)
    if spoil == "torn":
        answer["response"]["signature"] = answer["response"]["signature"][:-6]
    elif spoil == "empty":
        answer["response"] = {}

    with pytest.raises(SignInFailedError):
        await bench.desk.sign_in.verify(ticket, "webauthn", answer, HERE)


async def test_a_security_key_is_set_up_once_and_its_ticket_used_once(bench):
    await bench.ada()
    device = key()
    begun = await bench.desk.factors.enrol_key("ada", SITE)
    answer = device.make(begun.options)
    await bench.desk.factors.confirm_key(begun.ticket, answer, SITE, "person:ada")
    with pytest.raises(FactorError, match="already"):
        await bench.desk.factors.confirm_key(begun.ticket, answer, SITE, "person:ada")
    with pytest.raises(FactorError):
        await set_up(bench, device)


async def test_a_security_key_of_another_site_is_not_set_up(bench):
    await bench.ada()
    with pytest.raises(FactorError):
        await set_up(bench, key(origin="https://evil.example.com"))


async def test_a_service_has_no_second_factor(bench):
    await bench.desk.administration.add("nightly", "person:root", kind="service")
    with pytest.raises(FactorError):
        await bench.desk.factors.enrol_totp("nightly", "person:root")


async def test_the_secret_of_an_app_is_in_the_log_only_sealed(bench):
    await bench.ada()
    secret, codes = await bench.app()
    raw = b"".join(one.payload for one in await bench.ledger.store.read_records(limit=1000))
    assert secret.encode() not in raw
    assert not any(code.encode() in raw for code in codes)
