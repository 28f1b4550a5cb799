"""Why a breaker opened: the calls it was judged by, and the least that would
have kept it closed, judged again before it is said.

The opening holds the rule, what was learned and every call of the window, so
the same pure judgement runs over them with one call changed after the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import nearest
from agentsquad.runtime.resilience.breaker import (
    PERSON,
    BreakerRule,
    Learned,
    Sample,
    judge,
)
from agentsquad.runtime.resilience.breakers import standing
from agentsquad.runtime.resilience.guard import STREAM, worded
from agentsquad.workforce.explain.contract import Cause, Counterfactual, Why

BREAKER = "breaker:"
CAUSES_MAX = 10


async def why_breaker(store: EventStore, name: str) -> Why:
    """Return why a breaker last opened, whether it is open still or not."""
    events = await store.read_stream(STREAM + name)
    opened = next((one for one in reversed(events) if one.type == "breaker.opened"), None)
    if opened is None:
        known = [stream.removeprefix(STREAM) for stream, _ in await store.streams(STREAM)]
        raise MissingError(
            f"breaker {name!r} has never been open",
            code="why.breaker",
            hint=nearest(name, known) or "squad breakers list",
        )
    body = opened.payload or {}
    now = standing(name, events)
    flip, checked = (None, 0) if body.get("measure") == PERSON else _flip(body)
    opener = f"breaker {name} opened {opened.at.partition('/')[0]}: {worded(body)}"
    return Why(
        answer=opener if now.state == "open" else f"{opener}; since then {_since(events, opened)}",
        run=STREAM + name,
        document=None,
        verdict=now.state,
        causes=await _causes(store, body, opened),
        flip=flip,
        others=[],
        checked=checked,
        exhausted=False,
    )


def _since(events: Iterable[Event], opened: Event) -> str:
    later = [one for one in events if one.seq > opened.seq]
    words = {"breaker.half_opened": "probes were let through", "breaker.closed": "it closed"}
    return ", then ".join(words[one.type] for one in later) or "nothing happened"


async def _causes(store: EventStore, body: dict[str, Any], opened: Event) -> list[Cause]:
    """Return the calls that speak against what was called, oldest first."""
    measure, limit = body.get("measure"), body.get("limit") or 0
    if measure == PERSON:
        said = Cause(
            event=opened.seq, position="", name=body["by"], because=body["reason"], shown_by=""
        )
        return [said]
    samples = [Sample(*one) for one in body.get("samples") or ()]
    found = []
    for one in [one for one in samples if _speaks(one, measure, limit)][-CAUSES_MAX:]:
        event = await _step(store, one)
        found.append(
            Cause(
                event=event.seq if event else opened.seq,
                position=f"{one.run} {one.position}".strip(),
                name=(event.payload or {}).get("name", "a call") if event else "a call",
                because=_spoken(one, measure),
                shown_by="",
            )
        )
    return found


def _spoken(one: Sample, measure: str | None) -> str:
    if measure == "cost_micros":
        return f"cost {one.micros / 1e6:.4f}"
    return one.error or f"took {one.ms:g} ms"


def _speaks(one: Sample, measure: str | None, limit: float) -> bool:
    if measure == "latency_ms":
        return one.ms > limit
    if measure == "cost_micros":
        return one.micros > 0
    return not one.ok


async def _step(store: EventStore, sample: Sample) -> Event | None:
    """Return the event that the step of a call ended in, if it has."""
    if not sample.run:
        return None
    for event in await store.read_stream(f"run/{sample.run}"):
        body = event.payload or {}
        if body.get("position") == sample.position and "name" in body:
            return event
    return None


def _flip(body: dict[str, Any]) -> tuple[Counterfactual | None, int]:
    """Return the least number of calls that had to go well, and how many
    windows were judged to find it."""
    if body.get("probe") or body.get("measure") == "concurrency":
        return None, 0
    rule, learned = BreakerRule(**body["rule"]), Learned(**body["learned"])
    samples = [Sample(*one) for one in body["samples"]]
    measure, limit = body["measure"], body["limit"]
    changed = list(samples)
    against = [n for n, one in enumerate(samples) if _speaks(one, measure, limit)]
    if measure == "cost_micros":
        against.sort(key=lambda n: -samples[n].micros)
    for count, index in enumerate(against, start=1):
        one = changed[index]
        better = {} if measure == "error_rate" else {"ms": min(one.ms, limit), "micros": 0}
        changed[index] = one._replace(ok=True, error="", **better)
        if judge(rule, learned, changed) is None:
            words = {
                "error_rate": "failed calls",
                "latency_ms": "slow calls",
                "cost_micros": "paid calls",
            }
            return (
                Counterfactual(
                    path=words[measure],
                    was=len(against),
                    needed=len(against) - count,
                    then="closed",
                    text=f"with {len(against) - count} instead of {len(against)} "
                    f"{words[measure]} it would have stayed closed",
                ),
                count,
            )
    return None, len(against)
