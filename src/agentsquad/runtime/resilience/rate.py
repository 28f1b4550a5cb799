"""Rate: how much may pass in any window of time, as a pure state machine over
an explicit now.

A token bucket of the same numbers would let twice the limit through a window (a
full bucket, then its refill), and providers count windows. So what is kept here
is the window itself: amounts with the moments they were granted for. A grant
may lie in the future, which makes waiting first come, first served without a
queue or a lock.

Laws:
    1. The amounts granted in any half-open window (t - window_ms, t] never
       exceed the limit.
    2. Grants are in order: a later reservation is never granted an earlier
       moment.
    3. What is not granted changes nothing.
    4. The state stays small: neighbours within 1/`SLOTS` of the window are
       merged, at the later moment.
"""

from __future__ import annotations

import msgspec

SLOTS = 120


class Rate(msgspec.Struct, frozen=True):
    """At most `limit` of something in any `window_ms` milliseconds.

    Moments are whole milliseconds of one clock, so that window edges are exact.
    """

    limit: int
    window_ms: int = 60_000


class Spent(msgspec.Struct, frozen=True):
    """What was granted lately: (first moment, last moment, amount), oldest
    first.
    """

    slots: tuple[tuple[int, int, int], ...] = ()


NOTHING = Spent()


def earliest(rate: Rate, spent: Spent, now_ms: int, amount: int) -> int | None:
    """Return the first moment at which `amount` may pass, or None if it never
    can.

    The moment is `now_ms` itself when nothing is in the way.
    """
    if amount > rate.limit:
        return None
    slots = spent.slots
    moment: int = max(now_ms, slots[-1][1]) if slots else now_ms
    window = [slot for slot in slots if slot[1] > moment - rate.window_ms]
    live = sum(size for _, _, size in window)
    for _, last, size in window:
        if live + amount <= rate.limit:
            break
        moment = last + rate.window_ms
        live -= size
    return moment


def reserve(rate: Rate, spent: Spent, moment_ms: int, amount: int) -> Spent:
    """Return the state with `amount` granted at a moment that `earliest`
    returned.
    """
    if amount <= 0:
        return spent
    keep = tuple(slot for slot in spent.slots if slot[1] > moment_ms - rate.window_ms)
    if keep and moment_ms - keep[-1][0] < rate.window_ms / SLOTS:
        first, _, size = keep[-1]
        return Spent((*keep[:-1], (first, moment_ms, size + amount)))
    return Spent((*keep, (moment_ms, moment_ms, amount)))


def settle(spent: Spent, moment_ms: int, difference: int) -> Spent:
    """Correct a grant once it is known what was really used; negative gives
    back.

    Using more than was granted cannot be undone, so it may lift a window over
    the limit; what comes after then waits longer. A grant that has left the
    window is not corrected any more.
    """
    for index, (first, last, size) in enumerate(spent.slots):
        if first <= moment_ms <= last:
            changed = (first, last, max(0, size + difference))
            return Spent((*spent.slots[:index], changed, *spent.slots[index + 1 :]))
    return spent
