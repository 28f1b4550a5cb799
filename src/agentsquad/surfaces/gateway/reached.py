"""Reached: what a request is where something stands before the server and ends
TLS.

Headers that anybody could have written are believed only of addresses that the
operator named; the scheme follows from where the operator says that people
reach the server. So nobody makes themselves another address, and cookies are
as strict behind a proxy as without one.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.trust.threats.ratelimit import within

Scope = MutableMapping[str, Any]
SECURE = {"http": "https", "ws": "wss"}
ENTRIES_MAX = 32  # proxies one after another


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """How the server is reached: `host` by TLS that ends before it, and the
    networks of what may say who somebody is."""

    host: str = ""
    proxies: tuple[str, ...] = ()

    def seen(self, scope: Scope) -> Scope:
        """Return a request as those before this server mean it."""
        found: dict[str, Any] = {}
        scheme = scope.get("scheme", "http")
        if self.host and scheme in SECURE and _header(scope, b"host").lower() == self.host:
            found["scheme"] = SECURE[scheme]
        client = scope.get("client")
        if self.proxies and client and within(client[0], self.proxies):
            address = self._behind(_header(scope, b"x-forwarded-for"))
            if address:
                found["client"] = (address, 0)
        return {**scope, **found} if found else scope

    def _behind(self, header: str) -> str:
        """Return the nearest address that is no proxy of ours: what stands
        further left anybody could have written."""
        for entry in reversed(header.split(",")[-ENTRIES_MAX:]):
            try:
                address = str(ip_address(entry.strip()))
            except ValueError:
                return ""
            if not within(address, self.proxies):
                return address
        return ""


def reached(public: str, proxies: str) -> Reached:
    """Return how a server is reached, from its settings."""
    parts = urlsplit(public)
    networks = tuple(one.strip() for one in proxies.split(",") if one.strip())
    for one in networks:
        try:
            ip_network(one, strict=False)
        except ValueError:
            raise InvalidError(
                f"SQUAD_TRUSTED_PROXIES: {one!r} is no network",
                code="server.proxies",
                hint="e.g. 127.0.0.1/32,10.0.0.0/8",
            ) from None
    secure = parts.scheme == "https"
    host = parts.netloc.lower().removesuffix(":443") if secure else ""
    return Reached(host=host, proxies=networks)


def _header(scope: Scope, name: bytes) -> str:
    """Return a header; one that is there several times is one list."""
    found = (value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name)
    return ",".join(found)
