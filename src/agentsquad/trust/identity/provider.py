"""Identity providers: who else may vouch for people, and which roles their
groups are mapped to.

Pure: the kind `IdentityProvider` and what follows from one. How each protocol
is spoken is for the adapters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from agentsquad.kernel.resource import Kind
from agentsquad.runtime.control.kinds import listing, record, text
from agentsquad.trust.identity.account import granted
from agentsquad.trust.identity.contract import AccountNameError, RoleNameError

KIND = "IdentityProvider"
_LETTERS = re.compile(r"[^a-z0-9._@-]+")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever is in a group there holds a role here; `*` in the group stands
    for any letters."""

    group: str
    role: str
    namespace: str = "default"


class Oidc(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An OpenID provider."""

    issuer: str
    client_id: str
    client_secret_from: str = ""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    ca_file: str = ""


class Saml(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A SAML 2.0 identity provider, by its metadata."""

    metadata_file: str
    entity_id: str = ""
    encrypted: bool = True


class Ldap(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An LDAP directory or Active Directory."""

    url: str
    base_dn: str
    bind_dn: str = ""
    bind_password_from: str = ""
    user_filter: str = "(uid={name})"
    group_base_dn: str = ""
    group_filter: str = "(member={dn})"
    start_tls: bool = True
    ca_file: str = ""


class Provider(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One provider as it was applied."""

    name: str
    label: str = ""
    oidc: Oidc | None = None
    saml: Saml | None = None
    ldap: Ldap | None = None
    name_claim: str = ""
    name_suffix: str = ""
    groups_claim: str = "groups"
    mapping: tuple[Rule, ...] = ()
    strong: bool = False
    strong_when: tuple[str, ...] = ()

    def proves_second_factor(self, facts: Mapping[str, Any]) -> bool:
        """Whether somebody showed the provider a second factor: by what it
        says of this sign-in where that is looked at, else by what it is."""
        if not self.strong_when:
            return self.strong
        told = {*values_of(facts.get("amr")), *values_of(facts.get("acr"))}
        return not told.isdisjoint(self.strong_when)

    @property
    def protocol(self) -> Literal["oidc", "saml", "ldap"]:
        """Which of the three it speaks."""
        return "oidc" if self.oidc else "saml" if self.saml else "ldap"


def provider_of(resource: Mapping[str, Any]) -> Provider:
    """Return the provider that a resource says."""
    value = {**resource["spec"], "name": resource["metadata"]["name"]}
    return msgspec.convert(value, Provider)


def grants_of(rules: Sequence[Rule], groups: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the roles that membership in these groups comes to; groups are
    compared without regard to case, as directories do."""
    held: dict[str, set[str]] = {}
    names = [one.casefold() for one in groups]
    for rule in rules:
        if any(fnmatchcase(name, rule.group.casefold()) for name in names):
            held.setdefault(rule.namespace, set()).add(rule.role)
    return {name: tuple(sorted(roles)) for name, roles in sorted(held.items())}


def account_name(given: str, suffix: str = "") -> str:
    """Return the name of the account for a name at a provider."""
    name = _LETTERS.sub("-", given.strip().lower()).strip("-._@")[:60]
    if not name:
        raise AccountNameError(f"the provider sent no name to call somebody by: {given!r}")
    return name + suffix


def values_of(claim: Any) -> tuple[str, ...]:
    """Return the texts of a claim that is one text or a list of them."""
    if isinstance(claim, str):
        return (claim,)
    return tuple(one for one in claim if isinstance(one, str)) if isinstance(claim, list) else ()


def _check(spec: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    found = []
    spoken = [name for name in ("oidc", "saml", "ldap") if name in spec]
    if len(spoken) != 1:
        found.append(("", "needs exactly one of oidc, saml and ldap", "give one of them"))
    for place, rule in enumerate(spec.get("mapping", ())):
        try:
            granted(rule.get("namespace", "default"), rule["role"])
        except RoleNameError as error:
            found.append((f"/mapping/{place}", error.message, error.hint or ""))
    ldap = spec.get("ldap")
    if spec.get("strongWhen") and (ldap or spec.get("strong")):
        hint = "a directory tells nothing of how somebody signed in; give strong or strongWhen"
        found.append(("/strongWhen", "does not belong to strong or to ldap", hint))
    if ldap and "{name}" not in ldap.get("userFilter", "(uid={name})"):
        found.append(("/ldap/userFilter", "does not say {name}", "e.g. (uid={name})"))
    if ldap and ldap["url"].startswith("ldap://") and ldap.get("startTls") is False:
        host = ldap["url"].removeprefix("ldap://").partition("/")[0].partition(":")[0]
        if host not in ("127.0.0.1", "localhost", "[::1]"):
            found.append(
                ("/ldap/startTls", "passwords would cross the network in the clear", "use ldaps://")
            )
    issuer = (spec.get("oidc") or {}).get("issuer", "https://")
    if not issuer.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        found.append(
            ("/oidc/issuer", "is not https", "only a provider on this machine may be http")
        )
    return found


_SECRET = "The environment variable that holds"
# Whoever may apply a provider must not have any secret of the process sent off.
_VARIABLE = {"pattern": "^LOGIN_[A-Z0-9_]+$", "title": "a variable that begins with LOGIN_"}

IDENTITY_PROVIDER = Kind(
    name=KIND,
    plural="identityproviders",
    summary="Somebody else who vouches for people: OpenID Connect, SAML 2.0 or LDAP.",
    realm="system",
    check=_check,
    schema=record(
        "Somebody else who vouches for people. Give exactly one of oidc, saml and ldap.",
        {
            "label": text("What people are shown when they sign in.", "Example Corp"),
            "nameClaim": text(
                "Claim or attribute that accounts are named by; preferred_username, uid or the"
                " name identifier where it is not given.",
                "preferred_username",
            ),
            "nameSuffix": text(
                "Added to each name, so that two providers never mean the same account.",
                "@corp",
                pattern="^@?[a-z0-9.-]{1,30}$",
            ),
            "groupsClaim": text("Claim or attribute that holds groups.", "groups"),
            "strong": {
                "type": "boolean",
                "description": "The provider asks for a second factor itself; none of ours then.",
            },
            "strongWhen": listing(
                "The same, but only of sign-ins of which the provider says one of these: values"
                " of amr or acr, or the class of a SAML authentication context.",
                text("A value.", "mfa"),
            ),
            "mapping": listing(
                "Which groups hold which roles, from the next sign-in on.",
                record(
                    "One group and one role.",
                    {
                        "group": text("Group there; * stands for any letters.", "squad-operators"),
                        "role": text("Role here.", "operator"),
                        "namespace": text("Namespace it holds in; * for all.", "acme"),
                    },
                    ("group", "role"),
                ),
            ),
            "oidc": record(
                "An OpenID provider; it is asked with PKCE.",
                {
                    "issuer": text("Its address.", "https://login.example.com"),
                    "clientId": text("What it knows us by.", "squad"),
                    "clientSecretFrom": text(
                        f"{_SECRET} our secret there, if it gave one.", "LOGIN_CORP", **_VARIABLE
                    ),
                    "scopes": listing("What is asked for.", text("A scope.", "openid")),
                    "caFile": text("Certificates it is known by, PEM.", "/etc/ssl/corp.pem"),
                },
                ("issuer", "clientId"),
            ),
            "saml": record(
                "A SAML 2.0 identity provider.",
                {
                    "metadataFile": text("File with its metadata, XML.", "/etc/squad/idp.xml"),
                    "entityId": text(
                        "What it knows us by; the address of our metadata where none is given.",
                        "https://squad.example.com/auth/saml/corp/metadata",
                    ),
                    "encrypted": {
                        "type": "boolean",
                        "description": "Take encrypted assertions only. Default true.",
                    },
                },
                ("metadataFile",),
            ),
            "ldap": record(
                "An LDAP directory or Active Directory.",
                {
                    "url": text("Its address.", "ldaps://ldap.example.com"),
                    "baseDn": text("Where people are.", "ou=people,dc=example,dc=com"),
                    "bindDn": text("Who looks people up.", "cn=squad,dc=example,dc=com"),
                    "bindPasswordFrom": text(
                        f"{_SECRET} the password of bindDn.", "LOGIN_DIRECTORY", **_VARIABLE
                    ),
                    "userFilter": text(
                        "How a person is found by {name}.", "(sAMAccountName={name})"
                    ),
                    "groupBaseDn": text(
                        "Where groups are; the person's memberOf counts where none is given.",
                        "ou=groups,dc=example,dc=com",
                    ),
                    "groupFilter": text("How the groups of {dn} are found.", "(member={dn})"),
                    "startTls": {
                        "type": "boolean",
                        "description": "Turn TLS on over ldap://. Default true.",
                    },
                    "caFile": text("Certificates it is known by, PEM.", "/etc/ssl/corp.pem"),
                },
                ("url", "baseDn"),
            ),
        },
    ),
)
