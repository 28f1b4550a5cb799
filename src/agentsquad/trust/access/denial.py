"""Denials as events, so few of them that nobody can flood the log.

Of one actor, action and namespace there is at most one event a minute, with how
often it was denied since the last; of one actor at most `EVENTS_MAX` a minute,
whatever they try.
"""

from __future__ import annotations

import msgspec

from agentsquad.kernel.event import NewEvent

WINDOW_MS = 60_000
EVENTS_MAX = 30
KEYS_MAX = 10_000
NAME_MAX = 64  # of what is written down of a namespace that somebody typed
EVERYTHING = "*"

Key = tuple[str, str, str]


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """Who was denied what, and why."""

    actor: str
    verb: str
    namespace: str
    surface: str = ""
    credential: str = ""
    reason: str = ""
    clauses: tuple[str, ...] = ()


class _Window:
    __slots__ = ("denial", "since_ms", "unsaid")

    def __init__(self, denial: Denial, since_ms: int) -> None:
        self.denial = denial
        self.since_ms = since_ms
        self.unsaid = 0


class Denials:
    """What was denied lately. Pure: says which events to append, and when."""

    def __init__(self) -> None:
        self._windows: dict[Key, _Window] = {}
        self._told: dict[str, tuple[int, int]] = {}  # actor -> when the minute began, events in it

    def note(self, denial: Denial, now_ms: int) -> list[NewEvent]:
        """Take in one denial; return the events that are due now."""
        due = self._over(now_ms)
        key = self._key(denial, now_ms)
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= KEYS_MAX:
                due += self.flush()
            self._windows[key] = _Window(denial, now_ms)
            self._count(denial.actor, now_ms)
            return [*due, _event(denial, key, 1, now_ms)]
        window.unsaid += 1
        return due

    def flush(self) -> list[NewEvent]:
        """Return the events of everything that was not told yet; forget all."""
        found = [
            _event(window.denial, key, window.unsaid, window.since_ms)
            for key, window in self._windows.items()
            if window.unsaid
        ]
        self._windows.clear()
        self._told.clear()
        return found

    def _over(self, now_ms: int) -> list[NewEvent]:
        """End the windows whose minute is over; they began in order."""
        due = []
        for key, window in list(self._windows.items()):
            if now_ms - window.since_ms < WINDOW_MS:
                break
            del self._windows[key]
            if window.unsaid:
                due.append(_event(window.denial, key, window.unsaid, now_ms))
        return due

    def _key(self, denial: Denial, now_ms: int) -> Key:
        own = (denial.actor, denial.verb, denial.namespace)
        if own in self._windows or self._so_far(denial.actor, now_ms) < EVENTS_MAX:
            return own
        return (denial.actor, EVERYTHING, EVERYTHING)

    def _so_far(self, actor: str, now_ms: int) -> int:
        since, count = self._told.get(actor, (now_ms, 0))
        return count if now_ms - since < WINDOW_MS else 0

    def _count(self, actor: str, now_ms: int) -> None:
        so_far = self._so_far(actor, now_ms)
        since = self._told[actor][0] if so_far else now_ms
        if len(self._told) >= KEYS_MAX:
            self._told.clear()
        self._told[actor] = (since, so_far + 1)


def _event(denial: Denial, key: Key, count: int, at_ms: int) -> NewEvent:
    actor, verb, namespace = key
    payload = {
        "actor": actor,
        "verb": verb,
        "namespace": namespace[:NAME_MAX],
        "surface": denial.surface,
        "credential": denial.credential,
        "reason": denial.reason,
        "clauses": list(denial.clauses),
        "count": count,
        "at_ms": at_ms,
    }
    return NewEvent(stream=f"denials/{actor}", type="access.denied", payload=payload, actor=actor)
