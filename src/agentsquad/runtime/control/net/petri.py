"""Place/transition nets as values, and their markings packed into one integer.

A packed marking gives each place some bits and one guard bit above them, so
that one addition fires a transition and one subtraction tests whether all its
input places hold enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

Arcs = Mapping[int, int]
Firing = tuple[int, ...]


class Place(msgspec.Struct, frozen=True):
    """A place: its id in the file, its name, and its tokens at the start."""

    id: str
    name: str
    tokens: int = 0


class Transition(msgspec.Struct, frozen=True):
    """A transition; `takes` and `puts` map places (by number) to weights."""

    id: str
    name: str
    takes: dict[int, int]
    puts: dict[int, int]

    def effect(self) -> dict[int, int]:
        """Return how one firing changes each place, without zeros."""
        change = dict(self.puts)
        for place, weight in self.takes.items():
            change[place] = change.get(place, 0) - weight
        return {place: by for place, by in change.items() if by}


class Net(msgspec.Struct, frozen=True):
    """A place/transition net.

    `finals` are markings a file declares as ends. `unsupported` says why the
    file's net is not a place/transition net: its structure is then incomplete
    and nothing may be concluded from it.
    """

    id: str
    name: str
    places: tuple[Place, ...]
    transitions: tuple[Transition, ...]
    finals: tuple[dict[int, int], ...] = ()
    unsupported: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def start(self) -> tuple[int, ...]:
        """The initial marking."""
        return tuple(place.tokens for place in self.places)

    def fired(self, marking: Sequence[int], transition: int) -> tuple[int, ...] | None:
        """Return the marking after a firing, or None if it is not enabled."""
        found = list(marking)
        one = self.transitions[transition]
        for place, weight in one.takes.items():
            if found[place] < weight:
                return None
            found[place] -= weight
        for place, weight in one.puts.items():
            found[place] += weight
        return tuple(found)

    def replayed(
        self, firing: Iterable[int], start: Sequence[int] | None = None
    ) -> tuple[int, ...] | None:
        """Return the marking a sequence leads to, or None if it cannot fire."""
        marking: tuple[int, ...] | None = tuple(start) if start is not None else self.start
        for transition in firing:
            if marking is None:
                return None
            marking = self.fired(marking, transition)
        return marking

    def enabled(self, marking: Sequence[int]) -> list[int]:
        """Return the transitions that can fire."""
        return [
            number
            for number, one in enumerate(self.transitions)
            if all(marking[place] >= weight for place, weight in one.takes.items())
        ]


class Packed:
    """A net ready for search: transitions as integers over packed markings."""

    def __init__(self, net: Net, bits: int) -> None:
        """`bits` is the room of each place; its highest is the guard."""
        self.net = net
        self.bits = bits
        self.size = len(net.transitions)
        guard = 1 << (bits - 1)
        self.high = sum(guard << (bits * at) for at in range(len(net.places)))
        self.takes = [self._word(one.takes) for one in net.transitions]
        self.change = [self._word(one.puts) - self._word(one.takes) for one in net.transitions]
        # Only the guards of input places need a look.
        self.guards = [
            sum(guard << (bits * place) for place in one.takes) for one in net.transitions
        ]
        self.start = self._word({at: place.tokens for at, place in enumerate(net.places)})
        consumers: list[list[int]] = [[] for _ in net.places]
        for number, one in enumerate(net.transitions):
            for place in one.takes:
                consumers[place].append(number)
        self.consumers = consumers
        # Whose enabledness a firing may change, with what tests it.
        self.touched: list[list[tuple[int, int, int]]] = []
        self.kept: list[int] = []
        everything = (1 << self.size) - 1
        for one in net.transitions:
            near = {user for place in one.effect() for user in consumers[place]}
            self.touched.append(
                [(1 << user, self.takes[user], self.guards[user]) for user in sorted(near)]
            )
            self.kept.append(everything & ~sum(1 << user for user in near))

    def _word(self, counts: Arcs) -> int:
        return sum(count << (self.bits * place) for place, count in counts.items())

    def enabled(self, marking: int) -> int:
        """Return the enabled transitions as a set of bits."""
        raised, found = marking | self.high, 0
        for number, (takes, guards) in enumerate(zip(self.takes, self.guards, strict=True)):
            if (raised - takes) & guards == guards:
                found |= 1 << number
        return found

    def after(self, marking: int, enabled: int, transition: int) -> int:
        """Return what is enabled in `marking`, reached by `transition` from
        where `enabled` was."""
        raised = marking | self.high
        found = enabled & self.kept[transition]
        for bit, takes, guards in self.touched[transition]:
            if (raised - takes) & guards == guards:
                found |= bit
        return found

    def pack(self, marking: Sequence[int]) -> int:
        """Return a marking as one integer."""
        return self._word(dict(enumerate(marking)))

    def counts(self, marking: int) -> tuple[int, ...]:
        """Return a packed marking as counts."""
        mask, bits = (1 << self.bits) - 1, self.bits
        return tuple((marking >> (bits * at)) & mask for at in range(len(self.net.places)))


def bits_for(net: Net, bound: int | None = None) -> int:
    """Return the room to begin with: up to `bound` tokens, else the tokens and
    weights of the net, and a guard bit."""
    most = bound or 1
    for place in net.places:
        most = max(most, place.tokens)
    for one in net.transitions:
        most = max(most, *one.takes.values(), *one.puts.values(), 1)
    return most.bit_length() + 1


def members(bits: int) -> list[int]:
    """Return the numbers in a set of bits."""
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return found


def numbered(marking: Sequence[int], places: Sequence[Place]) -> dict[str, int]:
    """Return a marking by ids of places, without empty ones."""
    return {place.id: count for place, count in zip(places, marking, strict=True) if count}
