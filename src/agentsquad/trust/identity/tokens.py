"""Tokens: access tokens that live ten minutes, refresh tokens that are used
once, and the keys that sign them.

Laws: an access token counts only while its family does, so that ending the
family, the account or the client ends it on the next request everywhere; a
refresh token shown a second time ends its family; a retired key verifies for as
long as a token it signed may live, and no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from agentsquad.kernel.actor import SYSTEM, Actor
from agentsquad.kernel.event import NewEvent
from agentsquad.trust.identity.administration import found
from agentsquad.trust.identity.contract import OAuthError, Principal, TokenSet, TokenSigner
from agentsquad.trust.identity.credential import (
    DAY_MS,
    REFRESH,
    SECRET_SIZE,
    digest,
    narrowed,
    new_secret,
    well_formed,
)
from agentsquad.trust.identity.directory import Change, Directory
from agentsquad.trust.identity.issued import Code, Family, SigningKey
from agentsquad.trust.identity.recognition import joined, within
from agentsquad.trust.identity.state import State

ACCESS_MS = 600_000
FAMILY_MS = 30 * DAY_MS
KEY_MS = 90 * DAY_MS  # after that the next token is signed with a new key
SIGNING_STREAM = "signing"
SKEW_MS = 60_000


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What tokens are asked for; `code` is the one that is exchanged for them,
    if any."""

    owner: str
    client: str
    scopes: tuple[str, ...] = ("*",)
    within: tuple[str, ...] = ()
    grants: Mapping[str, tuple[str, ...]] = {}
    method: str = ""
    refresh: bool = False
    code: Code | None = None


class Tokens:
    """Issues, reads and ends tokens."""

    def __init__(
        self, directory: Directory, signer: Callable[[], TokenSigner], issuer: str
    ) -> None:
        self._directory = directory
        self._signer = signer
        self.issuer = issuer
        self._secrets: dict[str, bytes] = {}

    # --- issuing

    async def issue(self, request: Request) -> TokenSet:
        """Give somebody an access token, and a refresh token if asked for."""
        key = await self._signing_key()
        name = self._directory.id()
        secret = new_secret(REFRESH, self._directory.entropy.token(SECRET_SIZE))

        def decide(state: State, now_ms: int) -> Change:
            account = found(state, request.owner)
            if account.disabled:
                raise OAuthError("invalid_grant", "that account may not sign in")
            body = {
                "family": name,
                "account": account.actor,
                "client": request.client,
                "scopes": list(request.scopes),
                "within": list(request.within),
                "grants": msgspec.to_builtins(request.grants),
                "method": request.method,
                "digest": digest(secret) if request.refresh else "",
                "expires_ms": now_ms + (FAMILY_MS if request.refresh else ACCESS_MS),
                "at_ms": now_ms,
            }
            granted = NewEvent(
                stream=f"family/{name}", type="token.granted", payload=body, actor=account.actor
            )
            expect = {granted.stream: 0}
            if request.code is None:
                return Change([granted], expect)
            code = state.codes.get(request.code.digest)
            if code is None or code.spent or code.version != request.code.version:
                raise OAuthError("invalid_grant", "the code was used already")
            used = NewEvent(
                stream=code.stream,
                type="token.exchanged",
                payload={"code": code.digest, "family": name, "at_ms": now_ms},
                actor=account.actor,
            )
            return Change([granted, used], {**expect, code.stream: code.version})

        await self._directory.change(decide)
        state = await self._directory.follow()
        return self._set(state.families[name], key, secret if request.refresh else None)

    async def refresh(self, token: str, client: str, scopes: tuple[str, ...] = ()) -> TokenSet:
        """Exchange a refresh token for new tokens; one that was used already
        ends its family."""
        key = await self._signing_key()
        mark = digest(token)
        secret = new_secret(REFRESH, self._directory.entropy.token(SECRET_SIZE))
        stolen: list[bool] = []

        def decide(state: State, now_ms: int) -> Change:
            stolen.clear()
            family = self._family(state, token, mark, now_ms)
            if family is None or family.client != client:
                raise OAuthError("invalid_grant", "the refresh token does not count")
            if family.digest != mark:
                stolen.append(True)
                return self._ending(family, str(SYSTEM), now_ms, "a refresh token was shown twice")
            if scopes and narrowed(family.scopes, scopes) != scopes:
                raise OAuthError("invalid_scope", "more was asked for than was granted")
            body = {"family": family.id, "digest": digest(secret), "at_ms": now_ms}
            event = NewEvent(
                stream=f"family/{family.id}",
                type="token.rotated",
                payload=body,
                actor=family.owner,
            )
            return Change([event], {event.stream: family.version})

        await self._directory.change(decide)
        if stolen:
            raise OAuthError("invalid_grant", "the refresh token does not count")
        state = await self._directory.follow()
        family = state.families_by_digest[digest(secret)]
        return self._set(family, key, secret, scopes)

    def _family(self, state: State, token: str, mark: str, now_ms: int) -> Family | None:
        family = state.families_by_digest.get(mark) if well_formed(token, REFRESH) else None
        if family is None or family.ended or now_ms >= family.expires_ms:
            return None
        account = state.account(family.owner)
        return None if account is None or account.disabled else family

    def _set(
        self, family: Family, key: SigningKey, refresh: str | None, scopes: tuple[str, ...] = ()
    ) -> TokenSet:
        now_ms = self._directory.now_ms()
        until_ms = min(now_ms + ACCESS_MS, family.expires_ms)
        scope = " ".join(scopes or family.scopes)
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": family.owner,
            "client_id": family.client,
            "iat": now_ms // 1000,
            "exp": until_ms // 1000,
            "jti": self._directory.id(),
            "sid": family.id,
            "scope": scope,
        }
        if family.within:
            claims["namespaces"] = list(family.within)
        return TokenSet(
            access_token=self._signer().sign(self._secret(key), key.kid, claims),
            expires_in=(until_ms - now_ms) // 1000,
            scope=scope,
            refresh_token=refresh,
        )

    async def vouch(self, claims: Mapping[str, Any]) -> str:
        """Return something this installation says of itself, signed with the
        key that its JWKS shows; by its type never an access token."""
        key = await self._signing_key()
        body = {**claims, "iss": self.issuer}
        return self._signer().sign(self._secret(key), key.kid, body, "JWT")

    # --- reading

    def principal(self, state: State, token: str, now_ms: int) -> Principal | None:
        """Return who an access token stands for; None where it does not
        count."""
        claims = self._claims(state, token, now_ms)
        if claims is None:
            return None
        return Principal(
            actor=Actor.parse(claims["sub"]),
            grants=self._grants(state, claims["sid"]),
            scopes=tuple(claims["scope"].split()),
            credential=f"token:{claims['sid']}.{claims['jti']}",
            method=state.families[claims["sid"]].method or "token",
            expires_ms=claims["exp"] * 1000,
            begun_ms=state.families[claims["sid"]].begun_ms,
        )

    def confirmed(self, state: State, principal: Principal) -> Principal | None:
        """Return who a token stood for, with the grants they hold now; None
        where it was revoked since."""
        name, _, token = principal.credential.removeprefix("token:").partition(".")
        family = state.families.get(name)
        account = None if family is None or family.ended else state.account(family.owner)
        if account is None or account.disabled or token in state.revoked:
            return None
        return msgspec.structs.replace(principal, grants=self._grants(state, name))

    def _grants(self, state: State, name: str) -> Mapping[str, tuple[str, ...]]:
        family = state.families[name]
        return within(joined(state.accounts[family.owner].grants, family.grants), family.within)

    def _claims(self, state: State, token: str, now_ms: int) -> Mapping[str, Any] | None:
        """Return what an access token says if all of it counts now."""
        if token.count(".") != 2:
            return None
        keys = {one.kid: one.public for one in usable(state, now_ms)}
        claims = self._signer().claims(token, keys) if keys else None
        if claims is None or claims.get("iss") != self.issuer or claims.get("aud") != self.issuer:
            return None
        family = state.families.get(claims.get("sid", ""))
        if family is None or family.ended or claims.get("sub") != family.owner:
            return None
        account = state.account(family.owner)
        if account is None or account.disabled or claims.get("jti") in state.revoked:
            return None
        begun, until = claims.get("iat"), claims.get("exp")
        if not isinstance(begun, int) or not isinstance(until, int):
            return None
        return claims if begun * 1000 - SKEW_MS <= now_ms < until * 1000 else None

    async def introspect(self, token: str) -> dict[str, Any]:
        """Return what RFC 7662 says of a token: `active`, and more where it
        is."""
        state = await self._directory.follow()
        now_ms = self._directory.now_ms()
        claims = self._claims(state, token, now_ms)
        if claims is not None:
            return {"active": True, "token_type": "Bearer", "username": claims["sub"], **claims}
        family = self._family(state, token, digest(token), now_ms)
        if family is None or family.digest != digest(token):
            return {"active": False}
        return {
            "active": True,
            "token_type": "refresh_token",
            "username": family.owner,
            "sub": family.owner,
            "client_id": family.client,
            "scope": " ".join(family.scopes),
            "iat": family.begun_ms // 1000,
            "exp": family.expires_ms // 1000,
            "iss": self.issuer,
        }

    # --- ending

    async def revoke(self, token: str, by: str, *, client: str | None = None) -> bool:
        """Let a token count no more (RFC 7009): an access token alone, a
        refresh token with its family. Whether there was one; with `client`
        only one of that client's."""
        gone: list[bool] = []

        def decide(state: State, now_ms: int) -> Change:
            gone.clear()
            claims = self._claims(state, token, now_ms)
            if claims is not None and client in (None, claims.get("client_id")):
                gone.append(True)
                return self._revoking(claims, by, now_ms)
            family = self._family(state, token, digest(token), now_ms)
            if family is not None and client in (None, family.client):
                gone.append(True)
                return self._ending(family, by, now_ms, "revoked")
            return Change()

        await self._directory.change(decide)
        return bool(gone)

    async def revoke_family(self, name: str, by: str, reason: str = "revoked") -> bool:
        """End a family by its id (`sid` of its tokens); whether there was
        one."""

        def decide(state: State, now_ms: int) -> Change:
            family = state.families.get(name)
            if family is None or family.ended:
                return Change()
            return self._ending(family, by, now_ms, reason)

        return bool(await self._directory.change(decide))

    async def families(self, owner: str | None = None) -> list[Family]:
        """Return what counts now, oldest first; of one account, or all."""
        state = await self._directory.follow()
        actor = None if owner is None else found(state, owner).actor
        now_ms = self._directory.now_ms()
        return [
            one
            for one in state.families.values()
            if actor in (None, one.owner) and not one.ended and now_ms < one.expires_ms
        ]

    def _ending(self, family: Family, by: str, now_ms: int, reason: str) -> Change:
        body = {"family": family.id, "reason": reason, "at_ms": now_ms}
        event = NewEvent(
            stream=f"family/{family.id}", type="token.family_ended", payload=body, actor=by
        )
        return Change([event], {event.stream: family.version})

    def _revoking(self, claims: Mapping[str, Any], by: str, now_ms: int) -> Change:
        body = {
            "token": claims["jti"],
            "account": claims["sub"],
            "expires_ms": claims["exp"] * 1000,
            "at_ms": now_ms,
        }
        return Change(
            [NewEvent(stream="revocations", type="token.revoked", payload=body, actor=by)]
        )

    # --- keys

    async def rotate_key(self, by: str) -> SigningKey:
        """Sign with a new key from now on."""
        return await self._new_key(by, lambda state, now_ms: True)

    async def jwks(self) -> dict[str, Any]:
        """Return the public keys of tokens that may still count (RFC 7517)."""
        state = await self._directory.follow()
        return {
            "keys": [
                {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "alg": "Ed25519",
                    "use": "sig",
                    "kid": one.kid,
                    "x": one.public,
                }
                for one in usable(state, self._directory.now_ms())
            ]
        }

    async def _signing_key(self) -> SigningKey:
        state = await self._directory.follow()
        key = current(state)
        if key is not None and self._directory.now_ms() - key.since_ms < KEY_MS:
            return key
        return await self._new_key(
            str(SYSTEM),
            lambda state, now_ms: (
                (now := current(state)) is None or now_ms - now.since_ms >= KEY_MS
            ),
        )

    async def _new_key(self, by: str, due: Callable[[State, int], bool]) -> SigningKey:
        secret, public = self._signer().generate()
        kid = self._directory.id()
        box = self._directory.sealer.seal(_purpose(kid), secret)

        def decide(state: State, now_ms: int) -> Change:
            if not due(state, now_ms):
                return Change()
            body = {"kid": kid, "public": public, "sealed": box, "at_ms": now_ms}
            event = NewEvent(
                stream=SIGNING_STREAM, type="signing.key_added", payload=body, actor=by
            )
            return Change([event], {SIGNING_STREAM: len(state.signing)})

        await self._directory.change(decide)
        made = current(await self._directory.follow())
        assert made is not None
        return made

    def _secret(self, key: SigningKey) -> bytes:
        secret = self._secrets.get(key.kid)
        if secret is None:
            secret = self._directory.sealer.unseal(_purpose(key.kid), key.sealed)
            if secret is None:
                raise OAuthError("server_error", "the signing key was sealed under another key")
            self._secrets[key.kid] = secret
        return secret


def current(state: State) -> SigningKey | None:
    """Return the key that signs now."""
    return next((one for one in state.signing.values() if one.retired_ms is None), None)


def usable(state: State, now_ms: int) -> list[SigningKey]:
    """Return the keys whose tokens may still count."""
    return [
        one
        for one in state.signing.values()
        if one.retired_ms is None or now_ms < one.retired_ms + ACCESS_MS + SKEW_MS
    ]


def _purpose(kid: str) -> str:
    return f"signing/{kid}"
