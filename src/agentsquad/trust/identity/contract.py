"""What others may know of identity: a Principal, what is shown to become one,
and the port that says who it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import (
    ConflictError,
    DeniedError,
    IntegrityError,
    InvalidError,
    LimitError,
    MissingError,
    UnauthenticatedError,
    UnavailableError,
)

EVERY_NAMESPACE = "*"
FRESH_MS = 10 * 60_000  # how long a sign-in counts as just now


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has shown who they are.

    `grants` maps a namespace, or `*` for all of them, to the roles held there.
    `scopes` are patterns over action names (`runs.*`, `*`): what the credential
    may be used for, never more than the roles allow. `credential` names it
    (`key:…`, `session:…`, `token:…`) for events and revocation, `method` how it
    was proven (password, totp, webauthn, key, token, oidc, saml, ldap, local).
    `expires_ms` is None where it does not expire by itself; `begun_ms` is when
    a person signed in or consented, of sessions and tokens.
    """

    actor: Actor
    grants: Mapping[str, tuple[str, ...]] = {}
    scopes: tuple[str, ...] = ("*",)
    credential: str = ""
    method: str = ""
    expires_ms: int | None = None
    begun_ms: int | None = None

    def roles(self, namespace: str) -> tuple[str, ...]:
        """Return the roles held in a namespace, in the order of their names."""
        held = {*self.grants.get(EVERY_NAMESPACE, ()), *self.grants.get(namespace, ())}
        return tuple(sorted(held))

    def acting_in(self, namespace: str) -> Actor:
        """Return the actor with the roles of a namespace, as events and policy
        see it."""
        return Actor(self.actor.kind, self.actor.name, self.roles(namespace))


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What came with a request to show who asks.

    `bearer` is an API key, a token or a bootstrap token; `session` the value of
    the session's cookie, with `csrf` beside it where the request changes
    something. At most one of them counts: the bearer, if there is one.
    """

    bearer: str | None = None
    session: str | None = None
    csrf: str | None = None
    changes: bool = True
    address: str = ""


class Identity(Protocol):
    """Says who asks; what it says holds at that moment: what was revoked is
    refused on the next request."""

    async def recognise(self, shown: Shown) -> Principal:
        """Return who that is; UnauthenticatedError otherwise, the same words
        and effort for unknown, wrong, expired and revoked."""
        ...

    async def confirm(self, principal: Principal) -> Principal:
        """Return somebody recognised before as they are now, with the grants
        they hold now; CredentialError when what they showed is revoked, has
        expired, or they may no longer sign in. Cheap: asked with every call of
        a long connection."""
        ...


class CredentialError(UnauthenticatedError):
    """That does not show who you are: sign in again."""

    code = "identity.credential"


class SignInFailedError(UnauthenticatedError):
    """That name, password or code is not right."""

    code = "identity.sign_in"


class SignInStaleError(UnauthenticatedError):
    """You signed in too long ago for that: show again that it is you."""

    code = "identity.stale"


class TicketError(UnauthenticatedError):
    """This sign-in has ended or was finished already: begin again."""

    code = "identity.ticket"


class LockedError(LimitError):
    """Too many failed attempts: wait `retry_after_ms`, then try again."""

    code = "identity.locked"


class DeviceLimitError(LimitError):
    """Too many devices were begun, or too many codes mistyped: wait
    `retry_after_ms`."""

    code = "identity.device_limit"


class AccountMissingError(MissingError):
    """There is no such account."""

    code = "identity.account_missing"


class AccountExistsError(ConflictError):
    """There is an account of that name already."""

    code = "identity.account_exists"


class AccountNameError(InvalidError):
    """That is not the name of an account."""

    code = "identity.account_name"


class PasswordWeakError(InvalidError):
    """The password is too easy to guess."""

    code = "identity.password_weak"


class CredentialMissingError(MissingError):
    """There is no such key, session or token."""

    code = "identity.credential_missing"


class LifetimeError(InvalidError):
    """That is not a span of time a credential may live."""

    code = "identity.lifetime"


class ScopeError(InvalidError):
    """That is not a pattern over the names of actions."""

    code = "identity.scope"


class RoleNameError(InvalidError):
    """That is not the name of a role or a namespace."""

    code = "identity.role"


class InsideRunError(DeniedError):
    """What makes a secret cannot be called from within a run, whose log would
    keep it."""

    code = "identity.inside_run"


class FactorNeededError(DeniedError):
    """This installation asks everybody for a second factor, and none is set up
    for this account."""

    code = "identity.factor_needed"


class FactorError(InvalidError):
    """That second factor cannot be set up or used so."""

    code = "identity.factor"


class HomeKeyError(IntegrityError):
    """The key of the home does not open what was sealed under it."""

    code = "identity.home_key"


class HomeKeyUnsafeError(DeniedError):
    """Others can read the key of the home."""

    code = "identity.home_key_unsafe"


class Sealer(Protocol):
    """Seals under the key of the home: what the log keeps of secrets is of no
    use without it."""

    def seal(self, purpose: str, data: bytes) -> str:
        """Return a box that only `unseal` with the same purpose opens."""
        ...

    def unseal(self, purpose: str, box: str) -> bytes | None:
        """Return what is in a box; None where it is none of ours for that
        purpose."""
        ...

    def mark(self, purpose: str, data: bytes) -> str:
        """Return a keyed digest: equal for equal data, and nothing else can be
        learned from it."""
        ...


class PasswordHasher(Protocol):
    """Makes guessing a password expensive."""

    async def encode(self, password: str) -> str:
        """Return what to keep of a password."""
        ...

    async def check(self, password: str, kept: str | None) -> bool:
        """Say whether it is that password; where nothing is kept the answer is
        no, after the same work."""
        ...

    def outdated(self, kept: str) -> bool:
        """Whether passwords are kept more safely today."""
        ...


class SecretSource(Protocol):
    """Where a person gives a secret that must not stand on a command line."""

    def read(self, place: str, ask: str) -> str:
        """Return the first line of a file; `-` is the standard input, asked for
        without showing what is typed where that is a terminal."""
        ...


class CodeMaker(Protocol):
    """Codes that change with time (RFC 6238)."""

    def secret(self) -> str:
        """Return a new secret, base32."""
        ...

    def code(self, secret: str, step: int) -> str:
        """Return the code of one time step."""
        ...

    def uri(self, secret: str, account: str, issuer: str) -> str:
        """Return what an authenticator app reads from a QR code."""
        ...


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a security key is registered with: the host, and the origins that
    its pages come from."""

    id: str
    name: str = "Agent Squad"
    origins: tuple[str, ...] = ()


class Passkey(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a security key: its id, public key and last signature
    counter; the texts are base64url."""

    id: str
    public_key: str
    count: int = 0
    transports: tuple[str, ...] = ()


class SecurityKeys(Protocol):
    """Security keys and passkeys (WebAuthn); options and responses are the JSON
    that browsers make and read."""

    def registration(
        self, party: Party, account: str, challenge: bytes, known: Sequence[Passkey]
    ) -> Mapping[str, Any]:
        """Return the options with which a browser makes a key."""
        ...

    def registered(self, party: Party, challenge: bytes, response: Mapping[str, Any]) -> Passkey:
        """Return the key that was made; FactorError where it is not good."""
        ...

    def assertion(
        self, party: Party, challenge: bytes, known: Sequence[Passkey]
    ) -> Mapping[str, Any]:
        """Return the options with which a browser uses a key."""
        ...

    def asserted(
        self, party: Party, challenge: bytes, response: Mapping[str, Any], known: Sequence[Passkey]
    ) -> Passkey | None:
        """Return the key that was used, with its new counter; None where none
        of them was, or not rightly."""
        ...


class NewSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session just begun. `value` goes into a cookie that scripts cannot
    read (Secure, HttpOnly, SameSite=Lax), `csrf` to the page; neither can be
    had again."""

    id: str
    value: str
    csrf: str
    account: str
    expires_ms: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a sign-in is: a session, or a ticket for the next step, which is
    one of `wants`: totp, webauthn or recovery."""

    wants: tuple[str, ...] = ()
    ticket: str | None = None
    session: NewSession | None = None


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody signs in from. `previous` is the value of a session they
    still have: it ends when the new one begins. `party` is needed for security
    keys only."""

    address: str = ""
    agent: str = ""
    previous: str | None = None
    party: Party | None = None


class External(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody another provider vouches for: `subject` is who that is there,
    `grants` the roles that its groups are mapped to."""

    provider: str
    method: str
    subject: str
    name: str
    display: str = ""
    email: str = ""
    grants: Mapping[str, tuple[str, ...]] = {}
    strong: bool = False  # the provider has asked for a second factor itself


class OAuthError(InvalidError):
    """The request for a token is not one that can be granted.

    `error` is the code of RFC 6749 section 5.2 (or 8628 section 3.5); a surface
    answers 401 for invalid_client, 400 otherwise, with `body()` as JSON.
    """

    code = "identity.oauth"

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message, details={"error": error})
        self.error = error

    def body(self) -> dict[str, str]:
        """Return the JSON that the RFCs ask for."""
        return {"error": self.error, "error_description": self.message}


class TokenSigner(Protocol):
    """Signs and checks access tokens (JWT, Ed25519)."""

    def generate(self) -> tuple[bytes, str]:
        """Return the secret half of a new key, and the public one,
        base64url."""
        ...

    def sign(self, secret: bytes, kid: str, claims: Mapping[str, Any], type: str = "at+jwt") -> str:
        """Return a signed token; one of another type is no access token."""
        ...

    def claims(self, token: str, keys: Mapping[str, str]) -> Mapping[str, Any] | None:
        """Return what a token says if one of these public keys, by their ids,
        signed it; None otherwise."""
        ...


class TokenSet(msgspec.Struct, frozen=True, kw_only=True):
    """What a token request is answered with (RFC 6749 section 5.1)."""

    access_token: str
    expires_in: int
    scope: str
    token_type: str = "Bearer"
    refresh_token: str | None = None


class ProviderError(UnavailableError):
    """The identity provider does not answer, or not as it should."""

    code = "identity.provider"


class ProviderMissingError(MissingError):
    """There is no identity provider of that name."""

    code = "identity.provider_missing"


class Vouched(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of somebody: `subject` never changes there;
    `facts` are its claims or attributes."""

    subject: str
    facts: Mapping[str, Any] = {}


class OidcLogin(Protocol):
    """OpenID Connect with one provider; its settings are `provider.Oidc`."""

    async def location(self, oidc: Any, request: Mapping[str, str]) -> str:
        """Return where to send the browser; `request` are the parameters of
        the authorization request."""
        ...

    async def claims(self, oidc: Any, redemption: Mapping[str, str]) -> Vouched:
        """Exchange a code (`code`, `redirect_uri`, `code_verifier`, `nonce`)
        and return what was checked of the ID token and the userinfo."""
        ...


class LdapLogin(Protocol):
    """Names and passwords against one directory (`provider.Ldap`)."""

    async def vouch(self, ldap: Any, name: str, password: str) -> Vouched | None:
        """Return who that is, `groups` among the facts; None where name and
        password do not fit."""
        ...


class SamlLogin(Protocol):
    """SAML 2.0 with one provider (`provider.Saml`); `place` is the address of
    our assertion consumer service."""

    def location(self, name: str, saml: Any, place: str, relay: str) -> tuple[str, str]:
        """Return where to send the browser, and the id of the request."""
        ...

    def vouched(self, name: str, saml: Any, place: str, answer: str, asked: str) -> Vouched:
        """Return who a SAMLResponse to a request is about, checked."""
        ...

    def metadata(self, name: str, saml: Any, place: str) -> str:
        """Return our metadata, XML."""
        ...
