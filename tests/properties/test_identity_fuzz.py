"""What comes from the network and is none of ours: every reader says no, in its
own words, and never fails otherwise. 10,000 texts a reader."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.trust.identity import recovery, ticket
from agentsquad.trust.identity.adapters.ed25519_tokens import Ed25519Tokens
from agentsquad.trust.identity.adapters.home_key import KeySealer
from agentsquad.trust.identity.adapters.memory import QuickHasher
from agentsquad.trust.identity.adapters.passkeys import WebauthnKeys
from agentsquad.trust.identity.adapters.pyotp_codes import PyotpCodes
from agentsquad.trust.identity.contract import (
    CredentialError,
    FactorError,
    OAuthError,
    Party,
    Passkey,
    Shown,
    TicketError,
    Visit,
)
from agentsquad.trust.identity.credential import well_formed
from agentsquad.trust.identity.office import Desk, Instruments
from agentsquad.trust.identity.password import weakness
from agentsquad.trust.identity.providers import Protocols
from agentsquad.trust.identity.tokens import Request
from agentsquad.trust.identity.totp import fitting_step

COUNT = 10_000
SITE = Party(id="squad.example.com", origins=("https://squad.example.com",))
ODD = ["", "\0", "\ud800", "é", "雨", "%00", "../", "\r\n", "a" * 3000, "=", "==", "-", "_", "."]


def texts(*good: str, seed: str) -> Iterator[str]:
    """Texts of all kinds; most are good ones with something wrong."""
    draw = random.Random(seed)
    for _ in range(COUNT):
        kind = draw.randrange(4)
        if kind == 0 or not good:
            yield "".join(draw.choice([chr(draw.randrange(1, 0x250)), *ODD]) for _ in range(20))
            continue
        text = list(draw.choice(good))
        for _ in range(draw.randrange(1, 4)):
            place = draw.randrange(len(text) + 1)
            what = draw.choice(["cut", "put", "swap"])
            if what == "cut":
                del text[place : place + draw.randrange(1, 30)]
            elif what == "put":
                text.insert(place, draw.choice([*ODD, chr(draw.randrange(32, 127))]))
            elif text:
                text[place % len(text)] = chr(draw.randrange(32, 127))
        yield "".join(text)


def values(good: Any, *, seed: str) -> Iterator[Any]:
    """JSON like a good value, with parts missing, of another type or spoiled
    within."""
    draw = random.Random(seed)
    other = [None, True, 0, -1, 2**70, 1.5, "", "x", [], {}, ["a"], {"a": 1}, *ODD[:6]]

    def spoil(value: Any) -> Any:
        if isinstance(value, dict) and value and draw.random() < 0.85:
            key = draw.choice(sorted(value))
            changed = dict(value)
            if draw.random() < 0.15:
                del changed[key]
            else:
                changed[key] = spoil(value[key])
            return changed
        if isinstance(value, str) and draw.random() < 0.8:
            try:
                data = bytearray(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
            except ValueError:
                data = bytearray(value.encode())
            for _ in range(draw.randrange(1, 5)):
                if data and draw.random() < 0.7:
                    data[draw.randrange(len(data))] = draw.randrange(256)
                else:
                    del data[draw.randrange(len(data) + 1) :]
            return base64.urlsafe_b64encode(bytes(data)).decode().rstrip("=")
        return draw.choice(other)

    for _ in range(COUNT):
        yield spoil(good)


@pytest.fixture
async def desk():
    clock, entropy = ManualClock(), SeededEntropy()
    ledger = open_ledger("memory:", clock, entropy)
    sealer, hasher = KeySealer(b"k" * 32, entropy), QuickHasher()
    made = Desk(
        ledger.store,
        clock,
        entropy,
        Instruments(
            sealer=lambda: sealer,
            hasher=lambda: hasher,
            codes=PyotpCodes,
            keys=WebauthnKeys,
            signer=Ed25519Tokens,
            protocols=Protocols(oidc=dict, ldap=dict, saml=dict),  # type: ignore[arg-type]
        ),
    )
    await made.administration.add("ada", "person:root")
    yield made
    ledger.close()


@pytest.mark.slow
async def test_bearers_and_cookies(desk):
    made = await desk.tokens.issue(Request(owner="ada", client="c", refresh=True))
    key = await desk.administration.create_key(_wanted(), "person:root")
    good = (made.access_token, made.refresh_token, key.secret)
    for text in texts(*good, seed="bearer"):
        if text in good:
            continue
        for shown in (Shown(bearer=text), Shown(session=text, csrf=text)):
            with pytest.raises(CredentialError):
                await desk.recognition.recognise(shown)


def _wanted() -> Any:
    from agentsquad.trust.identity.administration import Wanted

    return Wanted(owner="ada")


@pytest.mark.slow
async def test_tickets_and_codes(desk):
    good = ticket.sealed(
        ticket.Ticket(nonce="n", account="person:ada", expires_ms=2**50), desk.directory.sealer
    )
    assert ticket.opened(good, desk.directory.sealer, 0) is not None
    for text in texts(good, seed="ticket"):
        if text == good:
            continue
        assert ticket.opened(text, desk.directory.sealer, 0) is None
        assert fitting_step(text, 59_000, 0, lambda step: f"{step:06d}") in (None, 0, 1, 2)
        recovery.normal(text)
        assert not well_formed(text, "sqk_")
        with pytest.raises(TicketError):
            await desk.sign_in.verify(text, "totp", text, Visit())


@pytest.mark.slow
async def test_forms_of_oauth(desk):
    made = await desk.tokens.issue(Request(owner="ada", client="squad-cli", refresh=True))
    names = ("grant_type", "code", "client_id", "redirect_uri", "code_verifier", "scope",
             "refresh_token", "device_code", "response_type", "code_challenge")  # fmt: skip
    kinds = ("authorization_code", "refresh_token", "client_credentials",
             "urn:ietf:params:oauth:grant-type:device_code")  # fmt: skip
    draw = random.Random("oauth")
    for place, text in enumerate(texts(made.access_token, "squad-cli", *kinds, seed="form")):
        form = {name: text for name in names if draw.random() < 0.5}
        form["grant_type"] = draw.choice([*kinds, text])
        form["client_id"] = draw.choice(["squad-cli", text])
        for asked in (desk.oauth.token(form, (text, text)), desk.oauth.check(form)):
            with pytest.raises(OAuthError):
                await asked
        if place % 10 == 0 and text != made.access_token:
            assert await desk.tokens.introspect(text) == {"active": False}
            assert not await desk.tokens.revoke(text, "person:ada")


@pytest.mark.slow
def test_passwords():
    for text in texts("plum tractor quietly 7 boats", "Password2026!", seed="password"):
        found = weakness(text, text[:7])
        assert found is None or isinstance(found, str)


@pytest.mark.slow
def test_what_browsers_answer_for_security_keys():
    from importlib import util
    from pathlib import Path

    path = Path(__file__).parents[1] / "unit" / "trust" / "identity" / "authenticator.py"
    spec = util.spec_from_file_location("squad_authenticator_fuzz", path)
    assert spec and spec.loader
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    device, keys = module.Authenticator(SITE.id, SITE.origins[0]), WebauthnKeys()
    challenge = b"c" * 32
    made = device.make(keys.registration(SITE, "person:ada", challenge, ()))
    held = keys.registered(SITE, challenge, made)
    used = device.use(keys.assertion(SITE, challenge, [held]))
    assert keys.asserted(SITE, challenge, used, [held]) is not None
    for value in values(made, seed="made"):
        if value == made:
            continue
        try:
            found = keys.registered(SITE, challenge, value)
        except FactorError:
            continue
        assert isinstance(found, Passkey)  # what was spoiled is not what counts
    for value in values(used, seed="used"):
        found = keys.asserted(SITE, challenge, value, [held])
        assert found is None or _signed(value) == _signed(used)


def _signed(value: Any) -> Any:
    """What a signature is over."""
    inner = value["response"]
    return [
        base64.urlsafe_b64decode(inner[name] + "==")
        for name in ("authenticatorData", "clientDataJSON")
    ]


@pytest.mark.slow
def test_what_saml_providers_post(tmp_path):
    from agentsquad.trust.identity.adapters.saml import _refuse_open

    assertion = "urn:oasis:names:tc:SAML:2.0:assertion"
    good = base64.b64encode(f'<r xmlns:a="{assertion}"><a:EncryptedAssertion/></r>'.encode())
    bomb = base64.b64encode(b'<!DOCTYPE r [<!ENTITY a "aaaa">]><r>&a;</r>')
    _refuse_open(good.decode())
    for text in texts(good.decode(), bomb.decode(), seed="saml"):
        try:
            _refuse_open(text)
        except SquadError:
            continue
        assert json.dumps(text)
    with pytest.raises(SquadError):
        _refuse_open(bomb.decode())
