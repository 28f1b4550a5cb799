"""What the graph of all reachable markings says: liveness and soundness."""

from __future__ import annotations

from agentsquad.runtime.control.net.explore import Space
from agentsquad.runtime.control.net.petri import Net


class Sound:
    """Answers about a workflow net; `stuck` is a dead marking not the end."""

    def __init__(self) -> None:
        self.complete_possible: bool | None = None
        self.proper: bool | None = None
        self.stuck: int | None = None


def workflow_ends(net: Net) -> tuple[int, int] | None:
    """Return the first and the last place of a workflow net, else None.

    One place without producers that holds one token, the only one; one without
    consumers; everything on a way between them.
    """
    made = {place for one in net.transitions for place in one.puts}
    used = {place for one in net.transitions for place in one.takes}
    sources = [place for place in range(len(net.places)) if place not in made]
    sinks = [place for place in range(len(net.places)) if place not in used]
    if len(sources) != 1 or len(sinks) != 1 or sources == sinks:
        return None
    if sum(net.start) != 1 or net.start[sources[0]] != 1:
        return None
    if not all(one.takes and one.puts for one in net.transitions):
        return None
    ahead = _reached(sources[0], [(one.takes, one.puts) for one in net.transitions])
    back = _reached(sinks[0], [(one.puts, one.takes) for one in net.transitions])
    if len(ahead & back) != len(net.places):
        return None
    return sources[0], sinks[0]


def _reached(begin: int, arcs: list[tuple[dict[int, int], dict[int, int]]]) -> set[int]:
    leads: dict[int, set[int]] = {}
    for from_, to in arcs:
        for place in from_:
            leads.setdefault(place, set()).update(to)
    found, waiting = {begin}, [begin]
    while waiting:
        for place in leads.get(waiting.pop(), ()):
            if place not in found:
                found.add(place)
                waiting.append(place)
    return found


def judge_soundness(net: Net, space: Space | None, sink: int) -> Sound:
    """Return what all markings say of a workflow net; nothing without them."""
    found = Sound()
    if space is None or space.edges is None:
        return found
    packed = space.packed
    end = packed.pack([int(place == sink) for place in range(len(net.places))])
    done = next((at for at, marking in enumerate(space.order) if marking == end), None)
    found.stuck = next((at for at in space.dead if space.order[at] != end), None)
    shift, mask = packed.bits * sink, (1 << packed.bits) - 1
    found.proper = all(not (marking >> shift) & mask or marking == end for marking in space.order)
    found.complete_possible = done is not None and len(can_reach(space, [done])) == len(space.order)
    return found


def can_reach(space: Space, ends: list[int]) -> set[int]:
    """Return the markings from which one of `ends` can be reached."""
    assert space.edges is not None
    before: list[list[int]] = [[] for _ in space.order]
    for at, row in enumerate(space.edges):
        for target in row[1::2]:
            before[target].append(at)
    found, waiting = set(ends), list(ends)
    while waiting:
        for at in before[waiting.pop()]:
            if at not in found:
                found.add(at)
                waiting.append(at)
    return found


def is_live(space: Space) -> bool:
    """Return whether every transition can always become enabled again: each
    strongly connected part with no way out fires all of them."""
    assert space.edges is not None
    everything = set(range(space.packed.size))
    part = components(space)
    fires: dict[int, set[int]] = {}
    leaves: set[int] = set()
    for at, row in enumerate(space.edges):
        mine = part[at]
        fired = fires.setdefault(mine, set())
        fired.update(row[::2])
        if any(part[target] != mine for target in row[1::2]):
            leaves.add(mine)
    return all(fired == everything for one, fired in fires.items() if one not in leaves)


def components(space: Space) -> list[int]:
    """Return the number of the strongly connected part of each marking
    (Tarjan, without recursion)."""
    assert space.edges is not None
    edges = space.edges
    size = len(space.order)
    number, low, part = [-1] * size, [0] * size, [-1] * size
    stack: list[int] = []
    work = [(0, 0)]
    count = parts = 0
    while work:
        at, begin = work.pop()
        if number[at] < 0:
            number[at] = low[at] = count
            count += 1
            stack.append(at)
        row = edges[at]
        for place in range(begin, len(row) // 2):
            target = row[2 * place + 1]
            if number[target] < 0:
                work.append((at, place))
                work.append((target, 0))
                break
            if part[target] < 0:
                low[at] = min(low[at], low[target])
        else:
            if low[at] == number[at]:
                while part[at] < 0:
                    part[stack.pop()] = parts
                parts += 1
            if work:
                up = work[-1][0]
                low[up] = min(low[up], low[at])
    return part
