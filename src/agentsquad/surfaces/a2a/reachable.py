"""Reachable: which addresses notifications may go to, and files come from.
Pure.

Whoever asks for either names an address that this server then calls: without
care they would reach through it what only it can reach. So only
addresses of the open internet are allowed, and over https; what else may be
reached the owner of the installation says by network or by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import SplitResult, urlsplit

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.surfaces.a2a.contract import PushUrlError

URL_MAX = 2048
ON = ("on", "off")
HINT = "an https address of the open internet, or one that SQUAD_A2A_REACH names"
# Addresses in which others are written: what they lead to is what counts.
_NAT64 = ip_network("64:ff9b::/96")
# Called global by some, and nowhere that a notification has to go.
_NEVER = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15",
        "224.0.0.0/4", "240.0.0.0/4", "64:ff9b:1::/48", "100::/64", "2001::/23", "3fff::/20",
        "5f00::/16", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip


class Allowed(msgspec.Struct, frozen=True):
    """What may be reached besides the open internet: networks, and hosts by
    name."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    hosts: frozenset[str] = frozenset()


def allowed(text: str) -> Allowed:
    """Read networks, addresses and host names with commas between them."""
    networks, hosts = [], set()
    for word in filter(None, (one.strip() for one in text.split(","))):
        try:
            networks.append(ip_network(word))
        except ValueError as error:
            name = word.lower().rstrip(".")
            if "/" in name or ":" in name or not name.replace(".", "").replace("-", "").isalnum():
                raise InvalidError(
                    f"SQUAD_A2A_REACH has {word!r}, no network and no host",
                    code="settings.choice",
                    hint=f"such as 10.1.0.0/16,hooks.internal; {error}",
                ) from None
            hosts.add(name)
    return Allowed(tuple(networks), frozenset(hosts))


def switched(text: str) -> bool:
    """Whether notifications are delivered at all."""
    if text not in ON:
        raise InvalidError(f"SQUAD_A2A_PUSH is {text!r}", code="settings.choice", hint="on or off")
    return text == "on"


def parts_of(url: str) -> SplitResult:
    """Return the parts of an address; PushUrlError where it cannot be one."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise PushUrlError(f"{url[:200]!r} is no address", hint=HINT) from None
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    if len(url) > URL_MAX or not plain or parts.scheme not in ("https", "http") or not host:
        raise PushUrlError(f"{url[:200]!r} is no address of the web", hint=HINT)
    if "@" in parts.netloc or parts.fragment:
        raise PushUrlError(
            "expected an address without a name, a password and a fragment",
            hint="say how to authenticate in `authentication` or `token`",
        )
    return parts


def chosen(parts: SplitResult, addresses: Iterable[str], also: Allowed) -> str:
    """Return the address to connect to; all that a name leads to must be
    allowed, so that none is reached by asking again."""
    host = (parts.hostname or "").rstrip(".")
    found = [_address(text) for text in addresses]
    named = host in also.hosts
    inside = [named or any(one in network for network in also.networks) for one in found]
    open_to_all = all(ours or public(one) for one, ours in zip(found, inside, strict=True))
    if not found or not open_to_all:
        raise PushUrlError(f"{host} may not be gone to from here", hint=HINT)
    if parts.scheme != "https" and not all(inside):
        raise PushUrlError(f"{host} is gone to over https only", hint=HINT)
    return str(found[0])


def public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is of the open internet."""
    inner: IPv4Address | None = None
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is not None:
        return public(inner)
    return address.is_global and not any(
        address in network for network in _NEVER if network.version == address.version
    )


def _address(text: str) -> IPv4Address | IPv6Address:
    return ip_address(text.partition("%")[0])
