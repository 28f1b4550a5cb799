"""Coverability: which places can hold any number of tokens, and how.

Karp and Miller's acceleration over a set of maximal markings with ω (Valmari
and Hansen): a marking covered by a kept one is dropped, and acceleration looks
back along the whole way. What stays covers all that is reachable, and each of
it is a limit of reachable markings, so bounds and dead transitions are exact.
"""

from __future__ import annotations

from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.contract import Pump, Stage
from agentsquad.runtime.control.net.explore import TooManyTokensError
from agentsquad.runtime.control.net.petri import Net, Packed, bits_for, members


class Cover:
    """The maximal markings with ω, and how each ω came to be.

    A marking is packed; a place with ω holds the greatest number there is.
    """

    def __init__(self, net: Net, bits: int) -> None:
        self.net = net
        self.packed = Packed(net, bits)
        self.complete = False
        self.stopped = ""
        self.markings: list[int] = []
        self.omegas: list[int] = []
        self.parent: list[int] = []
        self.via: list[int] = []
        self.kept: dict[int, int] = {}
        self.fired = 0
        # (places, node pumped at, transitions of the loop)
        self.pumps: list[tuple[list[int], int, list[int]]] = []
        self._ones = self.packed.high >> (bits - 1)
        self._full = self.packed.high - self._ones
        self._seen: set[int] = set()

    @property
    def unbounded(self) -> list[int]:
        """Places with ω anywhere."""
        return sorted({place for places, _, _ in self.pumps for place in places})

    def path(self, at: int) -> list[int]:
        """Return the transitions on the way to a node, accelerations left
        out."""
        found = []
        while self.parent[at] >= 0:
            found.append(self.via[at])
            at = self.parent[at]
        return found[::-1]

    def add(self, at: int, via: int) -> int | None:
        """Fire a transition in a node; return the new node, None if it is
        covered."""
        high = self.packed.high
        omegas = self.omegas[at] if at >= 0 else 0
        new = self.packed.start
        if at >= 0:
            whole = self._whole(omegas)
            finite = (self.markings[at] + self.packed.change[via]) & ~whole
            new = finite | omegas
            if (finite + (self._ones & ~whole)) & high:
                raise TooManyTokensError
        if new in self._seen:
            return None
        self._seen.add(new)
        if any((one - new) & high == high for one in self.kept.values()):
            return None
        number = len(self.markings)
        self.markings.append(new)
        self.omegas.append(omegas)
        self.parent.append(at)
        self.via.append(via)
        self._accelerate(number)
        raised = self.markings[number] | high
        gone = [n for n, one in self.kept.items() if (raised - (one & ~high)) & high == high]
        for one in gone:
            del self.kept[one]
        self.kept[number] = raised
        return number

    def _whole(self, omegas: int) -> int:
        """Return the fields with ω, guard bits included."""
        return omegas | ((omegas + (self._ones & omegas)) & self.packed.high)

    def _accelerate(self, number: int) -> None:
        """Put ω wherever a loop back to a smaller marking adds."""
        high, bits = self.packed.high, self.packed.bits
        grown = True
        while grown:
            grown = False
            loop: list[int] = []
            at, marking = number, self.markings[number]
            while self.parent[at] >= 0:
                loop.append(self.via[at])
                at = self.parent[at]
                before = self.markings[at]
                if ((marking | high) - before) & high != high:
                    continue
                more = ((marking - before) + self._full) & high
                fresh = (more - (more >> (bits - 1))) & ~self.omegas[number]
                if fresh:
                    places = [p // bits for p in members(fresh & self._ones)]
                    self.pumps.append((places, number, loop[::-1]))
                    self.omegas[number] |= fresh
                    marking = self.markings[number] = marking | fresh
                    grown = True


def cover(net: Net, bounds: Bounds) -> Cover:
    """Return the cover of a net, or what was found of it in time."""
    bits = max(6, bits_for(net) + 2)
    while True:
        try:
            return _searched(Cover(net, bits), bounds)
        except TooManyTokensError:
            bits *= 2


def _searched(found: Cover, bounds: Bounds) -> Cover:
    packed = found.packed
    first = found.add(-1, -1)
    waiting = [] if first is None else [first]
    turn = 0
    while waiting:
        at = waiting.pop()
        if at not in found.kept:
            continue
        enabled = packed.enabled(found.markings[at])
        found.fired |= enabled
        for transition in members(enabled):
            number = found.add(at, transition)
            turn += 1
            if turn % 64 == 0 and (bounds.over() or len(found.markings) > bounds.states):
                found.stopped = "time" if bounds.over() else "states"
                return found
            if number is not None:
                waiting.append(number)
                if at not in found.kept:
                    break
    found.complete = True
    return found


def pumps(found: Cover) -> list[Pump]:
    """Return a proof for each unbounded place, checked by firing it.

    A loop that pays for its gain with tokens of an earlier loop cannot be
    repeated alone: its proof has stages, each loop repeated as often as the
    later ones need.
    """
    net = found.net
    proven: list[Pump] = []
    known: set[int] = set()
    for places, node, loop in found.pumps:
        fresh = [place for place in places if place not in known]
        if not fresh:
            continue
        known.update(fresh)
        first = found.path(node)
        before = net.replayed(first)
        after = None if before is None else net.replayed(loop, before)
        named = [net.places[place].id for place in fresh]
        if (
            before is not None
            and after is not None
            and all(map(int.__ge__, after, before))
            and all(after[place] > before[place] for place in fresh)
        ):
            proven.append(Pump(places=named, first=_ids(net, first), again=_ids(net, loop)))
        else:
            proven.append(Pump(places=named, stages=_stages(found, node)))
    return proven


def _stages(found: Cover, node: int) -> list[Stage]:
    net = found.net
    way: list[int] = []
    at = node
    while at >= 0:
        way.append(at)
        at = found.parent[at]
    stages: list[Stage] = []
    steps: list[int] = []
    for one in reversed(way):
        if found.parent[one] >= 0:
            steps.append(found.via[one])
        loops = [loop for _, at, loop in found.pumps if at == one]
        for loop in loops:
            stages.append(Stage(way=_ids(net, steps), loop=_ids(net, loop)))
            steps = []
    return stages


def _ids(net: Net, firing: list[int]) -> list[str]:
    return [net.transitions[one].id for one in firing]
