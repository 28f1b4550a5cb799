"""Structure: does each segment stand where its transaction set allows it?

The walk keeps a stack of open loops, each with a place in its list of nodes. A
segment is looked for from that place forward, then in the loops around. What
fits nowhere is reported and passed over, so one stray segment makes one
finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agentsquad.integrations.formats.x12.definition import Node, Release, SetDef
from agentsquad.integrations.formats.x12.interchange import Segment


class Misplaced(NamedTuple):
    """A structural finding: where, the AK304 code, a message, the loop it
    concerns.
    """

    segment: str
    position: int
    code: str
    message: str
    loop: str | None


class _Frame:
    """One open loop (or the set itself): which node comes next and how often
    each was used.
    """

    __slots__ = ("counts", "loop", "nodes", "place")

    def __init__(self, nodes: Sequence[Node], loop: str | None) -> None:
        self.nodes = nodes
        self.loop = loop
        self.place = 0
        self.counts: dict[int, int] = {}

    def find(self, tag: str, *, full: bool) -> int | None:
        """Return the first node from here on that begins with `tag`, if `full`
        without room.
        """
        for index in range(self.place, len(self.nodes)):
            node = self.nodes[index]
            if node.tag == tag and (self.counts.get(index, 0) >= node.max) == full:
                return index
        return None

    def missing(self, until: int) -> Iterator[Node]:
        """Yield mandatory nodes before `until` that never came."""
        for index in range(self.place, until):
            if self.nodes[index].mandatory and not self.counts.get(index):
                yield self.nodes[index]


def walk(segments: Sequence[Segment], definition: SetDef, release: Release) -> Iterator[Misplaced]:
    """Yield what is structurally wrong with a transaction set, in the order of
    its segments.
    """
    stack = [_Frame(definition.nodes, None)]
    for segment in segments:
        yield from _step(stack, segment, definition, release)
    end = len(segments)
    while stack:
        frame = stack.pop()
        for node in frame.missing(len(frame.nodes)):
            if node.tag != "SE":
                yield _absent(node, end, frame.loop)


def _step(
    stack: list[_Frame], segment: Segment, definition: SetDef, release: Release
) -> Iterator[Misplaced]:
    found = _find(stack, segment.tag)
    if found is None:
        yield _stray(stack, segment, definition, release)
        return
    depth, index = found
    frame = stack[depth]
    for left in reversed(stack[depth + 1 :]):
        for node in left.missing(len(left.nodes)):
            yield _absent(node, segment.position, left.loop)
    for node in frame.missing(index):
        yield _absent(node, segment.position, frame.loop)
    del stack[depth + 1 :]
    yield from _enter(stack, index, segment)


def _find(stack: list[_Frame], tag: str) -> tuple[int, int] | None:
    """Return the innermost place for a tag as (depth, node); places with room
    first.
    """
    for full in (False, True):
        for depth in range(len(stack) - 1, -1, -1):
            index = stack[depth].find(tag, full=full)
            if index is not None and not (full and depth and index == 0):
                return depth, index
    return None


def _enter(stack: list[_Frame], index: int, segment: Segment) -> Iterator[Misplaced]:
    """Take a segment at a node; open the loop if the node is one."""
    frame = stack[-1]
    node = frame.nodes[index]
    frame.place = index
    frame.counts[index] = frame.counts.get(index, 0) + 1
    if frame.counts[index] == node.max + 1:
        code, what = ("4", "loop") if node.children else ("5", "segment")
        yield Misplaced(
            segment.tag,
            segment.position,
            code,
            f"{what} {node.tag} occurs more than {node.max} times",
            frame.loop,
        )
    if node.children:
        inner = _Frame(node.children, node.tag)
        inner.counts[0] = 1
        stack.append(inner)


def _absent(node: Node, position: int, loop: str | None) -> Misplaced:
    what = "loop" if node.children else "segment"
    where = f" of loop {loop}" if loop else ""
    return Misplaced(
        node.tag, position, "3", f"mandatory {what} {node.tag}{where} is missing", loop
    )


def _stray(
    stack: list[_Frame], segment: Segment, definition: SetDef, release: Release
) -> Misplaced:
    tag, loop = segment.tag, stack[-1].loop
    if tag not in release.tags:
        code, text = "1", f"segment {tag[:12]!r} is not known"
    elif tag not in definition.tags:
        code, text = "6", f"segment {tag} is not part of {definition.set_id}"
    elif any(node.tag == tag for frame in stack for node in frame.nodes[: frame.place]):
        code, text = "7", f"segment {tag} is not in its proper sequence"
    else:
        code, text = "2", f"segment {tag} is not expected here"
    return Misplaced(tag, segment.position, code, text, loop)
