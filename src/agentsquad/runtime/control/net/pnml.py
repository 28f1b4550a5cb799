"""Reading PNML (ISO/IEC 15909-2): place/transition nets, pages and references.

What is not a place/transition net (colours, inhibitor or reset arcs,
capacities, priorities) is recognised and named, never read as if it were one.
Drawings and what belongs to a single tool are passed over. The older dialects
of the format, without a namespace, with `value` for `text` and with nodes
outside of pages, are read as what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentsquad.runtime.control.net.contract import NetFileError
from agentsquad.runtime.control.net.markup import Element, parse
from agentsquad.runtime.control.net.petri import Net, Place, Transition

HIGH_LEVEL = ("highlevel", "high-level", "hlpn", "hlnet", "symmetric", "colour", "color", "cpn")
TIMED = ("timed", "time", "tpn", "stochastic", "gspn", "stopwatch", "hybrid", "continuous")
COLOURED = frozenset({"hlinitialMarking", "hlinscription"})
PLAIN_ARCS = frozenset({"", "normal", "regular", "standard", "default", "pt", "tp", "arc"})
WORDS = frozenset({"inhibitor", "reset", "read", "test", "inhibitorarc", "resetarc", "readarc"})
WORDS |= {"testarc", "flush", "transfer", "transport", "equal", "modifier"}
NODES = ("place", "transition", "referencePlace", "referenceTransition", "arc")
KNOWN = frozenset({*NODES, "page", "name", "toolspecific", "declaration", "finalmarkings"})
_COUNT = re.compile(r"\+?[0-9]+\Z")
_TOKENS = re.compile(r"\s*([^,;]+?)\s*,\s*([0-9]+)\s*(?:[,;]|\Z)")
COUNT_MAX = 10**15


def read_nets(data: bytes, file: str) -> list[Net]:
    """Return the nets of a PNML document, or raise NetFileError with line and
    path."""
    root = parse(data, file)
    if root.name != "pnml":
        raise NetFileError(
            f"the document is <{root.name}>, not <pnml>",
            file=file,
            line=root.line,
            hint="give a PNML file, a workflow manifest or a Python file",
        )
    nets = list(root.all("net"))
    if not nets:
        raise NetFileError(
            "the document has no <net>", file=file, line=root.line, path="pnml", hint="add a net"
        )
    return [_Reader(one, file).net(number) for number, one in enumerate(nets, 1)]


class _Reader:
    """Reads one net."""

    def __init__(self, net: Element, file: str) -> None:
        self.element = net
        self.file = file
        self.notes: list[str] = []
        self.refused: list[str] = []
        self.nodes: dict[str, Element] = {}
        self.places: dict[str, int] = {}
        self.transitions: dict[str, int] = {}

    def net(self, number: int) -> Net:
        """Return the net."""
        self._kind()
        parts = list(self._parts(self.element))
        for one in parts:
            if one.name in NODES and one.name != "arc":
                self._node(one)
        places = [self._place(self.nodes[name]) for name in self.places]
        ends = list(self.transitions)
        takes: list[dict[int, int]] = [{} for _ in ends]
        puts: list[dict[int, int]] = [{} for _ in ends]
        for one in parts:
            if one.name == "arc":
                self._arc(one, takes, puts)
        self._timing()
        return Net(
            id=self.element.get("id") or f"net{number}",
            name=_label(self.element) or self.element.get("id") or f"net{number}",
            places=tuple(places),
            transitions=tuple(
                Transition(name, _label(self.nodes[name]) or name, takes[at], puts[at])
                for at, name in enumerate(ends)
            ),
            finals=tuple(self._finals()),
            unsupported=self.refused[0] if self.refused else None,
            notes=tuple(self.notes),
        )

    def _wrong(self, at: Element, message: str, hint: str) -> NetFileError:
        return NetFileError(message, file=self.file, line=at.line, path=at.path(), hint=hint)

    def _refuse(self, at: Element, what: str) -> None:
        self.refused.append(f"{what} ({self.file}:{at.line}: {at.path()})")

    def _kind(self) -> None:
        kind = (self.element.get("type") or "").lower()
        last = kind.rstrip("/").rpartition("/")[2]
        if any(word in last for word in HIGH_LEVEL):
            self._refuse(self.element, f"net type {kind!r} is a high-level net, with colours")
        elif "ptnet" not in last and any(word in last for word in TIMED):
            self._refuse(self.element, f"net type {kind!r} is a net with time")

    def _parts(self, of: Element) -> Iterator[Element]:
        for one in of.children:
            if one.name == "page":
                yield from self._parts(one)
                continue
            if one.name.lower().endswith("arc") and one.name != "arc":
                self._refuse(one, f"<{one.name}> is not an arc of a place/transition net")
            elif one.name == "declaration" and one.child("structure") is not None:
                self._refuse(one, "the net declares sorts: a high-level net, with colours")
            yield one

    def _node(self, one: Element) -> None:
        name = one.get("id")
        if not name:
            raise self._wrong(one, f"<{one.name}> has no id", "give it an id of its own")
        if name in self.nodes:
            first = self.nodes[name]
            raise self._wrong(
                one,
                f"id {name!r} is used twice (first at line {first.line})",
                "rename one of them",
            )
        self.nodes[name] = one
        if one.name == "place":
            self.places[name] = len(self.places)
        elif one.name == "transition":
            self.transitions[name] = len(self.transitions)
            condition = one.child("condition", "guard")
            if condition is not None and (condition.children or condition.text.strip()):
                self._refuse(condition, "a transition has a condition: a high-level net")

    def _place(self, one: Element) -> Place:
        for inner in one.children:
            if inner.name in COLOURED or (inner.name == "type" and inner.child("structure")):
                self._refuse(inner, "a place has coloured tokens: a high-level net")
        capacity = one.child("capacity")
        if capacity is not None and _value(capacity) not in ("", "0", "-1", "inf", "Infinity"):
            self._refuse(capacity, f"a place has a capacity of {_value(capacity)}")
        name = str(one.get("id"))
        marking = one.child("initialMarking")
        tokens = 0 if marking is None else self._count(marking, 0)
        return Place(name, _label(one) or name, tokens)

    def _count(self, at: Element, least: int) -> int:
        """Return the number a label holds; its text may be empty."""
        text = _value(at)
        if text == "":
            self.notes.append(f"line {at.line}: an empty <{at.name}> was read as {least}")
            return least
        if "," in text:  # tokens by class, as older editors write them: "Default,1"
            pairs = _TOKENS.findall(text)
            if not pairs or _TOKENS.sub("", text).strip():
                raise self._wrong(at, f"{text!r} is not a number", "write a whole number")
            held = [(kind, int(count)) for kind, count in pairs]
            coloured = [kind for kind, count in held if count]
            if len(coloured) > 1 or (coloured and coloured[0] != held[0][0]):
                self._refuse(at, f"tokens of several classes ({text}): a high-level net")
            return sum(count for _, count in held)
        if not _COUNT.match(text) or int(text) > COUNT_MAX:
            raise self._wrong(
                at,
                f"{text!r} is not a whole number from {least}",
                "correct the number, or save the net as a place/transition net",
            )
        count = int(text)
        if count < least:
            raise self._wrong(at, f"{text!r} is less than {least}", "remove the arc, or correct it")
        return count

    def _arc(self, one: Element, takes: list[dict[int, int]], puts: list[dict[int, int]]) -> None:
        self._arc_kind(one)
        source, target = self._end(one, "source"), self._end(one, "target")
        inscription = one.child("inscription", "value")
        weight = 1 if inscription is None else self._count(inscription, 1)
        if source in self.places and target in self.transitions:
            table, place = takes[self.transitions[target]], self.places[source]
        elif source in self.transitions and target in self.places:
            table, place = puts[self.transitions[source]], self.places[target]
        else:
            what = "places" if source in self.places else "transitions"
            raise self._wrong(
                one,
                f"an arc joins two {what}, {source!r} and {target!r}",
                "an arc leads from a place to a transition or back",
            )
        table[place] = table.get(place, 0) + weight

    def _arc_kind(self, one: Element) -> None:
        kinds = [one.get("type") or ""]
        for inner in one.children:
            if inner.name in COLOURED:
                self._refuse(inner, "an arc has a term as its inscription: a high-level net")
            elif inner.name in ("type", "arctype"):
                kinds.append((inner.get("value") or _value(inner)).strip())
            elif inner.name == "toolspecific":
                kinds += [word for word in _words(inner) if word in WORDS]
            elif inner.name.lower() in WORDS:
                kinds.append(inner.name)
        for kind in kinds:
            if kind.lower().rpartition("/")[2] not in PLAIN_ARCS:
                self._refuse(one, f"an arc is of the kind {kind!r}, not of place/transition nets")

    def _end(self, arc: Element, which: str) -> str:
        name = arc.get(which)
        if not name:
            raise self._wrong(arc, f"the arc has no {which}", f"add {which}=…")
        seen: list[str] = []
        while True:
            node = self.nodes.get(name)
            if node is None:
                raise self._wrong(
                    arc, f"no place or transition has the id {name!r} ({which})", "correct the id"
                )
            if not node.name.startswith("reference"):
                return name
            if name in seen:
                raise self._wrong(
                    node, f"references go round: {' → '.join([*seen, name])}", "refer to a node"
                )
            seen.append(name)
            ref = node.get("ref")
            if not ref:
                raise self._wrong(node, "the reference has no ref", "add ref=… with an id")
            kind = node.name.removeprefix("reference").lower()
            target = self.nodes.get(ref)
            if target is not None and not target.name.lower().endswith(kind):
                raise self._wrong(node, f"{ref!r} is not a {kind}", f"refer to a {kind}")
            name = ref

    def _timing(self) -> None:
        """Refuse priorities that decide what may fire; plain times decide
        nothing about what is possible and are noted."""
        ranks, timed = set(), set()
        for name in self.transitions:
            one = self.nodes[name]
            priority, flag = one.child("priority"), one.child("timed")
            ranks.add("" if priority is None else _value(priority))
            timed.add("" if flag is None else _value(flag))
        if len(ranks) > 1:
            self._refuse(self.element, "its transitions have different priorities")
        elif len(timed) > 1:
            self._refuse(self.element, "some of its transitions are timed and others immediate")
        elif timed == {"true"}:
            self.notes.append("times of transitions were not considered")

    def _finals(self) -> Iterator[dict[int, int]]:
        for group in self.element.all("finalmarkings"):
            for marking in group.all("marking"):
                found = {}
                for place in marking.all("place"):
                    name = place.get("idref") or place.get("id") or ""
                    if name not in self.places:
                        raise self._wrong(place, f"no place has the id {name!r}", "correct the id")
                    count = self._count(place, 0) if place.child("text", "value") else 0
                    if count:
                        found[self.places[name]] = count
                yield found


def _value(label: Element) -> str:
    """Return the text of a label, wherever a dialect keeps it."""
    inner = label.child("text", "value")
    return (label if inner is None else inner).text.strip()


def _label(one: Element) -> str:
    name = one.child("name")
    return "" if name is None else " ".join(_value(name).split())


def _words(one: Element) -> Iterator[str]:
    for inner in one.inside():
        yield inner.name.lower()
        yield inner.text.strip().lower()
        yield from (value.strip().lower() for value in inner.attributes.values())
