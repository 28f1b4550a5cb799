"""The office: everything identity offers over one log, made once for it.

What surfaces and assembly use: `Office.at(store, clock, entropy)` returns a
`Desk` whose `recognition` is the port `Identity`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import msgspec

from agentsquad.kernel.context import Context
from agentsquad.kernel.ports import Clock, Entropy, EventStore
from agentsquad.trust.identity.administration import Administration
from agentsquad.trust.identity.contract import (
    CodeMaker,
    PasswordHasher,
    Sealer,
    SecurityKeys,
    TokenSigner,
)
from agentsquad.trust.identity.directory import Directory
from agentsquad.trust.identity.factors import Factors
from agentsquad.trust.identity.oauth import OAuth
from agentsquad.trust.identity.own_account import OwnAccount
from agentsquad.trust.identity.providers import Protocols, Providers
from agentsquad.trust.identity.recognition import Recognition
from agentsquad.trust.identity.sessions import Sessions
from agentsquad.trust.identity.sign_in import SignIn
from agentsquad.trust.identity.tokens import Tokens

LOCAL = "http://127.0.0.1:8420"


class Instruments(msgspec.Struct, frozen=True, kw_only=True):
    """How to make each adapter, on first use."""

    sealer: Callable[[], Sealer]
    hasher: Callable[[], PasswordHasher]
    codes: Callable[[], CodeMaker]
    keys: Callable[[], SecurityKeys]
    signer: Callable[[], TokenSigner]
    protocols: Protocols
    issuer: str = ""
    strict: bool = False  # nobody signs in without a second factor


class Desk:
    """Identity over one log."""

    def __init__(
        self, store: EventStore, clock: Clock, entropy: Entropy, instruments: Instruments
    ) -> None:
        self.instruments = instruments
        self.directory = Directory(store, clock, entropy, instruments.sealer)

    def reached_at(self, url: str) -> None:
        """Say where people and programs reach the server: what its tokens are
        issued by, unless SQUAD_PUBLIC_URL says another address."""
        self.tokens.issuer = self.instruments.issuer or url.rstrip("/")

    @cached_property
    def administration(self) -> Administration:
        """Accounts, keys, grants, the bootstrap token."""
        return Administration(self.directory, self.instruments.hasher)

    @cached_property
    def factors(self) -> Factors:
        """Second factors: setting up, taking away."""
        return Factors(self.directory, self.instruments.codes, self.instruments.keys)

    @cached_property
    def sign_in(self) -> SignIn:
        """Password, second factor, session."""
        made = self.instruments
        return SignIn(
            self.directory, self.factors, self.administration, made.hasher, strict=made.strict
        )

    @cached_property
    def providers(self) -> Providers:
        """Signing in elsewhere."""
        return Providers(self.directory, self.sign_in, self.instruments.protocols)

    @cached_property
    def own(self) -> OwnAccount:
        """What people may see and do of their own account."""
        return OwnAccount(self.directory, self.sign_in)

    @cached_property
    def sessions(self) -> Sessions:
        """Sessions that are open."""
        return Sessions(self.directory)

    @cached_property
    def recognition(self) -> Recognition:
        """The port `Identity`."""
        return Recognition(self.directory, self.tokens)

    @cached_property
    def tokens(self) -> Tokens:
        """Access and refresh tokens, and the keys that sign them."""
        issuer = self.instruments.issuer or LOCAL
        return Tokens(self.directory, self.instruments.signer, issuer)

    @cached_property
    def oauth(self) -> OAuth:
        """How programs get tokens."""
        return OAuth(self.directory, self.tokens)


class Office:
    """Desks by log; a port of the plugin, so that actions and surfaces of one
    installation share what they know."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._desks: dict[int, tuple[EventStore, Desk]] = {}

    def at(self, store: EventStore, clock: Clock, entropy: Entropy) -> Desk:
        """Return the desk of a log."""
        held = self._desks.get(id(store))
        if held is None:
            held = self._desks[id(store)] = (
                store,
                Desk(store, clock, entropy, self._instruments),
            )
        return held[1]


def desk_of(ctx: Context) -> Desk:
    """Return the desk of the log an action works on."""
    return ctx.port(Office).at(
        ctx.port(EventStore),  # type: ignore[type-abstract]
        ctx.port(Clock),  # type: ignore[type-abstract]
        ctx.port(Entropy),  # type: ignore[type-abstract]
    )
