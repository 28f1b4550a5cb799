"""Writes X12 interchanges the way a particular partner's system would.

Apart from the real writer on purpose: the generated files judge the reader, so
they must not come from the same code, and they must be able to carry the faults
that real traffic has.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

Segment = tuple[str, ...]


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's dialect: separators, line ends and version."""

    version: str = "004010"
    element: str = "*"
    component: str = ">"
    segment: str = "~"
    newline: str = ""
    repetition: str = "^"


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction set without its envelope; the offsets are seeded
    faults.
    """

    code: str
    body: tuple[Segment, ...]
    lines: int
    count_offset: int = 0
    lines_offset: int = 0

    def segments(self, control: str) -> list[Segment]:
        """Return ST … CTT SE, the counts moved by the seeded offsets."""
        inner: list[Segment] = [("ST", self.code, control), *self.body]
        if self.lines:
            inner.append(("CTT", str(self.lines + self.lines_offset)))
        count = len(inner) + 1 + self.count_offset
        return [*inner, ("SE", str(count), control)]


GROUP_CODES = {"850": "PO", "855": "PR", "856": "SH", "810": "IN"}


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends what to whom, and when; `date` is CCYYMMDD."""

    sender: tuple[str, str]
    receiver: tuple[str, str]
    date: str
    time: str
    control: int
    trailer_offset: int = 0


def write_interchange(
    style: Style, envelope: Envelope, transactions: Sequence[Transaction]
) -> bytes:
    """Return the bytes of one interchange; one functional group per transaction
    code.
    """
    five = style.version >= "00402"
    segments: list[Segment] = [
        (
            "ISA", "00", " " * 10, "00", " " * 10,
            envelope.sender[0], envelope.sender[1].ljust(15),
            envelope.receiver[0], envelope.receiver[1].ljust(15),
            envelope.date[2:], envelope.time,
            style.repetition if five else "U", style.version[:5],
            f"{envelope.control:09d}", "0", "P", style.component,
        )
    ]  # fmt: skip
    codes = list(dict.fromkeys(t.code for t in transactions))
    for index, code in enumerate(codes):
        members = [t for t in transactions if t.code == code]
        group = str(envelope.control * 10 + index)
        segments.append(
            (
                "GS", GROUP_CODES[code], envelope.sender[1].strip(), envelope.receiver[1].strip(),
                envelope.date, envelope.time, group, "X", style.version,
            )
        )  # fmt: skip
        for number, transaction in enumerate(members, start=1):
            segments.extend(transaction.segments(f"{number:04d}"))
        segments.append(("GE", str(len(members)), group))
    trailer = envelope.control + envelope.trailer_offset
    segments.append(("IEA", str(len(codes)), f"{trailer:09d}"))
    end = style.segment + style.newline
    text = "".join(style.element.join(_trim(segment)) + end for segment in segments)
    return text.encode("ascii")


def _trim(segment: Segment) -> Segment:
    """Drop empty elements at the end, as every real writer does; ISA is
    fixed.
    """
    if segment[0] == "ISA":
        return segment
    last = len(segment)
    while last > 1 and segment[last - 1] == "":
        last -= 1
    return segment[:last]
