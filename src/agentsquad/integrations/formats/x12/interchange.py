"""The shape of X12: document, interchange, group, transaction set, segment.

Values only: the reader makes them from bytes, the builder from values, the
writer turns them back. A transaction set keeps the bytes it came from and
splits them when first asked, so that reading an envelope of a million segments
costs little more than finding its ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from agentsquad.integrations.formats.contract import Finding
from agentsquad.integrations.formats.x12.delimiter import Delimiters

_BLANKS = " \t\r\n"


class Segment(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One segment: its tag, its elements as written, and where it stood.

    `parts[0]` is the tag, `parts[1]` element 01. `position` counts from 1
    inside the transaction set (ST is 1), for envelope segments inside the
    interchange (ISA is 1). `offset` is the byte where the tag begins. `lead` is
    white space between the previous terminator and the tag.
    """

    tag: str
    parts: tuple[str, ...]
    position: int = 0
    offset: int = 0
    lead: str = ""

    @classmethod
    def of(cls, tag: str, elements: Sequence[str] = (), position: int = 0) -> Segment:
        """Return a segment that was not read from bytes."""
        return cls(tag, (tag, *elements), position)

    def __repr__(self) -> str:
        return f"<{'*'.join(self.parts)} @{self.position}>"

    def __eq__(self, other: object) -> bool:
        return self.parts == other.parts if isinstance(other, Segment) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.parts)

    @property
    def elements(self) -> tuple[str, ...]:
        """The elements; `elements[0]` is element 01."""
        return self.parts[1:]

    def get(self, number: int) -> str:
        """Return element `number` (from 1), or "" when it was not sent."""
        return self.parts[number] if 0 < number < len(self.parts) else ""


def split_segment(text: str, element: str, *, position: int = 0, offset: int = 0) -> Segment:
    """Split the text between two terminators; `offset` is that of the text."""
    body = text.lstrip(_BLANKS)
    lead = text[: len(text) - len(body)]
    parts = tuple(body.split(element))
    return Segment(parts[0], parts, position, offset + len(lead), lead)


def decode(raw: bytes) -> tuple[str, str]:
    """Return the text and its encoding: UTF-8, else Latin-1 (never fails)."""
    try:
        return raw.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"


def split_body(raw: bytes, delimiters: Delimiters, offset: int) -> tuple[list[Segment], str]:
    """Split the bytes from ST to SE; return the segments and the encoding."""
    text, encoding = decode(raw)
    mark, wide = delimiters.element, not raw.isascii()
    if not wide and _is_regular(text, delimiters):
        return _split_regular(text, delimiters, offset), encoding
    found: list[Segment] = []
    for position, piece in enumerate(text.split(delimiters.segment), 1):
        body = piece.lstrip(_BLANKS)
        skipped = len(piece) - len(body)
        parts = tuple(body.split(mark))
        found.append(Segment(parts[0], parts, position, offset + skipped, piece[:skipped]))
        offset += (len(piece.encode(encoding)) if wide else len(piece)) + 1
    return found, encoding


def _is_regular(text: str, delimiters: Delimiters) -> bool:
    """Whether each terminator is followed by the suffix and then a tag."""
    end = delimiters.segment + delimiters.suffix
    if delimiters.suffix and text.count(delimiters.segment) != text.count(end):
        return False
    return not any(end + blank in text for blank in _BLANKS)


def _split_regular(text: str, delimiters: Delimiters, offset: int) -> list[Segment]:
    """Split text without surprises; most files are, so it is the fast path."""
    mark, suffix = delimiters.element, delimiters.suffix
    body = text.lstrip(_BLANKS)
    lead, step = text[: len(text) - len(body)], len(delimiters.segment) + len(suffix)
    offset += len(lead)
    found: list[Segment] = []
    append = found.append
    for position, piece in enumerate(body.split(delimiters.segment + suffix), 1):
        parts = tuple(piece.split(mark))
        append(Segment(parts[0], parts, position, offset, lead))
        offset += len(piece) + step
        lead = suffix
    return found


class Transaction:
    """One transaction set from ST to SE; `segments` includes both when they
    are there.

    `version` is that of the functional group (GS08), `index` counts
    transaction sets in the group from 0, `sender` and `receiver` are the
    group's application codes.
    """

    __slots__ = (
        "_raw",
        "_segments",
        "closed",
        "delimiters",
        "encoding",
        "group_id",
        "index",
        "offset",
        "receiver",
        "sender",
        "version",
    )

    def __init__(
        self,
        segments: Sequence[Segment] | None = None,
        *,
        raw: bytes = b"",
        offset: int = 0,
        encoding: str = "utf-8",
        delimiters: Delimiters | None = None,
        closed: bool = True,
    ) -> None:
        self._segments = tuple(segments) if segments is not None else None
        self._raw = raw
        self.offset = offset
        self.encoding = encoding
        self.delimiters = delimiters or Delimiters()
        self.closed = closed
        self.version = ""
        self.group_id = ""
        self.sender = ""
        self.receiver = ""
        self.index = 0

    def __repr__(self) -> str:
        return f"<Transaction {self.set_id} {self.control}, {len(self)} segments>"

    def __len__(self) -> int:
        if self._segments is None:
            return self._raw.count(self.delimiters.segment.encode("latin-1")) + 1
        return len(self._segments)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Every segment in order, ST first and SE last."""
        if self._segments is None:
            found, self.encoding = split_body(self._raw, self.delimiters, self.offset)
            self._segments = tuple(found)
            self._raw = b""
        return self._segments

    def texts(self) -> list[str] | None:
        """Return the text of every segment, or None unless the bytes hold
        nothing else.

        None too once `segments` was asked for, and where white space stands
        around segments other than the line break after each terminator.
        """
        if self._segments is not None:
            return None
        text, marks = decode(self._raw)[0], self.delimiters
        body = text.lstrip(_BLANKS)
        if text[: len(text) - len(body)] not in ("", marks.suffix):
            return None
        return body.split(marks.segment + marks.suffix) if _is_regular(body, marks) else None

    def rows(self) -> Sequence[tuple[str, ...]]:
        """Return the parts of every segment, at the cost of splitting alone.

        The way through large files: nothing is kept, and where each segment
        stood is not worked out. `segments` knows both.
        """
        texts = self.texts()
        if texts is None:
            return [segment.parts for segment in self.segments]
        mark = self.delimiters.element
        return [tuple(text.split(mark)) for text in texts]

    @property
    def header(self) -> Segment:
        """The ST segment; asking for it does not split the others."""
        if self._segments is not None:
            return self._segments[0]
        end = self._raw.find(self.delimiters.segment.encode("latin-1"))
        raw = self._raw if end < 0 else self._raw[:end]
        return split_body(raw, self.delimiters, self.offset)[0][0]

    @property
    def trailer(self) -> Segment | None:
        """The SE segment, None if it never came; asking for it does not split
        the others.
        """
        if not self.closed:
            return None
        if self._segments is not None:
            return self._segments[-1]
        start = self._raw.rfind(self.delimiters.segment.encode("latin-1")) + 1
        text, offset = decode(self._raw[start:])[0], self.offset + start
        return split_segment(text, self.delimiters.element, position=len(self), offset=offset)

    @property
    def body(self) -> tuple[Segment, ...]:
        """The segments between ST and SE."""
        return self.segments[1:-1] if self.closed else self.segments[1:]

    @property
    def set_id(self) -> str:
        """ST01, e.g. "850"."""
        return self.header.get(1).strip()

    @property
    def control(self) -> str:
        """ST02, the transaction set control number."""
        return self.header.get(2).strip()


class Group:
    """One functional group: GS, transaction sets, GE."""

    __slots__ = ("header", "loose", "trailer", "transactions")

    def __init__(
        self,
        header: Segment,
        transactions: Sequence[Transaction] = (),
        trailer: Segment | None = None,
    ) -> None:
        self.header = header
        self.transactions = list(transactions)
        self.trailer = trailer
        self.loose: list[Segment] = []

    @property
    def functional_id(self) -> str:
        """GS01, e.g. "PO" for purchase orders."""
        return self.header.get(1).strip()

    @property
    def control(self) -> str:
        """GS06, the group control number."""
        return self.header.get(6).strip()

    @property
    def version(self) -> str:
        """GS08, the release the transaction sets are written in, e.g.
        "004010".
        """
        return self.header.get(8).strip()


class Interchange:
    """One interchange: ISA, interchange acknowledgements (TA1), functional
    groups, IEA.

    `loose` holds segments found where only an envelope may stand. `tail` is
    what follows the last terminator before the next interchange or the end.
    """

    __slots__ = (
        "acknowledgements",
        "delimiters",
        "encoding",
        "findings",
        "groups",
        "header",
        "loose",
        "segment_count",
        "tail",
        "trailer",
    )

    def __init__(
        self,
        header: Segment,
        groups: Sequence[Group] = (),
        trailer: Segment | None = None,
        *,
        delimiters: Delimiters,
        acknowledgements: Sequence[Segment] = (),
        encoding: str = "utf-8",
    ) -> None:
        self.header = header
        self.groups = list(groups)
        self.trailer = trailer
        self.delimiters = delimiters
        self.acknowledgements = list(acknowledgements)
        self.loose: list[Segment] = []
        self.findings: list[Finding] = []
        self.encoding = encoding
        self.tail = ""
        self.segment_count = 0

    @property
    def isa(self) -> Segment:
        """The ISA segment."""
        return self.header

    @property
    def control(self) -> str:
        """ISA13, the interchange control number."""
        return self.header.get(13).strip()

    @property
    def transactions(self) -> Iterator[Transaction]:
        """Every transaction set of every group, in order."""
        for group in self.groups:
            yield from group.transactions


class Document:
    """What a file holds: interchanges, and what was noticed while reading
    outside of them.
    """

    __slots__ = ("findings", "interchanges")

    def __init__(
        self, interchanges: Sequence[Interchange] = (), findings: Sequence[Finding] = ()
    ) -> None:
        self.interchanges = list(interchanges)
        self.findings = list(findings)

    @property
    def transactions(self) -> Iterator[Transaction]:
        """Every transaction set of every interchange, in order."""
        for interchange in self.interchanges:
            yield from interchange.transactions
