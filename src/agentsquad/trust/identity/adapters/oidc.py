"""OpenID Connect as a client: discovery, code exchange with PKCE, and every
check of the ID token, by `httpx` and `joserfc`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from agentsquad.kernel.ports import Clock
from agentsquad.trust.identity.contract import ProviderError, SignInFailedError, Vouched
from agentsquad.trust.identity.provider import Oidc

TIMEOUT_S = 10.0
SIZE_MAX = 1_000_000
SKEW_S = 120
KNOWN_MS = 3_600_000
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
              "Ed25519", "EdDSA")  # fmt: skip


class HttpOidc:
    """Talks to providers over HTTP; what they say of themselves is remembered
    for an hour."""

    def __init__(self, clock: Clock, secrets: Mapping[str, str]) -> None:
        self._clock = clock
        self._secrets = secrets
        self._known: dict[str, tuple[int, dict[str, Any]]] = {}

    async def location(self, oidc: Oidc, request: Mapping[str, str]) -> str:
        """Return where to send the browser."""
        async with self._client(oidc) as client:
            about = await self._about(client, oidc)
        query = {**request, "client_id": oidc.client_id, "scope": " ".join(oidc.scopes)}
        where = _address(about, "authorization_endpoint")
        return f"{where}{'&' if urlsplit(where).query else '?'}{urlencode(query)}"

    async def claims(self, oidc: Oidc, redemption: Mapping[str, str]) -> Vouched:
        """Exchange a code and return what was checked."""
        async with self._client(oidc) as client:
            about = await self._about(client, oidc)
            told = redemption.get("iss") or ""
            asked = about.get("authorization_response_iss_parameter_supported")
            if (told or asked) and told != about["issuer"]:
                raise SignInFailedError("the answer came from another provider")
            tokens = await self._exchange(client, about, oidc, redemption)
            claims = await self._id_token(client, about, oidc, str(tokens.get("id_token", "")))
            self._check(claims, about, oidc, redemption["nonce"])
            more = await self._userinfo(client, about, str(tokens.get("access_token", "")))
        if more.get("sub") not in (None, claims["sub"]):
            raise SignInFailedError("the provider speaks of two people")
        # How somebody signed in counts only as the token says that was signed.
        signed = {name: claims.get(name) for name in ("amr", "acr")}
        return Vouched(subject=str(claims["sub"]), facts={**more, **claims, **signed})

    def _client(self, oidc: Oidc) -> httpx.AsyncClient:
        import ssl

        verify: Any = ssl.create_default_context(cafile=oidc.ca_file) if oidc.ca_file else True
        return httpx.AsyncClient(timeout=TIMEOUT_S, verify=verify, follow_redirects=False)

    async def _about(self, client: httpx.AsyncClient, oidc: Oidc) -> dict[str, Any]:
        now_ms = self._clock.now_ms()
        kept = self._known.get(oidc.issuer)
        if kept is not None and now_ms < kept[0]:
            return kept[1]
        where = oidc.issuer.rstrip("/") + "/.well-known/openid-configuration"
        about = await _get(client, where)
        if about.get("issuer") != oidc.issuer:
            raise ProviderError(
                f"{where} speaks for {about.get('issuer')!r}",
                hint="write `issuer` exactly as the provider does",
            )
        about = {**about, "keys": await _get(client, _address(about, "jwks_uri"))}
        self._known[oidc.issuer] = (now_ms + KNOWN_MS, about)
        return about

    async def _exchange(
        self,
        client: httpx.AsyncClient,
        about: Mapping[str, Any],
        oidc: Oidc,
        redemption: Mapping[str, str],
    ) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "client_id": oidc.client_id,
            **{name: redemption[name] for name in ("code", "redirect_uri", "code_verifier")},
        }
        options: dict[str, Any] = {}
        secret = self._secrets.get(oidc.client_secret_from, "") if oidc.client_secret_from else ""
        methods = about.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if secret and "client_secret_basic" in methods:
            options["auth"] = httpx.BasicAuth(_quoted(oidc.client_id), _quoted(secret))
        elif secret:
            form["client_secret"] = secret
        where = _address(about, "token_endpoint")
        answer = await _send(client, "POST", where, data=form, **options)
        if answer.status_code >= 500:
            raise ProviderError(f"{where} answers {answer.status_code}")
        body = _object(answer, where)
        if answer.status_code != 200:
            raise SignInFailedError(
                "the provider did not exchange the code",
                details={"error": str(body.get("error", answer.status_code))[:100]},
            )
        return body

    async def _id_token(
        self, client: httpx.AsyncClient, about: Mapping[str, Any], oidc: Oidc, token: str
    ) -> dict[str, Any]:
        keys = about["keys"]
        try:
            kid = jws.extract_compact(token.encode()).headers().get("kid")
            known = {one.get("kid") for one in keys.get("keys", ())}
            if kid is not None and kid not in known:  # the provider has a new key
                keys = await _get(client, _address(about, "jwks_uri"))
                self._known.pop(oidc.issuer, None)
            found = jwt.decode(token, KeySet.import_key_set(keys), algorithms=list(ALGORITHMS))
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise SignInFailedError(
                "the provider's ID token is not good", private=repr(error)
            ) from error
        return dict(found.claims)

    def _check(
        self, claims: Mapping[str, Any], about: Mapping[str, Any], oidc: Oidc, nonce: str
    ) -> None:
        now_s = self._clock.now_ms() // 1000
        audience = claims.get("aud")
        heard = audience if isinstance(audience, list) else [audience]
        until, begun = claims.get("exp"), claims.get("iat")
        good = (
            claims.get("iss") == about["issuer"]
            and oidc.client_id in heard
            and (len(heard) == 1 or claims.get("azp") == oidc.client_id)
            and claims.get("nonce") == nonce
            and isinstance(claims.get("sub"), str)
            and isinstance(until, int | float)
            and until + SKEW_S > now_s
            and isinstance(begun, int | float)
            and begun - SKEW_S < now_s
        )
        if not good:
            raise SignInFailedError("the provider's ID token is not for us, or not for now")

    async def _userinfo(
        self, client: httpx.AsyncClient, about: Mapping[str, Any], token: str
    ) -> dict[str, Any]:
        if not token or "userinfo_endpoint" not in about:
            return {}
        where = _address(about, "userinfo_endpoint")
        headers = {"Authorization": f"Bearer {token}"}
        answer = await _send(client, "GET", where, headers=headers)
        kind = answer.headers.get("content-type", "")
        plain = answer.status_code == 200 and kind.startswith("application/json")
        return _object(answer, where) if plain else {}


async def _get(client: httpx.AsyncClient, where: str) -> dict[str, Any]:
    answer = await _send(client, "GET", where)
    if answer.status_code != 200:
        raise ProviderError(f"{where} answers {answer.status_code}")
    return _object(answer, where)


async def _send(
    client: httpx.AsyncClient, method: str, where: str, **options: Any
) -> httpx.Response:
    try:
        async with client.stream(method, where, **options) as answer:
            data = b""
            async for part in answer.aiter_bytes():
                data += part
                if len(data) > SIZE_MAX:
                    raise ProviderError(f"{where} answers with more than {SIZE_MAX} bytes")
            return httpx.Response(answer.status_code, headers=_plain(answer), content=data)
    except httpx.HTTPError as error:
        raise ProviderError(
            f"{where} does not answer: {type(error).__name__}", private=repr(error)
        ) from error


def _plain(answer: httpx.Response) -> dict[str, str]:
    return {"content-type": answer.headers.get("content-type", "")}


def _object(answer: httpx.Response, where: str) -> dict[str, Any]:
    try:
        body = json.loads(answer.content)
    except ValueError as error:
        raise ProviderError(f"{where} does not answer with JSON") from error
    if not isinstance(body, dict):
        raise ProviderError(f"{where} does not answer with a JSON object")
    return body


def _address(about: Mapping[str, Any], name: str) -> str:
    found = about.get(name)
    if not isinstance(found, str) or not found.startswith(("https://", "http://")):
        raise ProviderError(f"the provider names no {name}")
    return found


def _quoted(text: str) -> str:
    from urllib.parse import quote_plus

    return quote_plus(text)
