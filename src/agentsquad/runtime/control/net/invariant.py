"""Weights of places under which no firing gains: a proof of bounds.

If y ≥ 0 and y·C ≤ 0 then y·m never rises above y·m0, so each place with a
positive weight holds at most y·m0 / y(p) tokens. Found by Farkas' elimination,
which here only has to remove gains; sums that say nothing new are dropped.
"""

from __future__ import annotations

from math import gcd

from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.petri import Net

ROWS_MAX = 4000
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

    All minimal ones if the elimination stays small; else those found.
    """
    effects: dict[frozenset[tuple[int, int]], dict[int, int]] = {}
    for one in net.transitions:
        effect = one.effect()
        if effect:
            effects.setdefault(frozenset(effect.items()), effect)
    rows: list[Row] = [({}, {place: 1}) for place in range(len(net.places))]
    for number, effect in enumerate(effects.values()):
        for place, by in effect.items():
            rows[place][0][number] = by
    columns = set(range(len(effects)))
    while columns:
        counts: dict[int, list[int]] = {}
        for change, _ in rows:
            for column, by in change.items():
                counts.setdefault(column, [0, 0])[by > 0] += 1
        open_ = [column for column in columns if counts.get(column, (0, 0))[1]]
        if not open_:
            break
        column = min(open_, key=lambda c: (counts[c][0] * counts[c][1] - counts[c][1], c))
        columns.discard(column)
        rows = _without(rows, column)
        if len(rows) > ROWS_MAX or bounds.over():
            # Weights of rows that gain nowhere are proofs already.
            return [weights for change, weights in rows if all(by <= 0 for by in change.values())]
        columns |= {c for change, _ in rows for c, by in change.items() if by > 0}
    return [weights for _, weights in rows]


def _without(rows: list[Row], column: int) -> list[Row]:
    """Replace rows that gain in a column by sums in which it is gone."""
    gains = [row for row in rows if row[0].get(column, 0) > 0]
    losses = [row for row in rows if row[0].get(column, 0) < 0]
    kept = [row for row in rows if row[0].get(column, 0) <= 0]
    made: list[Row] = []
    seen = {frozenset(weights.items()) for _, weights in kept}
    for gain in gains:
        for loss in losses:
            up, down = gain[0][column], -loss[0][column]
            shared = gcd(up, down)
            row = _sum(gain, down // shared, loss, up // shared)
            key = frozenset(row[1].items())
            if key not in seen:
                seen.add(key)
                made.append(row)
            if len(made) > 4 * ROWS_MAX:
                return kept + _minimal(made)
    return kept + _minimal(made)


def _minimal(rows: list[Row]) -> list[Row]:
    """Return the rows whose places do not include those of another with no
    more gains."""
    rows = sorted(rows, key=lambda row: len(row[1]))
    if len(rows) > 1500:
        return rows
    found: list[tuple[frozenset[int], frozenset[int], Row]] = []
    for row in rows:
        places = frozenset(row[1])
        gains = frozenset(column for column, by in row[0].items() if by > 0)
        if not any(inner <= places and less <= gains for inner, less, _ in found):
            found.append((places, gains, row))
    return [row for _, _, row in found]


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
