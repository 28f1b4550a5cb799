"""Features: two lists of runs as columns that can be compared.

Which columns there are, and what is too rare, too varied or a mere counter, is
judged from both lists as one, so that it cannot favour either.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import msgspec

from agentsquad.insight.drift.contingency import fold_rare
from agentsquad.insight.drift.population import UNPRICED, Key, Observation

CLASSES = ("outcome", "decision", "tool", "cost", "tokens", "latency", "waiting")
INPUT = "input"
WORDS_MAX = 12
COLUMNS_MAX = 60
CLOCKED = ("latency", "waiting")  # those of one root run share a machine and an hour
NOTHING = "none"


class Column(msgspec.Struct, kw_only=True):
    """One feature: its values in the old and in the new runs.

    `words` or numbers. `clustered`: one value for each root run.
    """

    kind: str
    name: str
    old: list[float] | list[str]
    new: list[float] | list[str]
    words: bool
    clustered: bool = False


def columns(
    old: Sequence[Observation], new: Sequence[Observation], kinds: Sequence[str] = CLASSES
) -> list[Column]:
    """Return what can be compared, in a fixed order."""
    both = [*old, *new]
    keys = sorted({key for one in both for key in (*one.numbers, *one.words)})
    found: list[Column] = []
    for kind in kinds:
        made = [_column(key, old, new) for key in keys if key[0] == kind]
        varied = _different([one for one in made if one is not None])
        found += sorted(varied, key=lambda c: (_variety(c), c.name))[:COLUMNS_MAX]
    return found


def _different(found: Sequence[Column]) -> list[Column]:
    """Return columns without those that say the same of every run as an earlier
    one in other words; testing it twice would only cost."""
    seen: set[tuple[bool, tuple[int, ...]]] = set()
    kept = []
    for one in found:
        values = [*one.old, *one.new]
        order = {} if one.words else {value: i for i, value in enumerate(sorted(set(values)))}
        shape = tuple(order.setdefault(value, len(order)) for value in values)
        if (one.words, shape) not in seen:
            seen.add((one.words, shape))
            kept.append(one)
    return kept


def _variety(column: Column) -> int:
    return len({*column.old, *column.new}) if column.words else 0


def _column(key: Key, old: Sequence[Observation], new: Sequence[Observation]) -> Column | None:
    kind, name = key
    if any(key in one.words for one in (*old, *new)):
        first, second = ([word(one, key) for one in side] for side in (old, new))
        together = [*first, *second]
        distinct = len(set(together))
        if distinct < 2 or (distinct > WORDS_MAX and distinct > len(together) / 4):
            return None
        first, second = fold_rare(first, second, WORDS_MAX)
        return Column(kind=kind, name=name, old=first, new=second, words=True)
    if kind in CLOCKED:
        one, other = _by_root(key, old), _by_root(key, new)
    else:
        one, other = ([number(run, key) for run in side if _known(run, key)] for side in (old, new))
        if kind in ("outcome", INPUT) and counts_up([*one, *other]):
            return None
    if len({*one, *other}) < 2:
        return None
    return Column(kind=kind, name=name, old=one, new=other, words=False, clustered=kind in CLOCKED)


def word(one: Observation, key: Key) -> str:
    """Return the words of a run for a feature as one category."""
    said = one.words.get(key)
    return " + ".join(sorted(set(said))) if said else NOTHING


def number(one: Observation, key: Key) -> float:
    """Return the number of a run for a feature; what was not counted is
    nothing."""
    return one.numbers.get(key, 0.0)


def _known(one: Observation, key: Key) -> bool:
    """Whether a number says what it seems to: a cost with a part of unknown
    price is unknown, not small."""
    return key[0] != "cost" or key[1] == UNPRICED or ("cost", UNPRICED) not in one.numbers


def _by_root(key: Key, side: Sequence[Observation]) -> list[float]:
    roots: dict[str, list[float]] = {}
    for one in side:
        if key in one.numbers:
            roots.setdefault(one.root, []).append(one.numbers[key])
    return [median(values) for values in roots.values()]


def counts_up(values: Sequence[float]) -> bool:
    """Whether values in the order of their runs are a counter or a clock, which
    differ in any two windows."""
    steps = [b - a for a, b in pairwise(values)]
    rising = sum(step > 0 for step in steps)
    return len(steps) >= 10 and (rising >= 0.95 * len(steps))
