"""Placing: gives events their place in the log before the commit that writes
them.

Apart from the log, which commits: this numbers drafts, and when it is to be
written links them to their streams and makes their headers, in memory only. The
ends of streams it changes are copies, so a placing that is thrown away leaves
no trace; one whose log grew meanwhile is made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import Protocol

import msgspec

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.event import Event
from agentsquad.runtime.ledger.contract import (
    CHAPTER_LENGTH,
    Batch,
    EventInvalidError,
    ExpectError,
    Head,
    Row,
    StreamHead,
)
from agentsquad.runtime.ledger.draft import Draft
from agentsquad.runtime.ledger.tree import GrowingTree

fill = msgspec.structs.force_setattr  # what an event could not know when it got its place


class Holder(Protocol):
    """Who was given the place of events that are not durable yet; it is called
    inside the commit, before anybody else hears of it.
    """

    def stands(self, before: list[Event], now: list[Event]) -> bool:
        """Say whether what was placed later for the same correlation may be
        written, now that these events have other places and times.
        """
        ...

    def settled(self, error: SquadError | None, events: list[Event]) -> None:
        """Hear that the events are durable as given, or why they are not."""
        ...


class Append:
    """One call that waits for its commit: `future` of one that is answered
    then, `holder` of one that was answered with its place.
    """

    __slots__ = ("drafts", "expect", "failure", "future", "holder", "result")

    def __init__(
        self,
        drafts: list[Draft],
        expect: Mapping[str, int] | None,
        future: asyncio.Future[list[Event]] | None,
        holder: Holder | None = None,
    ) -> None:
        self.drafts = drafts
        self.expect = expect
        self.future = future
        self.holder = holder
        self.result: list[Event] = []
        self.failure: SquadError | None = None

    @property
    def wanted(self) -> bool:
        """Whether it is to be written still: its caller was not cancelled."""
        return self.future is None or not self.future.done()


class Placing:
    """What one commit will write, as it grows; `first` is the `seq` of its
    first event, `count` how many appends have been looked at.
    """

    __slots__ = (
        "_absent",
        "_stream",
        "_tick",
        "chapters",
        "count",
        "first",
        "leaves",
        "placed",
        "rows",
        "touched",
    )

    def __init__(
        self, first: int, stream: Callable[[str, bool], StreamHead | None], tick: Callable[[], str]
    ) -> None:
        self.first = first
        self.count = 0
        self.placed: list[tuple[Draft, Event, StreamHead, int]] = []
        self.rows: list[Row] = []
        self.leaves: list[bytes] = []
        self.touched: dict[str, StreamHead] = {}
        self.chapters: list[tuple[int, int, int]] = []
        self._stream = stream
        self._tick = tick
        self._absent: set[str] = set()  # looked for, and not there

    def add(self, append: Append) -> None:
        """Give an append its place, or say in `failure` why it has none."""
        self.count += 1
        drafts = append.drafts
        if not append.expect and len(drafts) == 1:  # most are so
            draft = drafts[0]
            cause = draft.event.cause
            if cause is None or cause < self.first + len(self.placed):
                append.failure = None
                append.result = [self._place(draft)]
                return
        append.failure = failure = self._refused(append)
        if failure is None:
            append.result = [self._place(draft) for draft in drafts]

    def again(self, appends: Sequence[Append]) -> None:
        """Give appends a new place that had one in a placing now thrown away.

        A cause that was one of them is the same event at its new place. Where
        its holder says that what followed does not stand, what was placed later
        for the same correlation is refused.
        """
        moved: dict[int, int] = {}
        fallen: set[str | None] = set()
        for append in appends:
            before, append.result = append.result, []
            family = {draft.event.correlation for draft in append.drafts}
            if append.holder is not None and not fallen.isdisjoint(family):
                self.count += 1
                append.failure = ExpectError(
                    f"stream {append.drafts[0].event.stream!r} has moved on",
                    hint="read the stream again and decide again",
                )
                continue
            append.drafts = [_caused(draft, moved) for draft in append.drafts]
            self.add(append)
            now = append.result
            moved.update((old.seq, new.seq) for old, new in zip(before, now, strict=False))
            if append.failure or not (append.holder is None or append.holder.stands(before, now)):
                fallen |= family

    def batch(self, tree: GrowingTree) -> Batch:
        """Link and hash what was placed, extend the tree, return the batch."""
        self._link()
        tiles = tree.extend(self.leaves)
        heads = self.touched.values()
        return Batch(
            self.rows,
            [head for head in heads if head.id >= self.first],
            [head for head in heads if head.id < self.first],
            self.chapters,
            tiles,
            Head(tree.size, tree.root()),
        )

    def _refused(self, append: Append) -> SquadError | None:
        """Return why an append may not happen; afterwards nothing about it can
        fail.
        """
        if append.expect:
            for stream, expected in append.expect.items():
                head = self.touched.get(stream) or self._known(stream, fresh=not expected)
                actual = head.version if head else 0
                if actual != expected:
                    return ExpectError(
                        f"stream {stream!r} is at {actual}, expected {expected}",
                        hint="read the stream again and decide again",
                        details={"stream": stream, "expected": expected, "actual": actual},
                    )
        seq = self.first + len(self.placed)
        for draft in append.drafts:
            cause = draft.event.cause
            if cause is not None and cause >= seq:
                return EventInvalidError(
                    f"the cause {cause} is not before the event", hint="name an earlier event"
                )
            seq += 1
        return None

    def _known(self, name: str, *, fresh: bool = False) -> StreamHead | None:
        """Return the end of a stream; one that is not there is looked for
        once. `fresh` says that it is not expected to be there.
        """
        if name in self._absent:
            return None
        head = self._stream(name, fresh)
        if head is None:
            self._absent.add(name)
        return head

    def _place(self, draft: Draft) -> Event:
        """Number a draft; what it is linked by, and its digest, are known when
        it is written, and belong to nobody before.
        """
        event = draft.event
        name = event.stream
        seq = self.first + len(self.placed)
        head = self.touched.get(name)
        if head is None:
            known = self._known(name)
            head = self.touched[name] = (
                StreamHead(seq, name, 0, 0, b"")
                if known is None
                else StreamHead(known.id, name, known.version, known.last, known.leaf)
            )
        back = head.last
        head.version = stream_seq = head.version + 1
        head.last = seq
        if stream_seq % CHAPTER_LENGTH == 0:
            self.chapters.append((head.id, stream_seq // CHAPTER_LENGTH - 1, seq))
        placed = Event(
            seq=seq,
            stream=name,
            stream_seq=stream_seq,
            type=event.type,
            version=event.version,
            at=self._tick(),
            actor=event.actor,
            cause=event.cause,
            correlation=event.correlation,
            payload_digest="",
            prev=None,
            payload=draft.read,
        )
        self.placed.append((draft, placed, head, back))
        return placed

    def _link(self) -> None:
        """Make rows and leaves of what has none yet: headers, each linked to
        the event before it in its stream.

        Canonical JSON, written by hand for speed from parts escaped before; a
        property test holds it equal to `kernel.canonical.dumps`.
        """
        rows, leaves = self.rows, self.leaves
        for draft, event, head, back in islice(self.placed, len(rows), None):
            stream, kind, actor, correlation = draft.names
            seq, cause, salt, payload = event.seq, event.cause, draft.salt, draft.payload
            digest = "sha256:" + sha256(salt + payload).hexdigest()
            link = "null"
            if back:
                prev = "sha256:" + head.leaf.hex()
                fill(event, "prev", prev)
                link = f'"{prev}"'
            fill(event, "payload_digest", digest)
            header = (
                f'{{"actor":{actor},"at":"{event.at}","cause":{"null" if cause is None else cause},'
                f'"correlation":{correlation},"payload_digest":"{digest}",'
                f'"prev":{link},"seq":{seq},"stream":{stream},"stream_seq":{event.stream_seq},'
                f'"type":{kind},"version":{event.version}}}'
            ).encode()
            head.leaf = leaf = sha256(b"\x00" + header).digest()  # header.leaf_of
            rows.append(Row(seq, back, event.type, header, salt, payload))
            leaves.append(leaf)


def sealed(append: Append) -> list[Event]:
    """Return what an append wrote, personal values as they are stored."""
    return [
        msgspec.structs.replace(event, payload=msgspec.json.decode(draft.payload))
        if draft.event.personal
        else event
        for draft, event in zip(append.drafts, append.result, strict=True)
    ]


def _caused(draft: Draft, moved: Mapping[int, int]) -> Draft:
    """Return a draft whose cause is named by its new place."""
    cause = moved.get(draft.event.cause or 0, draft.event.cause)
    if cause == draft.event.cause:
        return draft
    event = msgspec.structs.replace(draft.event, cause=cause)
    return msgspec.structs.replace(draft, event=event)
