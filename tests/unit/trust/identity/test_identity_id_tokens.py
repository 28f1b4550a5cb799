"""ID tokens of an OpenID provider: every claim that could make one count that
does not; a provider of our own says what real ones never do."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from agentsquad.testing import ManualClock
from agentsquad.trust.identity.adapters.oidc import HttpOidc
from agentsquad.trust.identity.contract import ProviderError, SignInFailedError
from agentsquad.trust.identity.provider import Oidc

ISSUER = "https://login.example.com"
OURS = Oidc(issuer=ISSUER, client_id="squad")
REDEMPTION = {"code": "c", "redirect_uri": "https://s/cb", "code_verifier": "v", "nonce": "n-1"}


class Provider(HttpOidc):
    """Spoken to by its handlers, not over a network."""

    def __init__(self, **claims: Any) -> None:
        clock = ManualClock()
        super().__init__(clock, {})
        self.key = OKPKey.generate_key("Ed25519", {"kid": "k1"})
        now = clock.now_ms() // 1000
        self.claims_ = {
            "iss": ISSUER, "aud": "squad", "sub": "s-1", "nonce": "n-1", "iat": now,
            "exp": now + 60, **claims,
        }  # fmt: skip
        self.about: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
        }
        self.header: dict[str, Any] = {"alg": "Ed25519", "kid": "k1"}
        self.asked: list[str] = []

    def _client(self, oidc: Oidc) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def token(self) -> str:
        return jwt.encode(self.header, self.claims_, self.key, algorithms=["Ed25519"])

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        path = request.url.path
        if path == "/keys":
            return httpx.Response(200, json={"keys": [self.key.as_dict(private=False)]})
        if path == "/token":
            return httpx.Response(200, json={"id_token": self.token(), "access_token": ""})
        if path.endswith("openid-configuration"):
            return httpx.Response(200, json=self.about)
        return httpx.Response(302, headers={"Location": "http://169.254.169.254/"})


async def test_a_token_that_is_all_right_vouches_for_its_subject() -> None:
    found = await Provider().claims(OURS, REDEMPTION)
    assert (found.subject, found.facts["iss"]) == ("s-1", ISSUER)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": ["squad", "another"]},
        {"aud": None},
        {"iss": "https://evil.example.com"},
        {"nonce": "n-2"},
        {"nonce": None},
        {"sub": 7},
        {"exp": 1},
        {"exp": "soon"},
        {"iat": 99_999_999_999},
    ],
)
async def test_a_token_for_somebody_else_or_another_time_signs_nobody_in(
    claims: dict[str, Any],
) -> None:
    with pytest.raises(SignInFailedError):
        await Provider(**claims).claims(OURS, REDEMPTION)


@pytest.mark.parametrize("how", ["other key", "none", "cut", "empty"])
async def test_a_token_that_the_provider_did_not_sign_signs_nobody_in(how: str) -> None:
    made = Provider()
    good = made.token()
    head, body, _ = good.split(".")
    forged = OKPKey.generate_key("Ed25519", {"kid": "k1"})
    bad = {
        "other key": jwt.encode(made.header, made.claims_, forged, algorithms=["Ed25519"]),
        "none": f"eyJhbGciOiJub25lIn0.{body}.",
        "cut": f"{head}.{body}.",
        "empty": "",
    }[how]
    made.token = lambda: bad  # type: ignore[method-assign]
    with pytest.raises(SignInFailedError):
        await made.claims(OURS, REDEMPTION)


async def test_a_key_that_comes_with_the_token_is_not_believed() -> None:
    made = Provider()
    own = OKPKey.generate_key("Ed25519", {"kid": "k1"})
    header = {
        **made.header, "jwk": json.loads(json.dumps(own.as_dict(private=False))),
        "jku": "https://evil.example.com/keys",
    }  # fmt: skip
    bad = jwt.encode(header, made.claims_, own, algorithms=["Ed25519"])
    made.token = lambda: bad  # type: ignore[method-assign]
    with pytest.raises(SignInFailedError):
        await made.claims(OURS, REDEMPTION)
    assert not any("evil" in one for one in made.asked)


async def test_a_provider_that_speaks_for_another_one_or_leads_elsewhere_is_refused() -> None:
    other = Provider()
    other.about["issuer"] = "https://evil.example.com"
    with pytest.raises(ProviderError, match="speaks for"):
        await other.location(OURS, {})
    away = Provider()
    away.about["jwks_uri"] = f"{ISSUER}/elsewhere"
    with pytest.raises(ProviderError, match="302"):
        await away.location(OURS, {})
    assert not any("169.254" in one for one in away.asked)
