"""Structure: from boxes and arrows to nested blocks.

A manifest nests: a choice holds what is done then, a loop its round. Other
languages draw arrows. What lies between a split and the point where all its
ways meet again (its immediate post-dominator) becomes a block; an arrow back to
a point that dominates it becomes a loop. Arrows that jump into or out of such
blocks have no equivalent and are said so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from agentsquad.integrations.formats.flows.contract import NotTaken

END = "<end>"
LOOP_MAX = 1_000
Node = dict[str, Any]
Split = Literal["step", "xor", "and", "or", "event"]


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """An arrow; `when` is CEL, None of the one that is taken otherwise."""

    to: str
    when: str | None = None


class Box(msgspec.Struct, kw_only=True):
    """One point of the drawing; `node` is what is done there, None for a mere
    crossing. Of an event split each edge leads to a wait."""

    id: str
    node: Node | None = None
    split: Split = "step"
    out: list[Edge] = []
    at: str = ""


class Structure:
    """Turns one drawing into nodes."""

    def __init__(
        self,
        boxes: Mapping[str, Box],
        tell: Callable[[NotTaken], None],
        unique: Callable[[str], str],
    ) -> None:
        self._boxes = dict(boxes)
        self._tell = tell
        self._unique = unique
        self._order = list(self._boxes)
        self._path: list[str] = []  # the points walked on the way to here
        self._after = self._post_dominators()
        self._before = self._dominators()
        self._loops = {
            edge.to: box.id
            for box in self._boxes.values()
            for edge in box.out
            if edge.to in self._before.get(box.id, ())
        }

    def nodes(self, start: str) -> list[Node]:
        """Return the nodes from a point to the end.

        Where blocks would overlap and nothing is repeated, every point gets a
        condition of its own instead of a place in a block.
        """
        if not self._loops and self._overlaps(start):
            return self._flat(start)
        return chained(self._region(start, END, set()))

    # --- without blocks

    def _overlaps(self, start: str) -> bool:
        """Whether a point would stand in two blocks."""
        met: set[str] = set()

        def visit(at: str, stop: str) -> bool:
            while at not in (stop, END):
                if at in met:
                    return True
                met.add(at)
                box = self._boxes[at]
                if box.split == "event":
                    return any(visit(edge.to, self._after.get(at, END)) for edge in box.out)
                if box.split == "step" or len(box.out) < 2:
                    at = box.out[0].to if box.out else END
                    continue
                meeting = self._after.get(at, END)
                out = merged(box.out) if box.split == "xor" else box.out
                if any(visit(edge.to, meeting) for edge in out):
                    return True
                at = meeting
            return False

        return visit(start, END)

    def _flat(self, start: str) -> list[Node]:
        """Return one node for each point, done if any way to it was taken."""
        into: dict[str, list[tuple[str, str]]] = {start: []}
        order = self._topological(start)
        for name in order:
            earlier: list[str] = []
            for edge in self._boxes[name].out:
                said = [f"!({one})" for one in earlier] + ([f"({edge.when})"] if edge.when else [])
                into.setdefault(edge.to, []).append((name, " && ".join(said) or "true"))
                if edge.when and self._boxes[name].split == "xor":
                    earlier.append(edge.when)
        found: list[Node] = []
        marks: dict[str, str] = {}
        last: dict[str, str] = {}
        for name in order:
            mark = self._unique(f"{name}-taken")
            marks[name] = f"{of(mark)} == true"
            ways = [f"({marks[one]} && {said})" for one, said in into[name]]
            found.append(
                {
                    "id": mark,
                    "dependsOn": sorted({last[one] for one, _ in into[name]}),
                    "value": "${" + (" || ".join(ways) or "true") + "}",
                }
            )
            last[name] = mark
            node = self._boxes[name].node
            if node is not None:
                own = f" && ({node['when']})" if "when" in node else ""
                rest = {k: v for k, v in node.items() if k not in ("id", "when")}
                asked = {"dependsOn": [mark], "when": marks[name] + own}
                found.append({"id": node["id"], **asked, **rest})
                last[name] = node["id"]
        return [{k: v for k, v in one.items() if k != "dependsOn" or v} for one in found]

    def _topological(self, start: str) -> list[str]:
        done: list[str] = []
        seen: set[str] = set()

        def visit(at: str) -> None:
            if at in seen or at not in self._boxes:
                return
            seen.add(at)
            for edge in self._boxes[at].out:
                visit(edge.to)
            done.append(at)

        visit(start)
        return done[::-1]

    # --- walking

    def _region(self, at: str, stop: str, inside: set[str]) -> list[Node]:
        """Return what is done from a point to another, which is not done."""
        depth = len(self._path)
        try:
            return list(self._walked(at, stop, inside))
        finally:
            del self._path[depth:]

    def _walked(self, at: str, stop: str, inside: set[str]) -> Iterator[Node]:
        while at not in (stop, END):
            box = self._boxes.get(at)
            if box is not None and at in self._loops and at not in inside:
                found = self._loop(box, inside)
                if found is None:
                    return
                node, at = found
                yield node
                continue
            if at in self._path or box is None:
                self._jump(at, "goes back into the middle of something")
                return
            self._path.append(at)
            if box.node is not None:
                yield box.node
            if box.split == "step" or len(box.out) < 2:
                at = box.out[0].to if box.out else END
                continue
            meeting = self._after.get(at, END)
            yield from self._split(box, meeting, inside)
            at = meeting

    def _split(self, box: Box, meeting: str, inside: set[str]) -> Iterator[Node]:
        if box.split == "event":
            yield from self._event(box, meeting, inside)
            return
        out = merged(box.out) if box.split == "xor" else box.out
        ways = [(edge, chained(self._region(edge.to, meeting, inside))) for edge in out]
        name = self._unique(box.id if box.node is None else f"{box.id}-ways")
        if box.split == "and":
            inner = [node for _, way in ways for node in way]
            if inner:
                yield {"id": name, "nodes": inner}
            return
        if box.split == "or":
            yield {
                "id": name,
                "nodes": [
                    {
                        "id": self._unique(f"{name}-{n}"),
                        **({"when": edge.when} if edge.when else {}),
                        "nodes": way or [self._nothing(name)],
                    }
                    for n, (edge, way) in enumerate(ways, start=1)
                ],
            }
            return
        ordered = sorted(ways, key=lambda pair: pair[0].when is None)
        choices: list[Node] = []
        for edge, way in ordered:
            choice: Node = {"when": edge.when} if edge.when is not None else {}
            choices.append({**choice, "nodes": way or [self._nothing(name)]})
            if edge.when is None:
                break  # what comes after it is never taken
        yield {"id": name, "branch": choices}

    def _event(self, box: Box, meeting: str, inside: set[str]) -> Iterator[Node]:
        """Wait for the first of several events, then go its way."""
        name, choices, race = self._unique(box.id), [], []
        for edge in box.out:
            waits = self._boxes[edge.to]
            race.append({"name": edge.to, "nodes": [waits.node or self._nothing(edge.to)]})
            following = waits.out[0].to if waits.out else END
            way = [] if following == meeting else self._region(following, meeting, inside)
            choices.append(
                {
                    "when": f'{of(name)}.won == "{edge.to}"',
                    "nodes": chained(way) or [self._nothing(edge.to)],
                }
            )
        yield {"id": name, "race": race}
        yield {"id": self._unique(f"{box.id}-then"), "branch": choices}

    def _loop(self, head: Box, inside: set[str]) -> tuple[Node, str] | None:
        """Return the loop that begins at a box and where it goes on after."""
        tail = self._boxes[self._loops[head.id]]
        name = self._unique(f"{head.id}-loop")
        within = inside | {head.id}
        if _kind(tail) == "xor" and len(tail.out) == 2 and _kind(head) == "step":
            back = next(edge for edge in tail.out if edge.to == head.id)
            out = next((edge for edge in tail.out if edge.to != head.id), None)
            again = back.when or (f"!({out.when})" if out is not None and out.when else None)
            if out is None or again is None:
                self._jump(head.at or head.id, "is repeated for ever")
                return None
            body = self._region(head.id, tail.id, within)
            body += [tail.node] if tail.node is not None else []
            return _repeated(name, body, f"index == 0 || ({again})"), out.to
        if _kind(head) == "xor" and len(head.out) == 2 and _kind(tail) == "step":
            ways = {edge.to: edge for edge in head.out}
            entry = next((to for to in ways if self._reaches(to, tail.id, head.id)), None)
            out = next((edge for edge in head.out if edge.to != entry), None)
            if entry is not None and out is not None:
                again = ways[entry].when or (f"!({out.when})" if out.when else None)
                if again is not None:
                    body = self._region(entry, head.id, within)
                    return _repeated(name, body, again), out.to
        self._jump(head.at or head.id, "is a loop with several ways in or out")
        return None

    def _reaches(self, start: str, goal: str, without: str) -> bool:
        open_, seen = [start], {without}
        while open_:
            at = open_.pop()
            if at == goal:
                return True
            if at in seen or at not in self._boxes:
                continue
            seen.add(at)
            open_ += [edge.to for edge in self._boxes[at].out]
        return False

    def _nothing(self, name: str) -> Node:
        return {"id": self._unique(f"{name}-nothing"), "value": None}

    def _jump(self, at: str, why: str) -> None:
        self._tell(NotTaken(at=at, construct="jump", why=f"the flow {why}: blocks must nest"))

    # --- domination (Cooper, Harvey and Kennedy; the sets are small)

    def _post_dominators(self) -> dict[str, str]:
        everything = {*self._boxes, END}
        after = {name: set(everything) for name in self._boxes}
        after[END] = {END}
        changed = True
        while changed:
            changed = False
            for name in reversed(self._order):
                ways = [edge.to for edge in self._boxes[name].out] or [END]
                met = set.intersection(*(after.get(to, {END}) for to in ways)) | {name}
                changed |= met != after[name]
                after[name] = met
        return {name: self._nearest(name, after) for name in self._order}

    def _nearest(self, name: str, after: Mapping[str, set[str]]) -> str:
        """Return the first of what all ways pass: the one with most behind
        it."""
        others = after[name] - {name}
        return max(others, key=lambda one: (len(after[one]), one != END), default=END)

    def _dominators(self) -> dict[str, set[str]]:
        if not self._order:
            return {}
        into: dict[str, list[str]] = {name: [] for name in self._order}
        for box in self._boxes.values():
            for edge in box.out:
                into.setdefault(edge.to, []).append(box.id)
        before = {name: set(self._order) for name in self._order}
        before[self._order[0]] = {self._order[0]}
        changed = True
        while changed:
            changed = False
            for name in self._order[1:]:
                ways = [before[one] for one in into[name] if one in before]
                met = (set.intersection(*ways) if ways else set()) | {name}
                changed |= met != before[name]
                before[name] = met
        return before


def _kind(box: Box) -> Split:
    """Return what a box is: with one way out it splits nothing."""
    return box.split if len(box.out) > 1 else "step"


def merged(edges: Sequence[Edge]) -> list[Edge]:
    """Return one arrow for each target, taken when any of its was, the first
    whose condition holds being taken; the one taken otherwise comes last."""
    targets = list(dict.fromkeys(edge.to for edge in edges))
    if len(targets) == len(edges):
        return list(edges)
    otherwise = next((edge.to for edge in edges if edge.when is None), None)
    found = []
    for to in targets:
        if to == otherwise:
            continue
        taken = []
        for number, edge in enumerate(edges):
            if edge.to != to or edge.when is None:
                continue
            before = [one for one in edges[:number] if one.to != to]
            if any(one.when is None for one in before):
                break
            parts = [f"!({one.when})" for one in before]
            taken.append(" && ".join([*parts, f"({edge.when})"]))
        if taken:
            found.append(Edge(to=to, when=" || ".join(f"({one})" for one in taken)))
    return found if otherwise is None else [*found, Edge(to=otherwise)]


def _repeated(name: str, body: list[Node], condition: str) -> Node:
    return {
        "id": name,
        "loop": {"while": condition, "max": LOOP_MAX},
        "nodes": chained(body) or [{"id": f"{name}-nothing", "value": None}],
    }


def chained(nodes: Sequence[Node]) -> list[Node]:
    """Return nodes each of which waits for the one before."""
    found: list[Node] = []
    for node in nodes:
        after = {"dependsOn": [found[-1]["id"]]} if found else {}
        found.append({"id": node["id"], **after, **{k: v for k, v in node.items() if k != "id"}})
    return found


def of(name: str) -> str:
    """Return the CEL for a node's output."""
    return f"nodes.{name}" if name.isidentifier() else f'nodes["{name}"]'
