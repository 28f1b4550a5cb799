"""Readings of runs: summaries, steps and costs, folded from their events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import PurePath
from typing import Any

import msgspec

from agentsquad.kernel import canonical
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import DeadlineError, InvalidError
from agentsquad.kernel.event import Event
from agentsquad.kernel.money import Money
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine.contract import Engine, InboxItem, Outcome
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.state import END_EVENTS, ENDED, WITHDRAWN
from agentsquad.runtime.engine.versions import world_of
from agentsquad.runtime.ledger.contract import Ledger, Query
from agentsquad.runtime.ledger.naming import find_run

TICK_MS, TICK_MAX_MS = 200, 1600  # how often a watcher looks
PAGE = 200

RUN_EVENTS = (
    "run.started",
    "run.completed",
    "run.failed",
    "run.cancelled",
    "run.continued",
    "step.completed",
    "step.failed",
    "effect.confirmed",
    "effect.failed",
    "timer.set",
    "timer.fired",
    "signal.waiting",
    "signal.received",
    "approval.requested",
    "approval.given",
    "approval.refused",
    WITHDRAWN,
    "incident.opened",
    "intervention.made",
    "run.cancel_requested",
)


# What ends a wait; a wait that somebody passed over says so by itself.
RESUMES = ("approval.given", "approval.refused", "signal.received", "timer.fired")


class Summary(msgspec.Struct, kw_only=True):
    """One run: how it stands and what it cost itself, without its children."""

    run: str
    workflow: str
    status: str
    started: str
    ended: str | None = None
    parent: str | None = None
    cost: dict[str, int] = {}
    waits: int = 0
    still: frozenset[Any] = frozenset()


class StepLine(msgspec.Struct, kw_only=True):
    """One step in a view of a run; `uses` names agent and model, `cost` maps
    currencies."""

    position: str
    name: str
    status: str
    seq: int
    ms: float | None = None
    uses: str | None = None
    cost: dict[str, str] = {}
    child: str | None = None


def decimal(micros: int) -> str:
    """Return micro-units as a decimal string, at least two places."""
    return Money(micros, "USD").decimal()


def costs(event: Event) -> dict[str, int]:
    """Return what an event says was spent: currency -> micro-units; unknown
    prices add nothing."""
    spent: dict[str, int] = {}
    for usage in (event.payload or {}).get("usage") or ():
        if usage.get("cost_micros") is not None:
            currency = usage.get("currency", "USD")
            spent[currency] = spent.get(currency, 0) + usage["cost_micros"]
    return spent


def fold(summaries: dict[str, Summary], event: Event) -> None:
    """Fold one event of any run into the summaries."""
    run = event.stream.removeprefix("run/")
    body = event.payload or {}
    if event.type == "run.started":
        parent = body.get("parent")
        summaries[run] = Summary(
            run=run,
            workflow=body["workflow"],
            status="running",
            started=event.time,
            parent=parent["run"] if parent else None,
            cost={},
        )
        return
    summary = summaries.get(run)
    if summary is None:
        return
    if event.type in END_EVENTS:
        summary.status, summary.ended = END_EVENTS[event.type], event.time
    elif event.type in ("approval.requested", "signal.waiting", "timer.set"):
        summary.waits += 1
    elif event.type in RESUMES:
        summary.waits = max(0, summary.waits - 1)
    else:
        _by_hand(summary, event.type, body)
    for currency, micros in costs(event).items():
        summary.cost[currency] = summary.cost.get(currency, 0) + micros


def _by_hand(summary: Summary, kind: str, body: Mapping[str, Any]) -> None:
    """Keep which steps stand still until somebody intervenes."""
    position = body.get("position")
    if kind == "incident.opened":
        summary.still = summary.still | {position}
    elif position in summary.still:
        summary.still = summary.still - {position}
    elif kind == "run.cancel_requested" or (kind == "intervention.made" and position is None):
        summary.still = frozenset()
    elif kind == WITHDRAWN or "intervention" in body:
        summary.waits = max(0, summary.waits - 1)


async def summaries(store: EventStore, run: str | None = None) -> list[Summary]:
    """Return summaries of all runs, or of one and its descendants, in the order
    they started."""
    found: dict[str, Summary] = {}
    async for event in events_of(store, run):
        fold(found, event)
    for summary in found.values():
        if summary.status == "running" and summary.still:
            summary.status = "incident"
        elif summary.status == "running" and summary.waits:
            summary.status = "waiting"
    return list(found.values())


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are listed: `since` and `until` are when they started, `below`
    is the place (started, id) after which a page begins."""

    workflow: str | None = None
    status: str | None = None
    roots: bool = True
    since: str | None = None
    until: str | None = None
    below: tuple[str, str] | None = None


async def listed(ledger: Ledger, which: Filter, *, limit: int) -> list[Summary]:
    """Return a page of summaries from the ledger's reading, newest first."""
    asked = {"workflow": which.workflow, "status": which.status}
    equal: dict[str, str | None] = {n: v for n, v in asked.items() if v is not None}
    if which.roots:
        equal["parent"] = None
    after = which.below
    if which.until is not None:
        after = min(after or (which.until, ""), (which.until, ""))
    query = Query(equal=equal, order=("started", "id"), after=after, descending=True, limit=limit)
    rows = await ledger.readings.select("runs", query)
    return [_listed(row) for row in rows if which.since is None or row["started"] >= which.since]


def _listed(row: Mapping[str, Any]) -> Summary:
    return Summary(
        run=row["id"],
        workflow=row["workflow"],
        status=row["status"],
        started=row["started"],
        ended=row["ended"],
        parent=row["parent"],
        cost=row["cost"],
    )


async def tree(ledger: Ledger, run: str) -> list[Summary]:
    """Return summaries of a run and its descendants from the ledger's reading,
    the run itself first."""
    own = Query(equal={"id": run}, order=("id",), limit=1)
    found = [_listed(row) for row in await ledger.readings.select("runs", own)]
    place = f"{run}/"
    while True:
        query = Query(order=("id",), after=(place,), limit=5 * PAGE)
        rows = await ledger.readings.select("runs", query)
        below = [_listed(row) for row in rows if row["id"].startswith(f"{run}/")]
        found += below
        if len(below) < 5 * PAGE:
            return found[:1] + sorted(found[1:], key=lambda one: (one.started, one.run))
        place = below[-1].run


async def journal(store: EventStore, run: str, limit: int) -> tuple[list[Event], int]:
    """Return the newest events of a run, and how many came before them; the
    first event is there in any case."""
    name = f"run/{run}"
    events = await store.read_stream(name, limit=limit + 1)
    if len(events) <= limit:
        return events, 0
    length = dict(await store.streams(name))[name]
    return [events[0], *await store.read_stream(name, after=length - limit + 1)], length - limit


async def each(ledger: Ledger, which: Filter) -> AsyncIterator[Summary]:
    """Yield summaries of runs from the ledger's reading, newest first."""
    while page := await listed(ledger, which, limit=PAGE):
        for summary in page:
            yield summary
        which = msgspec.structs.replace(which, below=(page[-1].started, page[-1].run))


async def events_of(store: EventStore, run: str | None) -> Any:
    """Yield events of all runs in the order of the log, or of one run and its
    descendants."""
    if run is not None:
        names = [f"run/{run}"] + [n for n, _ in await store.streams(f"run/{run}/")]
        for name in names:
            for event in await store.read_stream(name):
                yield event
        return
    after = 0
    while batch := await store.read(after=after, limit=5000, types=RUN_EVENTS):
        for event in batch:
            yield event
        after = batch[-1].seq


def steps(events: Iterable[Event]) -> list[StepLine]:
    """Return the steps of one run in the order they were resolved."""
    lines: dict[str, StepLine] = {}
    names = {
        "step.completed": "done",
        "step.failed": "failed",
        "effect.planned": "planned",
        "effect.sent": "sent",
        "effect.confirmed": "confirmed",
        "effect.failed": "failed",
        "effect.ambiguous": "ambiguous",
        "effect.compensated": "compensated",
        "approval.requested": "asked",
        "approval.given": "approved",
        "approval.refused": "refused",
        WITHDRAWN: "withdrawn",
        "timer.set": "waits",
        "timer.fired": "woke",
        "signal.waiting": "waits",
        "incident.opened": "incident",
        "intervention.made": "by hand",
        "update.accepted": "accepted",
        "update.completed": "answered",
        "update.failed": "failed",
    }
    for event in events:
        status = names.get(event.type)
        body = event.payload or {}
        if status is None or "position" not in body:
            continue
        line = lines.get(body["position"])
        if line is None:
            line = StepLine(position=body["position"], name="", status=status, seq=event.seq)
            lines[body["position"]] = line
        line.name = body.get("name") or body.get("action") or line.name or event.type
        line.status, line.seq = _told(status, event, body), event.seq
        line.ms = body.get("ms", line.ms)
        line.child = body.get("child", line.child)
        uses = [str(u["model"]) for u in body.get("usage") or () if u.get("model")]
        line.uses = ", ".join(dict.fromkeys(uses)) or line.uses
        line.cost = {c: decimal(m) for c, m in costs(event).items()} or line.cost
    return list(lines.values())


def _told(status: str, event: Event, body: Mapping[str, Any]) -> str:
    """Return how a step stands, and what people did to it."""
    if event.type == "intervention.made":
        return {"retry": "again", "patch": "again, patched"}.get(body["means"], "by hand")
    if "intervention" in body:
        return "skipped" if event.type == "step.completed" else "given up"
    return status


async def find(store: EventStore, text: str) -> str:
    """Return the id of the run that `text` names; each part of it may be cut
    short."""
    if await store.read_stream(f"run/{text}", limit=1):
        return text
    root = text.partition("/")[0]
    return find_run(text, [name for name, _ in await store.streams(f"run/{root}")])


def parse_json(text: str) -> Any:
    """Return the value of JSON text given on a command line."""
    try:
        return canonical.loads(text)
    except InvalidError as error:
        raise InvalidError(
            f"not JSON: {text[:60]!r}", code="input.json", hint=error.message
        ) from error


def read_input(text: str | None, expected: Any) -> tuple[Any, str | None]:
    """Return a workflow's input from a command line, and the key a folder gives
    to its run.

    Text that starts with a brace is JSON; anything else is the path of a
    folder, for workflows whose input has a field `folder`.
    """
    if text is None:
        return {}, None
    if not text.strip():
        raise InvalidError(
            "the input is empty", code="run.input", hint="write --input FOLDER or --input '{…}'"
        )
    if text.lstrip().startswith(("{", "[")):
        return parse_json(text), None
    fields = {f.name for f in msgspec.structs.fields(expected)} if _struct(expected) else set()
    if "folder" not in fields:
        raise InvalidError(
            f"{text!r} is not JSON, and this workflow takes no folder",
            code="input.json",
            hint="write --input '{…}'",
        )
    return {"folder": text}, str(PurePath(text))


def _struct(expected: Any) -> bool:
    return isinstance(expected, type) and issubclass(expected, msgspec.Struct)


class Stillness:
    """Whether a run and all below it wait: for people, signals or time.

    A run whose children work waits too, so every one of them is looked at;
    twice, since a child that was just begun is not at work yet. Ended ones are
    remembered and not read again.
    """

    def __init__(self, store: EventStore, engine: Engine, run: str) -> None:
        self._store, self._engine, self._run = store, engine, run
        self._ended: set[str] = set()
        self._before: dict[str, int] | None = None

    async def reached(self) -> bool:
        """Whether nothing is at work, and nothing has happened since the last
        time it was asked."""
        now = dict(await self._store.streams(f"run/{self._run}"))
        before, self._before = self._before, now
        for stream in now.keys() - self._ended:
            status = (await self._engine.outcome(stream.removeprefix("run/"))).status
            if status in ENDED:
                self._ended.add(stream)
            elif status not in ("waiting", "incident"):
                return False
        return now == before


async def watch(
    ctx: Context, engine: Engine, run: str, *, until: str = "ended", auto: str | None = None
) -> Outcome:
    """Wait for a run and tell how far it is, until it has `ended`.

    `until` may say `waiting`: nothing below it is at work any more; or `asked`:
    only people can help. With `auto`, a rule of that name answers for the
    people it names; what it leaves alone waits.
    """
    tick = TICK_MS
    left: set[str] = set()
    still = Stillness(ctx.port(EventStore), engine, run)  # type: ignore[type-abstract]
    while True:
        try:
            return await engine.wait(run, timeout_ms=tick)
        except DeadlineError:
            outcome = await engine.outcome(run)
        if outcome.status in ENDED:
            return outcome
        waiting = [item for item in await engine.inbox(run) if item.id not in left]
        for item in waiting if auto is not None else ():
            if not await answer_by_rule(ctx, engine, item, str(auto)):
                left.add(item.id)
        # Looking through the log costs: look less often while nothing is asked.
        tick = TICK_MS if waiting else min(2 * tick, TICK_MAX_MS)
        ctx.progress(f"{run[:10]}: {outcome.status}, {len(waiting)} questions in the inbox")
        enough = until == "waiting" or (until == "asked" and (waiting or left))
        if enough and await still.reached():
            still_status = "incident" if outcome.status == "incident" else "waiting"
            return Outcome(run=run, status=still_status)


async def answer_by_rule(ctx: Context, engine: Engine, item: InboxItem, rule: str) -> bool:
    """Answer as a policy rule says, in the name of the person it names.

    False when the rule names nobody: the question then waits for people.
    """
    if item.kind != "approval":  # what is done by hand is between people
        return False
    policy = (await world_of(ctx.port(World), item.run)).policy  # of the version it runs under
    said = policy.query(rule, question(item))
    if not said or not said.get("approver"):
        return False
    await engine.answer(
        item.id, approve=said["approve"], approver=said["approver"], reason=said["reason"]
    )
    return True


def question(item: InboxItem) -> dict[str, Any]:
    """Return what a rule that answers is asked."""
    return {
        "action": item.action,
        "input": item.input,
        "roles": list(item.roles),
        "requester": item.requester,
        "evidence": item.evidence,
    }
