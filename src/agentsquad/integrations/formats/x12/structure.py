"""Structure: does each segment stand where its transaction set allows it?

The walk keeps a stack of open loops, each with a place in its list of nodes. A
segment is looked for from that place forward, then in the loops around. What
fits nowhere is reported and passed over, so one stray segment makes one
finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from agentsquad.integrations.formats.x12.definition import Node, Release, SetDef, release


class Misplaced(NamedTuple):
    """A structural finding: where, the AK304 code, a message, the loop it
    concerns.
    """

    segment: str
    position: int
    code: str
    message: str
    loop: str | None


class _Plan:
    """A list of nodes with what the walk asks of it, worked out once."""

    __slots__ = ("inner", "loop", "nodes", "places", "required", "room")

    def __init__(self, nodes: Sequence[Node], loop: str | None) -> None:
        self.nodes = nodes
        self.loop = loop
        self.places: dict[str, list[int]] = {}
        for index, node in enumerate(nodes):
            self.places.setdefault(node.tag, []).append(index)
        self.room = [node.max for node in nodes]
        self.required = [index for index, node in enumerate(nodes) if node.mandatory]
        self.inner = [_Plan(n.children, n.tag) if n.children else None for n in nodes]


@cache
def _plan(version: str, set_id: str) -> _Plan:
    return _Plan(release(version).sets[set_id].nodes, None)


class _Frame:
    """One open loop (or the set itself): which node comes next and how often
    each was used.
    """

    __slots__ = ("counts", "place", "places", "plan", "room")

    def __init__(self, plan: _Plan) -> None:
        self.plan = plan
        self.places = plan.places
        self.room = plan.room
        self.place = 0
        self.counts = [0] * len(plan.room)

    def missing(self, until: int) -> Iterator[Node]:
        """Yield mandatory nodes before `until` that never came."""
        for index in self.plan.required:
            if self.place <= index < until and not self.counts[index]:
                yield self.plan.nodes[index]


def walk(tags: Iterable[str], definition: SetDef, known: Release) -> list[Misplaced]:
    """Return what is structurally wrong with a transaction set of a release,
    given the tags of its segments in their order.
    """
    found: list[Misplaced] = []
    stack = [_Frame(_plan(known.version, definition.set_id))]
    position = 0
    for position, tag in enumerate(tags, 1):
        depth, index = _find(stack, tag)
        if index < 0:
            depth, index = _find_full(stack, tag)
        if index < 0:
            found.append(_stray(stack, (tag, position), definition, known))
            continue
        while len(stack) > depth + 1:
            left = stack.pop()
            if left.plan.required:
                found += _gaps(left, len(left.counts), position)
        frame = stack[depth]
        if index > frame.place:
            if frame.plan.required:
                found += _gaps(frame, index, position)
            frame.place = index
        frame.counts[index] += 1
        if frame.counts[index] == frame.room[index] + 1:
            found.append(_crowded(frame, index, position))
        inner = frame.plan.inner[index]
        if inner is not None:
            opened = _Frame(inner)
            opened.counts[0] = 1
            stack.append(opened)
    for frame in reversed(stack):
        gaps = _gaps(frame, len(frame.counts), position)
        found += [gap for gap in gaps if gap.segment != "SE"]
    return found


def _gaps(frame: _Frame, until: int, position: int) -> list[Misplaced]:
    loop = frame.plan.loop
    return [_absent(node, position, loop) for node in frame.missing(until)]


def _find(stack: list[_Frame], tag: str) -> tuple[int, int]:
    """Return the innermost place with room for a tag as (depth, node), the
    node negative if there is none.

    This runs for every segment of every file, so it is one plain loop.
    """
    depth = len(stack)
    while depth:
        depth -= 1
        frame = stack[depth]
        places = frame.places.get(tag)
        if places is not None:
            for index in places:
                if index >= frame.place and frame.counts[index] < frame.room[index]:
                    return depth, index
    return 0, -1


def _find_full(stack: list[_Frame], tag: str) -> tuple[int, int]:
    """Return the innermost place that is used up, as `_find` does.

    A loop is not entered once more through its first segment from inside.
    """
    for depth in range(len(stack) - 1, -1, -1):
        frame = stack[depth]
        for index in frame.places.get(tag, ()):
            if index >= frame.place and frame.counts[index] >= frame.room[index]:
                if depth and index == 0:
                    break
                return depth, index
    return 0, -1


def _crowded(frame: _Frame, index: int, position: int) -> Misplaced:
    node = frame.plan.nodes[index]
    code, what = ("4", "loop") if node.children else ("5", "segment")
    text = f"{what} {node.tag} occurs more than {node.max} times"
    return Misplaced(node.tag, position, code, text, frame.plan.loop)


def _absent(node: Node, position: int, loop: str | None) -> Misplaced:
    what = "loop" if node.children else "segment"
    where = f" of loop {loop}" if loop else ""
    return Misplaced(
        node.tag, position, "3", f"mandatory {what} {node.tag}{where} is missing", loop
    )


def _stray(
    stack: list[_Frame], segment: tuple[str, int], definition: SetDef, known: Release
) -> Misplaced:
    (tag, position), loop = segment, stack[-1].plan.loop
    if tag not in known.tags:
        code, text = "1", f"segment {tag[:12]!r} is not known"
    elif tag not in definition.tags:
        code, text = "6", f"segment {tag} is not part of {definition.set_id}"
    elif any(node.tag == tag for frame in stack for node in frame.plan.nodes[: frame.place]):
        code, text = "7", f"segment {tag} is not in its proper sequence"
    else:
        code, text = "2", f"segment {tag} is not expected here"
    return Misplaced(tag, position, code, text, loop)
