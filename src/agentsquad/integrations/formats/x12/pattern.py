"""Patterns: one regular expression for each segment, which matches it only
when nothing is wrong with it.

Nearly every segment of nearly every file is good, and to know that costs one
match. What does not match is not wrong yet: `content.inspect` looks at it
element by element and finds the words. So a pattern may refuse a good segment
(a 29th of February, a repeated element), it must never take a bad one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from agentsquad.integrations.formats.x12.content import judge
from agentsquad.integrations.formats.x12.definition import (
    Element,
    Note,
    Release,
    SegmentDef,
    Use,
    release,
)
from agentsquad.integrations.formats.x12.delimiter import Delimiters

_CONTROL = r"\x00-\x1f\x7f-\x9f"
_NOTHING = "(?!)"
_DAY = "(?:0[1-9]|1[0-2])(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])(?:29|30)|(?:0[13578]|1[02])31"
_CLOCK = "(?:[01][0-9]|2[0-3])[0-5][0-9]"
_PATTERNS_MAX = 16


class Patterns(dict[str, "re.Pattern[str] | None"]):
    """The pattern of each segment of a release in certain separators, made
    when the first segment of its tag is met.

    `fullmatch` takes the text between two terminators. None for what is not
    known, and for ST and SE, whose errors have codes of another level.
    """

    def __init__(self, definitions: Release, writer: _Writer) -> None:
        super().__init__()
        self._definitions = definitions
        self._writer = writer

    def __missing__(self, tag: str) -> re.Pattern[str] | None:
        definition = self._definitions.segments.get(tag)
        if definition is None or tag in ("ST", "SE"):
            return None  # not kept: a damaged file has no end of tags
        self[tag] = found = re.compile(self._writer.segment(definition))
        return found

    def refused(self, texts: Iterable[str], tags: Iterable[str]) -> Iterator[int]:
        """Yield the index of each segment that its pattern does not take.

        A segment without a pattern is not refused.
        """
        for index, (text, tag) in enumerate(zip(texts, tags, strict=True)):
            pattern = self[tag]
            if pattern is not None and pattern.fullmatch(text) is None:
                yield index


def patterns(definitions: Release, delimiters: Delimiters) -> Patterns | None:
    """Return the patterns of a release, None when a separator could also be
    part of a number.
    """
    return _patterns(
        definitions.version, delimiters.element, delimiters.component, delimiters.repetition
    )


@lru_cache(_PATTERNS_MAX)
def _patterns(version: str, element: str, component: str, repetition: str) -> Patterns | None:
    if not element or any(mark in "-." for mark in (element, component, repetition) if mark):
        return None
    return Patterns(release(version), _Writer(element, component, repetition))


class _Writer:
    """Writes expressions for one choice of separators."""

    def __init__(self, element: str, component: str, repetition: str) -> None:
        self.marks = (element, component, repetition)
        self.element = re.escape(element)
        self.component = re.escape(component)
        self.inside = "".join(re.escape(mark) for mark in self.marks)

    def segment(self, definition: SegmentDef) -> str:
        """Return the expression of a whole segment."""
        pairs, conditions = _neighbours(definition)
        looks = "".join(self.condition(note) for note in conditions)
        return re.escape(definition.tag) + looks + self.chain(definition.uses, pairs, 0)

    def chain(self, uses: Sequence[Use], pairs: frozenset[int], index: int) -> str:
        """Return what may follow after the first `index` elements; it may end
        as soon as nothing mandatory is left.
        """
        if index == len(uses):
            return ""
        mark, use = self.element, uses[index]
        if index in pairs:
            both = f"{self.value(use)}{mark}{self.value(uses[index + 1])}"
            rest = self.chain(uses, pairs, index + 2)
            return f"(?:{mark}(?:(?:{both}|{mark}){rest}|)|)"
        rest = self.chain(uses, pairs, index + 1)
        value = self.value(use)
        if use.mandatory:
            return f"{mark}{value}{rest}"
        needed = any(later.mandatory for later in uses[index + 1 :])
        whole = f"{mark}(?:{value}|){rest}"
        return whole if needed else f"(?:{whole}|)"

    def condition(self, note: Note) -> str:
        """Return a look ahead, from behind the tag, that fails if a condition
        is broken.
        """
        mark = self.element
        there = [f"{mark}[^{mark}]*" * (place - 1) + f"{mark}[^{mark}]" for place in note.places]
        every = "".join(f"(?={one})" for one in there)
        if note.kind == "P":
            return f"(?:{every}|{''.join(f'(?!{one})' for one in there)})"
        if note.kind == "R":
            return f"(?:{'|'.join(f'(?={one})' for one in there)})"
        if note.kind == "E":
            couples = ((a, b) for at, a in enumerate(there) for b in there[at + 1 :])
            return "".join(f"(?!(?={a}){b})" for a, b in couples)
        needed = "" if note.kind == "C" else "|"
        others = needed.join(f"(?={one})" for one in there[1:])
        return f"(?:(?!{there[0]})|{others})"

    def value(self, use: Use) -> str:
        """Return the expression of one element that is there."""
        if not use.parts:
            return self.single(use.element) if use.element is not None else _NOTHING
        if not self.component:
            return _NOTHING
        inner = ""
        for index in range(len(use.parts) - 1, -1, -1):
            part = use.parts[index]
            one = self.single(part.element) if part.element is not None else _NOTHING
            one = one if part.mandatory else f"(?:{one}|)"
            inner = one + inner if index == 0 else f"(?:{self.component}{one}{inner})"
            if index and not any(later.mandatory for later in use.parts[index:]):
                inner += "?"
        # A composite that is there is not empty, all parts optional or not.
        return f"(?=[^{self.element}]){inner}"

    def single(self, element: Element) -> str:
        """Return the expression of a value without repetitions and
        components.
        """
        low, high = element.min, element.max
        if element.codes is not None:
            codes = sorted(code for code in element.codes if self.stands(code, element))
            return f"(?:{'|'.join(map(re.escape, codes))})" if codes else _NOTHING
        if element.pattern is not None:
            return self.listed(element)
        if element.type in ("N0", "N2"):
            return f"-?[0-9]{{{low},{high}}}"
        if element.type == "R":
            whole = rf"-?[0-9]{{{low},{high}}}\.?"
            size = f"(?=[0-9.]{{{low + 1},{high + 1}}}(?![0-9.]))"  # one point and the digits
            return rf"(?:{whole}|-?{size}[0-9]*\.[0-9]+)"
        if element.type == "DT":
            years = [f"[0-9]{{{n - 4}}}" for n in (8, 6) if low <= n <= high]
            return f"(?:{'|'.join(years)})(?:{_DAY})" if years else _NOTHING
        if element.type == "TM":
            more = [(8, "[0-5][0-9][0-9]{2}"), (7, "[0-5][0-9][0-9]"), (6, "[0-5][0-9]"), (4, "")]
            ends = "|".join(tail for size, tail in more if low <= size <= high)
            return f"{_CLOCK}(?:{ends})"
        return self.text(element)

    def text(self, element: Element) -> str:
        """Return the expression of free text of the right length."""
        return f"[^{self.inside}{_CONTROL}]{{{element.min},{element.max}}}"

    def stands(self, code: str, element: Element) -> bool:
        """Whether a code of a list can stand as it is and is good."""
        clean = not any(mark and mark in code for mark in self.marks)
        return clean and not any(judge(code, element))

    def listed(self, element: Element) -> str:
        """Return the expression of a code list that is a pattern itself."""
        if element.pattern is None or element.type not in ("AN", "ID"):
            return _NOTHING
        ends = f"(?:[{self.inside}]|\\Z)"
        return f"(?={self.text(element)}{ends})(?:{element.pattern.pattern})(?={ends})"


def _neighbours(definition: SegmentDef) -> tuple[frozenset[int], list[Note]]:
    """Return the pairs of neighbours that come together or not at all (by the
    index of the first), and the other conditions.

    Such a pair can be written into the chain itself, which costs nothing; ten
    of them in a PO1 as look aheads would cost more than all its values.
    """
    uses = definition.uses
    pairs: set[int] = set()
    others: list[Note] = []
    for note in definition.notes:
        first = note.places[0] - 1
        follows = note.kind == "P" and note.places[1:] == (first + 2,) and first + 1 < len(uses)
        free = not {first - 1, first, first + 1} & pairs
        optional = not any(use.mandatory for use in uses[first:])
        if follows and free and optional:
            pairs.add(first)
        else:
            others.append(note)
    return frozenset(pairs), others
