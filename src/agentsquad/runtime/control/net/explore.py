"""Looking at reachable markings: all of them, or as many as deadlocks need.

Breadth first gives the shortest way to each marking; depth first with stubborn
sets finds or excludes deadlocks with few markings (Valmari; the set follows a
key transition's conflicts, and for a disabled one the producers of a place that
keeps it from firing). Every deadlock that can be reached is met by both.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator

from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.petri import Net, Packed, bits_for

LOOK = 512  # markings between two looks at the clock
WALKS_MIN = 100
SEEDS = 5  # enabled transitions tried for the smallest stubborn set


class TooManyTokensError(Exception):
    """A place holds more than a packed marking has room for."""


class Space:
    """The markings found by one search, each with the way it was found."""

    def __init__(self, packed: Packed) -> None:
        self.packed = packed
        self.order: list[int] = []
        self.parent = array("q")
        self.via = array("l")
        self.fired = 0
        self.dead: list[int] = []
        self.complete = False
        self.stopped = ""
        self.edges: list[array[int]] | None = None

    def path(self, at: int) -> list[int]:
        """Return the transitions that lead to a marking."""
        found = []
        while self.parent[at] >= 0:
            found.append(self.via[at])
            at = self.parent[at]
        return found[::-1]

    def most(self) -> tuple[int, ...]:
        """Return the greatest number of tokens of each place."""
        packed, union = self.packed, 0
        for marking in self.order:
            union |= marking
        found = list(packed.counts(union))
        mask = (1 << packed.bits) - 1
        for place, count in enumerate(found):
            if count > 1:
                shift = packed.bits * place
                found[place] = max((marking >> shift) & mask for marking in self.order)
        return tuple(found)


def widening(net: Net, search: Callable[[Packed], Space], bound: int | None = None) -> Space:
    """Search with as few bits a place as will do, again with more if not."""
    bits = bits_for(net, bound)
    while True:
        try:
            return search(Packed(net, bits))
        except TooManyTokensError:
            bits += max(2, bits // 2)


def everything(packed: Packed, bounds: Bounds, *, edges: bool = False) -> Space:
    """Return all reachable markings, breadth first, or those found in time.

    With `edges` the successors of each marking are kept, as pairs of
    transition and marking.
    """
    space = Space(packed)
    change, high, after = packed.change, packed.high, packed.after
    order, parent, via = space.order, space.parent, space.via
    index = {packed.start: 0}
    order.append(packed.start)
    parent.append(-1)
    via.append(-1)
    enabled = {0: packed.enabled(packed.start)}
    kept: list[array[int]] = []
    fired, at, most = 0, 0, bounds.states
    while at < len(order):
        marking, open_ = order[at], enabled.pop(at)
        if not open_:
            space.dead.append(at)
        fired |= open_
        rest, row = open_, array("q")
        while rest:
            low = rest & -rest
            rest ^= low
            transition = low.bit_length() - 1
            found = marking + change[transition]
            number = index.get(found)
            if number is None:
                if found & high:
                    raise TooManyTokensError
                number = len(order)
                index[found] = number
                order.append(found)
                parent.append(at)
                via.append(transition)
                enabled[number] = after(found, open_, transition)
            if edges:
                row.append(transition)
                row.append(number)
        if edges:
            kept.append(row)
        at += 1
        if at % LOOK == 0 and (len(order) > most or bounds.over()):
            space.stopped = "states" if len(order) > most else "time"
            break
    space.fired = fired
    space.complete = at == len(order)
    space.edges = kept if edges else None
    return space


class Stubborn:
    """Stubborn sets of one net: which enabled transitions are enough for
    finding every deadlock."""

    def __init__(self, packed: Packed) -> None:
        net, bits = packed.net, packed.bits
        self.mask = (1 << bits) - 1
        effects = [one.effect() for one in net.transitions]
        self.makers = [0] * len(net.places)
        for number, effect in enumerate(effects):
            for place, by in effect.items():
                if by > 0:
                    self.makers[place] |= 1 << number
        self.conflicts: list[int] = []
        for number, one in enumerate(net.transitions):
            found = 1 << number
            for place in one.takes:
                mine = effects[number].get(place, 0) < 0
                for other in packed.consumers[place]:
                    if mine or effects[other].get(place, 0) < 0:
                        found |= 1 << other
            self.conflicts.append(found)
        self.free = sum(1 << t for t, found in enumerate(self.conflicts) if found == 1 << t)
        # For each transition its input places: where, how many, who could help.
        self.lacks = [
            [(bits * place, weight, self.makers[place]) for place, weight in one.takes.items()]
            for one in net.transitions
        ]

    def choose(self, marking: int, enabled: int) -> int:
        """Return the enabled transitions of a small stubborn set."""
        free = enabled & self.free
        if free:
            return free & -free
        if not enabled & (enabled - 1):
            return enabled
        best, size, rest = enabled, enabled.bit_count(), enabled
        for _ in range(SEEDS):
            low = rest & -rest
            found = self._closed(low, marking, enabled) & enabled
            count = found.bit_count()
            if count < size:
                best, size = found, count
                if count == 1:
                    break
            rest &= ~low
            if not rest:
                break
        return best

    def _closed(self, begin: int, marking: int, enabled: int) -> int:
        chosen = work = begin
        mask, lacks, conflicts = self.mask, self.lacks, self.conflicts
        while work:
            low = work & -work
            work ^= low
            transition = low.bit_length() - 1
            if low & enabled:
                more = conflicts[transition] & ~chosen
            else:
                more, least = 0, 1 << 60
                for shift, weight, makers in lacks[transition]:
                    if (marking >> shift) & mask < weight:
                        helpers = makers & ~chosen
                        count = helpers.bit_count() + 4 * (helpers & enabled).bit_count()
                        if count < least:
                            more, least = helpers, count
                            if not count:
                                break
            chosen |= more
            work |= more
            if enabled & ~chosen == 0:
                return enabled
        return chosen


def deadlock(packed: Packed, bounds: Bounds, *, deep: bool = True) -> Space:
    """Search for a dead marking with stubborn sets; stop at the first.

    Depth first (`deep`) finds one sooner in a finite space, breadth first finds
    one for certain in an infinite one. `complete` without `dead`: there is
    none.
    """
    space = Space(packed)
    stubborn = Stubborn(packed)
    order, parent, via = space.order, space.parent, space.via
    order.append(packed.start)
    parent.append(-1)
    via.append(-1)
    seen = {packed.start}
    waiting = [(0, packed.enabled(packed.start))]
    steps = _taken(waiting, deep)
    for turn, (at, enabled) in enumerate(steps, 1):
        if turn % LOOK == 0 and (len(order) > bounds.states or bounds.over()):
            space.stopped = "states" if len(order) > bounds.states else "time"
            return space
        space.fired |= enabled
        if not enabled:
            space.dead.append(at)
            return space
        marking = order[at]
        rest = stubborn.choose(marking, enabled)
        begun = len(waiting)
        while rest:
            low = rest & -rest
            rest ^= low
            transition = low.bit_length() - 1
            found = marking + packed.change[transition]
            if found in seen:
                continue
            if found & packed.high:
                raise TooManyTokensError
            seen.add(found)
            waiting.append((len(order), packed.after(found, enabled, transition)))
            order.append(found)
            parent.append(at)
            via.append(transition)
        if deep and len(waiting) > begun + 1:  # where least can happen goes first
            waiting[begun:] = sorted(waiting[begun:], key=_enabled, reverse=True)
    space.complete = True
    return space


def _enabled(one: tuple[int, int]) -> int:
    return one[1].bit_count()


def _taken(waiting: list[tuple[int, int]], deep: bool) -> Iterator[tuple[int, int]]:
    """Yield what waits, newest or oldest first, while more is added."""
    if deep:
        while waiting:
            yield waiting.pop()
    at = 0
    while at < len(waiting):
        yield waiting[at]
        waiting[at] = (0, 0)
        at += 1


def walk(packed: Packed, bounds: Bounds, wanted: int, seldom: int = 0) -> int:
    """Return which transitions a few long walks fired; `wanted` go first, and
    on every other walk `seldom` only where nothing else can.

    Walks choose by a fixed sequence of numbers, so a check says the same each
    time as far as its time allows.
    """
    fired, draw, steps = 0, 1, 0
    while wanted & ~fired and not bounds.over():
        marking = packed.start
        enabled = packed.enabled(marking)
        for _ in range(4096):
            if not enabled:
                break
            fired |= enabled
            fresh = enabled & wanted & ~fired
            draw = (draw * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
            open_ = fresh or (enabled & ~seldom if steps % 2 == 0 else 0) or enabled
            low = _nth(open_, (draw >> 33) % open_.bit_count())
            transition = low.bit_length() - 1
            marking += packed.change[transition]
            if marking & packed.high:
                break
            enabled = packed.after(marking, enabled, transition)
        steps += 1
        if steps > max(WALKS_MIN, bounds.states // 4096):
            break
    return fired


def _nth(bits: int, number: int) -> int:
    for _ in range(number):
        bits &= bits - 1
    return bits & -bits
