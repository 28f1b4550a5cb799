"""Delta: a request as what is new in it.

An agent sends its whole conversation with each request, so that a session
written down in full would grow with the square of its length. A request is
recorded as the difference to an earlier one: fields that are the same are left
out, and of lists only what follows the part they share is kept.

Laws: restore(shorten(body, earlier), earlier) == body.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

KEPT = 8  # earlier requests that a later one may refer to
LIKE, SAME, SHARED, REST = "$like", "$same", "$shared", "$rest"


class Library:
    """The last requests of a session, by number."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[int, Any] = OrderedDict()

    def add(self, n: int, body: Any) -> None:
        """Keep a request; the oldest is forgotten."""
        self._bodies[n] = body
        if len(self._bodies) > KEPT:
            self._bodies.popitem(last=False)

    def shorten(self, body: Any) -> Any:
        """Return what is new in a body, by the earlier one that it shares most
        with."""
        if not isinstance(body, dict):
            return {REST: body}
        best, most = None, 0
        for n, earlier in self._bodies.items():
            shared = _shared(body, earlier)
            if shared and shared >= most:
                best, most = n, shared
        if best is None:
            return {REST: body}
        earlier = self._bodies[best]
        same = [key for key in body if key in earlier and _equal(earlier[key], body[key])]
        rest: dict[str, Any] = {}
        for key, value in body.items():
            if key in same:
                continue
            old = earlier.get(key)
            count = _prefix(old, value)
            rest[key] = {SHARED: count, REST: value[count:]} if count else {REST: value}
        return {LIKE: best, SAME: same, REST: rest}

    def restore(self, short: Mapping[str, Any]) -> Any:
        """Return the whole body again."""
        if LIKE not in short:
            return short[REST]
        earlier = self._bodies[short[LIKE]]
        body = {key: earlier[key] for key in short[SAME]}
        for key, kept in short[REST].items():
            shared = kept.get(SHARED, 0)
            body[key] = [*earlier[key][:shared], *kept[REST]] if shared else kept[REST]
        return body


def _shared(body: Mapping[str, Any], earlier: Any) -> int:
    """Return how much two bodies share: equal fields, and items that lists
    begin with."""
    if not isinstance(earlier, dict):
        return 0
    total = 0
    for key, value in body.items():
        old = earlier.get(key)
        total += _prefix(old, value) if isinstance(value, list) else key in earlier and old == value
    return total


def _prefix(old: Any, new: Any) -> int:
    if not isinstance(old, list) or not isinstance(new, list):
        return 0
    count = 0
    for one, other in zip(old, new, strict=False):
        if not _equal(one, other):
            break
        count += 1
    return count


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are written alike: 1, 1.0 and true are three."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)
