"""Rate limits as people declare them: who is counted together, what is counted,
and how much may pass.

A rule that speaks of actors, namespaces or actions is asked once those are
known; any other is asked before anything else happens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import msgspec

from agentsquad.kernel.resource import Kind
from agentsquad.runtime.control.quantity import duration_ms, findings
from agentsquad.trust.threats.contract import Hit
from agentsquad.trust.threats.limit import Algorithm, Outcome, Rule, State, take

NAME = "RateLimit"
KEYS_MAX = 100_000  # counted apart by one rule; beyond it the oldest is forgotten
LOOPBACK = ("127.0.0.0/8", "::1/128")
KNOWN_LATER = ("actor", "namespace", "action")
BY = ("address", "surface", "route", *KNOWN_LATER)
PERIODS = {"day": 86_400_000, "month": 30 * 86_400_000}  # as long as headers say
_PATTERNS = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": 200},
    "maxItems": 100,
}


def _patterns(description: str, example: str) -> dict[str, Any]:
    return {**_PATTERNS, "description": description, "examples": [[example]]}


SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "How much may be asked of the server in a time.",
    "additionalProperties": False,
    "required": ["limit", "per"],
    "properties": {
        "limit": {
            "type": "integer",
            "minimum": 1,
            "maximum": 1_000_000_000,
            "description": "So many may pass.",
            "examples": [100],
        },
        "per": {
            "type": "string",
            "description": "In this time, such as 1s, 10m or 1h; or in a `day` or a `month` of the "
            "calendar (UTC), kept in the log.",
            "examples": ["1m", "day"],
        },
        "algorithm": {
            "enum": ["token-bucket", "leaky-bucket", "sliding-window"],
            "description": "How it is counted: with bursts, evenly spaced, or never more than the "
            "limit in any window.",
            "examples": ["sliding-window"],
        },
        "burst": {
            "type": "integer",
            "minimum": 1,
            "description": "So many may pass at once, for the buckets; as many as the limit, one "
            "for a leaky bucket.",
            "examples": [20],
        },
        "by": {
            "type": "array",
            "items": {"enum": list(BY)},
            "uniqueItems": True,
            "description": "What is counted apart; nothing means all together.",
            "examples": [["actor", "action"]],
        },
        "match": {
            "type": "object",
            "additionalProperties": False,
            "description": "What is counted; everything where nothing is said. * stands for any "
            "letters.",
            "examples": [{"actions": ["runs.start"]}],
            "properties": {
                "addresses": _patterns("Networks.", "203.0.113.0/24"),
                "surfaces": _patterns("Ways in.", "rest"),
                "methods": _patterns("HTTP methods.", "POST"),
                "routes": _patterns("Templates of paths.", "/v1/actions/*"),
                "actors": _patterns("Who asks.", "service:*"),
                "namespaces": _patterns("Where.", "acme-*"),
                "actions": _patterns("What is called.", "runs.*"),
            },
        },
        "except": {
            **_PATTERNS,
            "description": "Networks that are never counted.",
            "examples": [["10.0.0.0/8"]],
        },
        "costs": {
            "type": "object",
            "maxProperties": 100,
            "additionalProperties": {"type": "integer", "minimum": 0},
            "description": "What counts more or less than one, by action or route.",
            "examples": [{"runs.start": 10}],
        },
    },
}


def _check(spec: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    quota = spec["per"] in PERIODS
    found = [] if quota else findings(spec, {"/per": duration_ms})
    if quota and "address" in spec.get("by", ()):
        found.append(("/by", "no addresses: the log would keep them", "e.g. [actor]"))
    if quota and spec.keys() & {"algorithm", "burst"}:
        found.append(("/per", "a time such as 1m for buckets and windows", "leave them out"))
    if not quota and not found and duration_ms(spec["per"]) < 1:
        found.append(("/per", "longer than nothing", "e.g. 1m"))
    lists = [("/except", spec.get("except", ()))]
    lists.append(("/match/addresses", spec.get("match", {}).get("addresses", ())))
    for pointer, networks in lists:
        for place, network in enumerate(networks):
            try:
                ip_network(network)
            except ValueError:
                found.append((f"{pointer}/{place}", "an address or a network", "e.g. 10.0.0.0/8"))
    if spec.get("algorithm") == "sliding-window" and "burst" in spec:
        found.append(("/burst", "nothing for a sliding window", "leave it out"))
    return found


KIND = Kind(
    name=NAME,
    plural="ratelimits",
    realm="system",
    summary="How much may be asked of the server in a time, by whom and of what.",
    schema=SCHEMA,
    check=_check,
)


class Matching(msgspec.Struct, frozen=True, kw_only=True):
    """Patterns over a hit; none of a sort means any."""

    addresses: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()

    def fits(self, hit: Hit) -> bool:
        """Whether a hit is meant."""
        return (
            _any(self.surfaces, hit.surface)
            and _any(self.methods, hit.method)
            and _any(self.routes, hit.route or hit.path)
            and _any(self.actors, hit.actor)
            and _any(self.namespaces, hit.namespace)
            and _any(self.actions, hit.route)
            and (not self.addresses or within(hit.address, self.addresses))
        )


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One rate limit."""

    name: str
    rule: Rule
    by: tuple[str, ...] = ()
    match: Matching = Matching()
    exempt: tuple[str, ...] = ()
    costs: tuple[tuple[str, int], ...] = ()
    period: str = ""

    @property
    def later(self) -> bool:
        """Whether it can only be asked once it is known who asks for what."""
        match = self.match
        return bool(
            set(self.by) & set(KNOWN_LATER) or match.actors or match.namespaces or match.actions
        )

    def key(self, hit: Hit) -> tuple[str, ...]:
        """Return what is counted together with a hit."""
        return tuple(_part(hit, part) for part in self.by)

    def cost(self, hit: Hit) -> int:
        """Return what a hit costs."""
        for pattern, cost in self.costs:
            if fnmatchcase(hit.route or hit.path, pattern):
                return cost * hit.cost
        return hit.cost


DEFAULTS = (
    Limit(
        name="address",
        rule=Rule(limit=6_000, window_ms=60_000, burst=1_000),
        by=("address",),
        exempt=LOOPBACK,
    ),
    Limit(
        name="actor",
        rule=Rule(limit=12_000, window_ms=60_000, burst=2_000),
        by=("actor", "namespace"),
        exempt=LOOPBACK,
    ),
)
"""What holds where no resource of the same name says otherwise."""


def limit_of(name: str, spec: Mapping[str, Any]) -> Limit:
    """Return the limit that a RateLimit's spec, known to be valid, declares."""
    algorithm: Algorithm = spec.get("algorithm", "token-bucket")
    match = {key: tuple(patterns) for key, patterns in spec.get("match", {}).items()}
    return Limit(
        name=name,
        rule=Rule(
            limit=spec["limit"],
            window_ms=PERIODS.get(spec["per"]) or duration_ms(spec["per"]),
            algorithm=algorithm,
            burst=spec.get("burst", 0),
        ),
        by=tuple(spec.get("by", ())),
        match=Matching(**match),
        exempt=tuple(spec.get("except", ())),
        costs=tuple(spec.get("costs", {}).items()),
        period=spec["per"] if spec["per"] in PERIODS else "",
    )


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What one limit says of a hit."""

    limit: Limit
    outcome: Outcome


class Counters:
    """The states of all limits, each key by itself and so many at most."""

    def __init__(self, limits: Sequence[Limit], keys_max: int = KEYS_MAX) -> None:
        self._limits = tuple(limits)
        self._states: dict[str, OrderedDict[tuple[str, ...], State]] = {}
        self._keys_max = keys_max

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limits in force."""
        return self._limits

    def replace(self, limits: Sequence[Limit]) -> None:
        """Put other limits in force; what was counted for one that did not
        change stays."""
        known = {limit.name: limit for limit in self._limits}
        kept = {one.name for one in limits if known.get(one.name) == one}
        self._limits = tuple(limits)
        self._states = {name: state for name, state in self._states.items() if name in kept}

    def count(self, hit: Hit, now_ms: int, *, later: bool) -> list[Counted]:
        """Count a hit; where one limit refuses it, none is charged after it.

        The limits that were asked before have been charged: an attempt costs.
        """
        found: list[Counted] = []
        for limit in self._limits:
            if limit.period or limit.later is not later or not limit.match.fits(hit):
                continue
            if limit.exempt and within(hit.address, limit.exempt):
                continue
            cost = limit.cost(hit)
            if not cost:
                continue
            states = self._states.setdefault(limit.name, OrderedDict())
            key = limit.key(hit)
            states[key], outcome = take(limit.rule, states.get(key), now_ms, cost)
            states.move_to_end(key)
            if len(states) > self._keys_max:
                states.popitem(last=False)
            found.append(Counted(limit=limit, outcome=outcome))
            if not outcome.passes:
                break
        return found


def headers_of(found: Sequence[Counted]) -> dict[str, str]:
    """Return the header fields RateLimit-Policy and RateLimit (IETF
    draft-ietf-httpapi-ratelimit-headers, revisions 08 to 10), the one nearest
    to its end alone in the second."""
    if not found:
        return {}
    policies = ", ".join(
        f'"{one.limit.name}";q={one.limit.rule.limit};w={_seconds(one.limit.rule.window_ms)}'
        for one in found
    )
    nearest = min(found, key=lambda one: one.outcome.remaining / one.limit.rule.limit)
    outcome = nearest.outcome
    wait = outcome.reset_ms if outcome.passes else outcome.retry_ms or outcome.reset_ms
    return {
        "RateLimit-Policy": policies,
        "RateLimit": f'"{nearest.limit.name}";r={outcome.remaining};t={_seconds(wait)}',
    }


def _seconds(duration_ms: int) -> int:
    return -(-duration_ms // 1000)


def _any(patterns: tuple[str, ...], value: str) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)


def _part(hit: Hit, part: str) -> str:
    if part == "address":
        return neighbourhood(hit.address)
    if part in ("route", "action"):
        return hit.route or hit.path
    return str(getattr(hit, part))


@lru_cache(maxsize=4096)
def neighbourhood(address: str) -> str:
    """Return what stands for an address: itself, or the /64 of an IPv6 one,
    which one customer has whole."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((int(found) >> 64 << 64, 64)))
    return address


@lru_cache(maxsize=4096)
def within(address: str, networks: tuple[str, ...]) -> bool:
    """Whether an address is in one of some networks; what is no address is in
    none."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in ip_network(network, strict=False) for network in networks)
