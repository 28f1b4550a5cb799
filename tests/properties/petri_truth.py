"""The truth about a small net, told the slow way: Karp and Miller's tree as in
the textbook, and all markings one by one. Shares no code with what it judges.
"""

from __future__ import annotations

from agentsquad.runtime.control.net.petri import Net

OMEGA = 10**9


class TooLargeError(Exception):
    """The net is too large to be judged the slow way."""


def step(net: Net, marking: tuple[int, ...], number: int) -> tuple[int, ...] | None:
    one = net.transitions[number]
    if any(marking[p] < w for p, w in one.takes.items()):
        return None
    after = list(marking)
    for place, weight in one.takes.items():
        after[place] -= weight if marking[place] < OMEGA else 0
    for place, weight in one.puts.items():
        after[place] += weight if marking[place] < OMEGA else 0
    return tuple(after)


def tree(net: Net, most: int = 4000) -> tuple[set[int], set[int]]:
    """Return the unbounded places and the transitions that can fire."""
    unbounded: set[int] = set()
    fired: set[int] = set()
    work = [(net.start, ())]
    nodes = 0
    seen = set()
    while work:
        marking, above = work.pop()
        if marking in above or marking in seen:
            continue
        nodes += 1
        if nodes > most:
            raise TooLargeError
        if not above or OMEGA not in marking:
            pass
        line = (*above, marking)
        for number in range(len(net.transitions)):
            after = step(net, marking, number)
            if after is None:
                continue
            fired.add(number)
            changed = True
            while changed:
                changed = False
                for old in line:
                    if all(map(int.__ge__, after, old)) and after != old:
                        new = tuple(OMEGA if a > o else a for a, o in zip(after, old, strict=True))
                        changed |= new != after
                        after = new
            unbounded |= {p for p, count in enumerate(after) if count >= OMEGA}
            work.append((after, line))
    return unbounded, fired


def markings(net: Net, most: int = 4000) -> tuple[dict[tuple[int, ...], list[int]], bool]:
    """Return markings with what is enabled in each, and whether these are
    all."""
    found: dict[tuple[int, ...], list[int]] = {}
    work = [net.start]
    seen = {net.start}
    while work and len(found) < most:
        marking = work.pop(0)
        enabled = []
        for number in range(len(net.transitions)):
            after = step(net, marking, number)
            if after is None:
                continue
            enabled.append(number)
            if after not in seen:
                seen.add(after)
                work.append(after)
        found[marking] = enabled
    return found, not work


def always_again(net: Net, found: dict[tuple[int, ...], list[int]]) -> bool:
    """Return whether from every marking every transition can still fire."""
    for begin in found:
        work, seen, fired = [begin], {begin}, set()
        while work:
            marking = work.pop()
            for number in found[marking]:
                fired.add(number)
                after = step(net, marking, number)
                if after not in seen:
                    seen.add(after)
                    work.append(after)
        if len(fired) < len(net.transitions):
            return False
    return True
