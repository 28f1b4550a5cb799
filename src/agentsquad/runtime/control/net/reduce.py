"""Smaller nets that answer the same question.

Each rule keeps whether a deadlock can be reached; without `deadlock` only rules
are used that also keep which transitions can ever fire and be fired again, and
whether there are finitely many markings. A transition of the
small net stands for a sequence of transitions of the large one, so what is
found can be fired there, and is (after Berthelot and Murata).
"""

from __future__ import annotations

from typing import Any

from agentsquad.runtime.control.net.petri import Net, Place, Transition

GROWTH = 12  # most transitions one fusion may make out of few
ROUNDS = 60


class Reduced:
    """A small net, what each of its transitions stands for, and what was fired
    before it begins."""

    def __init__(
        self,
        net: Net,
        stands: list[Any],
        also: list[frozenset[int]],
        begun: list[int],
        early: frozenset[int] = frozenset(),
    ):
        self.net = net
        self._early = early
        self._stands = stands
        self._also = also
        self.begun = begun

    def original(self, firing: list[int]) -> list[int]:
        """Return a firing sequence as one of the large net."""
        found = list(self.begun)
        for one in firing:
            found += _flat(self._stands[one])
        return found

    def fired(self, bits: int) -> set[int]:
        """Return the transitions of the large net that can fire if these of
        the small one do."""
        found = {*self._early, *self.begun}
        for number, stands in enumerate(self._stands):
            if bits >> number & 1:
                found.update(_flat(stands), self._also[number])
        return found


def reduce(net: Net, *, deadlock: bool) -> Reduced:
    """Return a smaller net for one of the two questions."""
    work = _Work(net, deadlock)
    for _ in range(ROUNDS):
        if not work.round():
            break
    return work.result()


def never(net: Net) -> dict[int, str]:
    """Return the transitions that cannot fire for want of tokens nobody makes,
    each with the reason."""
    hope: list[float] = list(net.start)
    lacking: list[set[int]] = []
    wanting: dict[int, list[int]] = {}
    ready: list[int] = []
    for number, one in enumerate(net.transitions):
        short = {place for place, weight in one.takes.items() if hope[place] < weight}
        lacking.append(short)
        for place in short:
            wanting.setdefault(place, []).append(number)
        if not short:
            ready.append(number)
    while ready:
        for place, by in net.transitions[ready.pop()].effect().items():
            if by > 0 and hope[place] != float("inf"):
                hope[place] = float("inf")
                for number in wanting.get(place, ()):
                    lacking[number].discard(place)
                    if not lacking[number]:
                        ready.append(number)
    found = {}
    for number, short in enumerate(lacking):
        if short:
            place = min(short)
            need = net.transitions[number].takes[place]
            has = net.places[place].tokens
            found[number] = (
                f"needs {need} in {net.places[place].id!r}, which has {has} and gets no more"
            )
    return found


class _Work:
    """The net while it shrinks: arcs by number of transition and of place."""

    def __init__(self, net: Net, deadlock: bool) -> None:
        self.net = net
        self.deadlock = deadlock
        dead = never(net)
        self.tokens = dict(enumerate(net.start))
        self.takes = {n: dict(t.takes) for n, t in enumerate(net.transitions) if n not in dead}
        self.puts = {n: dict(t.puts) for n, t in enumerate(net.transitions) if n not in dead}
        self.stands: dict[int, Any] = {number: number for number in self.takes}
        self.begun: list[int] = []
        self.early: frozenset[int] = frozenset()
        # Twins that were taken away: they can fire where the kept one can.
        self.also: dict[int, frozenset[int]] = dict.fromkeys(self.takes, frozenset())
        self.following = len(net.transitions)
        self.users: dict[int, set[int]] = {place: set() for place in self.tokens}
        self.makers: dict[int, set[int]] = {place: set() for place in self.tokens}
        for number in self.takes:
            self._link(number)

    def result(self) -> Reduced:
        places = sorted(self.tokens)
        index = {place: at for at, place in enumerate(places)}
        kept = sorted(self.takes)
        small = Net(
            id=self.net.id,
            name=self.net.name,
            places=tuple(
                Place(self.net.places[p].id, self.net.places[p].name, self.tokens[p])
                for p in places
            ),
            transitions=tuple(
                Transition(
                    f"t{t}",
                    f"t{t}",
                    {index[p]: w for p, w in self.takes[t].items()},
                    {index[p]: w for p, w in self.puts[t].items()},
                )
                for t in kept
            ),
        )
        also = [self.also[t] for t in kept]
        return Reduced(small, [self.stands[t] for t in kept], also, self.begun, self.early)

    def round(self) -> bool:
        """Apply every rule once; return whether anything changed."""
        before = (len(self.tokens), len(self.takes), len(self.begun))
        self._same_transitions()
        self._same_places()
        for place in list(self.tokens):
            if place in self.tokens:
                self._place(place)
        return before != (len(self.tokens), len(self.takes), len(self.begun))

    def _link(self, number: int) -> None:
        for place in self.takes[number]:
            self.users[place].add(number)
        for place in self.puts[number]:
            self.makers[place].add(number)

    def _drop_transition(self, number: int) -> None:
        for place in self.takes.pop(number):
            self.users[place].discard(number)
        for place in self.puts.pop(number):
            self.makers[place].discard(number)

    def _drop_place(self, place: int) -> None:
        for number in self.users.pop(place):
            del self.takes[number][place]
        for number in self.makers.pop(place):
            del self.puts[number][place]
        del self.tokens[place]

    def _same_transitions(self) -> None:
        """Of transitions with the same arcs one is enough; for deadlocks, one
        that needs more for the same effect is not needed either."""
        seen: dict[Any, int] = {}
        effects: dict[Any, list[int]] = {}
        for number in sorted(self.takes):
            takes, puts = self.takes[number], self.puts[number]
            key = (frozenset(takes.items()), frozenset(puts.items()))
            if key in seen:
                self.also[seen[key]] |= self.also[number].union(_flat(self.stands[number]))
                self._drop_transition(number)
                continue
            seen[key] = number
            if self.deadlock:
                change = {p: puts.get(p, 0) - takes.get(p, 0) for p in {*takes, *puts}}
                effect = frozenset((p, by) for p, by in change.items() if by)
                effects.setdefault(effect, []).append(number)
        for same in effects.values():
            if len(same) > 1:
                for number in same:
                    if any(
                        other != number
                        and other in self.takes
                        and _within(self.takes[other], self.takes[number])
                        for other in same
                    ):
                        self._drop_transition(number)

    def _same_places(self) -> None:
        """Of places with the same arcs only the one with fewest tokens can
        keep anything from firing."""
        seen: dict[Any, int] = {}
        for place in sorted(self.tokens, key=lambda one: self.tokens[one]):
            key = (
                frozenset((t, self.takes[t][place]) for t in self.users[place]),
                frozenset((t, self.puts[t][place]) for t in self.makers[place]),
            )
            if key in seen:
                self._drop_place(place)
            else:
                seen[key] = place

    def _place(self, place: int) -> None:
        users, makers, tokens = self.users[place], self.makers[place], self.tokens[place]
        change = {
            t: self.puts[t].get(place, 0) - self.takes[t].get(place, 0) for t in users | makers
        }
        # One that grows may be what makes the net unbounded.
        if all(by >= 0 if self.deadlock else by == 0 for by in change.values()) and all(
            self.takes[t][place] <= tokens for t in users
        ):
            self._drop_place(place)  # never falls below what is needed
            return
        if not users:
            return
        if users & makers or any(self.takes[t][place] != 1 for t in users):
            return
        if any(self.puts[t][place] != 1 for t in makers):
            return
        if len(users) * len(makers) > len(users) + len(makers) + GROWTH:
            return
        if all(len(self.takes[t]) == 1 and (self.puts[t] or self.deadlock) for t in users):
            self._after(place, tokens)
        elif self.deadlock and tokens == 0 and makers and self._delayable(place, makers):
            self._fuse(place)

    def _after(self, place: int, tokens: int) -> None:
        """Who consumes needs nothing else: it may follow at once."""
        users = self.users[place]
        if tokens:
            if len(users) > 1 or tokens > 64:
                return
            (user,) = users
            self.begun += _flat(self.stands[user]) * tokens
            self.early |= self.also[user]
            for target, weight in self.puts[user].items():
                self.tokens[target] += weight * tokens
            self.tokens[place] = 0
        if self.makers[place]:
            self._fuse(place)

    def _delayable(self, place: int, makers: set[int]) -> bool:
        """Whether who makes does nothing else, and can wait for its need."""
        return all(
            len(self.puts[t]) == 1
            and self.takes[t]
            and all(self.users[source] == {t} for source in self.takes[t])
            for t in makers
        )

    def _fuse(self, place: int) -> None:
        """Replace makers and users of a place by their pairs."""
        makers, users = sorted(self.makers[place]), sorted(self.users[place])
        pairs = []
        for maker in makers:
            for user in users:
                takes, puts = dict(self.takes[maker]), dict(self.puts[maker])
                del puts[place]
                for source, weight in self.takes[user].items():
                    if source != place:
                        takes[source] = takes.get(source, 0) + weight
                for target, weight in self.puts[user].items():
                    puts[target] = puts.get(target, 0) + weight
                stands = (self.stands[maker], self.stands[user])
                pairs.append((takes, puts, stands, self.also[maker] | self.also[user]))
        for number in (*makers, *users):
            self._drop_transition(number)
        for takes, puts, stands, also in pairs:
            number = self.following
            self.following += 1
            self.also[number] = also
            self.takes[number], self.puts[number], self.stands[number] = takes, puts, stands
            self._link(number)
        self._drop_place(place)


def _within(small: dict[int, int], large: dict[int, int]) -> bool:
    return all(large.get(place, 0) >= weight for place, weight in small.items())


def _flat(stands: Any) -> list[int]:
    """Return a nested sequence as a list, without recursion."""
    found, rest = [], [stands]
    while rest:
        one = rest.pop()
        if isinstance(one, tuple):
            rest += reversed(one)
        else:
            found.append(one)
    return found
