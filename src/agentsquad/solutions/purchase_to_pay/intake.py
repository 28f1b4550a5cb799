"""From the bytes of one file to what it holds: accepted documents, rejected
transaction sets, and the findings its acknowledgement reports.

Pure. What the acknowledgement rejects does not exist for the process; what it
accepts is read, and what cannot be read is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from agentsquad.integrations.formats.contract import Finding
from agentsquad.integrations.formats.x12 import (
    Document,
    Group,
    Interchange,
    Transaction,
    acknowledge,
    parse,
)
from agentsquad.integrations.formats.x12.acknowledgement import status_of
from agentsquad.integrations.formats.x12.validation import Report, check
from agentsquad.kernel.errors import InvalidError
from agentsquad.solutions.purchase_to_pay.case import Contents, Rejection
from agentsquad.solutions.purchase_to_pay.contract import FileFound
from agentsquad.solutions.purchase_to_pay.document import (
    Confirmation,
    Invoice,
    Order,
    Place,
    Shipment,
)
from agentsquad.solutions.purchase_to_pay.reading import READABLE, Read, Setting, read

_TOTALS = {
    "interchange": ("001", "021"),
    "group": ("4", "5"),
    "transaction": ("3", "4"),
}
_ORDER_ELEMENT = {"850": ("BEG", 3), "855": ("BAK", 3), "856": ("PRF", 1), "810": ("BIG", 4)}


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Who sent an interchange to whom under which number."""

    sender: str
    receiver: str
    control: str


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What one file came to."""

    headers: tuple[Header, ...] = ()
    contents: Contents = Contents()
    documents: int = 0
    findings: int = 0
    x12: bool = True


def take(file: FileFound, data: bytes) -> Taken:
    """Judge and read one file; garbage is an answer too, never an error."""
    report = judged(data)
    document = report.document
    if not document.interchanges:
        place = Place(file=file.name, digest=file.digest, interchange="", group="", transaction="")
        reason = next((f.message for f in report.errors), "no ISA segment")
        rejected = Rejection(place=place, set_id="", kind="not_x12", reason=reason)
        return Taken(
            contents=Contents(rejections=(rejected,)), findings=len(report.errors), x12=False
        )
    accepted: list[Read] = []
    rejections: list[Rejection] = []
    count = 0
    for interchange in document.interchanges:
        part = judged(Document([interchange]))
        for at, transaction, wrong in _transactions(file, interchange, part):
            count += 1
            if wrong:
                rejections.append(_rejection(at, transaction, wrong))
                continue
            if transaction.set_id not in READABLE:
                continue
            try:
                accepted += read(transaction, at)
            except InvalidError as error:
                kind = "unreadable_document"
                rejections.append(_rejected(at, transaction, kind, error.message))
        rejections += _empty(file, interchange, part.errors)
    return Taken(
        headers=tuple(_header(i) for i in document.interchanges),
        contents=_contents(accepted, rejections),
        documents=count,
        findings=len(report.errors),
    )


def judged(data: bytes | Document) -> Report:
    """Return the report on a file; a line count (CTT) that disagrees is an
    error here.

    X12 leaves that to the partners; on an invoice it is a control total, so
    the acknowledgement rejects the transaction set for it.
    """
    report = check(data)
    findings = tuple(
        msgspec.structs.replace(f, warning=False, level="segment", code="8")
        if f.warning and f.segment == "CTT"
        else f
        for f in report.findings
    )
    return Report(findings=findings, document=report.document)


def repeated(report: Report) -> Report:
    """Return the report with the finding that its number was used before."""
    extra = tuple(
        Finding(
            segment="ISA",
            position=1,
            element=13,
            code="025",
            message="the interchange control number was used before",
            level="interchange",
            counted_in="interchange",
            interchange=number,
        )
        for number, _ in enumerate(report.document.interchanges, start=1)
    )
    return Report(findings=(*report.findings, *extra), document=report.document)


def answer(report: Report, *, control: int, at: str) -> bytes:
    """Return the TA1, 997 or 999 to a report; nothing when nobody can be
    answered."""
    if not report.document.interchanges:
        return b""
    return acknowledge(report, control=control, at=at)


def _transactions(
    file: FileFound, interchange: Interchange, report: Report
) -> Iterator[tuple[Setting, Transaction, list[Finding]]]:
    """Yield each transaction set with its place and what it is rejected for,
    exactly as its acknowledgement says."""
    faults = report.errors
    outer = [f for f in faults if f.level == "interchange"]
    if not _envelope_rejected(report):
        outer = []
    header = _header(interchange)
    for number, group in enumerate(interchange.groups, start=1):
        around = outer + [f for f in faults if f.level == "group" and f.group == number]
        for index, transaction in enumerate(group.transactions, start=1):
            own = [
                f
                for f in faults
                if f.level in ("transaction", "segment", "element")
                and (f.group, f.transaction) == (number, index)
            ]
            wrong = around + (own if status_of(own) == "R" else [])
            yield _setting(file, header, group, transaction), transaction, wrong


def _envelope_rejected(report: Report) -> bool:
    """Whether the TA1 for an interchange says R."""
    if not any(f.level == "interchange" for f in report.errors):
        return False
    reply = parse(acknowledge(report, control=1, at="2000-01-01T00:00", kind="ta1"))
    return any(ta1.get(4) == "R" for i in reply.interchanges for ta1 in i.acknowledgements)


def _setting(file: FileFound, header: Header, group: Group, transaction: Transaction) -> Setting:
    return Setting(
        place=Place(
            file=file.name,
            digest=file.digest,
            interchange=header.control,
            group=group.control,
            transaction=transaction.control,
        ),
        sender=header.sender,
        receiver=header.receiver,
    )


def _header(interchange: Interchange) -> Header:
    isa = interchange.header
    return Header(
        sender=f"{isa.get(5).strip()}:{isa.get(6).strip()}",
        receiver=f"{isa.get(7).strip()}:{isa.get(8).strip()}",
        control=interchange.control,
    )


def _rejection(at: Setting, transaction: Transaction, wrong: Sequence[Finding]) -> Rejection:
    totals = next((f for f in wrong if is_control_total(f)), None)
    kind = "bad_control_totals" if totals else "invalid_document"
    first = totals or wrong[0]
    return _rejected(at, transaction, kind, _sentence(first))


def is_control_total(finding: Finding) -> bool:
    """Whether a finding says that a count or control number disagrees."""
    return finding.segment == "CTT" or finding.code in _TOTALS.get(finding.level, ())


def _rejected(at: Setting, transaction: Transaction, kind: str, reason: str) -> Rejection:
    tag, element = _ORDER_ELEMENT.get(transaction.set_id, ("", 0))
    po = next((s.get(element).strip() for s in transaction.body if s.tag == tag), "")
    return Rejection(
        place=at.place,
        set_id=transaction.set_id,
        kind=kind,
        reason=reason,
        sender=at.sender,
        po=po,
    )


def _empty(file: FileFound, interchange: Interchange, faults: Sequence[Finding]) -> list[Rejection]:
    """Report an interchange that is wrong and holds no transaction set."""
    if not faults or any(group.transactions for group in interchange.groups):
        return []
    header = _header(interchange)
    place = Place(
        file=file.name, digest=file.digest, interchange=header.control, group="", transaction=""
    )
    kind = "bad_control_totals" if any(map(is_control_total, faults)) else "invalid_document"
    return [
        Rejection(
            place=place, set_id="", kind=kind, reason=_sentence(faults[0]), sender=header.sender
        )
    ]


def _sentence(finding: Finding) -> str:
    where = f"{finding.segment}{finding.element or 0:02d}" if finding.element else finding.segment
    return f"{where}: {finding.message}" if where else finding.message


def _contents(accepted: Sequence[Read], rejections: Sequence[Rejection]) -> Contents:
    return Contents(
        orders=tuple(d for d in accepted if isinstance(d, Order)),
        confirmations=tuple(d for d in accepted if isinstance(d, Confirmation)),
        shipments=tuple(d for d in accepted if isinstance(d, Shipment)),
        invoices=tuple(d for d in accepted if isinstance(d, Invoice)),
        rejections=tuple(rejections),
    )


def repeated_interchanges(files: Sequence[tuple[str, Taken]]) -> dict[str, str]:
    """Return the names of files whose interchange number came before from the
    same sender, each with the file that had it first."""
    first: dict[tuple[str, str], str] = {}
    again: dict[str, str] = {}
    for name, taken in files:
        for header in taken.headers:
            key = (header.sender, header.control)
            if first.setdefault(key, name) != name:
                again[name] = first[key]
    return again
