"""Guards as manifests: the kind Guard, read into the rules that resilience
keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.kernel.money import Money
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.resource import Kind
from agentsquad.runtime.control.kinds import ACTION_NAME, count, listing, record, text
from agentsquad.runtime.control.quantity import Finding, duration_ms, findings
from agentsquad.runtime.control.resource import listed
from agentsquad.runtime.resilience.breaker import BreakerRule
from agentsquad.runtime.resilience.bulkhead import BulkheadRule
from agentsquad.runtime.resilience.guard import FallbackRule, GuardRule, HedgeRule
from agentsquad.runtime.resilience.ration import RationRule

NAME = "Guard"
_DURATION = "ms, s, m, h, d and w may be combined"


def _number(description: str, example: float, **rules: Any) -> dict[str, Any]:
    return {"type": "number", "description": description, "examples": [example], **rules}


SCHEMA = record(
    "What stands between the squad and something it calls: when calls are not made, wait, are "
    "made twice, or are answered otherwise. The most specific guard of an action counts.",
    {
        "match": listing(
            "Actions it guards, by name; * stands for any letters. Pure actions need none.",
            text("An action, or several.", "bank.*", "models.generate", minLength=1),
            minItems=1,
            uniqueItems=True,
        ),
        "by": text(
            "JSON Pointer into the input: each value there has breakers and places of its own.",
            "/model",
            pattern="^/",
            title="a JSON Pointer, beginning with /",
        ),
        "breaker": record(
            "When no calls are made for a while. A refusal of the other side is an answer; what "
            "counts as failed is unavailable, over time, over a limit or broken.",
            {
                "window": text(f"How far it looks back; {_DURATION}.", "60s"),
                "calls": count("How many of the last calls it looks at, at most.", 100),
                "minimum": count("Fewer calls than these say nothing.", 10),
                "errorRate": _number(
                    "Share of failed calls that is too much.", 0.5, exclusiveMinimum=0, maximum=1
                ),
                "latency": text(f"What is too slow; {_DURATION}.", "2s"),
                "percentile": _number(
                    "Which of the calls, from the fastest, must not be slower.",
                    95,
                    exclusiveMinimum=0,
                    maximum=100,
                ),
                "cost": text("Most that the window's calls may cost.", "5.00 USD"),
                "concurrency": count("More calls at once than these are too many.", 50),
                "adaptive": _number(
                    "Learn what is usual; so many times that is too much already, below what is "
                    "set.",
                    3,
                    minimum=1,
                ),
                "openFor": text(
                    f"How long it stays open; twice as long each time it fails again. {_DURATION}.",
                    "30s",
                ),
                "probes": count("Calls that must go well before it closes.", 3),
            },
        ),
        "bulkhead": record(
            "How many calls may be under way at once.",
            {
                "limit": count("That many.", 10),
                "waiting": count("How many more may wait for a place.", 20, 0),
                "patience": text(f"How long they wait; {_DURATION}.", "5s"),
            },
            ("limit",),
        ),
        "hedge": record(
            "A read that takes long is made a second time; the first good answer counts.",
            {
                "after": text(f"What takes long, at least; {_DURATION}.", "500ms"),
                "percentile": _number(
                    "Or what this share of the last calls took, if that is more.",
                    95,
                    exclusiveMinimum=0,
                    maximum=100,
                ),
                "share": _number("Most of all calls made twice.", 0.1, minimum=0, maximum=1),
            },
            ("after",),
        ),
        "fallback": record(
            "What answers in the place of a read that failed for good.",
            {
                "action": text(
                    "Another read, given the same input.",
                    "data.read",
                    pattern=ACTION_NAME,
                    title="an action's name, subsystem.verb",
                ),
                "output": {
                    "description": "Or always this.",
                    "examples": [{"rate": "unknown"}],
                },
            },
        ),
        "retries": record(
            "How many retries all calls together may make; each call's own policy says when.",
            {
                "share": _number("Share of the calls.", 0.2, minimum=0),
                "minimum": count("So many in any case.", 10, 0),
                "window": text(f"Over what it is counted; {_DURATION}.", "60s"),
            },
        ),
    },
    ("match",),
)


def _check(spec: Mapping[str, Any]) -> list[Finding]:
    found = findings(
        spec,
        {
            "/breaker/window": duration_ms,
            "/breaker/latency": duration_ms,
            "/breaker/openFor": duration_ms,
            "/breaker/cost": _micros,
            "/bulkhead/patience": duration_ms,
            "/hedge/after": duration_ms,
            "/retries/window": duration_ms,
        },
    )
    fallback = spec.get("fallback")
    if isinstance(fallback, Mapping) and len(fallback) != 1:
        found.append(("/fallback", "either an action or an output", "keep one of them"))
    if not spec.keys() & {"breaker", "bulkhead", "hedge", "fallback", "retries"}:
        found.append(("", "breaker, bulkhead, hedge, fallback or retries", "say what it does"))
    return found


KIND = Kind(
    name=NAME,
    plural="guards",
    summary="When calls are refused, wait, are made twice or are answered otherwise.",
    schema=SCHEMA,
    check=_check,
)


def _micros(written: str) -> int:
    amount, _, currency = written.partition(" ")
    return Money.parse(amount, currency or "USD").micros


def rule_of(name: str, spec: Mapping[str, Any]) -> GuardRule:
    """Return the rule that a Guard's spec, known to be valid, declares."""
    part = {key: value for key, value in spec.items() if isinstance(value, Mapping)}
    return GuardRule(
        name=name,
        match=tuple(spec["match"]),
        by=spec.get("by"),
        breaker=_breaker(part["breaker"]) if "breaker" in part else None,
        bulkhead=BulkheadRule(**_read(part["bulkhead"], {"patience": "patience_ms"}))
        if "bulkhead" in part
        else None,
        hedge=HedgeRule(**_read(part["hedge"], {"after": "after_ms"})) if "hedge" in part else None,
        fallback=FallbackRule(**part["fallback"]) if "fallback" in part else None,
        retries=RationRule(**_read(part["retries"], {"window": "window_ms"}))
        if "retries" in part
        else None,
    )


def _breaker(spec: Mapping[str, Any]) -> BreakerRule:
    names = {
        "window": "window_ms",
        "latency": "latency_ms",
        "openFor": "open_ms",
        "errorRate": "error_rate",
    }
    given = dict(spec)
    cost = given.pop("cost", None)
    read = _read(given, names)
    # Who names a measure means that one; the share of errors is the default.
    if not given.keys() & {"errorRate"} and (
        cost is not None or given.keys() & {"latency", "concurrency"}
    ):
        read["error_rate"] = None
    return BreakerRule(**read, cost_micros=None if cost is None else _micros(cost))


def _read(spec: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return fields under our names; durations in milliseconds."""
    return {
        names.get(key, key): duration_ms(value) if names.get(key, "").endswith("_ms") else value
        for key, value in spec.items()
    }


class StoredGuards:
    """The guards that were applied (`GuardSource`)."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def guards(self) -> Sequence[GuardRule]:
        """Return every guard in force, by name."""
        return [
            rule_of(one["metadata"]["name"], one["spec"]) for one in await listed(self._store, NAME)
        ]
