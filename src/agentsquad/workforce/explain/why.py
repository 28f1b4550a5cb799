"""Why: drive a run again and again, each time with one thing different.

A step is a cause when some change of what it gave changes the answer; the flip
is the smallest change of the run's input that does. Both are forks, so no
effect can leave, and nothing is stated that was not re-run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.event import Event
from agentsquad.runtime.determinism.contract import Change, Fork
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.determinism.past import Past
from agentsquad.runtime.determinism.replay import incomplete
from agentsquad.runtime.engine.door import World
from agentsquad.workforce.explain.candidates import (
    Candidate,
    as_number,
    candidates,
    distance,
    like,
    perturbations,
    step,
)
from agentsquad.workforce.explain.contract import (
    ByHand,
    Cause,
    Counterfactual,
    UnexplainableError,
    Why,
)
from agentsquad.workforce.explain.verdict import reasons, verdict

FORKS = 400  # most re-runs for one question
WORDS = {
    "retry": "step {} was tried again",
    "patch": "step {} was tried again with another input",
    "skip": "step {} was passed over",
    "fail": "step {} was given up",
    "compensate": "it was undone",
}
SHRINKS = 40  # re-runs spent on making one flip smaller


class Inquiry:
    """One question about one run."""

    def __init__(
        self,
        world: World,
        past: Past,
        document: str | None,
        tell: Callable[[str, int, int], None] = lambda text, done, total: None,
    ) -> None:
        self._world = world
        self._past = past
        self._document = document
        self._tell = tell
        self.checked = 0
        self.exhausted = False
        self.verdict = verdict(past.status, past.output, past.error, document)

    async def answer(self) -> Why:
        """Find the causes and the smallest flip."""
        gone = incomplete(self._past.events)
        if gone is not None:
            raise UnexplainableError(f"run {self._past.run} cannot be explained: {gone[1]}")
        if self.verdict.startswith("sha256:"):
            return self._too_much()
        causes = await self._causes()
        flips = await self._flips()
        return Why(
            answer=self._line(causes, flips),
            run=self._past.run,
            document=self._document,
            verdict=self.verdict,
            causes=causes,
            flip=flips[0] if flips else None,
            others=flips[1:3],
            checked=self.checked,
            exhausted=self.exhausted,
            by_hand=by_hand(self._past),
        )

    def _too_much(self) -> Why:
        """Answer for a run whose result is no single decision."""
        return Why(
            answer=f"run {self._past.run} came to a result of many parts: ask about one of the "
            "documents or child runs in it (squad runs list --all).",
            run=self._past.run,
            document=self._document,
            verdict="many",
            causes=[],
            flip=None,
            others=[],
            checked=0,
            exhausted=False,
            by_hand=by_hand(self._past),
        )

    async def _try(self, changes: list[Change], at: str | None = None) -> tuple[str, Fork] | None:
        """Re-run with changes; None when the run cannot be driven that way."""
        self.checked += 1
        self._tell("re-running", self.checked, FORKS)
        try:
            fork = await Forker(self._world, free=True).fork_past(self._past, changes, at)
        except SquadError:
            return None
        if fork.status != "completed" and self._past.status == "completed":
            return None
        return verdict(fork.status, fork.output, fork.error, self._document), fork

    async def _causes(self) -> list[Cause]:
        found = []
        for position, event in sorted(self._past.resolved.items(), key=lambda p: p[1].seq):
            output = event.payload.get("output")
            if event.type not in ("step.completed", "effect.confirmed") or output is None:
                continue
            shown = await self._matters(position, output)
            if shown is not None:
                found.append(_cause(event, position, shown, self._document))
        return found

    async def _matters(self, position: str, output: Any) -> Candidate | None:
        for one in perturbations(output):
            if self.checked >= FORKS // 2:
                self.exhausted = True
                return None
            change = Change(path=one.path.removeprefix("/"), value=one.value)
            came = await self._try([change], at=position)
            if came is not None and came[0] != self.verdict:
                return one
        return None

    async def _flips(self) -> list[Counterfactual]:
        found: list[tuple[float, Counterfactual]] = []
        changed: set[str] = set()
        for one in candidates(self._past.input, [self._document]):
            if self.checked >= FORKS:
                self.exhausted = True
                break
            if one.path in changed or (len(found) >= 3 and one.size > 1.6):
                continue
            came = await self._try([_on_input(one)])
            if came is None or came[0] == self.verdict:
                continue
            changed.add(one.path)
            smallest, then, fork = await self._shrunk(one, *came)
            found.append((smallest.size, _counterfactual(smallest, then, fork)))
        found.sort(key=lambda pair: pair[0])
        return [one for _, one in found]

    async def _shrunk(self, one: Candidate, then: str, fork: Fork) -> tuple[Candidate, str, Fork]:
        """Move a number that flips as near to what it was as still flips."""
        was, flips = as_number(one.was), as_number(one.value)
        best = (one, then, fork)
        if was is None or flips is None:
            return best
        same, unit = was, step(one.was, one.value)
        for _ in range(SHRINKS):
            middle = same + ((flips - same) / 2 / unit).to_integral_value() * unit
            if middle in (same, flips):
                break
            nearer = Candidate(
                path=one.path,
                was=one.was,
                value=like(one.value, middle),
                size=distance(was, middle),
            )
            came = await self._try([_on_input(nearer)])
            if came is not None and came[0] != self.verdict:
                flips, best = middle, (nearer, *came)
            else:
                same = middle
        return best

    def _line(self, causes: list[Cause], flips: list[Counterfactual]) -> str:
        subject = self._document or f"run {self._past.run}"
        said = reasons(self._past.output, self._document) or [
            cause.because for cause in causes if cause.because
        ]
        if not said and isinstance(self._past.error, dict):
            said = [str(self._past.error.get("message"))]
        text = f"{subject}: {self.verdict}"
        if said:
            text += f", because {'; '.join(said[:3])}"
        hands = by_hand(self._past)
        if hands:
            first = hands[0]
            text += (
                f"; {WORDS[first.means].format(first.step)} by hand ({first.by}: {first.reason})"
            )
        if flips:
            text += f". With {flips[0].text} it would have been {flips[0].then}"
        return text + "."


def by_hand(past: Past) -> list[ByHand]:
    """Return what people did to a run and the runs below it, in order."""
    found = [
        ByHand(
            event=event.seq,
            run=past.run,
            step=event.payload.get("position", ""),
            means=event.payload["means"],
            by=event.payload["by"],
            approver=event.payload["approver"],
            reason=event.payload["reason"],
        )
        for event in past.made
    ]
    for child in past.children.values():
        found += by_hand(child)
    return sorted(found, key=lambda one: one.event)


def _on_input(one: Candidate) -> Change:
    return Change(path=f"input{one.path}", value=one.value)


def _counterfactual(one: Candidate, then: str, fork: Fork) -> Counterfactual:
    was, needed = one.was, one.value
    text = f"{one.path} = {_shown(one.path, needed)} instead of {_shown(one.path, was)}"
    if isinstance(was, list):
        gone = next((i for i, item in enumerate(was) if i >= len(needed) or item != needed[i]), 0)
        text = f"{one.path} without its element {gone}"
        was, needed = f"{len(one.was)} elements", f"without element {gone}"
    return Counterfactual(
        path=f"input{one.path}", was=was, needed=needed, then=then, money=fork.money, text=text
    )


def _shown(path: str, value: Any) -> str:
    if path.endswith("/micros") and isinstance(value, int):
        from agentsquad.kernel.money import Money

        return Money(value, "USD").decimal()
    return repr(value) if isinstance(value, str) else str(value)


def _cause(event: Event, position: str, shown: Candidate, document: str | None) -> Cause:
    body = event.payload
    said = reasons(body.get("output"), document)
    return Cause(
        event=event.seq,
        position=position,
        name=body.get("name") or body.get("action") or body.get("workflow") or "",
        because="; ".join(said[:2]),
        shown_by=f"{shown.path or '/'} = {_shown(shown.path, shown.value)[:40]}",
    )
