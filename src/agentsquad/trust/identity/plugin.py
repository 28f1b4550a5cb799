"""What identity offers: its actions, who may use them, and its adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentsquad.kernel.errors import InvalidError, UnsupportedError
from agentsquad.kernel.registry import Plugin
from agentsquad.trust.identity import actions, actions_sign_in, actions_tokens
from agentsquad.trust.identity.contract import (
    CodeMaker,
    LdapLogin,
    OidcLogin,
    PasswordHasher,
    SamlLogin,
    Sealer,
    SecretSource,
    SecurityKeys,
    TokenSigner,
)
from agentsquad.trust.identity.office import Instruments, Office
from agentsquad.trust.identity.provider import IDENTITY_PROVIDER
from agentsquad.trust.identity.providers import Protocols

KEY_FILE = "identity.key"

# Whether somebody may administer is decided before (trust/access); agents never
# may, whatever roles they were given.
_ACCESS = """package identity.access

actions := {
	"users.*", "services.*", "grants.*", "keys.*",
	"sessions.*", "tokens.*", "factors.*", "clients.*",
}

who := split(input.actor, ":")[0]

allow contains {"clause": "identity.access.people", "reason": "accounts are kept by people"} if {
	who in {"person", "service"}
}

deny contains {"clause": "identity.access.agents", "reason": "agents keep no accounts"} if {
	not who in {"person", "service"}
}
"""


def demanded(text: str) -> bool:
    """Whether nobody signs in without a second factor."""
    if text not in ("offered", "required"):
        raise InvalidError(
            f"SQUAD_SECOND_FACTOR is {text!r}", code="settings.choice", hint="offered or required"
        )
    return text == "required"


def sealer(settings: Any) -> Sealer:
    """Return what seals under the key of the home."""
    from agentsquad.trust.identity.adapters.home_key import HomeSealer

    named = settings.environment.get("SQUAD_IDENTITY_KEY")
    return HomeSealer(Path(named) if named else settings.home / "keys" / KEY_FILE)


def hasher(settings: Any = None) -> PasswordHasher:
    """Return what makes guessing passwords expensive."""
    from agentsquad.trust.identity.adapters.argon2 import Argon2Hasher

    return Argon2Hasher()


def code_maker(settings: Any = None) -> CodeMaker:
    """Return what makes codes that change with time."""
    try:
        from agentsquad.trust.identity.adapters.pyotp_codes import PyotpCodes
    except ImportError as error:
        raise missing() from error
    return PyotpCodes()


def security_keys(settings: Any = None) -> SecurityKeys:
    """Return what checks security keys."""
    try:
        from agentsquad.trust.identity.adapters.passkeys import WebauthnKeys
    except ImportError as error:
        raise missing() from error
    return WebauthnKeys()


def token_signer(settings: Any = None) -> TokenSigner:
    """Return what signs and checks access tokens."""
    try:
        from agentsquad.trust.identity.adapters.ed25519_tokens import Ed25519Tokens
    except ImportError as error:
        raise UnsupportedError(
            "install 'agentsquad[server]'", hint="pip install 'agentsquad[server]'"
        ) from error
    return Ed25519Tokens()


def oidc_login(settings: Any) -> OidcLogin:
    """Return what signs in at OpenID providers."""
    try:
        from agentsquad.trust.identity.adapters.oidc import HttpOidc
    except ImportError as error:
        raise missing() from error
    from agentsquad.runtime.engine.plugin import system_clock

    return HttpOidc(system_clock(), settings.environment)


def ldap_login(settings: Any) -> LdapLogin:
    """Return what asks directories."""
    try:
        from agentsquad.trust.identity.adapters.ldap import Ldap3Login
    except ImportError as error:
        raise missing() from error
    return Ldap3Login(settings.environment)


def saml_login(settings: Any) -> SamlLogin:
    """Return what signs in at SAML providers."""
    try:
        from agentsquad.trust.identity.adapters.saml import PysamlLogin
    except ImportError as error:
        raise missing() from error
    return PysamlLogin(settings.home / "keys")


def missing() -> UnsupportedError:
    """Return the error that names the extra to install."""
    return UnsupportedError(
        "install 'agentsquad[identity]'", hint="pip install 'agentsquad[identity]'"
    )


def secret_source(settings: Any = None) -> SecretSource:
    """Return where a person gives a secret."""
    from agentsquad.trust.identity.adapters.terminal import TypedSecrets

    return TypedSecrets()


def office(settings: Any) -> Office:
    """Return identity over any log of this installation."""
    kept: dict[str, Any] = {}

    def once(name: str, make: Any) -> Any:
        def made() -> Any:
            if name not in kept:
                kept[name] = make(settings)
            return kept[name]

        return made

    return Office(
        Instruments(
            sealer=once("sealer", sealer),
            hasher=once("hasher", hasher),
            codes=once("codes", code_maker),
            keys=once("keys", security_keys),
            signer=once("signer", token_signer),
            protocols=Protocols(
                oidc=once("oidc", oidc_login),
                ldap=once("ldap", ldap_login),
                saml=once("saml", saml_login),
            ),
            strict=demanded(settings.environment.get("SQUAD_SECOND_FACTOR", "offered")),
            issuer=settings.environment.get("SQUAD_PUBLIC_URL", "").rstrip("/"),
        )
    )


plugin = Plugin(
    name="identity",
    actions=(
        actions.add_user,
        actions.list_users,
        actions.disable_user,
        actions.enable_user,
        actions.set_password,
        actions.delete_user,
        actions.add_service,
        actions.list_services,
        actions.add_grant,
        actions.remove_grant,
        actions.list_grants,
        actions.create_key,
        actions.list_keys,
        actions.revoke_key,
        actions_sign_in.list_sessions,
        actions_sign_in.revoke_session,
        actions_sign_in.list_factors,
        actions_sign_in.add_app,
        actions_sign_in.confirm_factor,
        actions_sign_in.remove_factor,
        actions_sign_in.new_codes,
        actions_tokens.list_tokens,
        actions_tokens.introspect_token,
        actions_tokens.revoke_token,
        actions_tokens.rotate_key,
        actions_tokens.bootstrap_token,
        actions_tokens.add_client,
        actions_tokens.list_clients,
        actions_tokens.remove_client,
    ),
    kinds=(IDENTITY_PROVIDER,),
    ports={Office: office, SecretSource: secret_source},
    policies={"identity/access.rego": _ACCESS},
)
