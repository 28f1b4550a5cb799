"""Signing in elsewhere: to a provider and back, or by name and password against
a directory.

What surfaces call. `leave` returns where to send the browser and a text to keep
in a cookie (HttpOnly, SameSite=Lax; for SAML, whose answer is posted from
another site, SameSite=None) until it comes back with `arrive`. The text binds
the way back to this browser: an answer meant for another one, or that nobody
asked for, counts nothing.

    GET  /auth/providers                 `listed()`
    GET  /auth/providers/NAME            `leave(name, place)` -> 303, cookie
    GET  /auth/providers/NAME/callback   `arrive(name, cookie, query, visit)`
    POST /auth/providers/NAME/callback   the same with the form (SAML)
    GET  /auth/providers/NAME/metadata   `metadata(name, place)` (SAML), XML
    POST /auth/providers/NAME            `password(name, who, password, visit)`,
                                         of a directory (LDAP)

`place` is the address of the callback. Each answers with `Progress`, as
`sign_in` does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping

import msgspec

from agentsquad.runtime.control.resource import listed, stored
from agentsquad.trust.identity.contract import (
    External,
    LdapLogin,
    OidcLogin,
    Progress,
    ProviderMissingError,
    SamlLogin,
    SignInFailedError,
    TicketError,
    Visit,
    Vouched,
)
from agentsquad.trust.identity.directory import Directory
from agentsquad.trust.identity.provider import (
    KIND,
    Provider,
    account_name,
    grants_of,
    provider_of,
    values_of,
)
from agentsquad.trust.identity.sign_in import SignIn

LIFETIME_MS = 600_000
_PURPOSE = "leaving"
NAMES = {"oidc": "preferred_username", "saml": "uid", "ldap": "uid"}


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """What is to come back: sealed into the cookie."""

    provider: str
    state: str
    place: str
    expires_ms: int
    verifier: str = ""
    nonce: str = ""
    asked: str = ""


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """Where to send the browser, and what it is to bring back in a cookie."""

    location: str
    cookie: str


class Protocols(msgspec.Struct, frozen=True, kw_only=True):
    """How to make what speaks each protocol."""

    oidc: Callable[[], OidcLogin]
    ldap: Callable[[], LdapLogin]
    saml: Callable[[], SamlLogin]


class Providers:
    """The identity providers of one installation."""

    def __init__(self, directory: Directory, sign_in: SignIn, protocols: Protocols) -> None:
        self._directory = directory
        self._sign_in = sign_in
        self._protocols = protocols

    async def listed(self) -> list[Provider]:
        """Return all providers, by name."""
        return [provider_of(one) for one in await listed(self._directory.store, KIND)]

    async def find(self, name: str) -> Provider:
        """Return one provider; ProviderMissingError."""
        held = (await stored(self._directory.store, KIND, name)).resource
        if held is None:
            raise ProviderMissingError(
                f"there is no identity provider {name!r}",
                hint="squad -n system get identityproviders",
            )
        return provider_of(held)

    async def leave(self, name: str, place: str) -> Leaving:
        """Begin to sign in at a provider."""
        provider = await self.find(name)
        chance = self._directory.entropy.token
        journey = Journey(
            provider=name,
            state=_text(chance(24)),
            place=place,
            expires_ms=self._directory.now_ms() + LIFETIME_MS,
            verifier=_text(chance(32)),
            nonce=_text(chance(24)),
        )
        if provider.oidc is not None:
            location = await self._protocols.oidc().location(
                provider.oidc,
                {
                    "response_type": "code",
                    "redirect_uri": place,
                    "state": journey.state,
                    "nonce": journey.nonce,
                    "code_challenge": _text(hashlib.sha256(journey.verifier.encode()).digest()),
                    "code_challenge_method": "S256",
                },
            )
        elif provider.saml is not None:
            saml = self._protocols.saml()
            location, asked = saml.location(name, provider.saml, place, journey.state)
            journey = msgspec.structs.replace(journey, asked=asked)
        else:
            raise ProviderMissingError(
                f"{name} is a directory: give it name and password", hint="post them"
            )
        box = self._directory.sealer.seal(_PURPOSE, msgspec.json.encode(journey))
        return Leaving(location=location, cookie=box)

    async def arrive(
        self, name: str, cookie: str, answer: Mapping[str, str], visit: Visit
    ) -> Progress:
        """Go on with what a provider sent the browser back with."""
        journey = self._opened(cookie)
        provider = await self.find(name)
        told = answer.get("state") or answer.get("RelayState") or ""
        if journey is None or journey.provider != name or not _same(told, journey.state):
            raise TicketError
        if "error" in answer:
            raise SignInFailedError(
                "the provider did not let them in",
                details={"error": answer["error"][:100]},
            )
        if provider.oidc is not None:
            vouched = await self._protocols.oidc().claims(
                provider.oidc,
                {
                    "code": answer.get("code", ""),
                    "iss": answer.get("iss", ""),
                    "redirect_uri": journey.place,
                    "code_verifier": journey.verifier,
                    "nonce": journey.nonce,
                },
            )
        elif provider.saml is not None:
            vouched = self._protocols.saml().vouched(
                name, provider.saml, journey.place, answer.get("SAMLResponse", ""), journey.asked
            )
        else:
            raise TicketError
        return await self._let_in(provider, vouched, visit, journey.state)

    async def password(self, name: str, who: str, password: str, visit: Visit) -> Progress:
        """Sign in by name and password against a directory; failures count as
        they do for our own passwords."""
        provider = await self.find(name)
        if provider.ldap is None:
            raise ProviderMissingError(f"{name} is not a directory")
        ldap = provider.ldap
        vouched: list[Vouched] = []

        async def check() -> bool:
            found = await self._protocols.ldap().vouch(ldap, who, password)
            vouched[:] = [] if found is None else [found]
            return found is not None

        await self._sign_in.tried(f"{name}/{who}", check, visit)
        return await self._let_in(provider, vouched[0], visit)

    async def metadata(self, name: str, place: str) -> str:
        """Return our SAML metadata for a provider."""
        provider = await self.find(name)
        if provider.saml is None:
            raise ProviderMissingError(f"{name} does not speak SAML")
        return self._protocols.saml().metadata(name, provider.saml, place)

    async def _let_in(
        self, provider: Provider, vouched: Vouched, visit: Visit, once: str = ""
    ) -> Progress:
        facts = vouched.facts
        claim = provider.name_claim or NAMES[provider.protocol]
        named = values_of(facts.get(claim)) or (vouched.subject,)
        groups = values_of(facts.get(provider.groups_claim))
        external = External(
            provider=provider.name,
            method=provider.protocol,
            subject=vouched.subject,
            name=account_name(named[0], provider.name_suffix),
            display=_first(facts, "name", "displayName", "cn"),
            email=_first(facts, "email", "mail"),
            grants=grants_of(provider.mapping, groups),
            strong=provider.proves_second_factor(facts),
        )
        return await self._sign_in.vouched(external, visit, once)

    def _opened(self, cookie: str) -> Journey | None:
        data = self._directory.sealer.unseal(_PURPOSE, cookie) if cookie.isascii() else None
        if data is None:
            return None
        journey = msgspec.json.decode(data, type=Journey)
        return journey if self._directory.now_ms() < journey.expires_ms else None


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _first(facts: Mapping[str, object], *names: str) -> str:
    return next((v for name in names for v in values_of(facts.get(name))), "")[:200]
