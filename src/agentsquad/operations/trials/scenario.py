"""A scenario: what goes in, and everything the world does to it.

Drawn as a whole before anything is played, so that it can be printed, kept and
played again; what the world does is drawn before the input, so that a quiet
world is the simplest one.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.operations.trials.contract import Case, Draw, Trial, TrialCaseError
from agentsquad.operations.trials.value import Values
from agentsquad.runtime.determinism.rehearsal import Fault

DISTURBED = (0, 0, 1, 1, 1, 2, 3)  # how often a world disturbs, of so many worlds
SAY = ("approve", "reject", "nobody", "self")
ERRORS = (
    "UnavailableError",
    "DeadlineError",
    "LimitError",
    "InvalidError",
    "DeniedError",
    "ConflictError",
    "MissingError",
)
LATE_MS = (1_000, 60_000, 90_000, 86_400_000)
ANSWERS_MAX = 12
ANSWER_MAX = 9_999


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The n-th effect that is asked for fails with an error of this class."""

    at: int
    error: str


class Scenario(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One trial: the input and everything the world does to it.

    `people` is what is said to questions, found by what is asked: approve,
    reject, nobody (no answer) or self (the one who asks tries to answer).
    `answers` are the choices from which made-up answers are drawn. `cancel` is
    the event after which somebody asks the run to stop.
    """

    workflow: str
    input: Any
    world: Any = None
    people: tuple[str, ...] = ("approve",)
    faults: tuple[Fault, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    signals: tuple[Any, ...] = ()
    answers: tuple[int, ...] = ()
    cancel: int | None = None


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """How long an undisturbed run is: where in it something can go wrong."""

    appends: int
    calls: int
    events: int
    effects: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What scenarios of one workflow are drawn from."""

    workflow: str
    schema: Mapping[str, Any]
    trial: Trial
    span: Span = Span(appends=8, calls=4, events=8, effects=2)


def build(draw: Draw, plan: Plan) -> Scenario:
    """Draw a scenario."""
    faults: list[Fault] = []
    refusals: list[Refusal] = []
    cancel: int | None = None
    for _ in range(draw.choice(DISTURBED)):
        what = draw.integer(0, 15)
        if what < 12:
            faults.append(_fault(draw, what % 6, plan.span))
        elif what < 14:
            at = draw.integer(1, max(1, plan.span.effects))
            refusals.append(Refusal(at=at, error=draw.choice(ERRORS)))
        else:
            cancel = draw.integer(1, plan.span.events)
    people = tuple(_say(draw) for _ in draw.many(1, 3))
    answers = tuple(draw.integer(0, ANSWER_MAX) for _ in draw.many(0, ANSWERS_MAX))
    signals = tuple(draw.choice((None, {}, {"n": 1}, "text")) for _ in draw.many(0, 2))
    case = case_of(draw, plan)
    return Scenario(
        workflow=plan.workflow,
        input=case.input,
        world=case.world,
        people=people,
        faults=tuple(faults),
        refusals=tuple(refusals),
        signals=signals,
        answers=answers,
        cancel=cancel,
    )


def case_of(draw: Draw, plan: Plan) -> Case:
    """Draw the input, as the workflow's own generator does or from its
    schema."""
    if plan.trial.scenarios is not None:
        return plan.trial.scenarios(draw)
    return Case(input=Values(draw, plan.schema).fit())


def _say(draw: Draw) -> str:
    return SAY[0] if draw.chance(55) else draw.choice(SAY)


def _fault(draw: Draw, what: int, span: Span) -> Fault:
    if what < 2:
        at = draw.integer(1, span.appends)
        return Fault(kind=("crash-before", "crash-after")[what], at=at)
    if what == 5:
        return Fault(kind="twice", at=draw.integer(1, span.events))
    at = draw.integer(1, span.calls)
    if what == 4:
        return Fault(kind="late", at=at, ms=draw.choice(LATE_MS))
    return Fault(kind=("lost-before", "lost-after")[what - 2], at=at)


def behaviour(scenario: Scenario) -> list[str]:
    """Say in sentences what the world does."""
    told = {
        "crash-before": "the process dies before append {at} is durable",
        "crash-after": "the process dies after append {at} is durable",
        "lost-before": "call {at} never arrives and gets no answer",
        "lost-after": "call {at} arrives and its answer is lost",
        "late": "call {at} is answered after {ms} ms",
        "twice": "what event {at} tells of is delivered twice",
    }
    found = [told[f.kind].format(at=f.at, ms=f.ms) for f in scenario.faults]
    found += [f"effect {one.at} is refused with {one.error}" for one in scenario.refusals]
    if scenario.cancel is not None:
        found.append(f"somebody asks it to stop after event {scenario.cancel}")
    if set(scenario.people) != {"approve"}:
        found.append(f"people say {', '.join(scenario.people)}")
    if scenario.signals and any(one is not None for one in scenario.signals):
        sent = msgspec.json.encode(scenario.signals).decode()
        found.append(f"signals carry {sent}")
    return found or ["nothing goes wrong, people approve"]


def replaying(choices: Sequence[int]) -> Draw:
    """Return a Draw that makes the same choices again; after the last, the
    simplest."""
    rest = iter(choices)

    def pick(low: int, high: int) -> int:
        return min(high, max(low, next(rest, low)))

    return Draw(pick)


def turning(choices: Sequence[int]) -> Draw:
    """Return a Draw that spreads few numbers over any range; after the last,
    the simplest."""
    rest = iter(choices)

    def pick(low: int, high: int) -> int:
        return low + next(rest, 0) % (high - low + 1)

    return Draw(pick)


def blob(choices: Sequence[int]) -> str:
    """Return choices as one word for a command line."""
    packed = zlib.compress(msgspec.json.encode(list(choices)), 9)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def unblob(text: str) -> list[int]:
    """Read such a word; TrialCaseError when it is none."""
    try:
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(zlib.decompress(packed), type=list[int])
    except (ValueError, zlib.error, binascii.Error, msgspec.DecodeError) as error:
        raise TrialCaseError(
            "--repeat does not hold a case", hint="copy the whole word the failure printed"
        ) from error


def scenario_of(plain: Any) -> Scenario:
    """Read a scenario that was written as JSON."""
    try:
        return msgspec.convert(plain, Scenario)
    except msgspec.ValidationError as error:
        raise InvalidError(f"this is not a scenario: {error}", code="trials.case") from error
