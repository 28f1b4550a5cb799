"""Explanation: an order in which everything happened, or the first operation
that none can have.

An order is found by doing again what the search chose. A failure is narrowed
down to the shortest beginning of the history that is not linearizable: it ends
with the return of one operation, and the values that this one could have met
are found by asking, for each value there is, whether a read of it would have
been possible in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from agentsquad.operations.consistency.contract import (
    Explanation,
    Operation,
    Order,
    Placed,
    Scalar,
)
from agentsquad.operations.consistency.lane import READS, Lane
from agentsquad.operations.consistency.outlook import Choice
from agentsquad.operations.consistency.search import Search

VALUES_MAX = 200  # that are tried as what might have been returned
LAST = 8  # operations shown of the order before the failure
STEPS = 1_000_000  # of one search for the explanation


class Bounded(Protocol):
    """Runs searches within bounds (`verdict.Bounds`)."""

    def run(self, search: Search, steps_max: int) -> bool | None:
        """Search further; None when a bound was reached."""
        ...


def order_of(key: Scalar | None, search: Search) -> Order:
    """Return the order a search that succeeded has found."""
    replay = _Replay(search.lane)
    for choice in search.path():
        replay.advance()
        replay.take(choice)
    replay.advance()
    return Order(key=key, operations=replay.placed)


class _Replay:
    """Does again what a search chose, and notes when observers are served."""

    def __init__(self, lane: Lane) -> None:
        self.placed: list[Placed] = []
        self._lane = lane
        self._at = 0
        self._state = lane.initial
        self._done: set[int] = set()
        self._waiting: dict[int, int] = {}
        self._spare: dict[int, list[int]] = {}
        for number in range(len(lane.calls) - 1, -1, -1):
            if lane.open[number]:
                self._spare.setdefault(lane.kind[number], []).append(number)

    def advance(self) -> None:
        """Go on to the first return of what has not taken effect."""
        lane = self._lane
        while self._at < len(lane.events):
            number, returns = lane.events[self._at]
            kind = lane.kinds[lane.kind[number]]
            if returns and number not in self._done:
                return
            if not returns and kind.observer and not lane.open[number]:
                self._waiting[number] = kind.need
                self._serve()
            self._at += 1

    def take(self, choice: Choice) -> None:
        """Let one operation take effect, after those it hides."""
        lane = self._lane
        for other in choice.served:
            self._put(other, lane.step(lane.kind[other], self._state))
        number = choice.number if choice.number >= 0 else self._spare[choice.kind].pop()
        self._put(number, choice.state)

    def _put(self, number: int, state: int) -> None:
        self._state = state
        self._note(number)
        self._serve()

    def _serve(self) -> None:
        for number, need in list(self._waiting.items()):
            if need == self._state:
                del self._waiting[number]
                self._note(number)

    def _note(self, number: int) -> None:
        one = self._lane.calls[number]
        self._done.add(number)
        self.placed.append(
            Placed(
                line=one.line,
                process=one.process,
                f=one.f,
                value=one.value,
                after=self._lane.values[self._state],
            )
        )


def explain(
    model: str, operations: Sequence[Operation], failed: Search, bounds: Bounded
) -> Explanation:
    """Say why the operations on one key, which a search failed to order, cannot
    be ordered."""
    lane = failed.lane
    ends = [lane.calls[number].end or 0 for number, returns in lane.events if returns]
    passed = sum(returns for _, returns in lane.events[: failed.farthest])
    first, exact = _first_failure(model, operations, ends, passed, bounds)
    culprit = next(one for one in operations if one.end == ends[first])
    without = Search(Lane(model, operations, cut=ends[first]))
    before = []
    if bounds.run(without, STEPS):
        before = order_of(culprit.key, without).operations
    possible, possible_all = _possible(model, operations, culprit, before, bounds)
    return Explanation(
        key=culprit.key,
        because=_because(culprit, operations, possible, possible_all),
        operation=culprit,
        placed=first,
        possible=possible,
        possible_all=possible_all,
        concurrent=[one for one in operations if one is not culprit and _overlap(one, culprit)],
        before=before[-LAST:],
        exact=exact,
    )


def _first_failure(
    model: str, operations: Sequence[Operation], ends: list[int], passed: int, bounds: Bounded
) -> tuple[int, bool]:
    """Return which return is the first that cannot be ordered, and whether that
    is certain.

    Before the `passed`-th the search has found orders; beginnings get longer
    from there until one fails, then the place is halved down.
    """
    low, high, width, exact = passed, len(ends) - 1, 1, True
    while low < high:
        middle = min(low + width - 1, (low + high) // 2)
        found = bounds.run(Search(Lane(model, operations, cut=ends[middle] + 1)), STEPS)
        if found is False:
            high = middle
        else:
            exact = exact and found is not None
            low, width = middle + 1, width * 2
    return high, exact


def _possible(
    model: str,
    operations: Sequence[Operation],
    culprit: Operation,
    before: Sequence[Placed],
    bounds: Bounded,
) -> tuple[list[Any], bool]:
    """Return the values that a read in the place of an operation could have
    returned, and whether these are all."""
    assert culprit.end is not None
    lane = Lane(model, operations, cut=culprit.end)
    example = [before[-1].after if before else lane.values[lane.initial]]
    states = {lane.initial, *(kind.target for kind in lane.kinds if kind.target >= 0)}
    if lane.appends or len(states) > VALUES_MAX:
        return example, False
    read = "get" if model == "kv" else "read"
    found = []
    for state in sorted(states):
        value = lane.values[state]
        instead = [
            msgspec.structs.replace(one, f=read, value=value) if one is culprit else one
            for one in operations
        ]
        known = bounds.run(Search(Lane(model, instead, cut=culprit.end + 1)), STEPS)
        if known is None:
            return example, False
        if known:
            found.append(value)
    return found, True


def _because(
    culprit: Operation, operations: Sequence[Operation], possible: list[Any], possible_all: bool
) -> str:
    did = f"read {shown(culprit.value)}"
    wanted = culprit.value
    if culprit.f not in READS:
        wanted, after = culprit.value
        did = f"changed {shown(wanted)} to {shown(after)}"
    where = "" if culprit.key is None else f" from key {shown(culprit.key)}"
    could = " or ".join(sorted(map(shown, possible)))
    because = (
        f"process {culprit.process} {did}{where} (lines {culprit.line} to {culprit.line_end}), "
    )
    if not possible_all:
        return because + f"which no order explains; the value could have been {could}"
    if wanted in possible:
        return because + (
            f"which no order explains: the value could be {could}, but what returned by then "
            "leaves no room for the change"
        )
    because += f"but by then the value could only be {could}"
    written = any(_writes(one, wanted) for one in operations if one.begin < (culprit.end or 0))
    if not written and wanted not in (None, ""):
        because += f": nothing had written {shown(wanted)}"
    return because


def _writes(one: Operation, value: Any) -> bool:
    if one.f == "cas":
        return bool(one.value[1] == value)
    return one.f not in READS and bool(one.value == value)


def _overlap(one: Operation, other: Operation) -> bool:
    assert other.end is not None
    return one.begin < other.end and (one.end is None or one.end > other.begin)


def shown(value: Any) -> str:
    """Return a value as it is written in JSON, long ones cut in the middle."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:28]}…{text[-28:]}"
