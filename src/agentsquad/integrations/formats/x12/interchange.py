"""The shape of X12: document, interchange, group, transaction set, segment.

Values only: the reader makes them from bytes, the builder from values, the
writer turns them back. A transaction set keeps the bytes it came from and
splits them when first asked, so that reading an envelope of a million segments
costs little more than finding its ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentsquad.integrations.formats.contract import Finding
from agentsquad.integrations.formats.x12.delimiter import Delimiters


class Segment:
    """One segment: its tag, its elements as written, and where it stood.

    `elements[0]` is element 01. `position` counts from 1 inside the
    transaction set (ST is 1), for envelope segments inside the interchange
    (ISA is 1). `offset` is the byte where the tag begins. `lead` is white
    space between the previous terminator and the tag.
    """

    __slots__ = ("elements", "lead", "offset", "position", "tag")

    def __init__(
        self,
        tag: str,
        elements: Sequence[str] = (),
        *,
        position: int = 0,
        offset: int = 0,
        lead: str = "",
    ) -> None:
        self.tag = tag
        self.elements = tuple(elements)
        self.position = position
        self.offset = offset
        self.lead = lead

    def __repr__(self) -> str:
        return f"<{'*'.join((self.tag, *self.elements))} @{self.position}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Segment):
            return NotImplemented
        return self.tag == other.tag and self.elements == other.elements

    def __hash__(self) -> int:
        return hash((self.tag, self.elements))

    def get(self, number: int) -> str:
        """Return element `number` (from 1), or "" when it was not sent."""
        return self.elements[number - 1] if 0 < number <= len(self.elements) else ""


def split_segment(text: str, element: str, *, position: int = 0, offset: int = 0) -> Segment:
    """Split the text between two terminators into a segment; `offset` is that
    of the text.
    """
    body = text.lstrip(" \t\r\n")
    lead = text[: len(text) - len(body)]
    tag, *elements = body.split(element)
    return Segment(tag, elements, position=position, offset=offset + len(lead), lead=lead)


def decode(pieces: Sequence[bytes]) -> tuple[list[str], str]:
    """Decode pieces together: UTF-8 if all of them are, else Latin-1, which
    never fails.
    """
    try:
        return [piece.decode("utf-8") for piece in pieces], "utf-8"
    except UnicodeDecodeError:
        return [piece.decode("latin-1") for piece in pieces], "latin-1"


class Transaction:
    """One transaction set from ST to SE; `segments` includes both when they
    are there.

    `version` is that of the functional group (GS08), `index` counts
    transaction sets in the group from 0, `sender` and `receiver` are the
    group's application codes.
    """

    __slots__ = (
        "_pieces",
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
        pieces: Sequence[bytes] = (),
        offset: int = 0,
        encoding: str = "utf-8",
        delimiters: Delimiters | None = None,
        closed: bool = True,
    ) -> None:
        self._segments = tuple(segments) if segments is not None else None
        self._pieces = pieces
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
        return len(self._pieces) if self._segments is None else len(self._segments)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Every segment in order, ST first and SE last."""
        if self._segments is None:
            element, offset = self.delimiters.element, self.offset
            texts, self.encoding = decode(self._pieces)
            found = []
            for position, (piece, text) in enumerate(zip(self._pieces, texts, strict=True), 1):
                found.append(split_segment(text, element, position=position, offset=offset))
                offset += len(piece) + 1
            self._segments = tuple(found)
            self._pieces = ()
        return self._segments

    @property
    def header(self) -> Segment:
        """The ST segment; asking for it does not split the others."""
        if self._segments is not None:
            return self._segments[0]
        (text,), _ = decode(self._pieces[:1])
        return split_segment(text, self.delimiters.element, position=1, offset=self.offset)

    @property
    def trailer(self) -> Segment | None:
        """The SE segment, None if it never came."""
        return self.segments[-1] if self.closed else None

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
