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
    """Yield what is wrong with the elements of a segment."""
    elements = segment.elements
    for number, use in enumerate(definition.uses, 1):
        value = elements[number - 1] if number <= len(elements) else ""
        if not value:
            if use.mandatory:
                yield _fault(number, MISSING, f"{use.name} is missing", None, use.number)
            continue
        yield from _inspect_use(number, value, use, delimiters)
    extra = len(elements) - len(definition.uses)
    if extra > 0 and any(elements[len(definition.uses) :]):
        yield _fault(
            len(definition.uses) + 1,
            TOO_MANY,
            f"{segment.tag} has {len(elements)} elements, at most {len(definition.uses)}",
            None,
            None,
        )
    for note in definition.notes:
        yield from _inspect_note(note, elements, definition.uses)


def _fault(number: int, code: str, message: str, value: str | None, reference: str | None) -> Fault:
    return Fault(number, None, None, code, message, value, reference)


def _inspect_use(number: int, value: str, use: Use, delimiters: Delimiters) -> Iterator[Fault]:
    mark = delimiters.repetition
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


def _inspect_note(note: Note, elements: Sequence[str], uses: Sequence[Use]) -> Iterator[Fault]:
    """Check one condition between elements; the finding names the first
    element it lacks.
    """
    there = [place <= len(elements) and bool(elements[place - 1]) for place in note.places]
    names = ", ".join(f"{place:02d}" for place in note.places)
    lacking = next((p for p, yes in zip(note.places, there, strict=True) if not yes), None)
    if note.kind == "P" and any(there) and not all(there):
        text = f"elements {names} come together or not at all ({note})"
    elif note.kind == "R" and not any(there):
        text = f"one of the elements {names} is needed ({note})"
    elif note.kind == "C" and there[0] and not all(there):
        text = f"element {names[:2]} needs {names[4:]} ({note})"
    elif note.kind == "L" and there[0] and not any(there[1:]):
        lacking = note.places[1]
        text = f"element {names[:2]} needs one of {names[4:]} ({note})"
    elif note.kind == "E" and sum(there) > 1:
        second = [p for p, yes in zip(note.places, there, strict=True) if yes][1]
        text = f"only one of the elements {names} may be used ({note})"
        value = elements[second - 1]
        yield _fault(second, EXCLUDED, text, value, uses[second - 1].number)
        return
    else:
        return
    place = lacking or note.places[0]
    yield _fault(place, CONDITIONAL, text, None, uses[place - 1].number)
