"""Search: whether the operations of one lane can be put in an order that
explains what each of them returned.

The search is that of Wing & Gong ("Testing and verifying concurrent objects",
1993) with two inventions of Lowe ("Testing for linearizability", 2017): an
operation takes effect just in time, that is only when some pending operation is
about to return and has not yet taken effect; and a configuration that failed
once is not tried again. A configuration is the place in the history, the state,
and which pending operations have taken effect. The search goes depth first and
keeps its own stack, so that no history is too long for it.

What makes it fast where others explode, each a rule under which nothing is
lost, since any order that breaks it can be changed into one that keeps it:

    1. An observer (a read, or a `cas` of a value to itself) takes effect as
       soon as the state allows.
    2. Of pending operations of one kind the one that returns first goes first;
       those that never return go last and are counted, not told apart.
    3. A configuration that failed makes every other fail that has used no fewer
       open operations and served no more observers.
    4. A state that is needed later and can never be made again is not left.
    5. A write whose value nobody needs any more, but for reads that are pending
       now, is served just before the next write hides it.
    6. What nobody learned the end of takes effect only where something pending
       meets the state it leaves.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from operator import itemgetter
from typing import NamedTuple

from agentsquad.operations.consistency.lane import ANY, IMPOSSIBLE, Lane

HIDDEN = 64  # values that begin with the one to be hidden, looked at each time
AHEAD = 2  # reads to come that a growing value is compared with


class Choice(NamedTuple):
    """One operation that takes effect: its kind, its number (-1: an open one of
    that kind), the state after it, and writes served before it."""

    kind: int
    number: int
    state: int
    served: tuple[int, ...]


class Node(NamedTuple):
    """A configuration: where in the history, the state, and who is done.

    `changed` and `observed` are the bits of pending operations that have taken
    effect, `used` counts open ones by kind.
    """

    at: int
    state: int
    changed: int
    observed: int
    used: int


class _Frame:
    __slots__ = ("choices", "node", "taken")

    def __init__(self, node: Node, choices: list[Choice]) -> None:
        self.node = node
        self.choices = choices
        self.taken: Choice | None = None


class Search:
    """A search of one lane that can be interrupted and continued.

    `steps` counts the configurations that were tried; `farthest` is the event
    before which every operation could be placed.
    """

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.steps = 0
        self.farthest = 0
        self.verdict: bool | None = None
        self._stack: list[_Frame] = []
        self._failed: dict[tuple[int, int, int], list[tuple[int, int]]] = {}
        self._node: Node | None = Node(0, lane.initial, 0, 0, 0)

    def run(self, steps_max: int) -> bool | None:
        """Search at most so many steps further; None means not yet known."""
        last = self.steps + steps_max
        while self.verdict is None and self.steps < last:
            if self._node is None:
                self._go_back()
            else:
                self._go_on(self._node)
        return self.verdict

    def path(self) -> list[Choice]:
        """Return the choices that led to where the search stands."""
        return [frame.taken for frame in self._stack if frame.taken is not None]

    def _go_on(self, node: Node) -> None:
        self.steps += 1
        node = self.advance(node)
        self.farthest = max(self.farthest, node.at)
        self._node = None
        if node.at == len(self.lane.events):
            self.verdict = True
        elif not self._known_to_fail(node):
            self._stack.append(_Frame(node, self._choices(node)))

    def _go_back(self) -> None:
        while self._stack:
            frame = self._stack[-1]
            if frame.choices:
                frame.taken = frame.choices.pop()
                self._node = self.take(frame.node, frame.taken)
                return
            self._stack.pop()
            node = frame.node
            key = (node.at, node.state, node.changed)
            self._failed.setdefault(key, []).append((node.used, node.observed))
        self.verdict = False

    def advance(self, node: Node) -> Node:
        """Go on to the first return of an operation that has not taken effect,
        or to the end."""
        lane = self.lane
        at, state, changed, observed, used = node
        for at in range(at, len(lane.events)):  # noqa: B020 - goes on from where it was
            number, returns = lane.events[at]
            if lane.open[number]:
                continue
            kind, bit = lane.kinds[lane.kind[number]], lane.bit[number]
            if not returns:
                if kind.observer and kind.need == state:
                    observed |= bit
            elif kind.observer:
                if not observed & bit:
                    return Node(at, state, changed, observed, used)
                observed ^= bit
            else:
                if not changed & bit:
                    return Node(at, state, changed, observed, used)
                changed ^= bit
        return Node(len(lane.events), state, changed, observed, used)

    def take(self, node: Node, choice: Choice) -> Node:
        """Let an operation take effect, and the observers that it allows."""
        lane = self.lane
        at, _, changed, observed, used = node
        kind, number, state, served = choice
        for other in served:
            changed |= lane.bit[other]
            if not lane.appends:
                observed |= self._pleased(at, lane.kinds[lane.kind[other]].target)
        if number < 0:
            used += lane.one[kind]
        else:
            changed |= lane.bit[number]
        return Node(at, state, changed, observed | self._pleased(at, state), used)

    def _pleased(self, at: int, state: int) -> int:
        """Return the bits of pending observers that want this state."""
        lane = self.lane
        bits = 0
        for number in lane.observers[at]:
            if lane.kinds[lane.kind[number]].need == state:
                bits |= lane.bit[number]
        return bits

    def _known_to_fail(self, node: Node) -> bool:
        guard, used, observed = self.lane.guard, node.used | self.lane.guard, node.observed
        for fewer, more in self._failed.get((node.at, node.state, node.changed), ()):
            if (used - fewer) & guard == guard and observed & ~more == 0:
                return True
        return False

    def _choices(self, node: Node) -> list[Choice]:
        """Return what may take effect now, the most promising last."""
        lane = self.lane
        due, _ = lane.events[node.at]
        aim = lane.kinds[lane.kind[due]].need
        found: list[Choice] = []
        seen = set()
        for number in lane.changers[node.at]:
            kind = lane.kind[number]
            if node.changed & lane.bit[number] or kind in seen:
                continue
            seen.add(kind)
            self._consider(node, kind, number, found)
        for kind, count in lane.offers[node.at]:
            at, mask = lane.field[kind]
            if kind not in seen and (node.used >> at) & mask < count:
                self._consider(node, kind, -1, found)
        if aim != ANY and not lane.appends:
            found.sort(key=lambda choice: choice.state != aim and choice.number != due)
        found.reverse()
        return found

    def _consider(self, node: Node, kind: int, number: int, found: list[Choice]) -> None:
        """Add an operation to the choices unless it cannot lead anywhere."""
        lane = self.lane
        state = lane.step(kind, node.state)
        if state == IMPOSSIBLE or (state == node.state and number < 0):
            return
        if lane.appends:
            may = self._promises(node, kind, number, state)
        else:
            may = state == node.state or self._may_leave(node, number)
            may = may and (number >= 0 or self._is_met(node, state))
        if not may:
            return
        served = self._served(node, number) if lane.kinds[kind].hides else ()
        found.append(Choice(kind, number, state, served))

    def _may_leave(self, node: Node, by: int) -> bool:
        """Whether nothing needs the present state later, or it can be made
        again (rule 4)."""
        lane, state = self.lane, node.state
        needed, makers = lane.needed[state] > node.at, lane.made[state] > node.at
        for number in self._waiting(node, by):
            kind = lane.kinds[lane.kind[number]]
            needed = needed or kind.need == state
            makers = makers or kind.target == state
        if not needed or makers:
            return True
        for kind_number, count in lane.offers[node.at]:
            at, mask = lane.field[kind_number]
            if lane.kinds[kind_number].target == state and (node.used >> at) & mask < count:
                return True
        return False

    def _is_met(self, node: Node, state: int) -> bool:
        """Whether anything pending wants this state; otherwise whatever comes
        next hides it (rule 6)."""
        lane = self.lane
        if self._pleased(node.at, state) & ~node.observed:
            return True
        kinds = [lane.kind[number] for number in self._waiting(node, -1)]
        kinds += [kind for kind, _ in lane.offers[node.at]]
        return any(lane.kinds[kind].need == state for kind in kinds)

    def _waiting(self, node: Node, by: int) -> list[int]:
        """Return the pending changers that have not taken effect, but for
        one."""
        lane = self.lane
        return [
            number
            for number in lane.changers[node.at]
            if number != by and not node.changed & lane.bit[number]
        ]

    def _served(self, node: Node, by: int) -> tuple[int, ...]:
        """Return the pending writes that are best hidden by this one
        (rule 5)."""
        lane = self.lane
        waiting = self._waiting(node, by)
        if lane.appends:
            return tuple(n for n in waiting if lane.kinds[lane.kind[n]].unseen)
        needs = {lane.kinds[lane.kind[number]].need for number in waiting}
        return tuple(
            number
            for number in waiting
            for kind in [lane.kinds[lane.kind[number]]]
            if kind.hides
            and lane.needed[kind.target] < node.at
            and not lane.wanted[kind.target]
            and kind.target not in needs
        )

    def _promises(self, node: Node, kind: int, number: int, state: int) -> bool:
        """Whether an operation that makes a value grow, or begin anew, may go
        now."""
        lane = self.lane
        one = lane.kinds[kind]
        if one.unseen:
            due, _ = lane.events[node.at]
            if number != due:
                return False
        elif one.once and not lane.grows(state):
            return False  # it was seen, and not in this place
        return self._leads_on(node, number, state) and (
            not one.hides or self._may_hide(node, number, state)
        )

    def _may_hide(self, node: Node, by: int, state: int) -> bool:
        """Whether no read to come needs the present value to stay or grow, or a
        put may begin it again (rule 4)."""
        lane = self.lane
        text, after = lane.values[node.state], lane.values[state]
        begin = bisect(lane.texts, (text,))
        for wanted, called, number in lane.texts[begin : begin + HIDDEN]:
            if not wanted.startswith(text):
                return True
            if called <= node.at or wanted.startswith(after):
                continue
            if not self._begins(node, by, number, wanted):
                return False
        return True

    def _leads_on(self, node: Node, by: int, state: int) -> bool:
        """Whether the value may still grow into what the next reads returned,
        or a put may yet begin another (rule 4 where values grow)."""
        lane = self.lane
        text = lane.values[state]
        for number in self._next_reads(node):
            wanted = lane.values[lane.kinds[lane.kind[number]].need]
            if not wanted.startswith(text) and not self._begins(node, by, number, wanted):
                return False
        return True

    def _next_reads(self, node: Node) -> Iterator[int]:
        """Yield the pending reads that are not served, and the first few to
        come."""
        lane = self.lane
        for number in lane.observers[node.at]:
            if not node.observed & lane.bit[number]:
                yield number
        ahead = 0
        for at in range(bisect(lane.gets, (node.at, 0)), len(lane.gets)):
            number = lane.gets[at][1]
            if lane.called[number] > node.at:
                yield number
                ahead += 1
                if ahead == AHEAD:
                    return

    def _begins(self, node: Node, by: int, reader: int, wanted: str) -> bool:
        """Whether a put before the end of a read may begin what it returned."""
        lane = self.lane
        kinds = [lane.kind[number] for number in self._waiting(node, by)]
        for kind in (*kinds, *(kind for kind, _ in lane.offers[node.at])):
            target = lane.kinds[kind].target
            if target != ANY and wanted.startswith(lane.values[target]):
                return True
        until = lane.returned[reader]
        for index in range(bisect(lane.puts, node.at, key=itemgetter(0)), len(lane.puts)):
            at, text = lane.puts[index]
            if at > until:
                return False
            if wanted.startswith(text):
                return True
        return False
