"""The laws every workflow must keep, whatever the world does to it.

Each looks at one tale and returns what is wrong, or None. They judge what both
sides saw: the log, and the counterparty that took the effects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agentsquad.kernel import hashing
from agentsquad.kernel.action import Effect
from agentsquad.kernel.event import Event
from agentsquad.kernel.pointer import diff
from agentsquad.operations.trials.contract import Invariant, invariant
from agentsquad.operations.trials.tale import Tale, is_money, moneys
from agentsquad.runtime.determinism.rehearsal import EffectLine
from agentsquad.runtime.engine.state import END_EVENTS, ENDED

OURS = ("BugError", "IntegrityError")
SUCCEEDED = ("run.completed", "run.continued")
UNDONE = tuple(end for end in END_EVENTS if end not in SUCCEEDED)  # with all that can be
PAID = ("paid", "sent", "settled")  # names of an output's field that says what left


@invariant("terminates")
def terminates(tale: Tale) -> str | None:
    """A run ends, or waits for somebody who has not answered."""
    if tale.status in (*ENDED, "refused") or (tale.status == "waiting" and tale.silent):
        return None
    why = (tale.error or {}).get("message") if isinstance(tale.error, Mapping) else None
    return f"the run is {tale.status}: {why or 'nothing more comes, and nobody is asked'}"


@invariant("typed-errors")
def typed_errors(tale: Tale) -> str | None:
    """Whatever fails, fails with an error that says what to do next."""
    for event in tale.events:
        error = (event.payload or {}).get("error")
        if isinstance(error, Mapping) and error.get("class") in OURS:
            return f"{event.type} at event {event.seq}: {error['class']}, {error.get('message')}"
    if isinstance(tale.error, Mapping) and tale.error.get("class") in OURS:
        return f"the run ends with {tale.error['class']}: {tale.error.get('message')}"
    return None


@invariant("replays")
def replays(tale: Tale) -> str | None:
    """The journal replays identically."""
    verdict = None if tale.story is None else tale.story.verdict
    if verdict is None or verdict in ("identical", "compatible"):
        return None
    return f"replay says {verdict}"


@invariant("effects-once")
def effects_once(tale: Tale) -> str | None:
    """One key is one effect, and nothing final is done twice under two keys."""
    if tale.story is None:
        return None
    done: dict[tuple[str, str], str] = {}
    for line in tale.story.effects.values():
        if line.confirmed > 1:
            return f"{line.action} at step {line.position} was confirmed {line.confirmed} times"
        if line.arrived > 1:
            return f"{line.action} at step {line.position} arrived {line.arrived} times"
    for line in tale.effects():
        action = tale.registry.actions.get(line.action)
        if action is None or action.spec.effect is not Effect.IRREVERSIBLE:
            continue
        same = (line.action, hashing.digest(line.input))
        if same in done:
            return (
                f"{line.action} happened twice with the same arguments, at steps {done[same]} and "
                f"{line.position}"
            )
        done[same] = line.position
    return None


@invariant("planned-first")
def planned_first(tale: Tale) -> str | None:
    """Nothing leaves that the log had not planned and said it was sending."""
    if tale.story is None:
        return None
    planned = {event.payload["key"] for event in tale.of("effect.planned")}
    sent = {event.payload["key"] for event in tale.of("effect.sent")}
    for line in tale.story.effects.values():
        if line.key not in planned or line.key not in sent:
            return f"{line.action} at step {line.position} left without its plan in the log"
    return None


@invariant("approved-first")
def approved_first(tale: Tale) -> str | None:
    """What people are asked about, or policy wants approved, waits for a yes to
    exactly that, of somebody else."""
    asked = _questions(tale)
    for planned in tale.of("effect.planned"):
        body = planned.payload
        same = (body["action"], hashing.digest(body["input"]))
        mine = [pair for pair in asked if pair[2] == same and _family(pair[0], planned)]
        if mine:
            before = [pair for pair in mine if pair[0].seq < planned.seq]
            if not before:
                return f"{body['action']} left at event {planned.seq}, before anybody was asked"
            question, answer, _ = before[-1]
            if answer is None or answer.seq > planned.seq or answer.type != "approval.given":
                said = "nobody had answered" if answer is None else "the answer was no"
                return f"{body['action']} left at event {planned.seq} although {said}"
            if answer.payload["approver"] == question.payload["requester"]:
                return f"{body['action']} was approved by the one who asked for it"
        found = _duties_missed(planned, same, asked)
        if found is not None:
            return found
    return None


def _questions(tale: Tale) -> list[tuple[Event, Event | None, tuple[str, str]]]:
    """Return (question, answer, (action, digest of the input)), in order."""
    answers = {
        (event.stream, event.payload["position"]): event
        for event in reversed(list(tale.of("approval.given", "approval.refused")))
    }
    return [
        (
            event,
            answers.get((event.stream, event.payload["position"])),
            (event.payload["action"], event.payload["input_digest"]),
        )
        for event in tale.of("approval.requested")
    ]


def _family(one: Event, other: Event) -> bool:
    return one.stream.split("/")[1] == other.stream.split("/")[1]


def _duties_missed(
    planned: Event,
    same: tuple[str, str],
    asked: list[tuple[Event, Event | None, tuple[str, str]]],
) -> str | None:
    decision = planned.payload.get("decision") or {}
    duties = [duty for duty in decision.get("obligations") or () if "approve" in duty]
    given = planned.payload.get("approvals") or ()
    wanted = sum(int(duty["approve"].get("count", 1)) for duty in duties)
    valid = {
        answer.payload["approver"]
        for question, answer, about in asked
        if answer is not None
        and answer.type == "approval.given"
        and answer.seq < planned.seq
        and about == same
        and question.stream == planned.stream
        and answer.payload["approver"] != question.payload["requester"]
        and any(one["position"] == question.payload["position"] for one in given)
    }
    if len(valid) < wanted:
        return (
            f"{same[0]} left at event {planned.seq} with {len(valid)} valid approvals of "
            f"{wanted} that policy wants"
        )
    return None


@invariant("no-lost-money")
def no_lost_money(tale: Tale) -> str | None:
    """What the log says was paid is what the other side got, and what the run
    says it paid; every debit has its credit."""
    if tale.status not in ENDED:
        return None
    confirmed: dict[str, int] = {}
    for event in tale.of("effect.confirmed"):
        confirmed[f"{event.stream}#{event.payload['position']}"] = event.seq
    for line in tale.effects():
        if f"run/{line.run}#{line.position}" not in confirmed:
            return f"{line.action} at step {line.position} took place and the log does not know"
        uneven = _uneven(line.input)
        if uneven is not None:
            return f"{line.action} at step {line.position}: {uneven}"
    if tale.story is not None:
        for line in tale.story.effects.values():
            if line.confirmed and (not line.arrived or line.refused):
                return f"{line.action} is confirmed in the log and never took place"
    return _said_otherwise(tale)


def _said_otherwise(tale: Tale) -> str | None:
    """Compare what a completed run says it paid with what left."""
    if tale.status != "completed" or not isinstance(tale.output, Mapping):
        return None
    said = next((tale.output[name] for name in PAID if is_money(tale.output.get(name))), None)
    if said is None:
        return None
    left = tale.sent()
    told = {said["currency"]: said["micros"]} if said["micros"] else {}
    if left != told:
        return f"the run says it paid {_purse(told)}, what left is {_purse(left)}"
    return None


def _uneven(value: Any) -> str | None:
    """Return why debits and credits in an effect's input are not equal."""
    sums: dict[tuple[str, str], int] = {}
    for pointer, currency, micros in moneys(value):
        for side in ("debit", "credit"):
            if side in pointer.rpartition("/")[2] or f"/{side}" in pointer:
                sums[side, currency] = sums.get((side, currency), 0) + micros
                break
    for currency in {currency for _, currency in sums}:
        debit, credit = sums.get(("debit", currency)), sums.get(("credit", currency))
        if debit is not None and credit is not None and debit != credit:
            return f"debit {_money(debit, currency)} is not credit {_money(credit, currency)}"
    return None


def _purse(purse: Mapping[str, int]) -> str:
    return ", ".join(_money(micros, c) for c, micros in sorted(purse.items())) or "nothing"


def _money(micros: int, currency: str) -> str:
    # Not as Money: sums of odd amounts may be larger than an amount may be.
    return f"{Decimal(micros).scaleb(-6):f} {currency}"


@invariant("compensated")
def compensated(tale: Tale) -> str | None:
    """When a run fails or is stopped, what it did and can undo is undone, or
    the attempt is on record."""
    ended = {e.stream: e.type for e in tale.of(*UNDONE)}
    undone = {event.payload["key"] for event in tale.of("effect.compensated")}
    placed, loose = _attempts(tale)
    for line in tale.effects():
        stream = f"run/{line.run}"
        action = tale.registry.actions.get(line.action)
        if stream not in ended or action is None or action.spec.compensate is None:
            continue
        undo = (stream, action.spec.compensate)
        if line.key in undone or (*undo, line.position) in placed:
            continue
        if loose[undo]:
            loose[undo] -= 1
            continue
        return (
            f"the run ended with {ended[stream]}, and {line.action} at step {line.position} was "
            f"not undone by {action.spec.compensate}"
        )
    return None


def _attempts(tale: Tale) -> tuple[set[tuple[str, str, str]], Counter[tuple[str, str]]]:
    """Return what was asked for at all, by run and action: undoings that name
    their step, and how many do not (a manifest's). That one was refused then is
    the world's doing."""
    placed: set[tuple[str, str, str]] = set()
    loose: Counter[tuple[str, str]] = Counter()
    for event in tale.of("effect.planned", "step.failed"):
        body = event.payload
        value = body.get("input")
        position = value.get("position") if isinstance(value, Mapping) else None
        if isinstance(position, str) and position:
            placed.add((event.stream, body.get("action", ""), position))
        else:
            loose[event.stream, body.get("action", "")] += 1
    return placed, loose


@invariant("unshaken")
def unshaken(tale: Tale) -> str | None:
    """A crash or a second delivery changes nothing: the same end, the same
    output, the same effects."""
    calm = tale.calm
    if calm is None or "stuck" in (tale.status, calm.status):
        return None
    if tale.status != calm.status:
        return f"the run is {tale.status}, undisturbed it is {calm.status}"
    for pointer, was, now in diff(calm.output, tale.output):
        return f"the output's {pointer or '/'} is {now!r}, undisturbed it is {was!r}"
    was, now = (Counter(_done(line) for line in one.effects()) for one in (calm, tale))
    for action, position, _ in now - was:
        return f"{action} at step {position} does not happen undisturbed"
    for action, position, _ in was - now:
        return f"{action} at step {position} happens undisturbed, and did not now"
    return None


def _done(line: EffectLine) -> tuple[str, str, str]:
    return line.action, line.position, hashing.digest(line.input)


LAWS: tuple[Invariant, ...] = (
    terminates,
    typed_errors,
    replays,
    effects_once,
    planned_first,
    approved_first,
    no_lost_money,
    compensated,
    unshaken,
)
