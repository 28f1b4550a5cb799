"""Outlook: what may take effect next where a search stands, and what need not
be tried.

The rules are those that `search` lists; here are the second, fourth, fifth and
sixth. They look at what is pending and at what is still to come, which is known
since the whole history is.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from operator import itemgetter
from typing import NamedTuple

from agentsquad.operations.consistency.lane import ANY, IMPOSSIBLE, Kind, Lane

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


class Outlook:
    """What lies ahead of one configuration, at the return of an operation that
    has not taken effect."""

    def __init__(self, lane: Lane, node: Node) -> None:
        self._lane = lane
        self._node = node
        self._due = lane.events[node.at][0]
        self._waiting = [n for n in lane.changers[node.at] if not node.changed & lane.bit[n]]
        self._needs: dict[int, int] = {}
        self._targets: dict[int, int] = {}
        for number in self._waiting:
            kind = lane.kinds[lane.kind[number]]
            self._needs[kind.need] = self._needs.get(kind.need, 0) + 1
            self._targets[kind.target] = self._targets.get(kind.target, 0) + 1
        self._offered = [kind for kind, count in lane.offers[node.at] if self._left(kind, count)]
        self._idle: list[int] | None = None

    def _left(self, kind: int, count: int) -> bool:
        at, mask = self._lane.field[kind]
        return (self._node.used >> at) & mask < count

    def choices(self) -> list[Choice]:
        """Return what may take effect now, the most promising last."""
        lane = self._lane
        found: list[Choice] = []
        seen = set()
        for number in self._waiting:  # in the order of their returns: rule 2
            kind = lane.kind[number]
            if kind not in seen:
                seen.add(kind)
                self._consider(kind, number, found)
        for kind in self._offered:
            if kind not in seen:
                self._consider(kind, -1, found)
        aim = lane.kinds[lane.kind[self._due]].need
        if aim != ANY and not lane.appends:
            found.sort(key=lambda choice: choice.state != aim and choice.number != self._due)
        found.reverse()
        return found

    def _consider(self, kind: int, number: int, found: list[Choice]) -> None:
        """Add an operation to the choices unless it cannot lead anywhere."""
        lane, before = self._lane, self._node.state
        one, state = lane.kinds[kind], lane.step(kind, before)
        if state == IMPOSSIBLE or (state == before and number < 0):
            return
        if lane.appends:
            may = self._promises(one, number, state)
        else:
            may = state == before or self._may_leave(one, number)
            may = may and (number >= 0 or self._is_met(state))
        if may:
            found.append(Choice(kind, number, state, self._served(number) if one.hides else ()))

    def _may_leave(self, by: Kind, number: int) -> bool:
        """Whether nothing needs the present state later, or it can be made
        again (rule 4)."""
        lane, at, state = self._lane, self._node.at, self._node.state
        own = number >= 0 and by.need == state
        if lane.needed[state] < at and self._needs.get(state, 0) == own:
            return True
        if lane.made[state] > at or state in self._targets:
            return True
        return any(lane.kinds[kind].target == state for kind in self._offered)

    def _is_met(self, state: int) -> bool:
        """Whether anything pending wants this state; otherwise whatever comes
        next hides it (rule 6)."""
        if state in self._needs:
            return True
        lane, node = self._lane, self._node
        for number in lane.observers[node.at]:
            wants = lane.kinds[lane.kind[number]].need == state
            if wants and not node.observed & lane.bit[number]:
                return True
        return any(lane.kinds[kind].need == state for kind in self._offered)

    def _served(self, by: int) -> tuple[int, ...]:
        """Return the pending writes that are best hidden by this one
        (rule 5)."""
        if self._idle is None:
            self._idle = [n for n in self._waiting if self._is_idle(self._lane.kind[n])]
        return tuple(n for n in self._idle if n != by)

    def _is_idle(self, number: int) -> bool:
        """Whether nobody but reads that are pending now needs what it
        leaves."""
        lane = self._lane
        kind = lane.kinds[number]
        if lane.appends:
            return kind.unseen
        return (
            kind.hides
            and lane.needed[kind.target] < self._node.at
            and not lane.wanted[kind.target]
            and kind.target not in self._needs
        )

    # --- values that grow

    def _promises(self, one: Kind, number: int, state: int) -> bool:
        """Whether an operation that makes a value grow, or begin anew, may go
        now."""
        if one.unseen:
            if number != self._due:
                return False
        elif one.once and not self._lane.grows(state):
            return False  # it was seen, and not in this place
        return self._leads_on(number, state) and (not one.hides or self._may_hide(number, state))

    def _may_hide(self, by: int, state: int) -> bool:
        """Whether no read to come needs the present value to stay or grow, or a
        put may begin it again (rule 4)."""
        lane = self._lane
        text, after = lane.values[self._node.state], lane.values[state]
        begin = bisect(lane.texts, (text,))
        for wanted, called, number in lane.texts[begin : begin + HIDDEN]:
            if not wanted.startswith(text):
                return True
            if called <= self._node.at or wanted.startswith(after):
                continue
            if not self._begins(by, number, wanted):
                return False
        return True

    def _leads_on(self, by: int, state: int) -> bool:
        """Whether the value may still grow into what the next reads returned,
        or a put may yet begin another (rule 4)."""
        lane = self._lane
        text = lane.values[state]
        for number in self._next_reads():
            wanted = lane.values[lane.kinds[lane.kind[number]].need]
            if not wanted.startswith(text) and not self._begins(by, number, wanted):
                return False
        return True

    def _next_reads(self) -> Iterator[int]:
        """Yield the pending reads that are not served, and the first few to
        come."""
        lane, node = self._lane, self._node
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

    def _begins(self, by: int, reader: int, wanted: str) -> bool:
        """Whether a put before the end of a read may begin what it returned."""
        lane, here = self._lane, self._node.at
        kinds = [lane.kind[number] for number in self._waiting if number != by]
        for kind in (*kinds, *self._offered):
            target = lane.kinds[kind].target
            if target != ANY and wanted.startswith(lane.values[target]):
                return True
        until = lane.returned[reader]
        for index in range(bisect(lane.puts, here, key=itemgetter(0)), len(lane.puts)):
            at, text = lane.puts[index]
            if at > until:
                return False
            if wanted.startswith(text):
                return True
        return False
