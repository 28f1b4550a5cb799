"""Weights of places under which no firing gains: a proof of bounds.

If y ≥ 0 and y·C ≤ 0 then y·m never rises above y·m0, so each place with a
positive weight holds at most y·m0 / y(p) tokens. Found by Farkas' elimination,
which here only has to remove gains; sums that say nothing new are dropped.
"""

from __future__ import annotations

import heapq
from math import gcd

from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.petri import Net

Mark = int | tuple[int, bool]
SUMS_MAX = 6000  # sums made for one column
WORK_MAX = 40_000  # sums made in all
COMPARED_MAX = 1200
Row = tuple[dict[int, int], dict[int, int]]  # change by transition, weight by place


def structural_bounds(net: Net, bounds: Bounds) -> list[int | None]:
    """Return for each place the best bound proven by weights, or None."""
    start = net.start
    best: list[int | None] = [None] * len(start)
    for weights in gainless(net, bounds):
        total = sum(weight * start[place] for place, weight in weights.items())
        for place, weight in weights.items():
            bound, known = total // weight, best[place]
            if known is None or bound < known:
                best[place] = bound
    return best


def gainless(net: Net, bounds: Bounds) -> list[dict[int, int]]:
    """Return weights of places under which no transition gains.

    Enough to bound whatever weights can bound as long as the elimination stays
    small; where it grows, sums over the fewest places are kept.
    """
    table = _Table(net)
    while not bounds.over() and table.sums < WORK_MAX:
        column = table.next()
        if column is None:
            break
        table.eliminate(column)
    # A row that still gains somewhere proves nothing.
    return [row[1] for row in table.rows.values() if all(by <= 0 for by in row[0].values())]


class _Table:
    """Rows of the elimination, found by the columns they gain or lose in."""

    def __init__(self, net: Net) -> None:
        effects: dict[frozenset[tuple[int, int]], dict[int, int]] = {}
        for one in net.transitions:
            effect = one.effect()
            effects.setdefault(frozenset(effect.items()), effect)
        changes: list[dict[int, int]] = [{} for _ in net.places]
        for number, effect in enumerate(effects.values()):
            for place, by in effect.items():
                changes[place][number] = by
        self.rows: dict[int, Row] = {}
        self.gains: list[set[int]] = [set() for _ in effects]
        self.losses: list[set[int]] = [set() for _ in effects]
        self.known: set[frozenset[Mark]] = set()
        self.queue: list[tuple[int, int]] = []
        self.following = 0
        self.queued = False
        self.sums = 0
        for place, change in enumerate(changes):
            self._add((change, {place: 1}))
        self.queue = [(self._cost(column), column) for column in range(len(effects))]
        heapq.heapify(self.queue)
        self.queued = True

    def _cost(self, column: int) -> int:
        gains, losses = len(self.gains[column]), len(self.losses[column])
        return gains * losses - gains

    def next(self) -> int | None:
        """Return the column in which gains are removed with fewest sums."""
        while self.queue:
            cost, column = heapq.heappop(self.queue)
            if not self.gains[column]:
                continue
            now = self._cost(column)
            if now <= cost or not self.queue or now <= self.queue[0][0]:
                return column
            heapq.heappush(self.queue, (now, column))
        return None

    def eliminate(self, column: int) -> None:
        """Replace rows that gain in a column by sums in which it is gone."""
        gains = [self.rows[row] for row in sorted(self.gains[column])]
        losses = [self.rows[row] for row in sorted(self.losses[column])]
        for number in list(self.gains[column]):
            self._remove(number)
        if len(losses) * len(gains) > SUMS_MAX:
            losses.sort(key=lambda row: len(row[1]))
            losses = losses[: max(1, SUMS_MAX // len(gains))]
        made: list[Row] = []
        for gain in gains:
            for loss in losses:
                up, down = gain[0][column], -loss[0][column]
                shared = gcd(up, down)
                made.append(_sum(gain, down // shared, loss, up // shared))
        self.sums += len(made)
        for row in _minimal(made):
            marks = _marks(row)
            if marks not in self.known:
                self.known.add(marks)
                self._add(row)

    def _add(self, row: Row) -> None:
        number = self.following
        self.following += 1
        self.rows[number] = row
        for column, by in row[0].items():
            (self.gains if by > 0 else self.losses)[column].add(number)
            if by > 0 and self.queued:
                heapq.heappush(self.queue, (self._cost(column), column))

    def _remove(self, number: int) -> None:
        for column, by in self.rows.pop(number)[0].items():
            (self.gains if by > 0 else self.losses)[column].discard(number)


def _minimal(rows: list[Row]) -> list[Row]:
    """Return the rows that no other is inside of, in places, gains and losses:
    the others are sums of them."""
    rows = sorted(rows, key=lambda row: len(row[1]) + len(row[0]))
    if len(rows) == 1 or len(rows) > COMPARED_MAX:
        return rows[:COMPARED_MAX]
    found: list[tuple[frozenset[Mark], Row]] = []
    for row in rows:
        marks = _marks(row)
        if not any(inner <= marks for inner, _ in found):
            found.append((marks, row))
    return [row for _, row in found]


def _marks(row: Row) -> frozenset[Mark]:
    """Return what a row has: its places, and the columns it changes in."""
    return frozenset([*row[1], *((column, by > 0) for column, by in row[0].items())])


def _sum(one: Row, times: int, other: Row, by: int) -> Row:
    change, weights = (
        {
            key: value
            for key in {*first, *second}
            if (value := first.get(key, 0) * times + second.get(key, 0) * by)
        }
        for first, second in zip(one, other, strict=True)
    )
    shared = gcd(*weights.values(), *change.values())
    if shared > 1:
        change = {key: value // shared for key, value in change.items()}
        weights = {key: value // shared for key, value in weights.items()}
    return change, weights
