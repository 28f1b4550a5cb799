"""Building interchanges from values: envelopes, control numbers, counts and
padding.

What goes in is a list of drafts (the segments between ST and SE); time and
numbers are given, so the same input always makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import msgspec

from agentsquad.integrations.formats.contract import X12ValueError
from agentsquad.integrations.formats.x12.delimiter import ISA_WIDTHS, Delimiters
from agentsquad.integrations.formats.x12.interchange import (
    Group,
    Interchange,
    Segment,
    Transaction,
)
from agentsquad.integrations.formats.x12.writer import write

GROUP_OF_SET = {
    "850": "PO",
    "855": "PR",
    "856": "SH",
    "810": "IN",
    "820": "RA",
    "997": "FA",
    "999": "FA",
}
_CONTROL_MAX = 999_999_999


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction set not yet numbered: its id and its segments between ST
    and SE.

    Each segment is a tuple (tag, element 01, element 02, …) of strings.
    `convention` becomes ST03 in 005010, and GS08 when given.
    """

    set_id: str
    segments: tuple[tuple[str, ...], ...]
    convention: str = ""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One side of an interchange: ISA qualifier and id, and its code in the
    group header.
    """

    id: str
    qualifier: str = "ZZ"
    group_code: str = ""

    @property
    def application(self) -> str:
        """The code for GS02/GS03; the interchange id unless one is given."""
        return self.group_code or self.id


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """Everything around the transaction sets.

    `at` is "YYYY-MM-DDTHH:MM" in the sender's time. Groups are numbered from
    `group_control` (the interchange number unless given), transaction sets
    from `set_control` in each group.
    """

    sender: Endpoint
    receiver: Endpoint
    control: int
    at: str
    version: str = "004010"
    usage: str = "P"
    acknowledge: bool = False
    group_control: int | None = None
    set_control: int = 1
    delimiters: Delimiters = Delimiters(suffix="\n")

    @property
    def control_version(self) -> str:
        """ISA12 for the release: "00401", "00501"."""
        return self.version[:5]


def segment(tag: str, *values: str) -> tuple[str, ...]:
    """Return a draft segment without its empty trailing elements."""
    end = len(values)
    while end and not values[end - 1]:
        end -= 1
    return (tag, *values[:end])


def compose(
    envelope: Envelope, drafts: Sequence[Draft], *, acknowledgements: Sequence[Sequence[str]] = ()
) -> Interchange:
    """Number and wrap drafts; neighbours of one functional group share a GS.

    `acknowledgements` are TA1 segments as in `Draft.segments`. X12ValueError
    if a value holds a separator or a control number does not fit.
    """
    _require_valid(envelope)
    delimiters = _with_repetition(envelope)
    interchange = Interchange(
        Segment.of("ISA", isa_elements(envelope, delimiters)),
        delimiters=delimiters,
        acknowledgements=[_checked(ta1, delimiters, envelope) for ta1 in acknowledgements],
    )
    first = envelope.control if envelope.group_control is None else envelope.group_control
    families = groupby(drafts, key=lambda d: (_functional_id(d.set_id), d.convention))
    for number, ((functional_id, convention), members) in enumerate(families, first):
        version = convention or envelope.version
        interchange.groups.append(
            _group(envelope, delimiters, (functional_id, number, version), list(members))
        )
    count = len(interchange.groups) or len(interchange.acknowledgements)
    groups = len(interchange.groups)
    interchange.trailer = Segment.of("IEA", (str(groups), f"{envelope.control:09d}"))
    interchange.segment_count = 2 + count
    interchange.tail = delimiters.suffix
    return interchange


def compose_bytes(envelope: Envelope, drafts: Sequence[Draft]) -> bytes:
    """Return the bytes of `compose`."""
    return write(compose(envelope, drafts))


def isa_elements(envelope: Envelope, delimiters: Delimiters) -> tuple[str, ...]:
    """Return the sixteen ISA elements at their fixed widths."""
    date, clock = _stamp(envelope.at)
    values = (
        "00", "", "00", "",
        envelope.sender.qualifier, envelope.sender.id,
        envelope.receiver.qualifier, envelope.receiver.id,
        date[2:], clock,
        delimiters.repetition or "U",
        envelope.control_version,
        f"{envelope.control:09d}",
        "1" if envelope.acknowledge else "0",
        envelope.usage,
        delimiters.component,
    )  # fmt: skip
    for number, (value, width) in enumerate(zip(values, ISA_WIDTHS, strict=True), 1):
        if len(value) > width:
            raise X12ValueError(
                f"ISA{number:02d} {value!r} is longer than {width} characters", code="x12.value"
            )
    return tuple(v.ljust(w) for v, w in zip(values, ISA_WIDTHS, strict=True))


def _group(
    envelope: Envelope,
    delimiters: Delimiters,
    identity: tuple[str, int, str],
    drafts: list[Draft],
) -> Group:
    functional_id, number, version = identity
    date, clock = _stamp(envelope.at)
    header = (
        "GS", functional_id, envelope.sender.application, envelope.receiver.application,
        date, clock, str(number), "X", version,
    )  # fmt: skip
    group = Group(_checked(header, delimiters, envelope))
    for index, draft in enumerate(drafts):
        control = f"{envelope.set_control + index:04d}"
        transaction = number_draft(draft, control, envelope, delimiters)
        transaction.index, transaction.group_id = index, functional_id
        transaction.version = version
        transaction.sender, transaction.receiver = header[2], header[3]
        group.transactions.append(transaction)
    group.trailer = Segment.of("GE", (str(len(drafts)), str(number)))
    return group


def number_draft(
    draft: Draft, control: str, envelope: Envelope, delimiters: Delimiters
) -> Transaction:
    """Return the draft between its ST and SE."""
    convention = draft.convention if envelope.version >= "005010" else ""
    rows = [
        segment("ST", draft.set_id, control, convention),
        *draft.segments,
        ("SE", str(len(draft.segments) + 2), control),
    ]
    segments = [
        _checked(row, delimiters, envelope, position) for position, row in enumerate(rows, 1)
    ]
    return Transaction(segments, delimiters=delimiters)


def _checked(
    row: Sequence[str], delimiters: Delimiters, envelope: Envelope, position: int = 0
) -> Segment:
    """Return a segment whose values hold neither separators nor control
    characters.

    The component and repetition separators may stand in a value: it is how
    composites are written.
    """
    tag, *values = row
    for number, value in enumerate(values, 1):
        if delimiters.element in value or delimiters.segment in value or not _printable(value):
            raise X12ValueError(
                f"{tag}{number:02d} {value!r} holds a separator or a control character",
                hint="choose other delimiters in the envelope, or change the text",
            )
    del envelope
    return Segment.of(tag, values, position=position)


def _printable(value: str) -> bool:
    return not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value)


def _with_repetition(envelope: Envelope) -> Delimiters:
    delimiters = envelope.delimiters
    if envelope.version >= "004020" and not delimiters.repetition:
        used = (delimiters.element, delimiters.component, delimiters.segment)
        free = next(mark for mark in "^!&%" if mark not in used)
        return msgspec.structs.replace(delimiters, repetition=free)
    if envelope.version < "004020" and delimiters.repetition:
        return msgspec.structs.replace(delimiters, repetition="")
    return delimiters


def _functional_id(set_id: str) -> str:
    try:
        return GROUP_OF_SET[set_id]
    except KeyError:
        known = ", ".join(sorted(GROUP_OF_SET))
        raise X12ValueError(f"transaction set {set_id!r}", hint=f"known: {known}") from None


def _stamp(at: str) -> tuple[str, str]:
    """Return (YYYYMMDD, HHMM) of an ISO date and time."""
    date, _, clock = at.partition("T")
    day, minute = date.replace("-", ""), clock.replace(":", "")[:4]
    if len(day) != 8 or len(minute) != 4 or not (day + minute).isdigit():
        raise X12ValueError(f"time {at!r}", hint="written YYYY-MM-DDTHH:MM")
    return day, minute


def _require_valid(envelope: Envelope) -> None:
    problem = envelope.delimiters.problem()
    if problem or not envelope.delimiters.component:
        raise X12ValueError(problem or "a component separator is needed", code="x12.delimiters")
    for number in (envelope.control, envelope.group_control or 1, envelope.set_control):
        if not 0 <= number <= _CONTROL_MAX:
            raise X12ValueError(f"control number {number}", hint=f"0 to {_CONTROL_MAX}")
    if len(envelope.version) < 6 or not envelope.version[:6].isdigit():
        raise X12ValueError(f"version {envelope.version!r}", hint="e.g. 004010 or 005010")
