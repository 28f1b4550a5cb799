"""LDAP and Active Directory, by `ldap3`.

A person is looked up by whoever `bindDn` names, then bound with their own
password; groups are read as the one who looks up.
"""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from agentsquad.trust.identity.contract import ProviderError, Vouched
from agentsquad.trust.identity.provider import Ldap

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it uses names that pyasn1 has renamed
    from ldap3 import (  # type: ignore[import-untyped]
        ALL_ATTRIBUTES,
        AUTO_BIND_NONE,
        NONE,
        Connection,
        Server,
        Tls,
    )
    from ldap3.core.exceptions import LDAPException  # type: ignore[import-untyped]
    from ldap3.utils.conv import escape_filter_chars  # type: ignore[import-untyped]

TIMEOUT_S = 10
NAME_MAX = 200
SUBJECTS = ("entryUUID", "objectGUID")  # what stays when somebody is renamed


class CheckedTls(Tls):  # type: ignore[misc]
    """TLS whose names Python checks during the handshake; ldap3 does so itself
    after it, by a function that newer Pythons have no more."""

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """Turn TLS on for a connection."""
        context = ssl.create_default_context(cafile=self.ca_certs_file)
        connection.socket = context.wrap_socket(
            connection.socket,
            server_hostname=connection.server.host,
            do_handshake_on_connect=do_handshake,
        )


class Ldap3Login:
    """Speaks LDAP in threads."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets

    async def vouch(self, ldap: Ldap, name: str, password: str) -> Vouched | None:
        """Return who that is; None where name and password do not fit."""
        if not password or "\0" in password or not name or len(name) > NAME_MAX:
            return None  # a bind without a password succeeds as nobody (RFC 4513)
        try:
            return await asyncio.to_thread(self._vouch, ldap, name, password)
        except (LDAPException, OSError) as error:
            raise ProviderError(
                f"the directory does not answer: {type(error).__name__}", private=repr(error)
            ) from error

    def _vouch(self, ldap: Ldap, name: str, password: str) -> Vouched | None:
        server = _server(ldap)
        secret = self._secrets.get(ldap.bind_password_from, "") if ldap.bind_password_from else ""
        with _connected(server, ldap, ldap.bind_dn, secret) as looking:
            if not looking.bind():
                raise ProviderError(
                    f"the directory does not let {ldap.bind_dn or 'anybody'} look people up",
                    hint="check bindDn and the variable that bindPasswordFrom names",
                )
            person = _only(looking, ldap, name)
            if person is None:
                return None
            with _connected(server, ldap, person["dn"], password) as own:
                if not own.bind():
                    return None
            facts: dict[str, Any] = dict(person["attributes"])
            facts["groups"] = _groups(looking, ldap, person)
        subject = next((facts[key][0] for key in SUBJECTS if facts.get(key)), person["dn"])
        return Vouched(subject=str(subject), facts=facts)


def _server(ldap: Ldap) -> Server:
    tls = CheckedTls(validate=ssl.CERT_REQUIRED, ca_certs_file=ldap.ca_file or None)
    return Server(ldap.url, get_info=NONE, connect_timeout=TIMEOUT_S, tls=tls)


@contextmanager
def _connected(server: Any, ldap: Ldap, dn: str, password: str) -> Iterator[Any]:
    """Hold a connection, not bound yet; it is closed whatever happens."""
    made = Connection(
        server,
        user=dn or None,
        password=password or None,
        auto_bind=AUTO_BIND_NONE,
        read_only=True,
        receive_timeout=TIMEOUT_S,
        auto_referrals=False,
        raise_exceptions=False,
    )
    try:
        made.open()
        if ldap.url.startswith("ldap://") and ldap.start_tls:
            made.start_tls()
        yield made
    finally:
        if not made.closed:
            with suppress(LDAPException):
                made.unbind()
        if made.socket is not None:
            made.socket.close()


def _only(looking: Connection, ldap: Ldap, name: str) -> dict[str, Any] | None:
    """Return the one person of that name; None for none or several."""
    wanted = ldap.user_filter.replace("{name}", escape_filter_chars(name))
    found = _search(looking, ldap.base_dn, wanted, size=2)
    return found[0] if len(found) == 1 else None


def _groups(looking: Connection, ldap: Ldap, person: Mapping[str, Any]) -> list[str]:
    if not ldap.group_base_dn:
        return [str(one) for one in person["attributes"].get("memberOf", [])]
    wanted = ldap.group_filter.replace("{dn}", escape_filter_chars(person["dn"]))
    found = _search(looking, ldap.group_base_dn, wanted, size=0)
    names = [str(name) for one in found for name in one["attributes"].get("cn", [])]
    return [*names, *(str(one["dn"]) for one in found)]


def _search(looking: Connection, base: str, wanted: str, size: int) -> list[dict[str, Any]]:
    looking.search(
        base, wanted, attributes=[ALL_ATTRIBUTES, "+"], size_limit=size, time_limit=TIMEOUT_S
    )
    found = [one for one in looking.response or () if one.get("type") == "searchResEntry"]
    return [{"dn": one["dn"], "attributes": _texts(one["raw_attributes"])} for one in found]


def _texts(raw: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return attributes as texts; a password's hash is never among them."""
    return {
        key: [
            one.hex() if key == "objectGUID" else one.decode("utf-8", "replace") for one in values
        ]
        for key, values in raw.items()
        if key.lower() != "userpassword"
    }
