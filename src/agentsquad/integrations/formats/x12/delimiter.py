"""Delimiters: what the ISA header says separates elements, components,
repetitions and segments.

X12 fixes every byte of the ISA segment so that the separators can be read
before anything is known. Real senders trim the padding, drop elements or add
line breaks, so the fixed form is tried first and a search by landmarks (the
sixteenth separator, the GS that follows) second.
"""

from __future__ import annotations

import re

import msgspec

ISA_BYTES = 106
ISA_WIDTHS = (2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)
_SEARCH_BYTES = 1024
_BREAKS = b"\r\n"
_BLANKS = b" \t\r\n"


class Delimiters(msgspec.Struct, frozen=True, kw_only=True):
    """The separators of one interchange; each is one character.

    `component` and `repetition` are empty when the interchange has none.
    `suffix` is what follows each segment terminator by the sender's habit,
    usually nothing or a line break.
    """

    element: str = "*"
    component: str = ">"
    repetition: str = ""
    segment: str = "~"
    suffix: str = ""

    def problem(self) -> str | None:
        """Return what makes these separators unusable together, or None."""
        used = [c for c in (self.element, self.component, self.repetition, self.segment) if c]
        if any(len(c) != 1 for c in used):
            return "each separator is one character"
        if any(c.isalnum() or c == " " for c in used):
            return "a separator is neither a letter, a digit nor a space"
        if len(set(used)) != len(used):
            return "the separators are not all different"
        if self.suffix.strip("\r\n") or self.segment in self.suffix:
            return "the suffix is a line break that does not hold the terminator"
        if not self.element or not self.segment:
            return "an element separator and a segment terminator are needed"
        return None


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _repetition(isa11: bytes, version: bytes, used: bytes) -> str:
    """Return the repetition separator: ISA11 from control version 00402 on."""
    if not (version.isdigit() and int(version) >= 402) or len(isa11) != 1:
        return ""
    if isa11.isalnum() or isa11 in used or isa11 in _BLANKS:
        return ""
    return _text(isa11)


def _line_break(data: bytes, at: int) -> bytes:
    """Return the line break at `at`, without the terminator doubled."""
    end = at
    while end < len(data) and end < at + 2 and data[end] in _BREAKS and data[end] != data[at - 1]:
        end += 1
    return data[at:end]


def _separator(byte: bytes) -> bool:
    return bool(byte) and not byte.isalnum() and byte not in (b" ", b"\t")


def fixed(data: bytes, at: int = 0) -> Delimiters | None:
    """Read the separators from an ISA of exactly 106 bytes at `at`; None if it
    is not one.
    """
    head = data[at : at + ISA_BYTES]
    if len(head) < ISA_BYTES:
        return None
    element, component, segment = head[3:4], head[104:105], head[105:106]
    place = 3
    for width in ISA_WIDTHS:
        if head[place : place + 1] != element:
            return None
        place += width + 1
    if head.count(element) != len(ISA_WIDTHS) or element == segment:
        return None
    if not (_separator(component) and _separator(segment) and component != segment):
        return None
    if _component_is_terminator(data, at + 104, element):
        return None
    fields = head[4:103].split(element)
    found = Delimiters(
        element=_text(element),
        component=_text(component),
        repetition=_repetition(fields[10], fields[11], element + component + segment),
        segment=_text(segment),
        suffix=_text(_line_break(data, at + ISA_BYTES)),
    )
    return None if found.problem() else found


def _component_is_terminator(data: bytes, at: int, element: bytes) -> bool:
    """Tell whether ISA16 is missing, so that what stands there really ends
    segments.

    `…*T*~⏎GS*…~⏎`: read by position the component separator is `~` and the
    terminator a line break, but every following line ends with `~` too.
    """
    if data[at + 1 : at + 2] not in (b"\r", b"\n"):
        return False
    mark = data[at : at + 1]
    start = at + 1 + len(_line_break(data, at + 1))
    end = data.find(b"\n", start, start + _SEARCH_BYTES)
    if end < 0:
        return False
    return data[start:end].rstrip(b" \t\r").endswith(mark) and mark != element


def search(data: bytes, at: int = 0) -> Delimiters:
    """Find the separators of a damaged ISA at `at` by landmarks; never fails,
    guesses at worst.
    """
    element = data[at + 3 : at + 4] or b"*"
    window = data[at : at + _SEARCH_BYTES]
    follower = re.compile(rb"(?<![A-Za-z0-9])(?:GS|TA1|IEA|ISA)" + re.escape(element))
    landmark = follower.search(window, 4)
    head = window[: landmark.start()] if landmark else window
    after = _after_sixteenth(head, element)
    if landmark is None and after is not None:
        head = head[: after + 2]
    component, segment = _tail(head, after, data, at, element)
    fields = head[4:].split(element)
    isa11, version = (fields[10], fields[11]) if len(fields) > 11 else (b"", b"")
    end = head.rfind(segment)
    return Delimiters(
        element=_text(element),
        component=_text(component),
        repetition=_repetition(isa11, version, element + component + segment),
        segment=_text(segment),
        suffix=_text(_line_break(data, at + end + 1)) if end >= 0 else "",
    )


def _after_sixteenth(head: bytes, element: bytes) -> int | None:
    place = -1
    for _ in ISA_WIDTHS:
        place = head.find(element, place + 1)
        if place < 0:
            return None
    return place + 1


def _tail(
    head: bytes, after: int | None, data: bytes, at: int, element: bytes
) -> tuple[bytes, bytes]:
    """Return (component separator, segment terminator) from the end of a
    header.
    """
    tail = head[after:] if after is not None else head.rsplit(element, 1)[-1]
    marks = tail.rstrip(_BLANKS)
    if len(marks) >= 2 and _separator(marks[-1:]) and _separator(marks[-2:-1]):
        return marks[-2:-1], marks[-1:]
    if len(marks) >= 1 and _separator(marks[-1:]):
        place = at + len(head) - len(tail) + len(marks) - 1
        breaks = tail[len(marks) :].lstrip(b" \t")[:1]
        if breaks in (b"\r", b"\n") and not _component_is_terminator(data, place, element):
            return marks[-1:], b"\n"
        return b"", marks[-1:]
    return b"", (b"~" if b"~" in data[at:] and element != b"~" else b"\n")
