"""Quotas: how much may be asked in a day or a month of the calendar, kept in
the log, so that a restart forgets nothing and servers of one store count
together.

What passed is counted at once and written about once a second. Law: what was
written is never forgotten; at most what passes in that second, on each server,
can pass beyond the limit or be lost with a crash.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from agentsquad.kernel.event import Event, NewEvent
from agentsquad.trust.threats.contract import Hit
from agentsquad.trust.threats.limit import Outcome
from agentsquad.trust.threats.ratelimit import Counted, Limit, within

USED = "quota.used"
STREAM = "quota/"
Key = tuple[str, str, tuple[str, ...]]  # the limit, the period, what is counted together


def period_of(now_ms: int, period: str) -> tuple[str, int]:
    """Return the name of the day or month that a moment is in, UTC, and when
    it ends."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return day.strftime("%Y-%m-%d"), int((day + timedelta(days=1)).timestamp()) * 1000
    following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day.strftime("%Y-%m"), int(following.timestamp()) * 1000


class Quotas:
    """What was used of each quota, here and by other servers."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._used: dict[Key, int] = {}
        self._unsaved: dict[Key, int] = {}
        self._first = True
        self.place = -1  # so that an empty log counts as read, too

    def count(
        self, limits: Iterable[Limit], hit: Hit, now_ms: int, *, later: bool
    ) -> list[Counted]:
        """Count a hit; one that a quota refuses is charged to none after it."""
        found: list[Counted] = []
        for limit in limits:
            if not limit.period or limit.later is not later or not limit.match.fits(hit):
                continue
            cost = limit.cost(hit)
            if not cost or (limit.exempt and within(hit.address, limit.exempt)):
                continue
            name, end_ms = period_of(now_ms, limit.period)
            key = (limit.name, name, limit.key(hit))
            used = self._used.get(key, 0)
            passes = used + cost <= limit.rule.limit
            if passes:
                used += cost
                self._used[key] = used
                self._unsaved[key] = self._unsaved.get(key, 0) + cost
            left, wait = max(0, limit.rule.limit - used), end_ms - now_ms
            retry = 0 if passes else wait
            outcome = Outcome(passes=passes, remaining=left, reset_ms=wait, retry_ms=retry)
            found.append(Counted(limit=limit, outcome=outcome))
            if not passes:
                break
        return found

    def unsaved(self) -> list[NewEvent]:
        """Return what the log does not know yet."""
        return [
            NewEvent(
                stream=f"{STREAM}{limit}/{period}",
                type=USED,
                payload={"by": list(by), "amount": amount, "server": self._owner},
            )
            for (limit, period, by), amount in self._unsaved.items()
        ]

    def saved(self, events: Sequence[NewEvent]) -> None:
        """Hear that the log has them."""
        for event in events:
            key = _key(event.stream, event.payload["by"])
            left = self._unsaved.get(key, 0) - event.payload["amount"]
            if left > 0:
                self._unsaved[key] = left
            else:
                self._unsaved.pop(key, None)

    def hear(self, events: Iterable[Event], place: int) -> None:
        """Take in what the log says up to a place: at first everything, then
        what other servers counted."""
        for event in events:
            payload = event.payload or {}
            if payload and (self._first or payload["server"] != self._owner):
                key = _key(event.stream, payload["by"])
                self._used[key] = self._used.get(key, 0) + payload["amount"]
        self._first = False
        self.place = place

    def forget(self, now_ms: int) -> None:
        """Let go of days and months that are over."""
        current = {period_of(now_ms, period)[0] for period in ("day", "month")}
        self._used = {
            key: used
            for key, used in self._used.items()
            if key[1] in current or key in self._unsaved
        }


def _key(stream: str, by: Sequence[str]) -> Key:
    limit, _, period = stream.removeprefix(STREAM).rpartition("/")
    return limit, period, tuple(by)
