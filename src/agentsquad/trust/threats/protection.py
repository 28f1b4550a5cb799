"""Protection as people declare it: attack rules, countries, challenges, whom to
trust, and the shape of requests.

One resource of the kind Protection counts, the first by name; without one the
defaults here hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from ipaddress import ip_network
from typing import Any, Literal

import msgspec

from agentsquad.kernel.resource import Kind
from agentsquad.runtime.control.kinds import count
from agentsquad.trust.threats.ratelimit import LOOPBACK
from agentsquad.trust.threats.shape import Bounds

NAME = "Protection"
Mode = Literal["off", "log", "block"]
_COUNTRIES = {
    "type": "array",
    "maxItems": 300,
    "items": {"type": "string", "pattern": "^[A-Z]{2}$"},
}


SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "How the server protects itself.",
    "additionalProperties": False,
    "properties": {
        "rules": {
            "type": "object",
            "additionalProperties": False,
            "description": "Attack rules: those of the OWASP Core Rule Set in the folder "
            "SQUAD_WAF_RULES.",
            "examples": [{"mode": "block", "threshold": 5}],
            "properties": {
                "mode": {
                    "enum": ["off", "log", "block"],
                    "description": "Whether requests that reach the threshold are refused, or only "
                    "remembered.",
                    "examples": ["log"],
                },
                "threshold": count(
                    "The score at which a request counts as an attack; one critical rule has 5.",
                    5,
                    1,
                    1000,
                ),
                "exclude": {
                    "type": "array",
                    "maxItems": 100,
                    "description": "Rules that do not count on some routes.",
                    "examples": [[{"routes": ["/v1/actions/edi.*"], "rules": ["942*"]}]],
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "description": "Some rules on some routes.",
                        "required": ["routes", "rules"],
                        "properties": {
                            "routes": {
                                "type": "array",
                                "items": {"type": "string"},
                                "description": "Templates of paths; * stands for any letters.",
                                "examples": [["/v1/actions/*"]],
                            },
                            "rules": {
                                "type": "array",
                                "items": {"type": "string"},
                                "description": "Numbers of rules; * stands for any digits.",
                                "examples": [["942*"]],
                            },
                        },
                    },
                },
            },
        },
        "countries": {
            "type": "object",
            "additionalProperties": False,
            "description": "From where requests may come, by the database SQUAD_GEO.",
            "examples": [{"deny": ["XX"]}],
            "properties": {
                "allow": {
                    **_COUNTRIES,
                    "description": "Only from these; what is not known is not one of them.",
                    "examples": [["DE", "FR"]],
                },
                "deny": {
                    **_COUNTRIES,
                    "description": "Not from these.",
                    "examples": [["XX"]],
                },
            },
        },
        "suspicion": {
            "type": "object",
            "additionalProperties": False,
            "description": "What happens to addresses that look like machines trying doors.",
            "examples": [{"challenge": 60, "refuse": 300}],
            "properties": {
                "challenge": count("Points from which work is asked for.", 60, 1, 1000),
                "refuse": count("Points from which requests are refused.", 300, 1, 1000),
                "fade": count("Points that fade in a minute.", 6, 1, 1000),
            },
        },
        "trusted": {
            "type": "array",
            "maxItems": 100,
            "items": {"type": "string"},
            "description": "Networks that are never suspected; this machine, unless said "
            "otherwise.",
            "examples": [["10.0.0.0/8"]],
        },
        "bounds": {
            "type": "object",
            "additionalProperties": False,
            "description": "The most that a request may have; lengths in bytes.",
            "examples": [{"depth": 64}],
            "properties": {
                name: count(f"Most of {what}.", default, 1, 2**40)
                for name, what, default in (
                    ("path", "the path", 4096),
                    ("query", "the query", 16384),
                    ("headers", "headers", 100),
                    ("header", "one header", 16384),
                    ("headers_bytes", "all headers", 65536),
                    ("body", "the body", 67108864),
                    ("depth", "levels of JSON", 128),
                )
            },
        },
    },
}


def _check(spec: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    found = []
    for place, network in enumerate(spec.get("trusted", ())):
        try:
            ip_network(network)
        except ValueError:
            found.append((f"/trusted/{place}", "an address or a network", "write e.g. 10.0.0.0/8"))
    levels = spec.get("suspicion", {})
    if levels.get("challenge", 60) > levels.get("refuse", 300):
        found.append(("/suspicion/challenge", "at most what refuses", "raise refuse"))
    return found


KIND = Kind(
    name=NAME,
    plural="protections",
    realm="system",
    summary="How the server protects itself: attack rules, countries, challenges, bounds.",
    schema=SCHEMA,
    check=_check,
)


class Exclusion(msgspec.Struct, frozen=True, kw_only=True):
    """Rules that do not count on some routes."""

    routes: tuple[str, ...]
    rules: tuple[str, ...]

    def holds(self, route: str, rule: str) -> bool:
        """Whether a rule does not count on a route."""
        return any(fnmatchcase(route, one) for one in self.routes) and any(
            fnmatchcase(rule, one) for one in self.rules
        )


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """How a server protects itself."""

    mode: Mode = "log"
    threshold: int = 5
    exclude: tuple[Exclusion, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    challenge_at: int = 60
    refuse_at: int = 300
    fade: int = 6
    trusted: tuple[str, ...] = LOOPBACK
    bounds: Bounds = Bounds()


def protection_of(spec: Mapping[str, Any]) -> Protection:
    """Return what a Protection's spec, known to be valid, declares."""
    rules, countries = spec.get("rules", {}), spec.get("countries", {})
    suspicion = spec.get("suspicion", {})
    return Protection(
        mode=rules.get("mode", "log"),
        threshold=rules.get("threshold", 5),
        exclude=tuple(
            Exclusion(routes=tuple(one["routes"]), rules=tuple(one["rules"]))
            for one in rules.get("exclude", ())
        ),
        allow=tuple(countries.get("allow", ())),
        deny=tuple(countries.get("deny", ())),
        challenge_at=suspicion.get("challenge", 60),
        refuse_at=suspicion.get("refuse", 300),
        fade=suspicion.get("fade", 6),
        trusted=tuple(spec.get("trusted", LOOPBACK)),
        bounds=Bounds(**spec.get("bounds", {})),
    )
