"""Line: those who wait for their turn, fair to each who asks, as a pure value
store.

One queue an actor, served in turns, so that a caller with a thousand starts
waits behind himself and not before the others. Actors that were not served yet
and those that were take turns too, whoever has most waiting gives way when the
line is full, and who has few waiting is given more patience: the ideas of
FQ-CoDel (RFC 8290).

Normally who came first goes first. When more come than can be begun the newest
does: somebody still waits for it, while the oldest is the one most likely given
up ("adaptive LIFO", Maurer, *Fail at Scale*, ACM Queue 2015).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_SPARSE = 3
_SERVED_MAX = 10_000


class Waiting(Generic[T]):
    """One who waits: for whom, since when, and what is told when it is over."""

    __slots__ = ("actor", "since_ms", "told")

    def __init__(self, actor: str, since_ms: float, told: T) -> None:
        self.actor = actor
        self.since_ms = since_ms
        self.told = told


class Line(Generic[T]):
    """Those who wait, by actor."""

    def __init__(self) -> None:
        # Both in the order of their turns; an actor is in one of them at most.
        self._fresh: dict[str, deque[Waiting[T]]] = {}
        self._known: dict[str, deque[Waiting[T]]] = {}
        self._served: set[str] = set()
        self._known_next = False
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def join(self, waiting: Waiting[T]) -> None:
        """Take a place at the end of one's own queue."""
        actor = waiting.actor
        there = self._known if actor in self._known or actor in self._served else self._fresh
        there.setdefault(actor, deque()).append(waiting)
        self._size += 1

    def leave(self, waiting: Waiting[T]) -> None:
        """Give a place up; nothing if it was taken off already."""
        for queues in (self._fresh, self._known):
            queue = queues.get(waiting.actor)
            if queue is not None and waiting in queue:
                queue.remove(waiting)
                self._taken(queues, waiting.actor)

    def take(self, *, newest: bool) -> Waiting[T] | None:
        """Take off the next one of the actor whose turn it is."""
        known = bool(self._known) and (self._known_next or not self._fresh)
        queues = self._known if known else self._fresh
        if not queues:
            return None
        self._known_next = not known
        actor = next(reversed(queues)) if newest and not known else next(iter(queues))
        queue = queues[actor]
        waiting = queue.pop() if newest else queue.popleft()
        self._taken(queues, actor)
        if queue:
            del queues[actor]
            self._known[actor] = queue  # behind the other actors
        if len(self._served) >= _SERVED_MAX:
            self._served.clear()
        self._served.add(actor)
        return waiting

    def few(self, actor: str) -> bool:
        """Whether an actor has less than its even share waiting."""
        there = self._fresh.get(actor) or self._known.get(actor) or ()
        actors = len(self._fresh) + len(self._known) + (not there)
        return actors * (len(there) + 1) <= self._size

    def crowd(self) -> Waiting[T] | None:
        """Take off the oldest of the actor that has most waiting."""
        most = max(
            ((len(queue), queues, actor) for queues, actor, queue in self._all()),
            key=lambda one: one[0],
            default=None,
        )
        return None if most is None else self._first(most[1], most[2])

    def stale(self, now_ms: float, patience_ms: float) -> list[Waiting[T]]:
        """Take off everybody who has waited longer than that, or thrice as
        long where an actor has less than its even share waiting.
        """
        found = []
        share = self._size / max(1, len(self._fresh) + len(self._known))
        for queues, actor, queue in list(self._all()):
            limit = patience_ms * (_SPARSE if len(queue) < share else 1)
            while queue and now_ms - queue[0].since_ms > limit:
                found.append(self._first(queues, actor))
        return found

    def forget(self) -> None:
        """Let every actor be new again, as nobody waits."""
        self._served.clear()

    def _all(self) -> Iterator[tuple[dict[str, deque[Waiting[T]]], str, deque[Waiting[T]]]]:
        for queues in (self._fresh, self._known):
            for actor, queue in queues.items():
                yield queues, actor, queue

    def _first(self, queues: dict[str, deque[Waiting[T]]], actor: str) -> Waiting[T]:
        waiting = queues[actor].popleft()
        self._taken(queues, actor)
        return waiting

    def _taken(self, queues: dict[str, deque[Waiting[T]]], actor: str) -> None:
        self._size -= 1
        if not queues[actor]:
            del queues[actor]


class Tide:
    """Whether more come than can be begun, over whole intervals.

    A thousand starts at once that are then worked off are no overload: they
    come in one interval and the line shrinks in the next. `high` means that in
    each of the last intervals more came than went, and the line was never
    empty; one interval of the opposite ends it. `newest` holds from then until
    the line is empty, so that who comes after an overload does not wait for
    what is left of it. `rate_s` is how many are begun in a second, `pressure`
    how many come for each of them.
    """

    def __init__(self, interval_ms: float, intervals: int, now_ms: float) -> None:
        self._interval_ms = interval_ms
        self._intervals = intervals
        self._since = now_ms
        self._rising = 0
        self._came = 0
        self._went = 0
        self._emptied = True
        self.high = False
        self.newest = False
        self.rate_s = 0.0
        self.pressure = 1.0

    def came(self) -> None:
        """Note a start that asks."""
        self._came += 1

    def went(self) -> None:
        """Note a start that is begun."""
        self._went += 1

    def emptied(self) -> None:
        """Note that nobody waits."""
        self._emptied, self._rising = True, 0
        self.high = self.newest = False

    def turn(self, now_ms: float) -> None:
        """Draw the conclusion of an interval that is over."""
        passed = now_ms - self._since
        if passed < self._interval_ms:
            return
        rate = self._went * 1000 / passed
        self.rate_s = rate if passed > 4 * self._interval_ms else self._smooth(rate)
        self.pressure += (self._came / max(1, self._went) - self.pressure) / 2
        rose = self._came > self._went and not self._emptied
        self._rising = self._rising + 1 if rose else 0
        self.high = self._rising >= self._intervals
        self.newest = self.newest or self.high
        self._since, self._came, self._went, self._emptied = now_ms, 0, 0, False

    def _smooth(self, rate: float) -> float:
        return rate if not self.rate_s else self.rate_s + (rate - self.rate_s) / 2
