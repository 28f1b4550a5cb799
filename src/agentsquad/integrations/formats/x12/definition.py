"""Definitions: what the standard says about elements, segments and transaction
sets, by release.

The facts are data in `definitions/`; this module turns their short notation
into values once and keeps them. Releases between two known ones are judged by
the nearest older one and say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from agentsquad.kernel.errors import BugError

RELEASES = ("004010", "005010")
UNBOUNDED = 1_000_000_000
_PACKAGE = "agentsquad.integrations.formats.x12.definitions"


class Element(NamedTuple):
    """One data element: its type (AN ID N0 N2 R DT TM B), length, and codes
    when they are closed.
    """

    number: str
    type: str
    min: int
    max: int
    name: str
    codes: frozenset[str] | None = None
    pattern: re.Pattern[str] | None = None

    def allows(self, value: str) -> bool:
        """Whether a value is in the code list; always true when the list is
        open.
        """
        if self.pattern is not None:
            return self.pattern.fullmatch(value) is not None
        return self.codes is None or value in self.codes


class Use(NamedTuple):
    """An element at its place in a segment or composite; `parts` when it is a
    composite.
    """

    number: str
    mandatory: bool
    repeat: int
    element: Element | None
    parts: tuple[Use, ...] = ()

    @property
    def name(self) -> str:
        """What the element is called."""
        return self.element.name if self.element else f"composite {self.number}"


class Note(NamedTuple):
    """A condition between elements: P paired, R one of, E at most one, C and L
    conditional.
    """

    kind: str
    places: tuple[int, ...]
    mask: int
    first: int

    @classmethod
    def of(cls, kind: str, places: tuple[int, ...]) -> Note:
        """Return a note; element n is bit n - 1 of its masks."""
        mask = sum(1 << (place - 1) for place in places)
        return cls(kind, places, mask, 1 << (places[0] - 1))

    def __str__(self) -> str:
        return self.kind + "".join(f"{p:02d}" for p in self.places)


class SegmentDef(NamedTuple):
    """A segment: its elements in order and the conditions between them."""

    tag: str
    uses: tuple[Use, ...]
    notes: tuple[Note, ...]
    mandatory: int


class Node(NamedTuple):
    """A segment, or a loop that begins with the segment `tag`, at its place in
    a set.
    """

    tag: str
    mandatory: bool
    max: int
    children: tuple[Node, ...] = ()

    def tags(self) -> Iterator[str]:
        """Every tag in it."""
        yield self.tag
        for child in self.children:
            yield from child.tags()


class SetDef(NamedTuple):
    """A transaction set: functional group, name, and its segments and loops."""

    set_id: str
    group: str
    name: str
    nodes: tuple[Node, ...]
    tags: frozenset[str]


class Release(NamedTuple):
    """Everything known of one release."""

    version: str
    segments: Mapping[str, SegmentDef]
    sets: Mapping[str, SetDef]
    tags: frozenset[str]


def nearest_release(version: str) -> str | None:
    """Return the release that judges a version (GS08), None if it is too far
    from all known ones.
    """
    known = [release for release in RELEASES if release[:3] == version[:3]]
    return known[0] if known else None


@cache
def release(version: str) -> Release:
    """Return the definitions of one of `RELEASES`."""
    elements = _elements(version)
    tables = _load("segments.toml")
    composites = {
        number: _uses(text, elements, {}) for number, text in tables["composites"].items()
    }
    rows = tables["all"] | tables.get(version, {})
    segments = {tag: _segment(tag, text, elements, composites) for tag, text in rows.items()}
    sets = {set_id: _set(set_id, entry) for set_id, entry in _load(f"sets_{version}.toml").items()}
    used = frozenset(tag for one in sets.values() for tag in one.tags)
    return Release(version, segments, sets, used | frozenset(segments))


@cache
def labels(element: str) -> Mapping[str, str]:
    """Return what the usual codes of an element mean to people; empty if none
    are known.
    """
    found: Mapping[str, str] = _load("codes.toml")["labels"].get(element, {})
    return found


def label(element: str, code: str) -> str:
    """Return the meaning of a code, or the code itself."""
    return labels(element).get(code, code)


@cache
def _load(name: str) -> dict[str, Any]:
    import tomllib
    from importlib.resources import files

    return tomllib.loads(files(_PACKAGE).joinpath(name).read_text("utf-8"))


def _elements(version: str) -> dict[str, Element]:
    tables = _load("elements.toml")
    codes = _load("codes.toml")["complete"]
    found = {}
    for number, text in (tables["all"] | tables.get(version, {})).items():
        kind, low, high, rest = text.split(" ", 3)
        listed, pattern = None, None
        if rest.startswith("codes="):
            key, _, rest = rest.removeprefix("codes=").partition(" ")
            values = codes[key]
            if values.startswith("/"):
                pattern = re.compile(values.strip("/"))
            else:
                listed = frozenset(values.split())
        found[number] = Element(number, kind, int(low), int(high), rest, listed, pattern)
    return found


def _segment(
    tag: str, text: str, elements: Mapping[str, Element], composites: Mapping[str, tuple[Use, ...]]
) -> SegmentDef:
    body, _, notes = text.partition("|")
    uses = _uses(body, elements, composites)
    mandatory = sum(1 << index for index, use in enumerate(uses) if use.mandatory)
    return SegmentDef(tag, uses, tuple(_notes(notes.split())), mandatory)


def _uses(
    text: str, elements: Mapping[str, Element], composites: Mapping[str, tuple[Use, ...]]
) -> tuple[Use, ...]:
    """Read "98! C040 [235 234]x10" into uses."""
    expanded = re.sub(r"\[([^\]]*)\]x(\d+)", lambda m: f" {m[1]}" * int(m[2]), text)
    found = []
    for word in expanded.split():
        match = re.fullmatch(r"(\w+)(!?)(?:\*(\d+))?", word)
        if match is None:
            raise BugError(f"definition {word!r} in {text!r} cannot be read")
        number, repeat = match[1], int(match[3] or 1)
        parts = composites.get(number, ())
        found.append(Use(number, bool(match[2]), repeat, elements.get(number), parts))
        if number not in elements and number not in composites:
            raise BugError(f"element {number!r} is used but not defined")
    return tuple(found)


def _notes(words: list[str]) -> Iterator[Note]:
    for word in words:
        kind, rest = word[0], word[1:]
        if "-" in rest:
            low, high = (int(part) for part in rest.split("-"))
            for place in range(low, high, 2):
                yield Note.of(kind, (place, place + 1))
        else:
            yield Note.of(kind, tuple(int(rest[i : i + 2]) for i in range(0, len(rest), 2)))


def _set(set_id: str, entry: Mapping[str, str]) -> SetDef:
    words = re.findall(r"\(|\)[!+*\d]*|[A-Z0-9]+[!+*\d]*", entry["segments"])
    nodes = tuple(_nodes(iter(words)))
    tags = frozenset(tag for node in nodes for tag in node.tags())
    return SetDef(set_id, entry["group"], entry["name"], nodes, tags)


def _nodes(words: Iterator[str]) -> Iterator[Node]:
    """Read the notation of the sets files up to the end or the closing
    parenthesis.
    """
    for word in words:
        if word == "(":
            children, closing = _loop(words)
            mandatory, most = _times(closing)
            yield Node(children[0].tag, mandatory, most, children)
        else:
            tag = re.match(r"[A-Z0-9]+", word)
            assert tag is not None
            yield Node(tag[0], *_times(word[tag.end() :]))


def _loop(words: Iterator[str]) -> tuple[tuple[Node, ...], str]:
    inner: list[Node] = []
    for word in words:
        if word.startswith(")"):
            return tuple(inner), word[1:]
        inner.extend(_nodes(iter([word])) if word != "(" else [_inner_loop(words)])
    raise BugError("a loop in the definitions is not closed")


def _inner_loop(words: Iterator[str]) -> Node:
    children, closing = _loop(words)
    mandatory, most = _times(closing)
    return Node(children[0].tag, mandatory, most, children)


def _times(text: str) -> tuple[bool, int]:
    """Read "!", "+", "*5" and their combinations."""
    if "+" in text:
        return "!" in text, UNBOUNDED
    _, star, count = text.partition("*")
    return "!" in text, int(count) if star else 1
