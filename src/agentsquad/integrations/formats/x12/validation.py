"""Validation: a whole file against the standard, as findings with X12
acknowledgement codes.

Envelopes are judged here (control numbers, counts, ISA and GS values); the
inside of a transaction set by `structure` and `content`. What partners send
every day although the standard has no word for it (indentation, a byte order
mark) is a warning and leaves the file valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation

import msgspec

from agentsquad.integrations.formats.contract import Finding, Level
from agentsquad.integrations.formats.x12.content import inspect, judge
from agentsquad.integrations.formats.x12.definition import Release, nearest_release, release
from agentsquad.integrations.formats.x12.delimiter import ISA_WIDTHS
from agentsquad.integrations.formats.x12.interchange import (
    Document,
    Group,
    Interchange,
    Segment,
    Transaction,
    split_segment,
)
from agentsquad.integrations.formats.x12.pattern import patterns
from agentsquad.integrations.formats.x12.reader import parse
from agentsquad.integrations.formats.x12.structure import walk

FINDINGS_MAX = 10_000

# TA105 for each ISA element.
_ISA_CODES = (
    "010", "011", "012", "013", "005", "006", "007", "008",
    "014", "015", "016", "017", "018", "019", "020", "027",
)  # fmt: skip
_COUNTED = {"850": ("PO1", 2), "855": ("PO1", 2), "810": ("IT1", 2), "856": ("HL", 0)}


class Report(msgspec.Struct, kw_only=True):
    """The findings of a file; `document` is what was read, for acknowledging
    and showing.
    """

    findings: tuple[Finding, ...]
    document: Document

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make the file invalid."""
        return tuple(f for f in self.findings if not f.warning)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that do not."""
        return tuple(f for f in self.findings if f.warning)

    @property
    def valid(self) -> bool:
        """Whether there is an interchange and nothing wrong with it."""
        return bool(self.document.interchanges) and not self.errors


def check(data: bytes | Document) -> Report:
    """Judge a file; garbage is a report too, never an exception."""
    document = data if isinstance(data, Document) else parse(data)
    findings = list(document.findings)
    for number, interchange in enumerate(document.interchanges, 1):
        for finding in _interchange(interchange):
            findings.append(msgspec.structs.replace(finding, interchange=number))
            if len(findings) >= FINDINGS_MAX:
                findings.append(
                    Finding(message=f"more than {FINDINGS_MAX} findings, stopped", level="file")
                )
                return Report(findings=tuple(findings), document=document)
    return Report(findings=tuple(findings), document=document)


def check_transaction(transaction: Transaction) -> tuple[Finding, ...]:
    """Judge one transaction set by itself, as `iter_transactions` yields it."""
    version = nearest_release(transaction.version)
    if version is None:
        return ()
    return tuple(_transaction(transaction, release(version), transaction.group_id))


def _envelope(
    segment: Segment | None, code: str, message: str, level: Level, **more: object
) -> Finding:
    return Finding(
        segment=segment.tag[:3] if segment else "",
        position=segment.position if segment else 0,
        code=code,
        message=message,
        level=level,
        counted_in="interchange",
        **more,  # type: ignore[arg-type]
    )


def _interchange(interchange: Interchange) -> Iterator[Finding]:
    yield from _isa(interchange)
    yield from interchange.findings
    yield from _interchange_trailer(interchange)
    definitions = release("004010")
    for ta1 in interchange.acknowledgements:
        for fault in inspect(ta1, definitions.segments["TA1"], interchange.delimiters):
            yield _envelope(ta1, "024", fault.message, "interchange", element=fault.element)
    seen: set[str] = set()
    for number, group in enumerate(interchange.groups, 1):
        for finding in _group(group, interchange, seen):
            yield msgspec.structs.replace(finding, group=number)


def _isa(interchange: Interchange) -> Iterator[Finding]:
    """Judge the sixteen elements of the ISA by value and fixed width."""
    header, marks = interchange.header, interchange.delimiters
    count = len(header.elements)
    if count != len(ISA_WIDTHS):
        text = f"the ISA has {count} elements, not {len(ISA_WIDTHS)}"
        yield _envelope(header, "022", text, "interchange")
    version = header.get(12).strip()
    modern = len(version) == 5 and "00402" <= version <= "99999"
    uses = release("005010" if modern else "004010").segments["ISA"].uses
    size = sum(len(e) + 1 for e in header.elements[:16]) + 4
    if count == len(ISA_WIDTHS) and size != 106:
        text = f"the ISA segment has {size} characters, not 106"
        yield _envelope(header, "022", text, "interchange")
    for number, (use, width) in enumerate(zip(uses, ISA_WIDTHS, strict=True), 1):
        value, code = header.get(number), _ISA_CODES[number - 1]
        if number == 16 and not marks.component:
            text = "ISA16, the component separator, is missing"
            yield _envelope(header, code, text, "interchange", element=16)
            continue
        if len(value) != width and number <= count:
            text = f"ISA{number:02d} {use.name} {value!r} has {len(value)} characters, not {width}"
            yield _envelope(header, code, text, "interchange", element=number, value=value)
            value = value.strip().ljust(width) if use.mandatory and value.strip() else ""
        if value and use.element is not None:
            for _, text in judge(
                value if value.isspace() else value.strip().ljust(width), use.element
            ):
                yield _envelope(
                    header,
                    code,
                    f"ISA{number:02d}: {text}",
                    "interchange",
                    element=number,
                    value=value,
                )
        if not header.get(number).isascii():
            text = f"ISA{number:02d} {use.name} holds characters outside of the basic set"
            yield _envelope(header, code, text, "interchange", element=number)
        if not value.strip() and number in (6, 8):
            text = f"ISA{number:02d} {use.name} is empty"
            yield _envelope(header, code, text, "interchange", element=number)


def _interchange_trailer(interchange: Interchange) -> Iterator[Finding]:
    trailer, header = interchange.trailer, interchange.header
    if trailer is None:
        yield _envelope(header, "023", "the interchange has no IEA", "interchange")
        return
    if trailer.get(2).strip() != interchange.control:
        text = f"IEA02 {trailer.get(2)!r} differs from ISA13 {interchange.control!r}"
        yield _envelope(trailer, "001", text, "interchange", element=2, value=trailer.get(2))
    if not _is_count(trailer.get(1), len(interchange.groups)):
        text = f"IEA01 says {trailer.get(1)!r} groups, there are {len(interchange.groups)}"
        yield _envelope(trailer, "021", text, "interchange", element=1, value=trailer.get(1))
    if not interchange.groups and not interchange.acknowledgements:
        yield _envelope(header, "024", "the interchange holds no group", "interchange")


def _is_count(text: str, count: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 12 and int(text) == count


def _group(group: Group, interchange: Interchange, seen: set[str]) -> Iterator[Finding]:
    header, trailer, control = group.header, group.trailer, group.control
    definitions = release(nearest_release(group.version) or "004010")
    for segment in (header, trailer):
        if segment is None:
            continue
        for fault in inspect(segment, definitions.segments[segment.tag], interchange.delimiters):
            code = "6" if (segment.tag, fault.element) in (("GS", 6), ("GE", 2)) else ""
            code = code or ("1" if segment.tag == "GS" and fault.element == 1 else "")
            code = code or ("2" if segment.tag == "GS" and fault.element == 8 else "024")
            level: Level = "interchange" if code == "024" else "group"
            yield _envelope(
                segment, code, fault.message, level, element=fault.element, value=fault.value,
                reference=fault.reference, control=control,
            )  # fmt: skip
    if control in seen:
        yield _envelope(
            header, "6", f"group control number {control!r} is used twice", "group", element=6,
            control=control,
        )  # fmt: skip
    seen.add(control)
    yield from _group_trailer(group)
    version = nearest_release(group.version)
    if version is None:
        text = f"release {group.version!r} is not one that is checked here (004…, 005…)"
        yield _envelope(header, "2", text, "group", element=8, control=control)
        return
    if group.version[:6] != version:
        text = f"release {group.version} is judged by {version}"
        yield _envelope(header, "", text, "group", element=8, control=control, warning=True)
    used: set[str] = set()
    for number, transaction in enumerate(group.transactions, 1):
        for finding in _transaction(transaction, release(version), group.functional_id, used):
            yield msgspec.structs.replace(finding, transaction=number, control=transaction.control)


def _group_trailer(group: Group) -> Iterator[Finding]:
    header, trailer, control = group.header, group.trailer, group.control
    if trailer is None:
        yield _envelope(header, "3", "the group has no GE", "group", control=control)
        return
    if trailer.get(2).strip() != control:
        text = f"GE02 {trailer.get(2)!r} differs from GS06 {control!r}"
        yield _envelope(
            trailer, "4", text, "group", element=2, value=trailer.get(2), control=control
        )
    if not _is_count(trailer.get(1), len(group.transactions)):
        text = f"GE01 says {trailer.get(1)!r} transaction sets, there are {len(group.transactions)}"
        yield _envelope(
            trailer, "5", text, "group", element=1, value=trailer.get(1), control=control
        )


def _transaction(
    transaction: Transaction, definitions: Release, group_id: str, used: set[str] | None = None
) -> Iterator[Finding]:
    header = transaction.header
    set_id, control = header.get(1).strip(), header.get(2).strip()

    def about(segment: Segment, code: str, message: str, element: int | None = None) -> Finding:
        value = segment.get(element) or None if element else None
        return Finding(
            segment=segment.tag[:3], position=segment.position, element=element, code=code,
            message=message, level="transaction", value=value,
        )  # fmt: skip

    definition = definitions.sets.get(set_id)
    if len(set_id) != 3 or not set_id.isalnum():
        yield about(header, "6", f"ST01 {set_id!r} is no transaction set id", 1)
    elif definition is None:
        yield about(header, "1", f"transaction set {set_id} is not supported", 1)
    elif definition.group != group_id:
        text = f"{set_id} belongs into a group {definition.group!r}, not {group_id!r}"
        yield about(header, "6", text, 1)
    if not 4 <= len(control) <= 9 or not control.isalnum():
        yield about(header, "7", f"ST02 {control!r} is no control number of 4 to 9 characters", 2)
    elif used is not None and control in used:
        yield about(header, "23", f"control number {control} is used twice in the group", 2)
    if used is not None:
        used.add(control)
    trailer = transaction.trailer
    if trailer is None:
        yield about(transaction.segments[-1], "2", "the transaction set has no SE")
    else:
        if trailer.get(2).strip() != control:
            text = f"SE02 {trailer.get(2)!r} differs from ST02 {control!r}"
            yield about(trailer, "3", text, 2)
        if not _is_count(trailer.get(1), len(transaction)):
            text = f"SE01 says {trailer.get(1)!r} segments, there are {len(transaction)}"
            yield about(trailer, "4", text, 1)
    body = _Body(transaction)
    yield from _layout(body)
    if definition is not None:
        for place in walk(body.tags, definition, definitions):
            yield Finding(
                segment=place.segment[:3], position=place.position, code=place.code,
                message=place.message, level="segment", loop=place.loop,
            )  # fmt: skip
        yield from _elements(body, definitions)
        yield from _totals(body, set_id)


class _Body:
    """The segments of a transaction set, made one by one for those that are
    looked at.
    """

    def __init__(self, transaction: Transaction) -> None:
        self.delimiters = transaction.delimiters
        self.texts = transaction.texts()
        self.segments = transaction.segments if self.texts is None else ()
        mark = self.delimiters.element
        if self.texts is None:
            self.tags = [segment.tag for segment in self.segments]
        else:
            self.tags = [text.partition(mark)[0] for text in self.texts]

    def segment(self, index: int) -> Segment:
        """Return one segment; the first is 0."""
        if self.texts is None:
            return self.segments[index]
        return split_segment(self.texts[index], self.delimiters.element, position=index + 1)

    def tagged(self, tag: str) -> list[Segment]:
        """Return the segments of a tag in their order."""
        return [self.segment(index) for index, one in enumerate(self.tags) if one == tag]

    def indented(self) -> int | None:
        """Return the first segment behind white space that is no line end."""
        usual = (self.delimiters.suffix, "")
        leads = enumerate(segment.lead for segment in self.segments)
        return next((index for index, lead in leads if lead not in usual), None)

    def trailing(self) -> int | None:
        """Return the first segment that ends with an empty element."""
        mark = self.delimiters.element
        if self.texts is not None:
            ends = (text.endswith(mark) for text in self.texts)
        else:
            ends = (len(s.parts) > 1 and not s.parts[-1] for s in self.segments)
        return next((index for index, end in enumerate(ends) if end), None)

    def doubtful(self, definitions: Release) -> Iterable[int]:
        """Return the segments that may have bad elements."""
        known = patterns(definitions, self.delimiters)
        if self.texts is None or known is None:
            return range(len(self.tags))
        return known.refused(self.texts, self.tags)


def _elements(body: _Body, definitions: Release) -> Iterator[Finding]:
    for index in body.doubtful(definitions):
        segment = body.segment(index)
        definition = definitions.segments.get(segment.tag)
        if definition is None or segment.tag in ("ST", "SE"):
            continue
        for fault in inspect(segment, definition, body.delimiters):
            yield Finding(
                segment=segment.tag,
                position=segment.position,
                element=fault.element,
                code=fault.code,
                message=fault.message,
                level="element",
                component=fault.component,
                repetition=fault.repetition,
                value=fault.value,
                reference=fault.reference,
            )


def _layout(body: _Body) -> Iterator[Finding]:
    """Warn once about white space around segments and once about trailing
    separators.
    """
    for index, text in (
        (body.indented(), "white space before the segment id"),
        (body.trailing(), "an empty element at the end, with its separator"),
    ):
        if index is not None:
            found = body.segment(index)
            yield Finding(
                segment=found.tag[:3], position=found.position, message=text, level="segment",
                warning=True,
            )  # fmt: skip


def _totals(body: _Body, set_id: str) -> Iterator[Finding]:
    """Warn when CTT disagrees with the lines: X12 has no code for it, people
    want to know.
    """
    counted = _COUNTED.get(set_id)
    if counted is None or "CTT" not in body.tags:
        return
    tag, quantity = counted
    total, lines = body.segment(body.tags.index("CTT")), body.tagged(tag)
    if not _is_count(total.get(1), len(lines)):
        text = f"CTT01 says {total.get(1)!r}, there are {len(lines)} {tag}"
        yield _warn(total, 1, text)
    if not total.get(2):
        return
    if set_id == "856":
        lines, quantity = body.tagged("SN1"), 2
    stated, found = _decimal(total.get(2)), [_decimal(s.get(quantity)) for s in lines]
    if stated is not None and None not in found:
        summed = sum((f for f in found if f is not None), Decimal(0))
        if summed != stated:
            yield _warn(total, 2, f"CTT02 says {total.get(2)!r}, the quantities add to {summed}")


def _warn(segment: Segment, element: int, message: str) -> Finding:
    return Finding(
        segment=segment.tag, position=segment.position, element=element, message=message,
        level="element", warning=True,
    )  # fmt: skip


def _decimal(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found.adjusted()) < 30 else None
