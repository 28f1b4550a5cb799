"""Workflows as nets: what a compiler builds, and verdicts in their words.

A flow keeps which transitions are steps of its author, where they stand and
what a waiting place waits for; everything else of its net is scaffolding that
no finding names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.contract import Finding, NetVerdict, Witness
from agentsquad.runtime.control.net.judge import Judge
from agentsquad.runtime.control.net.petri import Net, Place, Transition

STEP, CHOICE, UNDO = "step", "choice", "undo"
BOUNDED = "by construction: a token for each branch, joined before a loop goes round"
FAILS = ("fail", "error", "too often", "bad", "refused", "cannot", "again", "raise")
NEVER = {
    STEP: "step {step!r} can never run",
    CHOICE: "{step} can never be taken",
    UNDO: "what undoes step {step!r} can never run",
}


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What a transition is to its author; `because` says why it may never
    happen, if that can be seen. `id` is what it is called where ids are
    listed, if not by its step."""

    step: str
    text: str
    line: int = 0
    kind: str = STEP
    because: str = ""
    file: str = ""
    id: str = ""


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """What it means when a token stays in a place."""

    text: str
    line: int = 0
    file: str = ""


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as a net; `unknown` names what was not understood, and was
    taken to be able to do anything. `children` are the workflows it runs, each
    with the transition that hears back from it; `asides` are worth telling on
    a way, but no steps. `again` are those who may change things from outside
    more often than the net has it."""

    net: Net
    file: str
    words: Mapping[int, Word]
    waits: Mapping[int, Waits]
    unknown: tuple[str, ...] = ()
    children: tuple[tuple[str, int], ...] = ()
    asides: Mapping[int, str] = {}
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    again: tuple[str, ...] = ()


class Builder:
    """Puts a flow together."""

    def __init__(self, name: str, file: str) -> None:
        self.name = name
        self.file = file
        self.places: list[Place] = []
        self.transitions: list[Transition] = []
        self.words: dict[int, Word] = {}
        self.waits: dict[int, Waits] = {}
        self.unknown: list[str] = []
        self.children: list[tuple[str, int]] = []
        self.asides: dict[int, str] = {}
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.again: list[str] = []
        self.answered: list[int] = []  # for which the end of the run waits
        self._ids: dict[str, int] = {}

    def place(self, name: str, tokens: int = 0, waits: Waits | None = None) -> int:
        """Add a place; a name that is taken gets a number."""
        name = self._own(name)
        self.places.append(Place(name, name, tokens))
        if waits is not None:
            self.waits[len(self.places) - 1] = waits
        return len(self.places) - 1

    def move(
        self,
        name: str,
        takes: Iterable[int],
        puts: Iterable[int],
        *,
        reads: Iterable[int] = (),
        word: Word | None = None,
        aside: str = "",
    ) -> int:
        """Add a transition; `reads` are places it needs and leaves."""
        name = self._own(name)
        reads = list(reads)
        taken, put = _counted([*takes, *reads]), _counted([*puts, *reads])
        self.transitions.append(Transition(name, name, taken, put))
        if word is not None:
            self.words[len(self.transitions) - 1] = word
        if aside:
            self.asides[len(self.transitions) - 1] = aside
        return len(self.transitions) - 1

    def _own(self, name: str) -> str:
        count = self._ids.get(name, 0)
        self._ids[name] = count + 1
        return name if not count else f"{name}~{count + 1}"

    def flow(self) -> Flow:
        """Return what was built."""
        return Flow(
            net=Net(self.name, self.name, tuple(self.places), tuple(self.transitions)),
            file=self.file,
            words=self.words,
            waits=self.waits,
            unknown=tuple(dict.fromkeys(self.unknown)),
            children=tuple(self.children),
            asides=self.asides,
            findings=tuple(self.findings),
            notes=tuple(dict.fromkeys(self.notes)),
            again=tuple(self.again),
        )


def _counted(places: Iterable[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for place in places:
        found[place] = found.get(place, 0) + 1
    return found


def judge_flow(flow: Flow, bounds: Bounds, *, quick: bool = False) -> NetVerdict:
    """Return the verdict on a workflow, in the words of its author.

    A `quick` one leaves open what few markings do not tell.

    Where something was not understood, that nothing is wrong is not known: the
    answer is null with the reason. What is found dead is dead all the same.
    """
    seldom = sum(
        1 << number
        for number, one in enumerate(flow.net.transitions)
        if any(word in one.name for word in FAILS)
    )
    judge = Judge(flow.net, bounds, quick=quick, bounded=BOUNDED, seldom=seldom)
    verdict = judge.judge()
    deadlock, witness = verdict.deadlock, verdict.witness
    reasons = dict(verdict.reasons)
    findings = list(flow.findings)
    if flow.unknown and deadlock is not None:
        deadlock, witness = None, None
        reasons["deadlock"] = "not understood: " + "; ".join(flow.unknown[:5])
    elif deadlock and witness is not None and (why := _may_go_on(flow, witness)):
        deadlock, witness = None, None
        reasons["deadlock"] = why
    elif deadlock and witness is not None and judge.firing is not None:
        witness = told(flow, witness, judge.firing)
        findings.append(stuck(flow, witness))
    dead = never_run(flow, judge)
    findings += [_dead(flow, word) for word in dead]
    undecided = [
        word.step
        for number, word in flow.words.items()
        if number not in judge.alive and number not in judge.dead
    ]
    if undecided:
        reasons.setdefault("dead", f"not decided of {', '.join(undecided[:5])}")
    else:
        reasons.pop("dead", None)
    return msgspec.structs.replace(
        verdict,
        deadlock=deadlock,
        witness=witness,
        dead=None if undecided else [_named(word) for word in dead],
        dead_because={_named(word): word.because or "no way leads there" for word in dead},
        soundness=None,
        live=None,
        reasons=reasons,
        findings=findings,
        notes=[*verdict.notes, *flow.notes],
        names={},
    )


def _may_go_on(flow: Flow, witness: Witness) -> str:
    """Return why a dead marking may be none of the run: somebody outside can
    do more than the net has."""
    if flow.again:
        return f"whether it waits for ever depends on updates: {', '.join(flow.again[:5])}"
    if not witness.marking.keys().isdisjoint(("completed", "failed")):
        return "an update that waits when the run ends may not have been taken"
    return ""


def never_run(flow: Flow, judge: Judge) -> list[Word]:
    """Return the author's steps of which nothing can happen, in order."""
    alive = {_key(word) for number, word in flow.words.items() if number in judge.alive}
    open_ = {
        _key(word)
        for number, word in flow.words.items()
        if number not in judge.alive and number not in judge.dead
    }
    found = {
        _key(word): word
        for number, word in flow.words.items()
        if number in judge.dead and _key(word) not in alive | open_
    }
    # Where nothing after a step can fail, what undoes it is only superfluous.
    steps = {word.step for word in found.values() if word.kind != UNDO}
    found = {k: word for k, word in found.items() if word.kind != UNDO or word.step in steps}
    return sorted(found.values(), key=lambda word: word.line)


def _key(word: Word) -> tuple[str, str, int, str]:
    """Return what is one step to its author, however often it was compiled."""
    return word.kind, word.step, word.line, word.file


def _named(word: Word) -> str:
    return word.id or (f"undo {word.step}" if word.kind == UNDO else word.step)


def _dead(flow: Flow, word: Word) -> Finding:
    message = NEVER[word.kind].format(step=word.step)
    return Finding(
        code="dead",
        message=message + (f": {word.because}" if word.because else ""),
        file=word.file or flow.file,
        line=word.line,
        step=word.step,
        hint="remove it, or correct what keeps it from running",
    )


def told(flow: Flow, witness: Witness, firing: list[int]) -> Witness:
    """Return a witness with the author's steps on its way."""
    steps = []
    for number in firing:
        word = flow.words.get(number)
        if word is not None:
            place = f" ({word.file or flow.file}:{word.line})" if word.line else ""
            steps.append(f"{word.text}{place}")
        elif number in flow.asides:
            steps.append(flow.asides[number])
    return msgspec.structs.replace(witness, told=steps or ["before any step"])


def stuck(flow: Flow, witness: Witness) -> Finding:
    """Return what waits for ever in the marking of a witness."""
    index = {place.id: number for number, place in enumerate(flow.net.places)}
    waiting = [flow.waits[index[name]] for name in witness.marking if index[name] in flow.waits]
    waiting.sort(key=lambda one: one.line)
    text = "; ".join(one.text + (f" (line {one.line})" if one.line else "") for one in waiting)
    return Finding(
        code="deadlock",
        message=f"the run can wait for ever: {text or 'nothing can happen any more'}",
        file=(waiting[0].file if waiting else "") or flow.file,
        line=waiting[0].line if waiting else 0,
        step="",
        hint="break the circle, or make sure that what is waited for always comes",
    )
