"""OAuth 2.1: how programs get tokens, for themselves and in the name of people.

No HTTP: a surface reads forms and answers; what it is to do stands here.

    GET  /.well-known/oauth-authorization-server   `metadata(base)`
    GET  /.well-known/jwks.json                    `Tokens.jwks()`
    GET  /auth/authorize   `check(query)`; sign in if need be; ask the person;
                           then redirect to `allow(...)` or `deny(...)`
    POST /auth/token       `token(form, basic)` -> JSON of a TokenSet,
                           `Cache-Control: no-store`
    POST /auth/device      `device(form)` -> JSON
    GET  /auth/activate    `waiting(user_code)`; POST: `activate(...)`
    POST /auth/introspect  caller recognised by bearer; `Tokens.introspect`
    POST /auth/revoke      `Tokens.revoke(token, by)`; 200 in any case

`basic` is name and password of an `Authorization: Basic` header, if there was
one. Every error is an OAuthError: 401 for invalid_client, 400 otherwise, with
`body()`; only `check` raises others than those that are to be redirected.
Authorization codes need PKCE with S256; there is no implicit grant and no
password grant.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from agentsquad.kernel.event import NewEvent
from agentsquad.trust.identity.account import Account
from agentsquad.trust.identity.contract import (
    CredentialMissingError,
    OAuthError,
    Principal,
    ScopeError,
    TicketError,
    TokenSet,
)
from agentsquad.trust.identity.credential import (
    KEY,
    SECRET_SIZE,
    Key,
    digest,
    live,
    narrowed,
    new_secret,
    scopes_of,
    well_formed,
)
from agentsquad.trust.identity.devices import DeviceLimits
from agentsquad.trust.identity.directory import Change, Directory
from agentsquad.trust.identity.issued import Client, Code
from agentsquad.trust.identity.state import State
from agentsquad.trust.identity.tokens import Request, Tokens

COMMAND_LINE = "squad-cli"
CODE_MS = 60_000
DEVICE_MS = 600_000
INTERVAL_S = 5
POLLS_MAX = 10_000
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # none that make words or look like others
OWN_CLIENTS = {
    COMMAND_LINE: Client(
        id=COMMAND_LINE,
        redirects=("http://127.0.0.1/callback", "http://[::1]/callback"),
        label="The command line",
        device=True,
    )
}
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_CLIENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request for an authorization that may be shown to a person."""

    client: str
    label: str
    redirect: str
    scopes: tuple[str, ...]
    state: str
    challenge: str


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """What a device shows while it waits (RFC 8628 section 3.2)."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class OAuth:
    """The rules of the endpoints."""

    def __init__(self, directory: Directory, tokens: Tokens) -> None:
        self._directory = directory
        self._tokens = tokens
        self._polled: dict[str, int] = {}
        self._limits = DeviceLimits()

    def metadata(self, base: str) -> dict[str, Any]:
        """Return what RFC 8414 says of this server; `base` is where it is
        reached."""
        return {
            "issuer": self._tokens.issuer,
            "authorization_endpoint": f"{base}/auth/authorize",
            "token_endpoint": f"{base}/auth/token",
            "device_authorization_endpoint": f"{base}/auth/device",
            "introspection_endpoint": f"{base}/auth/introspect",
            "revocation_endpoint": f"{base}/auth/revoke",
            "jwks_uri": f"{base}/.well-known/jwks.json",
            "response_types_supported": ["code"],
            "grant_types_supported": [
                "authorization_code",
                "refresh_token",
                "client_credentials",
                DEVICE_GRANT,
            ],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": [
                "none",
                "client_secret_basic",
                "client_secret_post",
            ],
            "authorization_response_iss_parameter_supported": True,
        }

    # --- programs

    async def add_client(self, client: Client, by: str) -> Client:
        """Let a program ask people for tokens; its addresses are compared
        letter by letter."""
        for address in client.redirects:
            if not good_redirect(address):
                raise OAuthError(
                    "invalid_redirect_uri",
                    f"{address!r} is no address to send people to: https, or http to 127.0.0.1",
                )
        if not client.redirects or not _CLIENT.fullmatch(client.id) or client.id in OWN_CLIENTS:
            raise OAuthError("invalid_request", f"{client.id!r} with no good name or address")
        scopes = scopes_of(client.scopes)

        def decide(state: State, now_ms: int) -> Change:
            held = state.clients.get(client.id)
            body = {
                "client": client.id,
                "redirects": list(client.redirects),
                "label": client.label,
                "scopes": list(scopes),
                "device": client.device,
                "at_ms": now_ms,
            }
            event = NewEvent(
                stream=f"client/{client.id}", type="client.added", payload=body, actor=by
            )
            return Change([event], {} if held is None else {event.stream: held.version})

        await self._directory.change(decide)
        return (await self._directory.follow()).clients[client.id]

    async def remove_client(self, name: str, by: str) -> Client:
        """Let a program ask no more, and end its tokens."""
        held: list[Client] = []

        def decide(state: State, now_ms: int) -> Change:
            client = state.clients.get(name)
            if client is None:
                raise CredentialMissingError(f"there is no client {name!r}")
            held[:] = [client]
            body = {"client": name, "at_ms": now_ms}
            event = NewEvent(stream=f"client/{name}", type="client.removed", payload=body, actor=by)
            return Change([event], {event.stream: client.version})

        await self._directory.change(decide)
        return held[0]

    async def clients(self) -> list[Client]:
        """Return all programs, our own first."""
        state = await self._directory.follow()
        return [*OWN_CLIENTS.values(), *state.clients.values()]

    # --- authorization codes

    async def check(self, query: Mapping[str, str]) -> Asked:
        """Return what is asked for; OAuthError where nothing may be redirected,
        and RedirectError where the program is to hear of it."""
        state = await self._directory.follow()
        client = client_named(state, query.get("client_id", ""))
        redirect = query.get("redirect_uri", "")
        if client is None or not any(fits(one, redirect) for one in client.redirects):
            raise OAuthError("invalid_request", "the program or its address is not known here")
        told = query.get("state", "")
        if query.get("response_type") != "code":
            raise RedirectError("unsupported_response_type", "only code", redirect, told)
        challenge = query.get("code_challenge", "")
        if query.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
            raise RedirectError("invalid_request", "PKCE with S256 is needed", redirect, told)
        try:
            scopes = _scopes_for(client, query)
        except OAuthError as error:
            raise RedirectError(error.error, error.message, redirect, told) from error
        return Asked(
            client=client.id,
            label=client.label or client.id,
            redirect=redirect,
            scopes=scopes,
            state=told,
            challenge=challenge,
        )

    async def allow(self, asked: Asked, principal: Principal) -> str:
        """Return where to send the browser of a person who said yes; they must
        have signed in by a session."""
        if not principal.credential.startswith("session:"):
            raise OAuthError("access_denied", "only somebody signed in can allow that")
        secret = new_secret("sqc_", self._directory.entropy.token(SECRET_SIZE))
        session = self._directory.state.sessions.get(principal.credential.partition(":")[2])
        body = {
            "kind": "authorization",
            "digest": digest(secret),
            "client": asked.client,
            "scopes": list(asked.scopes),
            "owner": str(principal.actor),
            "redirect": asked.redirect,
            "challenge": asked.challenge,
            "grants": {} if session is None else msgspec.to_builtins(session.grants),
            "method": principal.method,
        }
        await self._ask(body, CODE_MS, str(principal.actor))
        return with_query(
            asked.redirect,
            {"code": secret, "state": asked.state, "iss": self._tokens.issuer},
        )

    def deny(self, asked: Asked) -> str:
        """Return where to send the browser of a person who said no."""
        found = {"error": "access_denied", "state": asked.state, "iss": self._tokens.issuer}
        return with_query(asked.redirect, found)

    async def _ask(self, body: Mapping[str, Any], life_ms: int, by: str) -> None:
        now_ms = self._directory.now_ms()
        stream = f"code/{body['digest'][:32]}"
        payload = {**body, "expires_ms": now_ms + life_ms, "at_ms": now_ms}
        await self._directory.store.append(
            [NewEvent(stream=stream, type="token.asked", payload=payload, actor=by)],
            expect={stream: 0},
        )

    # --- tokens

    async def token(
        self, form: Mapping[str, str], basic: tuple[str, str] | None = None
    ) -> TokenSet:
        """Answer a request for tokens."""
        kind = form.get("grant_type", "")
        client = (basic[0] if basic else form.get("client_id", "")) or ""
        if kind == "authorization_code":
            return await self._code(form, client)
        if kind == "refresh_token":
            scopes = _scopes(form)
            return await self._tokens.refresh(form.get("refresh_token", ""), client, scopes)
        if kind == "client_credentials":
            secret = basic[1] if basic else form.get("client_secret", "")
            return await self._credentials(client, secret, form)
        if kind == DEVICE_GRANT:
            return await self._device_token(form, client)
        raise OAuthError("unsupported_grant_type", f"{kind!r} is not offered")

    async def _code(self, form: Mapping[str, str], client: str) -> TokenSet:
        state = await self._directory.follow()
        code = self._known(state, form.get("code", ""), "authorization", client)
        if code.spent:
            await self._tokens.revoke_family(code.spent, code.owner, "a code was shown twice")
            raise OAuthError("invalid_grant", "the code does not count")
        if form.get("redirect_uri", code.redirect) != code.redirect:
            raise OAuthError("invalid_grant", "the code was made for another address")
        if not verified(code.challenge, form.get("code_verifier", "")):
            raise OAuthError("invalid_grant", "the code verifier does not fit")
        return await self._exchange(code)

    async def _exchange(self, code: Code) -> TokenSet:
        return await self._tokens.issue(
            Request(
                owner=code.owner,
                client=code.client,
                scopes=code.scopes,
                grants=code.grants,
                method=code.method,
                refresh=True,
                code=code,
            )
        )

    async def _credentials(self, client: str, secret: str, form: Mapping[str, str]) -> TokenSet:
        """A service shows its API key as its secret; the token is good for no
        more than the key."""
        key, account = await self._service(client, secret)
        scopes = _scopes(form) or key.scopes
        if narrowed(key.scopes, scopes) != scopes:
            raise OAuthError("invalid_scope", "more was asked for than the key allows")
        request = Request(
            owner=account.actor,
            client=client,
            scopes=scopes,
            within=key.within,
            method="client_credentials",
        )
        return await self._tokens.issue(request)

    async def _service(self, client: str, secret: str) -> tuple[Key, Account]:
        """Return the key that a service shows, and its account."""
        state = await self._directory.follow()
        now_ms = self._directory.now_ms()
        key = state.keys_by_digest.get(digest(secret)) if well_formed(secret, KEY) else None
        account = None if key is None or not live(key, now_ms) else state.account(key.owner)
        if key is None or account is None or account.disabled or not _named(account, client):
            raise OAuthError("invalid_client", "that service is not known by this secret")
        return key, account

    async def revoke(self, form: Mapping[str, str], basic: tuple[str, str] | None = None) -> None:
        """Let a token count no more (RFC 7009): a program those that it holds,
        a service its own, by its secret."""
        token, client = form.get("token", ""), basic[0] if basic else form.get("client_id", "")
        secret = basic[1] if basic else form.get("client_secret", "")
        owner = str((await self._tokens.introspect(token)).get("sub", ""))
        if secret or owner.startswith("service:"):
            await self._service(client, secret)
        await self._tokens.revoke(token, f"service:{client or 'unnamed'}", client=client or None)

    def _known(self, state: State, given: str, kind: str, client: str) -> Code:
        code = state.codes.get(digest(given)) if well_formed(given, "sqc_") else None
        if code is None or code.kind != kind or code.client != client:
            raise OAuthError("invalid_grant", "the code does not count")
        if self._directory.now_ms() >= code.expires_ms:
            error = "expired_token" if kind == "device" else "invalid_grant"
            raise OAuthError(error, "the code has expired")
        return code

    # --- devices

    async def device(self, form: Mapping[str, str], base: str = "", address: str = "") -> Device:
        """Begin for a device without a browser, such as the command line;
        DeviceLimitError where that was done too often."""
        state = await self._directory.follow()
        client = client_named(state, form.get("client_id", ""))
        if client is None:
            raise OAuthError("invalid_client", "the program is not known here")
        if not client.device:
            raise OAuthError("unauthorized_client", "that program is not for devices")
        scopes = _scopes_for(client, form)
        self._limits.begin(address, self._directory.now_ms())
        secret = new_secret("sqc_", self._directory.entropy.token(SECRET_SIZE))
        shown = spoken(self._directory.entropy.token(16))
        body = {
            "kind": "device",
            "digest": digest(secret),
            "client": client.id,
            "scopes": list(scopes),
            "spoken": self._mark(shown),
            "address": address,
        }
        await self._ask(body, DEVICE_MS, "service:squad")
        page = f"{base or self._tokens.issuer}/auth/activate"
        return Device(
            device_code=secret,
            user_code=shown,
            verification_uri=page,
            verification_uri_complete=f"{page}?user_code={shown}",
            expires_in=DEVICE_MS // 1000,
            interval=INTERVAL_S,
        )

    async def waiting(self, user_code: str, who: str = "") -> Code:
        """Return what a device waits for, to be shown to the person;
        TicketError where none shows that code, DeviceLimitError where `who`
        was wrong too often."""
        now_ms = self._directory.now_ms()
        self._limits.may_type(who, now_ms)
        state = await self._directory.follow()
        code = state.codes.get(self._mark(user_code))
        over = code is None or now_ms >= code.expires_ms
        if code is None or over or code.spent or code.owner or code.refused:
            self._limits.mistyped(who, now_ms)
            raise TicketError("no device shows that code", hint="begin again on the device")
        return code

    async def activate(self, user_code: str, principal: Principal, *, allow: bool = True) -> None:
        """Let a device sign in as somebody, or refuse it."""
        if not principal.credential.startswith("session:"):
            raise OAuthError("access_denied", "only somebody signed in can allow that")
        code = await self.waiting(user_code, str(principal.actor))
        session = self._directory.state.sessions.get(principal.credential.partition(":")[2])
        body = {
            "code": code.digest,
            "account": str(principal.actor),
            "refused": not allow,
            "method": principal.method,
            "grants": {} if session is None else msgspec.to_builtins(session.grants),
            "at_ms": self._directory.now_ms(),
        }
        event = NewEvent(
            stream=code.stream, type="token.approved", payload=body, actor=str(principal.actor)
        )
        await self._directory.change(
            lambda state, now_ms: Change([event], {code.stream: code.version})
        )

    async def _device_token(self, form: Mapping[str, str], client: str) -> TokenSet:
        state = await self._directory.follow()
        code = self._known(state, form.get("device_code", ""), "device", client)
        if code.refused:
            raise OAuthError("access_denied", "the person said no")
        if code.spent:
            raise OAuthError("invalid_grant", "the code was used already")
        if code.owner:
            return await self._exchange(code)
        now_ms = self._directory.now_ms()
        before = self._polled.get(code.digest)
        if len(self._polled) >= POLLS_MAX:
            self._polled.clear()
        self._polled[code.digest] = now_ms
        if before is not None and now_ms - before < INTERVAL_S * 1000:
            raise OAuthError("slow_down", "ask less often")
        raise OAuthError("authorization_pending", "nobody has answered yet")

    def _mark(self, shown: str) -> str:
        return self._directory.sealer.mark("device", _letters(shown).encode())


class RedirectError(OAuthError):
    """The program is to hear what is wrong: send the browser to `location`."""

    code = "identity.oauth_redirect"

    def __init__(self, error: str, message: str, redirect: str, state: str) -> None:
        super().__init__(error, message)
        told = {"error": error, "error_description": message, "state": state}
        self.location = with_query(redirect, told)


def client_named(state: State, name: str) -> Client | None:
    """Return a client, our own or one that was added."""
    return OWN_CLIENTS.get(name) or state.clients.get(name)


def fits(registered: str, given: str) -> bool:
    """Whether a redirect address is the registered one; the port is free on
    the loopback (RFC 8252 section 7.3)."""
    if registered == given:
        return True
    try:
        one, other = urlsplit(registered), urlsplit(given)
        loopback = one.hostname in ("127.0.0.1", "::1") and one.scheme == "http"
        if not loopback or other.port == 0 or "@" in other.netloc:
            return False
    except ValueError:
        return False
    return (one.scheme, one.hostname, one.path, one.query, "") == (
        other.scheme,
        other.hostname,
        other.path,
        other.query,
        other.fragment,
    )


def good_redirect(address: str) -> bool:
    """Whether people may be sent to an address."""
    try:
        parts = urlsplit(address)
        loopback = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1")
        secure = parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        return False
    return (secure or loopback) and not parts.fragment and "@" not in parts.netloc


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a code verifier (RFC 7636 section 4.2)."""
    made = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def verified(challenge: str, verifier: str) -> bool:
    """Whether a code verifier fits a challenge."""
    if not verifier.isascii() or not _VERIFIER.fullmatch(verifier):
        return False
    return hmac.compare_digest(challenge_of(verifier), challenge)


def spoken(chance: bytes) -> str:
    """Return eight letters for a person to type, such as BCDF-GHJK."""
    number = int.from_bytes(chance, "big")
    letters = []
    for _ in range(8):
        number, place = divmod(number, len(LETTERS))
        letters.append(LETTERS[place])
    return "".join(letters[:4]) + "-" + "".join(letters[4:])


def shown_as(typed: str) -> str:
    """Return a code that somebody typed the way a device shows it."""
    letters = _letters(typed)
    return f"{letters[:4]}-{letters[4:]}"


def with_query(address: str, values: Mapping[str, str]) -> str:
    """Return an address with further values in its query; empty ones are left
    out."""
    text = urlencode({name: value for name, value in values.items() if value})
    return f"{address}{'&' if urlsplit(address).query else '?'}{text}"


def _letters(typed: str) -> str:
    return "".join(char for char in typed.upper()[:64] if char in LETTERS)


def _scopes_for(client: Client, form: Mapping[str, str]) -> tuple[str, ...]:
    """Return what a program asks for, all it may where it does not say."""
    asked = _scopes(form) or client.scopes
    if narrowed(client.scopes, asked) != asked:
        raise OAuthError("invalid_scope", "more was asked for than that program may")
    return asked


def _scopes(form: Mapping[str, str]) -> tuple[str, ...]:
    given = tuple(form.get("scope", "").split())
    if not given:
        return ()
    try:
        return scopes_of(given)
    except ScopeError as error:
        raise OAuthError("invalid_scope", error.message) from error


def _named(account: Account, client: str) -> bool:
    return client in (account.actor, account.actor.partition(":")[2])
