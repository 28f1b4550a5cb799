"""Content: is each element of a segment of its type, length, codes and
conditions?

Codes are those of AK403 (997); the 999 has two more, for repetitions and
components, which `acknowledgement` keeps and the 997 folds into "too many data
elements".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from agentsquad.integrations.formats.x12.definition import Element, Note, SegmentDef, Use
from agentsquad.integrations.formats.x12.delimiter import Delimiters
from agentsquad.integrations.formats.x12.interchange import Segment

MISSING, CONDITIONAL, TOO_MANY, SHORT, LONG, CHARACTER, CODE, DATE, TIME, EXCLUDED = (
    str(n) for n in range(1, 11)
)
TOO_MANY_REPETITIONS, TOO_MANY_COMPONENTS = "12", "13"

_NUMBER = re.compile(r"-?\d+")
_DECIMAL = re.compile(r"-?(?:\d+\.?\d*|\.\d+)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Fault(NamedTuple):
    """A finding in one element: its number from 1, component and repetition,
    code and message.
    """

    element: int
    component: int | None
    repetition: int | None
    code: str
    message: str
    value: str | None
    reference: str | None


def inspect(segment: Segment, definition: SegmentDef, delimiters: Delimiters) -> Iterator[Fault]:
    """Yield what is wrong with the elements of a segment, in their order."""
    uses, elements = definition.uses, segment.elements
    present, bit = 0, 1
    found: list[Fault] = []
    for number, (use, value) in enumerate(zip(uses, elements, strict=False), 1):
        if value:
            present |= bit
            found += _inspect_use(number, value, use, delimiters)
        bit <<= 1
    missing = definition.mandatory & ~present
    if missing:
        for number, use in enumerate(uses, 1):
            if missing >> (number - 1) & 1:
                found.append(_fault(number, MISSING, f"{use.name} is missing", None, use.number))
        found.sort(key=lambda fault: fault.element)
    yield from found
    if len(elements) > len(uses) and any(elements[len(uses) :]):
        text = f"{segment.tag} has {len(elements)} elements, at most {len(uses)}"
        yield _fault(len(uses) + 1, TOO_MANY, text, None, None)
    for note in definition.notes:
        if _is_broken(note, present):
            yield _broken(note, present, elements, uses)


def _fault(number: int, code: str, message: str, value: str | None, reference: str | None) -> Fault:
    return Fault(number, None, None, code, message, value, reference)


def _inspect_use(number: int, value: str, use: Use, delimiters: Delimiters) -> Iterator[Fault]:
    mark, part = delimiters.repetition, delimiters.component
    if use.element is not None and not (mark and mark in value) and not (part and part in value):
        for code, text in judge(value, use.element):
            yield Fault(number, None, None, code, text, value, use.number)
        return
    repeats = value.split(mark) if mark and mark in value else [value]
    if len(repeats) > use.repeat:
        text = f"{use.name} occurs {len(repeats)} times, at most {use.repeat}"
        yield Fault(number, None, use.repeat + 1, TOO_MANY_REPETITIONS, text, value, use.number)
    for index, one in enumerate(repeats[: use.repeat], 1):
        repetition = index if len(repeats) > 1 else None
        yield from _inspect_one(number, one, use, repetition, delimiters)


def _inspect_one(
    number: int, value: str, use: Use, repetition: int | None, delimiters: Delimiters
) -> Iterator[Fault]:
    mark = delimiters.component
    if not use.parts:
        if mark and mark in value:
            text = f"{use.name} {value!r} holds the component separator"
            yield Fault(number, None, repetition, CHARACTER, text, value, use.number)
        elif use.element is not None:
            for code, text in judge(value, use.element):
                yield Fault(number, None, repetition, code, text, value, use.number)
        return
    parts = value.split(mark) if mark else [value]
    if len(parts) > len(use.parts):
        text = f"{use.name} has {len(parts)} components, at most {len(use.parts)}"
        yield Fault(
            number, len(use.parts) + 1, repetition, TOO_MANY_COMPONENTS, text, value, use.number
        )
    for place, part in enumerate(use.parts, 1):
        one = parts[place - 1] if place <= len(parts) else ""
        if not one and part.mandatory:
            text = f"{part.name} is missing"
            yield Fault(number, place, repetition, MISSING, text, None, part.number)
        elif one and part.element is not None:
            for code, text in judge(one, part.element):
                yield Fault(number, place, repetition, code, text, one, part.number)


def judge(value: str, element: Element) -> Iterator[tuple[str, str]]:
    """Yield (code, message) for everything wrong with one value."""
    size, kind = len(value), element.type
    if kind in ("R", "N0", "N2"):
        size = sum(c.isdigit() for c in value)
    if size < element.min:
        yield SHORT, f"{element.name} {value!r} is shorter than {element.min}"
    elif size > element.max:
        yield LONG, f"{element.name} {value!r} is longer than {element.max}"
    problem = _TYPES[kind](value)
    if problem is not None:
        code, text = problem
        yield code, f"{element.name} {value!r} {text}"
    elif not element.allows(value):
        yield CODE, f"{element.name} {value!r} is not one of its codes"


def _text(value: str) -> tuple[str, str] | None:
    if _CONTROL.search(value):
        return CHARACTER, "holds a control character"
    return None


def _number(value: str) -> tuple[str, str] | None:
    return None if _NUMBER.fullmatch(value) and value.isascii() else (CHARACTER, "is no number")


def _decimal(value: str) -> tuple[str, str] | None:
    if _DECIMAL.fullmatch(value) and value.isascii():
        return None
    return CHARACTER, "is no decimal number"


def _date(value: str) -> tuple[str, str] | None:
    """Check YYMMDD or CCYYMMDD against the calendar."""
    if len(value) not in (6, 8) or not (value.isdigit() and value.isascii()):
        return DATE, "is no date"
    year, month, day = int(value[:-4]), int(value[-4:-2]), int(value[-2:])
    if not 1 <= month <= 12:
        return DATE, "is no date"
    full = year if len(value) == 8 else 2000 + year
    leap = full % 4 == 0 and (full % 100 != 0 or full % 400 == 0)
    last = 29 if month == 2 and leap else _DAYS[month - 1]
    return None if 1 <= day <= last else (DATE, "is no date")


def _time(value: str) -> tuple[str, str] | None:
    """Check HHMM, HHMMSS and two more digits for fractions of a second."""
    if not (value.isdigit() and value.isascii()) or len(value) not in (4, 6, 7, 8):
        return TIME, "is no time"
    seconds = int(value[4:6]) if len(value) > 4 else 0
    valid = int(value[:2]) < 24 and int(value[2:4]) < 60 and seconds < 60
    return None if valid else (TIME, "is no time")


_TYPES: dict[str, Callable[[str], tuple[str, str] | None]] = {
    "AN": _text,
    "ID": _text,
    "N0": _number,
    "N2": _number,
    "R": _decimal,
    "DT": _date,
    "TM": _time,
    "B": lambda value: None,
}


def _is_broken(note: Note, present: int) -> bool:
    """Whether the set of elements that are present breaks a condition."""
    kind, used = note.kind, present & note.mask
    if kind == "P":
        return used != 0 and used != note.mask
    if kind == "R":
        return used == 0
    if kind == "E":
        return used & (used - 1) != 0
    if not present & note.first:
        return False
    return used != note.mask if kind == "C" else used == note.first


def _broken(note: Note, present: int, elements: Sequence[str], uses: Sequence[Use]) -> Fault:
    """Return the finding of a broken condition; it names the first element
    that is lacking.
    """
    names = [f"{place:02d}" for place in note.places]
    there = [place for place in note.places if present >> (place - 1) & 1]
    if note.kind == "E":
        text = f"only one of the elements {', '.join(names)} may be used ({note})"
        second = there[1]
        return _fault(second, EXCLUDED, text, elements[second - 1], uses[second - 1].number)
    lacking = next(place for place in note.places if place not in there)
    if note.kind == "P":
        text = f"elements {', '.join(names)} come together or not at all ({note})"
    elif note.kind == "R":
        text = f"one of the elements {', '.join(names)} is needed ({note})"
    else:
        some = "one of " if note.kind == "L" else ""
        text = f"element {names[0]} needs {some}{', '.join(names[1:])} ({note})"
    return _fault(lacking, CONDITIONAL, text, None, uses[lacking - 1].number)
