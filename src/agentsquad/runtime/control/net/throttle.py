"""Excluding deadlocks where markings are without number.

Counts from a cap on stand for "that many or more"; taking from such a place may
leave it at the cap or below. Whatever the net can do, this finite picture can
do too, so if it has no dead marking the net has none. It proves nothing else.
"""

from __future__ import annotations

from itertools import product

from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.petri import Net

PICTURES_MAX = 60_000


def always_enabled(net: Net, bounds: Bounds) -> bool:
    """Return whether some cap shows that something is always enabled."""
    heaviest = max((w for one in net.transitions for w in one.takes.values()), default=1)
    for cap in (heaviest, heaviest + 1, 2 * heaviest + 2):
        if bounds.over():
            return False
        found = _none_dead(net, cap, bounds)
        if found:
            return True
    return False


def _none_dead(net: Net, cap: int, bounds: Bounds) -> bool:
    moves = [(tuple(one.takes.items()), tuple(one.effect().items())) for one in net.transitions]
    start = tuple(min(count, cap) for count in net.start)
    seen = {start}
    waiting = [start]
    while waiting:
        marking = waiting.pop()
        enabled = False
        for takes, effect in moves:
            if any(marking[place] < weight for place, weight in takes):
                continue
            enabled = True
            choices: list[tuple[int, tuple[int, ...]]] = []
            for place, by in effect:
                count = marking[place]
                if count < cap or by > 0:
                    choices.append((place, (min(count + by, cap),)))
                else:
                    choices.append((place, tuple(range(max(0, cap + by), cap + 1))))
            for picked in product(*(values for _, values in choices)):
                after = list(marking)
                for (place, _), value in zip(choices, picked, strict=True):
                    after[place] = value
                found = tuple(after)
                if found not in seen:
                    seen.add(found)
                    waiting.append(found)
        if not enabled or len(seen) > PICTURES_MAX or bounds.over():
            return False
    return True
