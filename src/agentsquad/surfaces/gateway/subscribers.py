"""Subscribers: who is to hear of an event, found without asking everybody.

Pure. An index by the beginning of a stream, then by type, so that an event
costs as many look-ups as there are lengths of prefixes, not as there are
subscribers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar

from agentsquad.surfaces.gateway.contract import Following

T = TypeVar("T")

ANYTHING = "*"


class Prefixes(Generic[T]):
    """Values by the beginnings of the words they are found with."""

    def __init__(self) -> None:
        self._values: dict[str, T] = {}
        self._lengths: Counter[int] = Counter()

    def get(self, prefix: str) -> T | None:
        """Return what is kept for exactly this prefix."""
        return self._values.get(prefix)

    def put(self, prefix: str, value: T) -> None:
        """Keep a value for a prefix that has none."""
        self._values[prefix] = value
        self._lengths[len(prefix)] += 1

    def drop(self, prefix: str) -> None:
        """Forget a prefix."""
        del self._values[prefix]
        self._lengths[len(prefix)] -= 1
        if not self._lengths[len(prefix)]:
            del self._lengths[len(prefix)]

    def of(self, word: str) -> Iterator[T]:
        """Return the values of all prefixes of a word."""
        for length in self._lengths:
            if length <= len(word):
                found = self._values.get(word[:length])
                if found is not None:
                    yield found

    def __bool__(self) -> bool:
        return bool(self._values)


class _ByType(Generic[T]):
    """Members by the types they want: some type, all that begin so, or any."""

    def __init__(self) -> None:
        self.exact: dict[str, dict[T, None]] = {}
        self.begun: Prefixes[dict[T, None]] = Prefixes()

    def add(self, pattern: str, member: T) -> None:
        if pattern.endswith(ANYTHING):
            prefix = pattern[:-1]
            members = self.begun.get(prefix)
            if members is None:
                members = {}
                self.begun.put(prefix, members)
        else:
            members = self.exact.setdefault(pattern, {})
        members[member] = None

    def remove(self, pattern: str, member: T) -> None:
        prefix = pattern[:-1] if pattern.endswith(ANYTHING) else None
        members = self.exact[pattern] if prefix is None else self.begun.get(prefix)
        if members is None:
            return
        members.pop(member, None)
        if not members and prefix is None:
            del self.exact[pattern]
        elif not members and prefix is not None:
            self.begun.drop(prefix)

    def of(self, kind: str) -> Iterator[dict[T, None]]:
        found = self.exact.get(kind)
        if found is not None:
            yield found
        yield from self.begun.of(kind)

    def __bool__(self) -> bool:
        return bool(self.exact) or bool(self.begun)


class Subscribers(Generic[T]):
    """Members, each with what it follows; a member may be there once."""

    def __init__(self) -> None:
        self._streams: Prefixes[_ByType[T]] = Prefixes()
        self._members: dict[T, Following] = {}

    def add(self, member: T, what: Following) -> None:
        """Have a member found by what it follows from now on."""
        self._members[member] = what
        for prefix, pattern in _keys(what):
            by_type = self._streams.get(prefix)
            if by_type is None:
                by_type = _ByType()
                self._streams.put(prefix, by_type)
            by_type.add(pattern, member)

    def remove(self, member: T) -> None:
        """Let a member go; one that is not there is no mistake."""
        what = self._members.pop(member, None)
        if what is None:
            return
        for prefix, pattern in _keys(what):
            by_type = self._streams.get(prefix)
            if by_type is not None:
                by_type.remove(pattern, member)
                if not by_type:
                    self._streams.drop(prefix)

    def of(self, stream: str, kind: str) -> dict[T, None]:
        """Return who follows events of a type in a stream, each once."""
        found: dict[T, None] = {}
        for by_type in self._streams.of(stream):
            for members in by_type.of(kind):
                found.update(members)
        return found

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._members))

    def __contains__(self, member: T) -> bool:
        return member in self._members


def _keys(what: Following) -> list[tuple[str, str]]:
    streams = dict.fromkeys(what.streams or ("",))
    types = dict.fromkeys(what.types or (ANYTHING,))
    return [(stream, kind) for stream in streams for kind in types]


def wanted(what: Following, stream: str, kind: str) -> bool:
    """Say whether an event of a type in a stream is followed, `after` apart."""
    return (not what.streams or stream.startswith(what.streams)) and (
        not what.types
        or any(
            kind.startswith(one[:-1]) if one.endswith(ANYTHING) else kind == one
            for one in what.types
        )
    )
