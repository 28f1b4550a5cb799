"""The projections every ledger has: its streams, and its runs.

Readings like any other: deletable, rebuilt by `squad rebuild`. The engine does
not rest on them; lists and totals do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsquad.kernel.event import Event
from agentsquad.runtime.ledger.projection import Projection, Table, Tables

RUN_PREFIX = "run/"
INTERPRETER = "agent-workflow"  # the workflow that carries manifests out
ENDS = {
    "run.completed": "completed",
    "run.failed": "failed",
    "run.cancelled": "cancelled",
    "run.continued": "continued",
}
WAITS = ("approval.requested", "signal.waiting", "timer.set")
WITHDRAWN = "question.withdrawn"
INCIDENT, INTERVENTION, CANCEL = "incident.opened", "intervention.made", "run.cancel_requested"
RESUMES = ("approval.given", "approval.refused", "signal.received", "timer.fired")


def fold_stream(tables: Tables, event: Event) -> None:
    """Keep the first and last event of each stream, and its length."""
    row = tables.get("streams", event.stream) or {
        "stream": event.stream,
        "first_seq": event.seq,
        "first_at": event.at,
    }
    tables.put(
        "streams",
        {**row, "events": event.stream_seq, "last_seq": event.seq, "last_at": event.at},
    )


def fold_run(tables: Tables, event: Event) -> None:
    """Keep how each run stands and what its own steps cost, by currency."""
    if not event.stream.startswith(RUN_PREFIX):
        return
    if not heeded(event):
        return
    body = event.payload
    identity = event.stream.removeprefix(RUN_PREFIX)
    row = None
    if event.type != "run.started":
        row = tables.get("runs", identity)
    else:
        parent = body.get("parent")
        row = {
            "id": identity,
            "workflow": listed_as(body),
            "status": "running",
            "started": event.time,
            "ended": None,
            "parent": parent.get("run") if isinstance(parent, dict) else parent,
            "waits": 0,
            "still": [],
            "cost": {},
        }
    if row is None:
        return
    if event.type in ENDS:
        row |= {"status": ENDS[event.type], "ended": event.time}
    elif event.type in WAITS:
        row["waits"] += 1
    elif event.type in RESUMES:
        row["waits"] = max(0, row["waits"] - 1)
    else:
        _by_hand(row, event.type, body)
    if row["ended"] is None:
        row["status"] = _standing(row)
    row["cost"] = _spent(dict(row["cost"]), body.get("usage"))
    tables.put("runs", row)


def heeded(event: Event) -> bool:
    """Whether an event may say something of how a run stands: not a step that
    was done and cost nothing, unless a person intervened; most are such."""
    if event.type != "step.completed":
        return True
    body = event.payload or {}
    return bool(body.get("usage")) or "intervention" in body


def _by_hand(row: dict[str, Any], kind: str, body: Mapping[str, Any]) -> None:
    """Keep which steps of a run stand still until somebody intervenes."""
    position = body.get("position")
    if kind == INCIDENT:
        row["still"] = [*row["still"], position]
    elif position in row["still"]:
        row["still"] = [one for one in row["still"] if one != position]
    elif kind == WITHDRAWN:
        row["waits"] = max(0, row["waits"] - 1)
    elif kind == CANCEL or (kind == INTERVENTION and position is None):
        row["still"] = []
    elif "intervention" in body:  # a wait that was passed over
        row["waits"] = max(0, row["waits"] - 1)


def _standing(row: Mapping[str, Any]) -> str:
    if row["still"]:
        return "incident"
    return "waiting" if row["waits"] else "running"


def listed_as(started: Mapping[str, Any]) -> Any:
    """Return the name a run is listed under: that of its manifest, where one is
    interpreted."""
    given = started.get("input")
    if started.get("workflow") == INTERPRETER and isinstance(given, Mapping) and "spec" in given:
        return given.get("name") or INTERPRETER
    return started.get("workflow")


def _spent(cost: dict[str, int], usage: Any) -> dict[str, int]:
    """Add what a step's usage says it cost; an unknown price adds nothing."""
    for one in usage if isinstance(usage, list) else ():
        if isinstance(one, dict) and isinstance(one.get("cost_micros"), int):
            currency = str(one.get("currency", "USD"))
            cost[currency] = cost.get(currency, 0) + one["cost_micros"]
    return cost


STREAMS = Projection(
    "streams",
    1,
    (Table("streams", ("stream",), ("events", "first_seq", "first_at", "last_seq", "last_at")),),
    fold_stream,
)
RUNS = Projection(
    "runs",
    4,
    (
        Table(
            "runs",
            ("id",),
            ("workflow", "status", "started", "ended", "parent", "waits", "still", "cost"),
            (
                ("started", "id"),
                ("parent", "started", "id"),
                ("parent", "status", "started", "id"),
                ("parent", "workflow", "started", "id"),
            ),
        ),
    ),
    fold_run,
    ("run.started", *ENDS, *WAITS, *RESUMES, "step.completed", "step.failed",
     "effect.confirmed", "effect.failed", INCIDENT, INTERVENTION, CANCEL),
    heeded,
)  # fmt: skip
STANDARD = (RUNS, STREAMS)
