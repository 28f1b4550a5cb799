"""Counts a finished run: events, cost, models, signed head; and compares its
totals with a known answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.money import Money
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.ledger.contract import RecordStore
from agentsquad.solutions.purchase_to_pay.result import CaseResult, RunResult
from agentsquad.trust.attestation.contract import Notary
from agentsquad.trust.attestation.heads import sign_head


class Tally(msgspec.Struct, kw_only=True):
    """What the log says about a run and its children."""

    runs: int = 0
    events: int = 0
    cost: dict[str, str] = {}
    models: list[str] = []
    head: Any = None


async def tally(ctx: Context, run: str) -> Tally:
    """Read the streams of a run and of all runs below it."""
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    names = [f"run/{run}", *(name for name, _ in await store.streams(f"run/{run}/"))]
    events = 0
    cost: dict[str, int] = {}
    models: set[str] = set()
    for name in dict.fromkeys(names):
        for event in await store.read_stream(name):
            events += 1
            for usage in (event.payload or {}).get("usage") or ():
                if usage.get("model"):
                    provider = usage.get("provider")
                    models.add(f"{provider}/{usage['model']}" if provider else usage["model"])
                if usage.get("cost_micros") is not None:
                    currency = usage.get("currency", "USD")
                    cost[currency] = cost.get(currency, 0) + usage["cost_micros"]
    return Tally(
        runs=len(set(names)),
        events=events,
        cost={c: Money(m, c).decimal() for c, m in sorted(cost.items())},
        models=sorted(models),
        head=await _head(ctx),
    )


async def _head(ctx: Context) -> Any:
    """Sign the head of the log and return it; None where nothing signs."""
    try:
        notary = ctx.port(Notary)  # type: ignore[type-abstract]
    except SquadError:
        return None
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    signed = await sign_head(cast(RecordStore, store), notary)
    return {
        "origin": signed.checkpoint.origin,
        "size": signed.checkpoint.size,
        "root": f"sha256:{signed.checkpoint.root.hex()}",
        "checkpoint": signed.note.decode(),
    }


def compare(result: RunResult, truth: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return where a result differs from the known answer, the totals first,
    then order by order; nothing to compare with is a difference too."""
    if truth is None:
        return [{"field": "truth.json", "expected": "a known answer", "came": "no such file"}]
    found = [
        {"field": name, "expected": truth[name], "came": came}
        for name, came in (
            ("orders", result.orders),
            ("paid", result.paid),
            ("held", result.held),
            ("exceptions", result.exceptions),
        )
        if truth[name] != came
    ]
    cases = {case.po: case for case in result.cases}
    for expected in truth["cases"]:
        came = _case(cases.get(expected["po"]), expected["currency"])
        for name, value in came.items():
            if expected[name] != value:
                field = f"{expected['po']}.{name}"
                found.append(
                    {
                        "field": field,
                        "kind": expected["kind"],
                        "expected": expected[name],
                        "came": value,
                    }
                )
    return found


def _case(case: CaseResult | None, currency: str) -> dict[str, Any]:
    if case is None:
        return {"outcome": "missing"}
    money = {
        name: Money(part.get(currency, 0), currency).decimal()
        for name, part in (("paid", case.paid), ("held", case.held), ("credited", case.credited))
    }
    kinds = sorted({one.kind for one in case.exceptions})
    return {"outcome": case.outcome, **money, "exceptions": kinds}
