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

from agentsquad.operations.consistency.lane import Lane
from agentsquad.operations.consistency.outlook import Choice, Node, Outlook


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
            self._stack.append(_Frame(node, Outlook(self.lane, node).choices()))

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
