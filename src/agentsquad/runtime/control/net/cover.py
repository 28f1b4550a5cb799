"""Coverability: which places can hold any number of tokens, and how.

Karp and Miller's acceleration over a set of maximal markings with ω (Valmari
and Hansen): a marking covered by a kept one is dropped, and acceleration looks
back along the whole way. What stays covers all that is reachable, and each of
it is a limit of reachable markings, so bounds and dead transitions are exact.
"""

from __future__ import annotations

from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.contract import Pump, Stage
from agentsquad.runtime.control.net.petri import Net

OMEGA = float("inf")
Limit = tuple[float, ...]


class Cover:
    """The maximal markings with ω, and how each ω came to be."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.complete = False
        self.stopped = ""
        self.markings: list[Limit] = []
        self.parent: list[int] = []
        self.via: list[int] = []
        self.kept: set[int] = set()
        self.fired: set[int] = set()
        # (places, node pumped at, transitions of the loop)
        self.pumps: list[tuple[list[int], int, list[int]]] = []

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


def cover(net: Net, bounds: Bounds) -> Cover:
    """Return the cover of a net, or what was found of it in time."""
    found = Cover(net)
    moves = [(tuple(t.takes.items()), tuple(t.effect().items())) for t in net.transitions]
    start: Limit = tuple(float(count) for count in net.start)
    found.markings.append(start)
    found.parent.append(-1)
    found.via.append(-1)
    found.kept.add(0)
    waiting = [0]
    turn = 0
    while waiting:
        at = waiting.pop()
        if at not in found.kept:
            continue
        marking = found.markings[at]
        for number, (takes, effect) in enumerate(moves):
            if any(marking[place] < weight for place, weight in takes):
                continue
            found.fired.add(number)
            turn += 1
            if turn % 64 == 0 and (bounds.over() or len(found.markings) > bounds.states):
                found.stopped = "time" if bounds.over() else "states"
                return found
            after = list(marking)
            for place, by in effect:
                after[place] += by
            _add(found, at, number, after, waiting)
            if at not in found.kept:
                break
    found.complete = True
    return found


def _add(found: Cover, at: int, via: int, after: list[float], waiting: list[int]) -> None:
    markings, kept = found.markings, found.kept
    new: Limit = tuple(after)
    if any(_covers(markings[one], new) for one in kept):
        return
    number = len(markings)
    markings.append(new)
    found.parent.append(at)
    found.via.append(via)
    marking = _accelerated(found, number)
    markings[number] = marking
    gone = [one for one in kept if _covers(marking, markings[one])]
    kept.difference_update(gone)
    kept.add(number)
    waiting.append(number)


def _accelerated(found: Cover, number: int) -> Limit:
    """Return the marking with ω wherever a loop back to a smaller one adds."""
    marking = found.markings[number]
    grown = True
    while grown:
        grown = False
        loop: list[int] = []
        at = number
        while found.parent[at] >= 0:
            loop.append(found.via[at])
            at = found.parent[at]
            before = found.markings[at]
            if not _covers(marking, before):
                continue
            more = [p for p, count in enumerate(marking) if before[p] < count < OMEGA]
            if more:
                found.pumps.append((more, number, loop[::-1]))
                marking = tuple(
                    OMEGA if before[p] < count else count for p, count in enumerate(marking)
                )
                grown = True
    return marking


def _covers(upper: Limit, lower: Limit) -> bool:
    return all(map(float.__ge__, upper, lower))


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
