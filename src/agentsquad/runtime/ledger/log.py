"""EventLog: the one append-only log over any volume; the event store of the
kernel's port.

Appends that come while the loop is busy (above all: busy with the last sync)
wait in a list; one flush per turn of the loop writes all of them with one
commit and one fsync, on the loop's own thread, and only then answers them. No
timer, no thread: an append alone costs one commit, a thousand at once cost one
commit too. An append is all or nothing; one that fails its expectation fails
alone.

Laws: an answered append is durable; `seq` is gap-free in commit order; a failed
commit leaves nothing that is served, and after one whose extent is unknown the
log refuses to write until opened again.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from agentsquad.kernel.errors import BugError, SquadError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.ids import HybridClock
from agentsquad.kernel.ports import Clock, Entropy
from agentsquad.runtime.ledger.contract import (
    ClosedError,
    DamagedError,
    EventMissingError,
    Head,
    KeyRing,
    LapsedError,
    LostError,
    PoisonedError,
    Record,
    Row,
    StreamHead,
    Volume,
)
from agentsquad.runtime.ledger.draft import Drafter
from agentsquad.runtime.ledger.header import leaf_of
from agentsquad.runtime.ledger.merkle import HASH_SIZE, TILE_WIDTH, TileNodes, root_at
from agentsquad.runtime.ledger.placing import Append, Holder, Placing, sealed
from agentsquad.runtime.ledger.reading import Reader
from agentsquad.runtime.ledger.tenure import Guarding, Pushing
from agentsquad.runtime.ledger.tree import GrowingTree

HEADS_MAX = 2_048
SCAN_MAX = 10_000
POLL_MS = 50.0

PASSES_MAX = 6
PLACED_MAX = 512  # appends that are not kept waiting for more


class EventLog:
    """The log. Belongs to one event loop at a time; other processes may share
    its volume.
    """

    def __init__(self, volume: Volume, clock: Clock, entropy: Entropy, keyring: KeyRing) -> None:
        self._volume = volume
        self._clock = clock
        self._hybrid = HybridClock(clock)
        self._drafter = Drafter(entropy, keyring)
        self._reader = Reader(volume, keyring)
        self._tree = GrowingTree()
        self._heads: OrderedDict[str, StreamHead] = OrderedDict()
        self._pending: list[Append] = []
        self._placing: Placing | None = None
        self._scheduled = False
        self._refusal: SquadError | None = None
        self._spoilt: SquadError | None = None  # why what waits cannot be committed
        self._waiters: set[asyncio.Future[None]] = set()
        self._guesses = isinstance(volume, Guarding)
        self._listeners: list[Callable[[list[Event]], None]] = []
        self.commits = 0
        # The note is read first: others may append between the two reads, and
        # the head must not seem to be behind it.
        noted = volume.witness()
        self._restore(volume.head())
        self._consult(noted)

    # --- writing ---

    async def append(
        self, events: Sequence[NewEvent], *, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        """Append all or none, durably, and return them as stored
        (kernel.ports.EventStore).
        """
        self._require_writable()
        draft = self._drafter.draft
        future: asyncio.Future[list[Event]] = asyncio.get_running_loop().create_future()
        self._pending.append(Append([draft(event) for event in events], expect, future))
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)
        return await future

    def place(
        self,
        events: Sequence[NewEvent],
        *,
        holder: Holder,
        expect: Mapping[str, int] | None = None,
    ) -> list[Event]:
        """Give events their place at once; the next commit makes them durable.

        Until `holder` is told that they are, they are not acknowledged: no
        reader sees them, and nobody may do on their account what cannot be done
        again. If another process writes in between they get later places and
        times; a commit that fails takes everything placed with it.
        """
        if (refusal := self._refusal or self._spoilt) is not None:
            raise _own(refusal)
        draft = self._drafter.draft
        made = [draft(events[0])] if len(events) == 1 else [draft(event) for event in events]
        append = Append(made, expect, None, holder)
        pending = self._pending
        try:
            placing = self._placed(append)
        except SquadError as error:
            # What is looked up for a place cannot be read: nobody knows how far
            # this got, so what waits fails with it, as in a commit that cannot.
            self._placing, self._spoilt = None, error if pending else None
            raise
        if append.failure is not None:
            placing.count -= 1
            raise append.failure
        pending.append(append)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._pass, 0, PASSES_MAX)
        return append.result

    def _placed(self, append: Append) -> Placing:
        """Give an append its place after all that waits, and return in what."""
        placing, pending = self._placing, self._pending
        if placing is None:
            placing = self._placing = self._new_placing(self._tree.size)
        elif placing.first != self._tree.size + 1:  # others' events were read meanwhile
            placed = pending[: placing.count]
            placing = self._placing = self._new_placing(self._tree.size)
            placing.again(placed)
        while placing.count < len(pending):
            placing.add(pending[placing.count])
        placing.add(append)
        return placing

    def _pass(self, seen: int, passes: int) -> None:
        """Commit unless more came in this turn of the loop: what follows from a
        place is mostly there a turn later, and shares the commit. Where much is
        under way a turn is long, and brings enough for a commit of its own;
        where nobody has a turn, as far as the loop tells, nothing can follow.
        """
        waiting = len(self._pending)
        loop = asyncio.get_running_loop()
        ready = getattr(loop, "_ready", True)
        if waiting == seen or waiting >= PLACED_MAX or not passes or not ready:
            self._flush()
        else:
            loop.call_soon(self._pass, waiting, passes - 1)

    def _flush(self) -> None:
        pending, placing = self._pending, self._placing
        self._pending, self._placing, self._scheduled = [], None, False
        spoilt, self._spoilt = self._spoilt, None
        kept = [append for append in pending if append.wanted]
        if not kept:
            return
        if placing is not None and len(kept) != len(pending):
            placing.first = 0  # a place is empty now: give all of them anew
            placing.count = len([a for a in pending[: placing.count] if a.wanted])
        failure: SquadError | None = None
        try:
            self._require_writable()
            if spoilt is not None:
                raise spoilt
            try:
                self._commit(kept, placing)
            except LapsedError:  # nothing was written, and others wrote meanwhile
                self._commit_anew(kept, placing)
        except SquadError as error:
            failure = error
            self._heads.clear()
            if isinstance(error, PoisonedError):
                self._refusal = error
        except Exception as error:  # noqa: BLE001  # a bug of ours must not leave appends waiting
            failure = self._refusal = BugError(
                f"the ledger failed unexpectedly: {type(error).__name__}", private=repr(error)
            )
            failure.__cause__ = error
        for append in kept:
            error_of_append = failure or append.failure
            if append.holder is not None:
                append.holder.settled(error_of_append and _own(error_of_append), append.result)
            elif append.future is None or append.future.done():
                continue  # a holder that was told before has stopped its caller
            elif error_of_append is None:
                append.future.set_result(append.result)
            else:
                append.future.set_exception(_own(error_of_append))
        if failure is None:
            if self._listeners:
                self._tell([append for append in kept if append.failure is None])
            self._announce()

    def hear(self, listener: Callable[[list[Event]], None]) -> None:
        """Have the events of every commit of this process told, in order,
        personal values sealed as `read_sealed` gives them.
        """
        self._listeners.append(listener)

    def _tell(self, appends: list[Append]) -> None:
        events: list[Event] = []
        for append in appends:
            if len(append.drafts) == 1 and not append.drafts[0].event.personal:
                events.append(append.result[0])
            else:
                events += sealed(append)
        if events:
            for listener in self._listeners:
                listener(events)

    def _commit(self, appends: list[Append], placing: Placing | None) -> None:
        volume = self._volume
        start = volume.begin()
        try:
            if start.size != self._tree.size:
                self._follow(start)
            if placing is None:
                placing = self._new_placing(start.size)
            elif placing.first != start.size + 1:  # another process wrote meanwhile
                placed = appends[: placing.count]
                placing = self._new_placing(start.size)
                placing.again(placed)
            for append in appends[placing.count :]:
                placing.add(append)
            if not placing.placed:
                volume.rollback()
                return
            tree = self._tree.copy()
            volume.commit(placing.batch(tree))
        except BaseException:
            volume.rollback()
            raise
        self._tree = tree
        self._reader.follow(tree)
        self.commits += 1
        self._heads.update(placing.touched)
        self._trim()

    def _commit_anew(self, appends: list[Append], placing: Placing | None) -> None:
        """Give every append another place, and guess nothing this time."""
        self._heads.clear()
        if placing is not None:
            placing.first = 0
        self._guesses = False
        try:
            self._commit(appends, placing)
        finally:
            self._guesses = isinstance(self._volume, Guarding)

    def _new_placing(self, size: int) -> Placing:
        return Placing(size + 1, self._stream, self._hybrid.tick)

    def _stream(self, name: str, fresh: bool = False) -> StreamHead | None:
        """Return the end of a stream. One that should be `fresh` need not be
        looked for where the volume refuses to make it a second time.
        """
        heads = self._heads
        head = heads.get(name)
        if head is None and fresh and self._guesses:
            return None
        if head is None:
            head = self._volume.stream(name)
            if head is not None:
                heads[name] = head
        elif len(heads) > HEADS_MAX // 2:
            heads.move_to_end(name)
        return head

    def _trim(self) -> None:
        """Bound the cache."""
        while len(self._heads) > HEADS_MAX:
            self._heads.popitem(last=False)

    def _require_writable(self) -> None:
        if self._refusal is not None:
            raise _own(self._refusal)

    # --- following what others wrote ---

    def _restore(self, head: Head) -> None:
        """Rebuild the tree from tiles and the last records, and compare with
        the stored root.
        """
        full = head.size - head.size % TILE_WIDTH
        rows = self._volume.scan(full, TILE_WIDTH)[: head.size - full]
        leaves = [leaf_of(row.header) for row in rows]
        if len(leaves) != head.size - full:
            raise LostError(
                f"the log says it has {head.size} events, but ends after {full + len(leaves)}",
                details={"size": head.size, "found": full + len(leaves)},
            )
        tree = GrowingTree.restore(head.size, leaves, self._reader.stored_tile)
        self._adopt(tree, head)

    def _consult(self, noted: Head | None) -> None:
        """Compare with the head noted beside the log: it must be one this log
        once had.
        """
        if noted is None or noted.size == 0:
            return
        if noted.size > self._tree.size:
            raise LostError(
                f"the log has {self._tree.size} events, but had {noted.size}",
                hint="restore it from a backup; to accept the loss delete the file '….head'",
                details={"size": noted.size, "found": self._tree.size},
            )
        if root_at(noted.size, TileNodes(self, noted.size)) != noted.root:
            raise DamagedError(
                f"the first {noted.size} events are not those the log once had",
                hint="another log was put in its place, or its past was changed",
                details={"size": noted.size},
            )

    def _follow(self, head: Head) -> None:
        """Take in what another process appended: a longer log that extends the
        one known here.
        """
        if head.size < self._tree.size:
            raise LostError(
                f"the log had {self._tree.size} events and now has {head.size}",
                hint="it was replaced or cut while open: restore it",
                details={"size": self._tree.size, "found": head.size},
            )
        tree = self._tree.copy()
        while tree.size < head.size:
            rows = self._volume.scan(tree.size, min(SCAN_MAX, head.size - tree.size))
            if not rows or rows[0].seq != tree.size + 1:
                raise LostError(f"event {tree.size + 1} is missing", details={"seq": tree.size + 1})
            tree.extend([leaf_of(row.header) for row in rows])
        self._heads.clear()
        self._adopt(tree, head)

    def _adopt(self, tree: GrowingTree, head: Head) -> None:
        self._reader.adopt(tree, head)
        self._tree = tree
        if head.size:
            self._hybrid.merge(self._reader.headers(self._reader.exactly([head.size]))[0].at)

    def _refresh(self) -> int:
        if isinstance(self._refusal, ClosedError):
            raise _own(self._refusal)
        head = self._volume.head()
        if head.size != self._tree.size:
            self._follow(head)
            self._announce()
        return head.size

    def _announce(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, after: int, *, timeout_ms: float | None = None) -> int:
        """Return the size as soon as it is greater than `after`, or when time
        is up.

        Appends of this process are noticed at once; so are those of others if
        the volume tells of them, else within `POLL_MS`.
        """
        deadline = None if timeout_ms is None else self._clock.monotonic_ms() + timeout_ms
        pushed = isinstance(self._volume, Pushing)
        deaf = self._volume.listen(self._announce) if isinstance(self._volume, Pushing) else None
        try:
            while True:
                size = self._refresh()
                left = math.inf if deadline is None else deadline - self._clock.monotonic_ms()
                if size > after or left <= 0:
                    return size
                await self._nap(left if pushed else min(left, POLL_MS))
        finally:
            if deaf is not None:
                deaf()

    async def _nap(self, duration_ms: float) -> None:
        """Sleep until something is announced, or for so long."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        naps: list[asyncio.Future[None]] = []
        if duration_ms < math.inf:
            naps.append(asyncio.ensure_future(self._clock.sleep_ms(duration_ms)))
        try:
            await asyncio.wait((waiter, *naps), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiters.discard(waiter)
            for nap in naps:
                nap.cancel()

    # --- reading ---

    async def head(self) -> Head:
        """Return size and root of the log as it stands, events of other
        processes included.
        """
        self._refresh()
        return Head(self._tree.size, self._tree.root())

    async def size(self) -> int:
        """Return the `seq` of the last event, 0 for an empty log."""
        return self._refresh()

    async def read(
        self, *, after: int = 0, limit: int = 1000, types: Sequence[str] | None = None
    ) -> list[Event]:
        """Return checked events with `seq` > `after` in order, of the given
        types.
        """
        return self._reader.events(self._rows(after, limit, types))

    async def read_sealed(
        self, *, after: int = 0, limit: int = 1000, types: Sequence[str] | None = None
    ) -> list[Event]:
        """Return events as `read` does, personal values left sealed: what
        readings are made of.
        """
        return self._reader.events(self._rows(after, limit, types), opened=False)

    async def read_stream(
        self, stream: str, *, after: int = 0, limit: int | None = None
    ) -> list[Event]:
        """Return checked events of one stream with `stream_seq` > `after`, in
        order.
        """
        size = self._refresh()
        head = self._stream(stream)
        while head is not None and head.last > size:
            # Another process appended after we looked at the log's size; if the
            # log did not grow the stream's end is damaged, and found below.
            grown = self._refresh()
            head = self._stream(stream)
            if grown == size:
                break
            size = grown
        self._trim()
        if head is None or head.version <= after or (limit is not None and limit <= 0):
            return []
        return self._reader.stream(head, max(after, 0), limit, size)

    def ends(self, streams: Sequence[str]) -> list[tuple[int, int]]:
        """Return (version, `seq` of the last event) of each stream, (0, 0) for
        one that is not there; what is not durable yet does not count.
        """
        size = self._refresh()
        found = []
        for stream in streams:
            head = self._heads.get(stream) or self._volume.stream(stream)
            found.append((head.version, head.last) if head and head.last <= size else (0, 0))
        return found

    async def streams(self, prefix: str = "") -> list[tuple[str, int]]:
        """Return (name, version) of every stream whose name starts so, oldest
        first.
        """
        self._refresh()
        return self._volume.streams(prefix)

    async def record(self, seq: int) -> Record:
        """Return one checked record; MissingError `ledger.missing` beyond the
        end.
        """
        size = self._refresh()
        if not 1 <= seq <= size:
            raise EventMissingError(f"there is no event {seq}", hint=f"the log has {size} events")
        return self._reader.records(self._reader.exactly([seq]))[0]

    async def read_records(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        """Return checked records with `seq` > `after`, in order."""
        return self._reader.records(self._rows(after, limit, None))

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile of the tree
        (`merkle.TileSource`).
        """
        return self._reader.tile(level, index)[: width * HASH_SIZE]

    @property
    def volume(self) -> Volume:
        """The volume below, for those who check or weigh it."""
        return self._volume

    def _rows(self, after: int, limit: int, types: Sequence[str] | None) -> list[Row]:
        size, after = self._refresh(), max(after, 0)
        count = min(limit, size - after)
        if count <= 0:
            return []
        if types is not None:
            places = self._volume.typed(types, after, limit)
            return self._reader.exactly([place for place in places if place <= size])
        return self._reader.gapless(self._volume.scan(after, count), after, count)

    def close(self) -> None:
        """Refuse whatever waits and let go of the files."""
        if isinstance(self._refusal, ClosedError):
            return
        self._refusal = ClosedError(hint="open it again")
        self._flush()
        self._announce()
        self._volume.close()


def _own(error: SquadError) -> SquadError:
    """Return a copy, so that each caller raises an exception of its own."""
    copy = type(error)(
        error.message,
        code=error.code,
        hint=error.hint,
        details=dict(error.details),
        retry_after_ms=error.retry_after_ms,
        private=error.private,
    )
    copy.__cause__ = error.__cause__
    return copy
