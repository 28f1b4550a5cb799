"""Laws: what must hold of the whole log and the bank's ledger when a simulated
squad has come to rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from agentsquad.kernel.event import Event
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.runtime.engine.versions import ADOPTED, versions_of
from agentsquad.runtime.ledger.verification import verify
from agentsquad.testing.simulator.bank import Transfer
from agentsquad.testing.simulator.office import Office
from agentsquad.testing.simulator.squad_oracle import SquadOracle
from agentsquad.testing.simulator.trade import Trade
from agentsquad.testing.simulator.trade_laws import check_trade
from agentsquad.testing.simulator.workload import BIG

SUCCEEDED = ("run.completed", "run.continued")
UNDONE = tuple(end for end in END_EVENTS if end not in SUCCEEDED)  # with all a saga knew

MOVING = ("bank", "cash", "wire")  # whose actions move money

Journals = dict[str, list[Event]]


async def check(
    oracle: SquadOracle,
    office: Office,
    started: Mapping[str, str],
    transfers: list[Transfer],
    trade: Trade | None = None,
) -> None:
    """Check all laws over an opened log, the runs people were told of, and the
    bank's ledger; findings go to the oracle."""
    store = office.ledger.store
    versions = None if trade is None else versions_of(office.engine.world)
    size = await store.size()
    oracle.read(await store.read(limit=100_000), 0, size)
    for finding in (await verify(office.ledger, lambda done, total: None)).findings[:3]:
        oracle.find("the log verifies", f"{finding.seq}: {finding.what}")
    journals = oracle.journals()
    for run in journals:
        if "/" not in run:
            told = await replay(store, office.registry, run, versions=versions)
            moved = any(event.type == ADOPTED for event in journals[run])
            if told.verdict != "identical" and (not moved or told.verdict != "compatible"):
                oracle.find("replay is identical", f"{run}: {told}")
    for key, run in started.items():
        if run not in journals:
            oracle.find("nothing is lost", f"run {run} of {key} was started and is gone")
    check_runs(oracle, journals)
    check_effects(oracle, journals, transfers)
    check_approvals(oracle, journals, transfers)
    check_budget(oracle, list(oracle.known.values()))
    if trade is not None:
        check_trade(oracle, trade, journals)


def check_runs(oracle: SquadOracle, journals: Journals) -> None:
    """A run begins once, ends once, resolves each position once, and fails only
    with errors that may be."""
    for run, events in journals.items():
        kinds = Counter(event.type for event in events)
        if kinds["run.started"] != 1 or sum(kinds[end] for end in END_EVENTS) > 1:
            oracle.find("a run begins and ends once", f"{run}: {kinds}")
        if [event.stream_seq for event in events] != list(range(1, len(events) + 1)):
            oracle.find("nothing is lost", f"the journal of {run} has a gap")
        error = events[-1].payload.get("error") if events[-1].type == "run.failed" else None
        if error is not None and error["class"] in ("BugError", "IntegrityError"):
            oracle.find("runs fail for a reason", f"{run}: {error}")
        _check_updates(oracle, run, events)
        for name in ("effect.confirmed", "effect.failed"):
            places = Counter(e.payload["position"] for e in events if e.type == name)
            for position, count in places.items():
                if count > 1:
                    oracle.find("an effect ends once", f"{run} {position}: {count} times {name}")


def _check_updates(oracle: SquadOracle, run: str, events: list[Event]) -> None:
    """What a run took is answered once, by a key once, before it ends."""
    taken = Counter(e.payload["key"] for e in events if e.type == "update.accepted")
    said = Counter(
        e.payload["key"] for e in events if e.type in ("update.completed", "update.failed")
    )
    if taken != said or any(count > 1 for count in taken.values()):
        oracle.find("an update is answered once", f"{run}: took {taken}, answered {said}")


def check_effects(oracle: SquadOracle, journals: Journals, transfers: list[Transfer]) -> None:
    """The log and the bank agree on every effect, and what a run that did not
    succeed had done in a saga was undone."""
    moved = Counter(transfer.key for transfer in transfers)
    for key, count in moved.items():
        if count > 1:
            oracle.find("an effect happens once", f"key {key} moved money {count} times")
    for run, events in journals.items():
        for key, action, outcome in effects_of(events):
            if action.partition(".")[0] not in MOVING:
                continue
            if outcome == "effect.confirmed" and not moved[key]:
                oracle.find("confirmed is true", f"{run}: {action} {key} never happened")
            elif outcome == "effect.failed" and moved[key]:
                oracle.find("failed is true", f"{run}: {action} {key} did happen")
        _check_saga(oracle, run, events)


def effects_of(events: list[Event]) -> list[tuple[str, str, str | None]]:
    """Return (key, action, the event that ended it) of a run's effects."""
    outcomes: dict[str, str] = {}
    keys: dict[str, str] = {}  # by position the newest: a step may be tried with another input
    for event in events:
        body = event.payload
        if event.type == "effect.planned":
            keys[body["position"]] = body["key"]
        elif event.type in ("effect.confirmed", "effect.failed"):
            outcomes.setdefault(keys[body["position"]], event.type)
    return [
        (e.payload["key"], e.payload["action"], outcomes.get(e.payload["key"]))
        for e in events
        if e.type == "effect.planned"
    ]


def _check_saga(oracle: SquadOracle, run: str, events: list[Event]) -> None:
    if events[0].payload["workflow"] != "program":
        return
    body = events[-1].payload or {}
    confirmed = {e.payload["position"] for e in events if e.type == "effect.confirmed"}
    undone = {e.payload["position"] for e in events if e.type == "effect.compensated"}
    told = [line for line in body.get("undone") or () if "error" in line]  # it says what failed
    started = events[0].payload["input"]
    inside = set(_numbers(started, "saga"))
    for event in events:
        if event.type != "effect.planned" or event.payload["action"] != "bank.pay":
            continue
        position = event.payload["position"]
        if position not in confirmed or event.payload["input"]["n"] not in inside:
            continue
        if events[-1].type in SUCCEEDED and position in undone:
            oracle.find("a saga ends whole", f"{run}: {position} was undone, the run succeeded")
        if events[-1].type in UNDONE and not told and position not in undone:
            oracle.find("a saga ends whole", f"{run}: {position} was not undone: {body}")


def _numbers(node: Any, kind: str) -> list[int]:
    """Return the numbers of a program's own steps of a kind, not those of its
    children."""
    name, value = node
    if name == kind:
        return [value]
    if name in ("told", "wide"):
        return _numbers(value[0], kind)
    if name in ("seq", "par"):
        return [number for one in value for number in _numbers(one, kind)]
    if name == "try":
        return _numbers(value, kind)
    if name == "map" and value[0] == kind:
        return list(value[1])
    return []


def check_approvals(oracle: SquadOracle, journals: Journals, transfers: list[Transfer]) -> None:
    """Nothing big moved unless a person had approved just that before."""
    keys = {transfer.key: transfer for transfer in transfers if transfer.n >= BIG}
    for run, events in journals.items():
        asked = {e.payload["position"]: e for e in events if e.type == "approval.requested"}
        for event in events:
            if event.type != "effect.planned" or event.payload["key"] not in keys:
                continue
            answers = [
                given
                for given in events
                if given.type == "approval.given"
                and given.seq < event.seq
                and given.actor.startswith("person:")
                and given.payload["position"] in asked
                and asked[given.payload["position"]].payload["input"] == event.payload["input"]
                and asked[given.payload["position"]].payload["requester"] != given.actor
            ]
            if not answers:
                oracle.find("no effect without approval", f"{run}: {event.payload}")


def check_budget(oracle: SquadOracle, events: list[Event]) -> None:
    """What was reserved and spent never exceeds the limit, event by event."""
    limit: int | None = None
    reserved: dict[str, int] = {}
    spent = 0
    for event in sorted(events, key=lambda one: one.seq):
        body = event.payload
        if not event.stream.startswith("budget/"):
            continue
        if event.type == "budget.set":
            limit = body["micros"]
        elif event.type == "budget.reserved":
            reserved[body["id"]] = body["micros"]
            if limit is not None and spent + sum(reserved.values()) > limit:
                oracle.find("no overspending", f"event {event.seq}: {spent} + {reserved} > {limit}")
        elif event.type == "budget.released":
            reserved.pop(body["id"], None)
        elif event.type == "budget.settled":
            held = reserved.pop(body["id"], 0)
            spent += held if body["micros"] is None else body["micros"]
