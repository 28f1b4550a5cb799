"""Places: which waiting step gets a place next, and on which node, as a pure
state machine over an explicit now.

Three questions, answered in this order. *Who is next:* the highest level, which
rises the longer somebody waits (aging), and within a level start-time fair
queueing (Goyal, Vin and Cheng, 1996): every flow gets its weight's share of the
places while it has something to do. *May it:* its flow's quota is not used up,
or it may overflow because nobody else needs the place. *Where:* on the node it
fits best among the cheapest, so that large needs still find room elsewhere
(best fit), as long as the busy nodes stay within the budget of cost.

Laws:
    1. No node ever holds more than it has, in any measure.
    2. A flow at its quota gets no place while another flow that is below its
       own waits.
    3. Who has waited for `patience` of aging steps above everybody else is
       overtaken by nobody whose place it could have used.
    4. The busy nodes never cost more than the budget.
    5. The same calls in the same order give the same places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

LEVELS = 10
RESERVED_AFTER = 3  # aging steps after which nobody may overtake


class Need(NamedTuple):
    """What one step takes: places, thousandths of processors, bytes, graphics
    processors."""

    slots: int = 1
    cpu: int = 0
    memory: int = 0
    gpu: int = 0


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """Somewhere steps run; None is as much as anybody wants. `cost` is in
    millionths an hour while it is busy."""

    name: str = "here"
    slots: int | None = None
    cpu: int | None = None
    memory: int | None = None
    gpu: int | None = None
    cost: int = 0

    @property
    def has(self) -> tuple[int | None, ...]:
        """In the order of `Need`."""
        return (self.slots, self.cpu, self.memory, self.gpu)


class PlacesRule(msgspec.Struct, frozen=True, kw_only=True):
    """How places are given; `quotas` and `weights` are by flow."""

    nodes: tuple[Node, ...] = (Node(),)
    quotas: Mapping[str, int] = {}
    weights: Mapping[str, float] = {}
    overflow: bool = True
    aging_ms: int = 60_000
    cost_max: int | None = None


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who wants a place; `id` is unique, `start` the virtual time at
    which its flow's turn begins."""

    id: int
    flow: str
    level: int
    need: Need
    since_ms: float
    start: float


class Given(NamedTuple):
    """Who got a place, and where."""

    ticket: Ticket
    node: str


class Places:
    """The nodes of a pool, who is on them and who waits."""

    def __init__(self, rule: PlacesRule) -> None:
        self.rule = rule
        self.waiting: dict[int, Ticket] = {}
        self.busy: dict[int, Given] = {}
        self._nodes = {node.name: node for node in rule.nodes}
        self._used: dict[str, list[int]] = {name: [0, 0, 0, 0] for name in self._nodes}
        self._finish: dict[str, float] = {}
        self._virtual = 0.0
        self._count = 0

    # --- coming and going

    def possible(self, need: Need) -> bool:
        """Whether an empty pool could take it."""
        return any(
            self._has_room(node, need, (0, 0, 0, 0)) and self._affordable(node, alone=True)
            for node in self._nodes.values()
        )

    def wait(self, flow: str, level: int, need: Need, now_ms: float) -> Ticket:
        """Join the line."""
        self._count += 1
        start = max(self._virtual, self._finish.get(flow, 0.0))
        self._finish[flow] = start + need.slots / self.rule.weights.get(flow, 1.0)
        ticket = Ticket(
            id=self._count, flow=flow, level=level, need=need, since_ms=now_ms, start=start
        )
        self.waiting[ticket.id] = ticket
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give the place back, or leave the line."""
        self.waiting.pop(ticket.id, None)
        given = self.busy.pop(ticket.id, None)
        if given is not None:
            used = self._used[given.node]
            for index, size in enumerate(ticket.need):
                used[index] -= size
        if not self.busy and not self.waiting:
            self._finish.clear()
            self._virtual = 0.0

    def give(self, now_ms: float) -> list[Given]:
        """Give every place that can be given now, in order."""
        given: list[Given] = []
        held_back: list[Ticket] = []
        for ticket in self.line(now_ms):
            node = self._place(ticket, held_back)
            if node is None:
                if now_ms - ticket.since_ms >= RESERVED_AFTER * self.rule.aging_ms:
                    held_back.append(ticket)
                continue
            given.append(self._take(ticket, node))
        return given

    def adopt(self, ticket: Ticket, now_ms: float) -> Given | None:
        """Take somebody out of another pool's line, if there is a place and
        nobody waits here."""
        if self.waiting:
            return None
        own = self.wait(ticket.flow, ticket.level, ticket.need, now_ms)
        node = self._place(own, [])
        if node is None:
            del self.waiting[own.id]
            return None
        return self._take(own, node)

    # --- who, whether, where

    def line(self, now_ms: float) -> list[Ticket]:
        """Return who waits, who is next first."""
        aging = self.rule.aging_ms

        def order(ticket: Ticket) -> tuple[float, float, int]:
            older = int((now_ms - ticket.since_ms) // aging) if aging else 0
            return (-(ticket.level + older), ticket.start, ticket.id)

        return sorted(self.waiting.values(), key=order)

    def used_by(self, flow: str) -> int:
        """Return how many places a flow has."""
        return sum(one.ticket.need.slots for one in self.busy.values() if one.ticket.flow == flow)

    def _within_quota(self, ticket: Ticket) -> bool:
        quota = self.rule.quotas.get(ticket.flow)
        if quota is None or self.used_by(ticket.flow) + ticket.need.slots <= quota:
            return True
        if not self.rule.overflow:
            return False
        return not any(
            self._below_quota(one) for one in self.waiting.values() if one.flow != ticket.flow
        )

    def _below_quota(self, ticket: Ticket) -> bool:
        quota = self.rule.quotas.get(ticket.flow)
        return quota is None or self.used_by(ticket.flow) + ticket.need.slots <= quota

    def _place(self, ticket: Ticket, held_back: list[Ticket]) -> Node | None:
        """Return the node for a ticket: the cheapest, then the fullest that
        fits; None for none."""
        if not self._within_quota(ticket):
            return None
        best: tuple[tuple[int, int, float], Node] | None = None
        for index, node in enumerate(self._nodes.values()):
            used = self._used[node.name]
            if not self._has_room(node, ticket.need, used):
                continue
            if any(self._has_room(node, one.need, (0, 0, 0, 0)) for one in held_back):
                continue  # it is kept free for who has waited too long
            busy = any(used)
            if not busy and not self._affordable(node):
                continue
            # A node that is paid for already costs nothing more.
            rank = (0 if busy else node.cost, -round(self._full(node, ticket.need) * 1e6), index)
            if best is None or rank < best[0]:
                best = (rank, node)
        return None if best is None else best[1]

    @staticmethod
    def _has_room(node: Node, need: Need, used: tuple[int, ...] | list[int]) -> bool:
        return all(
            has is None or taken + size <= has
            for has, size, taken in zip(node.has, need, used, strict=True)
        )

    def _full(self, node: Node, need: Need) -> float:
        """Return how full a node would be in its tightest measure."""
        used = self._used[node.name]
        return max(
            (
                (taken + size) / has
                for has, size, taken in zip(node.has, need, used, strict=True)
                if has
            ),
            default=0.0,
        )

    def _affordable(self, node: Node, *, alone: bool = False) -> bool:
        most = self.rule.cost_max
        if most is None:
            return True
        running = 0 if alone else self.cost
        return running + node.cost <= most

    @property
    def cost(self) -> int:
        """What the busy nodes cost, in millionths an hour."""
        return sum(node.cost for node in self._nodes.values() if any(self._used[node.name]))

    def _take(self, ticket: Ticket, node: Node) -> Given:
        used = self._used[node.name]
        for index, size in enumerate(ticket.need):
            used[index] += size
        del self.waiting[ticket.id]
        self._virtual = max(self._virtual, ticket.start)
        given = self.busy[ticket.id] = Given(ticket, node.name)
        return given

    def load(self) -> list[tuple[str, tuple[int, ...]]]:
        """Return (node, what is used of it), in the order of `Need`."""
        return [(name, tuple(used)) for name, used in self._used.items()]
