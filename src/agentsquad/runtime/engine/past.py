"""Past: how far each branch of a run went, without what came of it.

So that an event that tells of a step a second time is known from one that the
code never asked for, although of a finished step nothing is kept. Members of a
group that went equally far are one entry, so a hundred thousand of them take no
more room than one.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

# (number of a step, the group that stands there or None: no result belongs)
Marks = list[tuple[int, "Closed | None"]]
# (steps taken, the marks among them)
Shape = tuple[int, tuple[tuple[int, Any], ...]]


class Closed:
    """The members of a group that have ended: how far each of them went."""

    __slots__ = ("_early", "_low", "_runs")

    def __init__(self) -> None:
        self._low = 0  # all below have ended
        self._runs: list[tuple[int, Shape]] = []  # from this member on, this far
        self._early: dict[int, Shape] = {}

    def add(self, index: int, shape: Shape) -> None:
        """Note the end of a member."""
        if index != self._low:
            self._early[index] = shape
            return
        found: Shape | None = shape
        while found is not None:
            if not self._runs or self._runs[-1][1] != found:
                self._runs.append((self._low, found))
            self._low += 1
            found = self._early.pop(self._low, None)

    def get(self, index: int) -> Shape | None:
        """Return how far a member went; None if it has not ended."""
        if index >= self._low:
            return self._early.get(index)
        return self._runs[bisect_right(self._runs, index, key=lambda run: run[0]) - 1][1]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Closed)
            and self._low == other._low
            and self._early == other._early
            and self._runs == other._runs
        )

    def __hash__(self) -> int:
        return hash(self._low)


def frozen(marks: Marks | None) -> tuple[tuple[int, Any], ...]:
    """Return marks that change no more."""
    return tuple(marks) if marks else ()


def marked(marks: Marks | tuple[tuple[int, Any], ...] | None, number: int) -> tuple[bool, Any]:
    """Return whether a step is marked, and the group that stands there."""
    if not marks:
        return False, None
    at = bisect_right(marks, number, key=lambda mark: mark[0]) - 1
    if at < 0 or marks[at][0] != number:
        return False, None
    return True, marks[at][1]
