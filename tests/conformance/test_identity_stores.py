"""Identity over every store: what one process writes counts for another on its
next request."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.trust.identity.adapters.ed25519_tokens import Ed25519Tokens
from agentsquad.trust.identity.adapters.home_key import KeySealer
from agentsquad.trust.identity.adapters.memory import QuickHasher
from agentsquad.trust.identity.adapters.passkeys import WebauthnKeys
from agentsquad.trust.identity.adapters.pyotp_codes import PyotpCodes
from agentsquad.trust.identity.administration import Wanted
from agentsquad.trust.identity.contract import (
    AccountExistsError,
    CredentialError,
    OAuthError,
    Shown,
    SignInFailedError,
    Visit,
)
from agentsquad.trust.identity.office import Desk, Instruments
from agentsquad.trust.identity.providers import Protocols
from agentsquad.trust.identity.tokens import Request

GOOD = "plum tractor quietly 7 boats"


class Processes:
    """Desks on one store, each with a ledger of its own."""

    def __init__(self, url: str) -> None:
        self.url, self.clock = url, ManualClock()
        self.sealer, self.hasher = KeySealer(b"k" * 32), QuickHasher()
        self.ledgers: list[Any] = []

    def desk(self, seed: int) -> Desk:
        entropy = SeededEntropy(f"process {seed}")
        ledger = open_ledger(self.url, self.clock, entropy)
        self.ledgers.append(ledger)
        instruments = Instruments(
            sealer=lambda: self.sealer,
            hasher=lambda: self.hasher,
            codes=PyotpCodes,
            keys=WebauthnKeys,
            signer=Ed25519Tokens,
            protocols=Protocols(oidc=dict, ldap=dict, saml=dict),  # type: ignore[arg-type]
        )
        return Desk(ledger.store, self.clock, entropy, instruments)


@pytest.fixture(params=["sqlite", "postgresql"])
def two(request: pytest.FixtureRequest, tmp_path: Path):
    """Two processes on one store."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'log.db'}"
    else:
        url = request.getfixturevalue("postgresql_url")
    made = Processes(url)
    yield made, made.desk(1), made.desk(2)
    for ledger in made.ledgers:
        ledger.close()


@pytest.mark.slow
async def test_a_key_revoked_by_one_process_is_refused_by_the_other(two):
    _, one, other = two
    await one.administration.add("ada", "person:root")
    made = await one.administration.create_key(Wanted(owner="ada"), "person:root")
    shown = Shown(bearer=made.secret)
    assert (await other.recognition.recognise(shown)).credential == f"key:{made.key.id}"
    await one.administration.revoke_key(made.key.id, "person:root")
    with pytest.raises(CredentialError):
        await other.recognition.recognise(shown)


@pytest.mark.slow
async def test_a_session_and_a_token_of_one_process_count_and_end_in_the_other(two):
    _, one, other = two
    await one.administration.add("ada", "person:root")
    await one.administration.set_password("ada", GOOD, "person:root")
    session = (await one.sign_in.begin("ada", GOOD, Visit())).session
    tokens = await other.tokens.issue(Request(owner="ada", client="c", refresh=True))
    cookie = Shown(session=session.value, csrf=session.csrf)
    for desk in (one, other):
        assert await desk.recognition.recognise(cookie)
        assert await desk.recognition.recognise(Shown(bearer=tokens.access_token))

    await other.administration.disable("ada", "person:root")

    for desk in (one, other):
        for shown in (cookie, Shown(bearer=tokens.access_token)):
            with pytest.raises(CredentialError):
                await desk.recognition.recognise(shown)


@pytest.mark.slow
async def test_what_may_happen_once_happens_once(two):
    """One name, one code of an app, one refresh token, in two processes at the
    same time."""
    made, one, other = two
    ends = await asyncio.gather(
        *(desk.administration.add("ada", "person:root") for desk in (one, other)),
        return_exceptions=True,
    )
    assert sum(isinstance(end, AccountExistsError) for end in ends) == 1
    await one.administration.set_password("ada", GOOD, "person:root")
    app = await one.factors.enrol_totp("ada", "person:ada")
    step = made.clock.now_ms() // 30_000
    await one.factors.confirm_totp(
        "ada", app.factor, PyotpCodes().code(app.secret, step), "person:ada"
    )
    await made.clock.advance(30_000)
    code = PyotpCodes().code(app.secret, step + 1)
    tickets = [(await desk.sign_in.begin("ada", GOOD, Visit())).ticket for desk in (one, other)]
    ends = await asyncio.gather(
        *(
            desk.sign_in.verify(ticket, "totp", code, Visit())
            for desk, ticket in zip((one, other), tickets, strict=True)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(end, SignInFailedError) for end in ends) == 1
    tokens = await one.tokens.issue(Request(owner="ada", client="c", refresh=True))
    ends = await asyncio.gather(
        *(desk.tokens.refresh(tokens.refresh_token, "c") for desk in (one, other)),
        return_exceptions=True,
    )
    assert sum(isinstance(end, OAuthError) for end in ends) >= 1
