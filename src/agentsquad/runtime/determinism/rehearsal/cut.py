"""The cut: the world as it was right after the first N events of a rehearsal.

What a process that dies leaves is its log up to some append, and whatever had
reached the other side by then. So a crash can be played from a cut, without
playing what came before it: a fresh engine over the first N events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.runtime.determinism.rehearsal.counterparty import Counterparty, Delivery
from agentsquad.runtime.determinism.rehearsal.story import Story
from agentsquad.runtime.engine.state import millis
from agentsquad.runtime.ledger.contract import CHAPTER_LENGTH, Batch, Head, Row, StreamHead
from agentsquad.runtime.ledger.header import leaf_of, parse
from agentsquad.runtime.ledger.tree import GrowingTree


class Cut(msgspec.Struct, frozen=True):
    """The first rows of a log, the keys that open them, what had arrived at the
    other side, and the time."""

    rows: tuple[Row, ...]
    keyring: Any
    deliveries: tuple[Delivery, ...]
    now_ms: int | None

    def counterparty(self) -> Counterparty:
        """Return the other side as it was."""
        made = Counterparty()
        for one in self.deliveries:
            made.deliveries[one.key] = msgspec.structs.replace(one, arrived=1)
        return made

    def batch(self) -> Batch:
        """Return the rows as the one commit that makes an empty log this
        one."""
        heads: dict[str, StreamHead] = {}
        chapters = []
        leaves = []
        for row in self.rows:
            header = parse(row.header, row.seq)
            leaf = leaf_of(row.header)
            leaves.append(leaf)
            head = heads.setdefault(header.stream, StreamHead(row.seq, header.stream, 0, 0, b""))
            head.version, head.last, head.leaf = header.stream_seq, row.seq, leaf
            if head.version % CHAPTER_LENGTH == 0:
                chapters.append((head.id, head.version // CHAPTER_LENGTH - 1, row.seq))
        tree = GrowingTree()
        tiles = tree.extend(leaves)
        root = Head(tree.size, tree.root())
        return Batch(list(self.rows), list(heads.values()), [], chapters, tiles, root)


class Cutter:
    """Cuts one rehearsal that was played to its end."""

    def __init__(self, story: Story, volume: Any, keyring: Any, counterparty: Counterparty) -> None:
        self._story = story
        self._rows: Sequence[Row] = volume.scan(0, len(story.events))
        self._keyring = keyring
        self._counterparty = counterparty
        self._sent, self._ended = _effects(story.events)

    def at(self, count: int, *, arrived: bool) -> Cut:
        """Return the cut after `count` events; `arrived` says whether effects
        that were under way then had reached the other side."""
        there = []
        for key, delivery in self._counterparty.deliveries.items():
            sent, ended = self._sent.get(key, 0), self._ended.get(key, 0)
            if sent and (0 < ended <= count or (arrived and sent <= count)):
                there.append(delivery)
        at = self._story.events[max(0, count - 1)].at
        return Cut(tuple(self._rows[:count]), self._keyring, tuple(there), millis(at))


def _effects(events: Sequence[Event]) -> tuple[dict[str, int], dict[str, int]]:
    """Return when each effect key was first sent, and when its end was
    known."""
    sent: dict[str, int] = {}
    ended: dict[str, int] = {}
    keys: dict[tuple[str, str], str] = {}
    for event in events:
        body = event.payload or {}
        place = (event.stream, body.get("position", ""))
        if event.type == "effect.planned":
            keys[place] = body["key"]
        elif event.type == "effect.sent":
            sent.setdefault(keys.get(place, ""), event.seq)
        elif event.type in ("effect.confirmed", "effect.failed", "incident.opened"):
            ended.setdefault(keys.get(place, ""), event.seq)
    return sent, ended
