"""Upstream: which targets answer for which models, and how they are treated.

The resource is read into values here. Without one, every configured model
provider answers for the models it lists, and the only one of a protocol for
those that nobody lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from agentsquad.integrations.proxy.api import Api
from agentsquad.integrations.proxy.balance import WAYS
from agentsquad.integrations.proxy.contract import Endpoint, UpstreamMissingError
from agentsquad.kernel.resource import Kind
from agentsquad.runtime.control.kinds import count, listing, record, text
from agentsquad.runtime.control.quantity import Finding, duration_ms, findings
from agentsquad.runtime.resilience.breaker import BreakerRule
from agentsquad.runtime.resilience.ration import RationRule

NAME = "Upstream"
TIMEOUT_MS = 600_000
EMAIL = r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}"
PATTERNS = {"email": EMAIL}
_DURATION = "ms, s, m and h may be combined"
_DURATIONS = ("/timeout", "/eject/latency", "/eject/window", "/eject/openFor", "/batch/wait")


SCHEMA = record(
    "What answers for some models behind `squad proxy`: one target or several, with what happens "
    "when one of them is slow or down. A request is sent on as the agent wrote it.",
    {
        "models": listing(
            "Models it answers for, by the names that agents use; * stands for any letters.",
            text("A model, or several.", "gpt-4o", "claude-*", minLength=1),
            minItems=1,
            uniqueItems=True,
        ),
        "targets": listing(
            "Who answers; all of them speak the API of the agent.",
            record(
                "One target.",
                {
                    "provider": text("A ModelProvider, by its name.", "openai", minLength=1),
                    "weight": count("How much of the requests it takes.", 3, 1, 1000),
                },
                ("provider",),
            ),
            minItems=1,
            maxItems=64,
        ),
        "balance": {
            "enum": list(WAYS),
            "description": "Who is next: in turn, by weight, who would answer soonest, or the same "
            "for the same key.",
        },
        "hashOn": {
            "enum": ["session", "prompt"],
            "description": "The key of `hash`: the session, or how the conversation begins, so "
            "that a provider's own cache of prompts is met.",
        },
        "bound": {
            "type": "number",
            "minimum": 1,
            "maximum": 100,
            "description": "With `hash`: how many times its share one target may have under way.",
            "examples": [1.25],
        },
        "timeout": text(f"How long an answer may take in all; {_DURATION}.", "2m"),
        "eject": record(
            "When a target gets no requests for a while; a breaker like those of a Guard.",
            {
                "minimum": count("Fewer requests than these say nothing.", 5),
                "errorRate": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": 1,
                    "description": "Share of failed requests that is too much.",
                    "examples": [0.5],
                },
                "latency": text(f"What is too slow; {_DURATION}.", "20s"),
                "window": text(f"How far it looks back; {_DURATION}.", "30s"),
                "openFor": text(f"How long it stays out; {_DURATION}.", "10s"),
            },
        ),
        "retries": record(
            "How a request that failed is sent again, to another target where there is one.",
            {
                "attempts": count("How often it is sent at most.", 3, 1, 10),
                "share": {
                    "type": "number",
                    "minimum": 0,
                    "description": "Share of all requests that may be sent again.",
                    "examples": [0.2],
                },
                "minimum": count("So many in any case.", 10, 0),
            },
        ),
        "coalesce": {
            "enum": ["never", "deterministic"],
            "description": "Whether equal requests that are under way at once share one answer: "
            "embeddings, and those with temperature 0 or a seed.",
        },
        "batch": record(
            "Embeddings that are asked for at about the same time are sent as one request.",
            {
                "wait": text("How long the first one waits for others.", "5ms"),
                "size": count("Most texts in one request.", 64, 2, 2048),
            },
        ),
        "personal": listing(
            "What is about people in requests and answers: texts that hold a match are sealed "
            "under a key of their own, for `squad erase`.",
            text("email, or a regular expression.", "email", minLength=1, maxLength=300),
            maxItems=20,
        ),
    },
    ("models", "targets"),
)


def _check(spec: Mapping[str, Any]) -> list[Finding]:
    found = findings(spec, dict.fromkeys(_DURATIONS, duration_ms))
    for index, pattern in enumerate(spec.get("personal") or ()):
        try:
            re.compile(PATTERNS.get(pattern, pattern))
        except re.error as error:
            found.append((f"/personal/{index}", f"no regular expression: {error}", "write email"))
    names = [one.get("provider") for one in spec.get("targets") or () if isinstance(one, Mapping)]
    for index, name in enumerate(names):
        if name in names[:index]:
            found.append((f"/targets/{index}/provider", "named twice", "give it a weight instead"))
    return found


KIND = Kind(
    name=NAME,
    plural="upstreams",
    summary="What answers for the agents behind `squad proxy`.",
    schema=SCHEMA,
    check=_check,
)


class Target(msgspec.Struct, frozen=True):
    """One provider and its weight."""

    provider: str
    weight: int = 1


class UpstreamRule(msgspec.Struct, frozen=True, kw_only=True):
    """An Upstream as values; times in milliseconds."""

    name: str
    models: tuple[str, ...]
    targets: tuple[Target, ...]
    balance: str = "round-robin"
    hash_on: str = "session"
    bound: float = 1.25
    timeout_ms: int = TIMEOUT_MS
    eject: BreakerRule | None = None
    attempts: int = 1
    retries: RationRule = RationRule()
    coalesce: bool = False
    batch_ms: int = 0
    batch_size: int = 0
    personal: tuple[str, ...] = ()


def rule_of(name: str, spec: Mapping[str, Any]) -> UpstreamRule:
    """Return the rule that a spec, known to be valid, declares."""
    retries, batch = spec.get("retries") or {}, spec.get("batch")
    rations = {key: retries[key] for key in ("share", "minimum") if key in retries}
    return UpstreamRule(
        name=name,
        models=tuple(spec["models"]),
        targets=tuple(Target(one["provider"], one.get("weight", 1)) for one in spec["targets"]),
        balance=spec.get("balance", "round-robin"),
        hash_on=spec.get("hashOn", "session"),
        bound=float(spec.get("bound", 1.25)),
        timeout_ms=duration_ms(spec["timeout"]) if "timeout" in spec else TIMEOUT_MS,
        eject=_eject(spec["eject"]) if "eject" in spec else None,
        attempts=retries.get("attempts", 3 if "retries" in spec else 1),
        retries=RationRule(**rations),
        coalesce=spec.get("coalesce") == "deterministic",
        batch_ms=duration_ms(batch.get("wait", "5ms")) if batch is not None else 0,
        batch_size=batch.get("size", 64) if batch is not None else 0,
        personal=tuple(PATTERNS.get(one, one) for one in spec.get("personal") or ()),
    )


def _eject(spec: Mapping[str, Any]) -> BreakerRule:
    names = {"window": "window_ms", "latency": "latency_ms", "openFor": "open_ms",
             "errorRate": "error_rate", "minimum": "minimum"}  # fmt: skip
    read = {
        names[key]: duration_ms(value) if names[key].endswith("_ms") else value
        for key, value in spec.items()
    }
    usual = {"window_ms": 30_000, "minimum": 5, "open_ms": 10_000, "probes": 1}
    return BreakerRule(**{**usual, **read})


def choose(
    rules: Sequence[UpstreamRule], endpoints: Sequence[Endpoint], api: Api, model: str
) -> UpstreamRule:
    """Return what answers for a model: the most specific Upstream, else a
    provider that lists it, else the only one that speaks the API."""
    best: tuple[int, UpstreamRule] | None = None
    for rule in rules:
        for pattern in rule.models:
            weight = len(pattern) - pattern.count("*")
            if fnmatchcase(model, pattern) and (best is None or weight > best[0]):
                best = (weight, rule)
    if best is not None:
        return best[1]
    speaking = [one for one in endpoints if one.protocol == api.vendor]
    listing_ = [one for one in speaking if model in one.models] or [
        one for one in speaking if not one.models or not model
    ]
    if len(listing_) == 1 or (listing_ and not model):
        found = listing_[0]
        return UpstreamRule(name=found.name, models=(model,), targets=(Target(found.name),))
    if listing_:
        names = ", ".join(sorted(one.name for one in listing_))
        raise UpstreamMissingError(
            f"several providers may answer for {model!r}: {names}",
            hint="apply an Upstream that says which (squad explain upstream)",
        )
    vendor = api.vendor.upper()
    raise UpstreamMissingError(
        f"nothing is configured that answers for {model!r} over the API of {api.vendor}",
        hint=f"apply a ModelProvider or an Upstream, or set {vendor}_API_KEY",
    )
