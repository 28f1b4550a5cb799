"""Pools as manifests: the kind Pool, read into the rules that resilience
keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.resource import Kind
from agentsquad.runtime.control.kinds import count, listing, record, text
from agentsquad.runtime.control.quantity import (
    Finding,
    cost,
    cpu_millis,
    duration_ms,
    findings,
    gpus,
    size_bytes,
)
from agentsquad.runtime.control.resource import listed
from agentsquad.runtime.resilience.places import Need, Node, PlacesRule
from agentsquad.runtime.resilience.pools import PoolRule, Priority

NAME = "Pool"
_DURATION = "ms, s, m, h, d and w may be combined"
_HOURS = {"hour": 1, "day": 24, "week": 168, "month": 730, "year": 8760}


_MEASURES = {
    "slots": count("Steps at once.", 8),
    "cpu": {
        "type": ["string", "number"],
        "description": 'Processors: "2000m" are two.',
        "examples": ["8000m"],
    },
    "memory": text("Memory, with Ki, Mi, Gi or k, M, G.", "16Gi"),
    "gpu": {
        "type": ["string", "integer"],
        "description": "Graphics processors, with their resource name.",
        "examples": ["nvidia.com/gpu: 1"],
    },
}

SCHEMA = record(
    "Places that steps of runs share: who gets one next, where, and what happens when there is "
    "none. A step needs a place in the pool whose pattern matches it best.",
    {
        "match": listing(
            "Steps that need a place: actions by name, or agents as agent:NAME; * stands for any "
            "letters. Pure actions need none.",
            text("An action or an agent, or several.", "models.generate", "agent:matcher"),
            minItems=1,
            uniqueItems=True,
        ),
        **{
            name: {**schema, "description": f"What the pool has in all: {schema['description']}"}
            for name, schema in _MEASURES.items()
        },
        "nodes": listing(
            "Or, instead of that, the nodes it consists of. The cheapest node with room is taken, "
            "of those the one that is fitted best.",
            record(
                "One node; what is absent is without end.",
                {
                    "name": text("What it is called.", "gpu-1", minLength=1),
                    **_MEASURES,
                    "cost": text("What it costs while anything is on it.", "2.50 USD/hour"),
                },
                ("name",),
            ),
            minItems=1,
        ),
        "need": record(
            "What a step takes, unless it is an agent's whose own resources say so.", _MEASURES
        ),
        "budget": text("Most that the busy nodes may cost together.", "10 USD/hour"),
        "share": record(
            "How the places are shared while several want them.",
            {
                "by": text(
                    "Whose share it is: actor, workflow, run, or a JSON Pointer into the input.",
                    "actor",
                    "/tenant",
                    pattern="^(actor|workflow|run|/.*)$",
                    title="actor, workflow, run or a JSON Pointer",
                ),
                "weights": {
                    "type": "object",
                    "description": "Shares that are not 1.",
                    "additionalProperties": {"type": "number", "exclusiveMinimum": 0},
                    "examples": [{"acme": 3}],
                },
                "quotas": {
                    "type": "object",
                    "description": "Most places of one.",
                    "additionalProperties": {"type": "integer", "minimum": 1},
                    "examples": [{"acme": 4}],
                },
                "overflow": {
                    "type": "boolean",
                    "description": "Whether a quota may be passed while nobody else wants the "
                    "place; true if absent.",
                },
            },
        ),
        "priorities": listing(
            "Levels from 0 to 9; the first entry that matches counts, 5 without one.",
            record(
                "One level.",
                {
                    "match": listing(
                        "Actions, actors as kind:NAME, or workflows as workflow:NAME.",
                        text("One, or several with *.", "person:*", "workflow:month-end"),
                        minItems=1,
                    ),
                    "level": {
                        "type": "integer",
                        "minimum": 0,
                        "maximum": 9,
                        "description": "Higher is sooner.",
                        "examples": [8],
                    },
                },
                ("match", "level"),
            ),
        ),
        "aging": text(f"Waiting so long lifts by one level; {_DURATION}.", "1m"),
        "waiting": count("Most that may wait; others are told to come again.", 1000, 0),
        "patience": text(f"How long a step waits at most; {_DURATION}.", "10m"),
        "overflow": record(
            "Where a step may go that waits too long.",
            {
                "to": text("Another pool.", "cloud", minLength=1),
                "after": text(f"Too long is this; {_DURATION}.", "30s"),
            },
            ("to", "after"),
        ),
        "stealsFrom": listing(
            "Pools whose waiting steps it takes while it has room and nobody waits here.",
            text("A pool.", "night", minLength=1),
            uniqueItems=True,
        ),
    },
    ("match",),
)


def _check(spec: Mapping[str, Any]) -> list[Finding]:
    measures = {"cpu": cpu_millis, "memory": size_bytes, "gpu": gpus}
    places = ["", "/need", *(f"/nodes/{index}" for index in range(len(spec.get("nodes") or ())))]
    found = findings(
        spec,
        {
            **{f"{at}/{name}": read for at in places for name, read in measures.items()},
            **{f"{at}/cost": _hourly for at in places},
            "/budget": _hourly,
            "/aging": duration_ms,
            "/patience": duration_ms,
            "/overflow/after": duration_ms,
        },
    )
    own = sorted(spec.keys() & {"slots", *measures})
    if "nodes" in spec and own:
        found.append((f"/{own[0]}", "nodes, or what the pool has in all", "keep one of them"))
    names = [node.get("name") for node in spec.get("nodes") or () if isinstance(node, Mapping)]
    for index, name in enumerate(names):
        if name in names[:index]:
            found.append((f"/nodes/{index}/name", "a name no other node has", "rename one"))
    return found


KIND = Kind(
    name=NAME,
    plural="pools",
    summary="Places that steps share: who is next, where, and for whom there is none.",
    schema=SCHEMA,
    check=_check,
)


def _hourly(written: str) -> int:
    """Return millionths an hour of "2.50 USD/hour" or "100 USD/day"."""
    read = cost(written)
    return read.amount.micros // _HOURS.get(read.period, 1)


def _measures(spec: Mapping[str, Any]) -> dict[str, int]:
    readers: dict[str, Callable[[str], int]] = {
        "slots": int,
        "cpu": cpu_millis,
        "memory": size_bytes,
        "gpu": _gpus,
    }
    return {name: read(str(spec[name])) for name, read in readers.items() if name in spec}


def _gpus(written: str) -> int:
    return gpus(written)[1]


def rule_of(name: str, spec: Mapping[str, Any]) -> PoolRule:
    """Return the rule that a Pool's spec, known to be valid, declares."""
    share, overflow = spec.get("share") or {}, spec.get("overflow") or {}
    nodes = tuple(
        _node(one["name"], _hourly(one["cost"]) if "cost" in one else 0, _measures(one))
        for one in spec.get("nodes") or ()
    )
    places = PlacesRule(
        nodes=nodes or (_node("here", 0, _measures(spec)),),
        quotas=share.get("quotas") or {},
        weights=share.get("weights") or {},
        overflow=share.get("overflow", True),
        aging_ms=duration_ms(spec.get("aging", "1m")),
        cost_max=_hourly(spec["budget"]) if "budget" in spec else None,
    )
    return PoolRule(
        name=name,
        match=tuple(spec["match"]),
        places=places,
        each=Need(**_measures(spec.get("need") or {})),
        by=share.get("by", "actor"),
        waiting=spec.get("waiting", 10_000),
        patience_ms=duration_ms(spec["patience"]) if "patience" in spec else None,
        overflow_to=overflow.get("to"),
        overflow_after_ms=duration_ms(overflow.get("after", "0s")),
        steals_from=tuple(spec.get("stealsFrom") or ()),
        priorities=tuple(
            Priority(match=tuple(one["match"]), level=one["level"])
            for one in spec.get("priorities") or ()
        ),
    )


def _node(name: str, hourly: int, has: Mapping[str, int]) -> Node:
    return Node(
        name=name,
        cost=hourly,
        slots=has.get("slots"),
        cpu=has.get("cpu"),
        memory=has.get("memory"),
        gpu=has.get("gpu"),
    )


class StoredPools:
    """The pools and agents that were applied (`PoolSource`)."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def pools(self) -> Sequence[PoolRule]:
        """Return every pool in force, by name."""
        return [
            rule_of(one["metadata"]["name"], one["spec"]) for one in await listed(self._store, NAME)
        ]

    async def needs(self) -> Mapping[str, Need]:
        """Return what one turn of an agent takes, by the agent's name."""
        return {
            one["metadata"]["name"]: Need(**_measures(one["spec"]["resources"]))
            for one in await listed(self._store, "Agent")
            if one["spec"].get("resources")
        }
