"""A desk over a log in memory, a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
from agentsquad.trust.identity.contract import Visit
from agentsquad.trust.identity.office import Desk, Instruments
from agentsquad.trust.identity.providers import Protocols

GOOD = "plum tractor quietly 7 boats"


def _none() -> Any:
    raise AssertionError("no test of this room speaks to a provider")


class Bench:
    """One log and as many desks over it as a test wants processes."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.entropy = SeededEntropy()
        self.ledger = open_ledger("memory:", self.clock, self.entropy)
        self.hasher = QuickHasher()
        self.sealer = KeySealer(b"k" * 32, self.entropy)
        self.issuer = "https://squad.example.com"
        self.strict = False
        self.protocols = Protocols(oidc=_none, ldap=_none, saml=_none)
        self.desk = self.other()

    def other(self) -> Desk:
        """Another process on the same log."""
        instruments = Instruments(
            sealer=lambda: self.sealer,
            hasher=lambda: self.hasher,
            codes=PyotpCodes,
            keys=WebauthnKeys,
            signer=Ed25519Tokens,
            issuer=self.issuer,
            strict=self.strict,
            protocols=self.protocols,
        )
        return Desk(self.ledger.store, self.clock, self.entropy, instruments)

    async def events(self, *types: str) -> list[Any]:
        return await self.ledger.store.read(types=types or None)

    async def ada(self, **options: Any) -> Any:
        """Ada, with a good password."""
        await self.desk.administration.add("ada", "person:root", **options)
        return await self.desk.administration.set_password("ada", GOOD, "person:root")

    async def app(self, name: str = "ada") -> tuple[str, tuple[str, ...]]:
        """Set up an authenticator app: its secret and the recovery codes."""
        made = await self.desk.factors.enrol_totp(name, f"person:{name}")
        code = self.code(made.secret)
        ready = await self.desk.factors.confirm_totp(name, made.factor, code, f"person:{name}")
        return made.secret, ready.recovery_codes

    def code(self, secret: str, away: int = 0) -> str:
        """What an authenticator app shows, some steps away from now."""
        return PyotpCodes().code(secret, self.clock.now_ms() // 30_000 + away)

    async def session(self, name: str = "ada", **visit: Any) -> Any:
        """Sign in with a good password."""
        made = await self.desk.sign_in.begin(name, GOOD, Visit(**visit))
        assert made.session is not None
        return made.session


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.ledger.close()
