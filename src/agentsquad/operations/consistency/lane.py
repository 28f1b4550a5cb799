"""Lane: the operations on one key, laid out for the search.

Linearizability is compositional (Herlihy & Wing 1990): a history is
linearizable when its part for each key is. Horn & Kroening ("Faster
linearizability checking via P-compositionality", 2015) check the parts apart,
which is what makes long histories cheap; a lane is such a part.

States and kinds are small integers, so that the search compares numbers and
never values. A kind is an operation without its time: `need` is the state it
requires (-1: any), `target` the state it leaves (-1: the one it found, or the
one it found with `suffix` behind it).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from agentsquad.operations.consistency.contract import Operation

ANY = -1
IMPOSSIBLE = -1
NEVER = -1
READS = ("read", "get")


class Kind:
    """What all operations of the same name and value have in common."""

    __slots__ = ("hides", "need", "observer", "once", "steps", "suffix", "target", "unseen")

    def __init__(self, need: int, target: int, suffix: str | None) -> None:
        self.need = need
        self.target = target
        self.suffix = suffix
        self.observer = suffix is None and target in (ANY, need)
        self.hides = need == ANY and target != ANY
        self.unseen = self.once = False
        self.steps: dict[int, int] = {}


class Lane:
    """One key's operations: numbered states, kinds, and events in order.

    A register begins as null; a key of a kv store that was never put reads as
    "", which null means too. With `cut` only the events before that place of
    the history count, and what has not returned by then is open.

    Of the operations of `calls`, those that return have a bit of their own
    while they are pending (bits are used again), and those that never return
    are only counted by kind: they are interchangeable from their call on.
    """

    def __init__(self, model: str, operations: Sequence[Operation], cut: int | None = None) -> None:
        self._numbers: dict[str | bytes, int] = {}
        self._kinds: dict[tuple[int, int, str | None], int] = {}
        self.values: list[Any] = []
        self.kinds: list[Kind] = []
        self.model = model
        self.initial = self.number("" if model == "kv" else None)
        self.calls = list(_known(operations, cut))
        self.kind = [self._kind_of(one) for one in self.calls]
        self.appends = any(kind.suffix is not None for kind in self.kinds)
        self._mark_unseen()
        self._lay_out(cut)
        self._look_ahead()

    def number(self, value: Any) -> int:
        """Return the number of a state."""
        if self.model == "kv" and value is None:
            value = ""
        key = value if isinstance(value, str) else _spelled(value)
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self.values)
            self.values.append(value)
        return found

    def step(self, kind: int, state: int) -> int:
        """Return the state an operation leaves, IMPOSSIBLE where it cannot
        happen."""
        one = self.kinds[kind]
        if one.suffix is None:
            if one.need not in (ANY, state):
                return IMPOSSIBLE
            return state if one.target == ANY else one.target
        found = one.steps.get(state)
        if found is None:
            found = one.steps[state] = self.number(self.values[state] + one.suffix)
        return found

    def _kind_of(self, one: Operation) -> int:
        if one.f in READS:
            return self._numbered(self.number(one.value), ANY, None)
        if one.f == "cas":
            before, after = one.value
            return self._numbered(self.number(before), self.number(after), None)
        if one.f == "append":
            return self._numbered(ANY, ANY, one.value)
        return self._numbered(ANY, self.number(one.value), None)

    def _numbered(self, need: int, target: int, suffix: str | None) -> int:
        key = (need, target, suffix)
        found = self._kinds.get(key)
        if found is None:
            found = self._kinds[key] = len(self.kinds)
            self.kinds.append(Kind(need, target, suffix))
        return found

    def _mark_unseen(self) -> None:
        """Mark what no read ever saw, where values grow.

        A value that another begins with adds nothing to look in; what remains
        is as long as what was written.
        """
        if not self.appends:
            return
        read = sorted({self.values[kind.need] for kind in self.kinds if kind.need != ANY})
        self.longest = [
            text
            for text, after in zip(read, [*read[1:], None], strict=False)
            if after is None or not after.startswith(text)
        ]
        parts = self._parts()
        whole = "\0".join(self.longest)
        often = Counter(self.kind)
        for number, kind in enumerate(self.kinds):
            text = kind.suffix if kind.suffix is not None else self.values[kind.target]
            if kind.observer:
                continue
            if parts is not None:
                kind.unseen = text not in parts
                kind.once = kind.suffix is not None and often[number] == 1
            elif kind.suffix is not None:
                kind.unseen = text not in whole
            else:
                kind.unseen = not self.grows(kind.target)

    def _parts(self) -> set[str] | None:
        """Return what the values that were read are made of; None where they
        can be taken apart in more than one way, or in none."""
        texts = [
            kind.suffix if kind.suffix is not None else self.values[kind.target]
            for kind in self.kinds
            if not kind.observer
        ]
        words = sorted(texts)
        if "" in words or any(b.startswith(a) for a, b in pairwise(words)):
            return None
        found: set[str] = set()
        longest = max(map(len, words), default=0)
        for text in self.longest:
            at = 0
            while at < len(text):
                word = words[max(0, bisect_right(words, text[at : at + longest]) - 1)]
                if not text.startswith(word, at):
                    return None
                found.add(word)
                at += len(word)
        return found

    def grows(self, state: int) -> bool:
        """Whether a read returned this value, or one that begins with it."""
        text = self.values[state]
        at = bisect_left(self.longest, text)
        return at < len(self.longest) and self.longest[at].startswith(text)

    def _lay_out(self, cut: int | None) -> None:
        """Order the events; give bits to what returns and fields to kinds that
        do not."""
        moments = []
        for number, one in enumerate(self.calls):
            moments.append((one.begin, number, False))
            if one.end is not None and (cut is None or one.end < cut):
                moments.append((one.end, number, True))
        moments.sort()
        self.events = [(number, returns) for _, number, returns in moments]
        size = len(self.calls)
        self.called, self.returned = [0] * size, [NEVER] * size
        for at, (number, returns) in enumerate(self.events):
            (self.returned if returns else self.called)[number] = at
        self.open = [returned == NEVER for returned in self.returned]
        self.bit = [0] * size
        self._fields()
        self._pending()

    def _fields(self) -> None:
        """Pack how many of each kind of open operation are used into one
        number.

        Each field has a spare bit above it, so that one subtraction compares
        all.
        """
        counts: dict[int, int] = {}
        for number, is_open in enumerate(self.open):
            if is_open:
                counts[self.kind[number]] = counts.get(self.kind[number], 0) + 1
        self.one: dict[int, int] = {}
        self.field: dict[int, tuple[int, int]] = {}
        self.guard = at = 0
        for kind, count in counts.items():
            width = count.bit_length()
            self.one[kind] = 1 << at
            self.field[kind] = (at, (1 << width) - 1)
            self.guard |= 1 << (at + width)
            at += width + 1

    def _pending(self) -> None:
        """Note, for each return, what is pending before it."""
        free: list[int] = []
        used = 0
        changers: dict[int, None] = {}
        observers: dict[int, None] = {}
        offers: tuple[tuple[int, int], ...] = ()
        self.changers: list[tuple[int, ...]] = []
        self.observers: list[tuple[int, ...]] = []
        self.offers: list[tuple[tuple[int, int], ...]] = []
        for number, returns in self.events:
            mine = observers if self.kinds[self.kind[number]].observer else changers
            if returns:
                self.changers.append(tuple(sorted(changers, key=self.returned.__getitem__)))
                self.observers.append(tuple(observers))
                self.offers.append(offers)
                del mine[number]
                free.append(self.bit[number].bit_length() - 1)
                continue
            self.changers.append(())
            self.observers.append(())
            self.offers.append(())
            if self.open[number]:
                if self.kinds[self.kind[number]].unseen:
                    continue
                have = dict(offers)
                have[self.kind[number]] = have.get(self.kind[number], 0) + 1
                offers = tuple(have.items())
                continue
            if not free:
                free.append(used)
                used += 1
            self.bit[number] = 1 << free.pop()
            mine[number] = None

    def _look_ahead(self) -> None:
        """Note until when each state is still needed, and can still be made.

        By state: the last call of an operation that must happen in it, the last
        call of one that leaves it, and whether an open operation needs it.
        """
        states = len(self.values)
        self.needed = [NEVER] * states
        self.made = [NEVER] * states
        self.wanted = [False] * states
        self.puts: list[tuple[int, Any]] = []
        self.gets: list[tuple[int, int]] = []
        for number in range(len(self.calls)):
            kind, at = self.kinds[self.kind[number]], self.called[number]
            if kind.need != ANY:
                if self.open[number]:
                    self.wanted[kind.need] = True
                else:
                    self.needed[kind.need] = max(self.needed[kind.need], at)
                    self.gets.append((self.returned[number], number))
            if kind.target not in (ANY, kind.need):
                self.made[kind.target] = max(self.made[kind.target], at)
                self.puts.append((at, self.values[kind.target]))
        self.gets.sort()
        last = {self.kinds[self.kind[n]].need: (self.called[n], n) for _, n in self.gets}
        for _, number in self.gets:
            state = self.kinds[self.kind[number]].need
            last[state] = max(last[state], (self.called[number], number))
        self.texts = (
            sorted((self.values[state], *at) for state, at in last.items()) if self.appends else []
        )
        self.puts.sort(key=lambda put: put[0])


def _known(operations: Iterable[Operation], cut: int | None) -> Iterable[Operation]:
    """Yield the operations that say something about the events before a cut.

    An open observer may as well not have happened.
    """
    for one in operations:
        if cut is not None and one.begin >= cut:
            continue
        is_open = one.end is None or (cut is not None and one.end >= cut)
        if is_open and (one.f in READS or (one.f == "cas" and one.value[0] == one.value[1])):
            continue
        yield one


def _spelled(value: Any) -> bytes:
    """Return one spelling of a JSON value; 1 and 1.0 are one number."""
    return msgspec.json.encode(_whole(value), order="sorted")


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {key: _whole(one) for key, one in value.items()}
    return value
