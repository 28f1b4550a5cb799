"""Acknowledgements: the answer to a report, as TA1, 997 or 999.

One interchange goes back for each that came, from its receiver to its sender.
Acknowledgements are never acknowledged. A transaction set is rejected for
errors that make its meaning unsure (structure, counts, control numbers,
missing mandatory elements) and accepted with errors otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from agentsquad.integrations.formats.contract import Finding, X12ReadError
from agentsquad.integrations.formats.x12.builder import (
    Draft,
    Endpoint,
    Envelope,
    compose,
    segment,
)
from agentsquad.integrations.formats.x12.content import (
    CONDITIONAL,
    MISSING,
    TOO_MANY_COMPONENTS,
    TOO_MANY_REPETITIONS,
    judge,
)
from agentsquad.integrations.formats.x12.definition import Element, release
from agentsquad.integrations.formats.x12.delimiter import ISA_WIDTHS, Delimiters
from agentsquad.integrations.formats.x12.interchange import Group, Interchange, Transaction
from agentsquad.integrations.formats.x12.validation import Report, check
from agentsquad.integrations.formats.x12.writer import write

Kind = Literal["auto", "ta1", "997", "999"]
IMPLEMENTATION_999 = "005010X231A1"

# TA105 codes after which nothing of the interchange may be relied on.
_REJECTING = ("023", "001", "021", "018", "017", "016", "024", "026", "025")
# The one of them that leaves the contents readable but already answered: a
# second 997 would say they were taken twice.
_REPEATED = "025"
_FOLDED = {TOO_MANY_REPETITIONS: "3", TOO_MANY_COMPONENTS: "3"}
_DATE = Element("I08", "DT", 6, 6, "date")
_TIME = Element("I09", "TM", 4, 4, "time")
_ELEMENTS_MAX = 99
_UNKNOWN_GROUP = "ZZ"
_CODES_MAX = 5


def acknowledge(
    source: bytes | Report,
    *,
    control: int,
    at: str,
    kind: Kind = "auto",
    usage: str | None = None,
) -> bytes:
    """Return the interchanges that answer a file.

    `control` numbers the first answer, `at` is its time ("YYYY-MM-DDTHH:MM").
    `auto` answers groups of 005010 with 999 and others with 997, and adds a
    TA1 where one was asked for or the envelope has errors; "997" and "999"
    force the kind and add the TA1 by the same rule; "ta1" sends only that, as
    does a repeated control number, whose groups were answered the first time.
    X12ReadError if there is no interchange to answer.
    """
    report = source if isinstance(source, Report) else check(source)
    answers: list[Interchange] = []
    errors = _sorted(report.errors, lambda finding: finding.interchange)
    for number, interchange in enumerate(report.document.interchanges, 1):
        answer = _answer(
            interchange, errors.get(number, ()), (control + len(answers), at, usage), kind
        )
        if answer is not None:
            answers.append(answer)
    if not report.document.interchanges:
        raise X12ReadError("there is no ISA, so nobody to answer", hint="look at `edi check`")
    return b"".join(write(answer) for answer in answers)


def _sorted(findings: Iterable[Finding], key: Callable[[Finding], int]) -> dict[int, list[Finding]]:
    """Return the findings by what they belong to."""
    found: dict[int, list[Finding]] = {}
    for finding in findings:
        found.setdefault(key(finding), []).append(finding)
    return found


def _answer(
    interchange: Interchange,
    findings: Sequence[Finding],
    numbering: tuple[int, str, str | None],
    kind: Kind,
) -> Interchange | None:
    """Return the answer to one interchange, None if it holds nothing to be
    answered.
    """
    groups = [
        (number, group)
        for number, group in enumerate(interchange.groups, 1)
        if group.functional_id != "FA"
    ]
    if not groups and (interchange.groups or interchange.acknowledgements):
        return None
    control, at, usage = numbering
    faults = [f for f in findings if f.level == "interchange"]
    wanted = kind == "ta1" or interchange.header.get(14).strip() in ("1", "2", "3") or bool(faults)
    notes = [_ta1(interchange, faults)] if wanted else []
    if any(fault.code == _REPEATED for fault in faults):
        groups = []
    drafts = []
    by_group = _sorted(findings, lambda finding: finding.group)
    for number, group in groups if kind != "ta1" else []:
        modern = kind == "999" or (kind == "auto" and group.version.startswith("005"))
        drafts.append(_draft(group, by_group.get(number, ()), modern=modern))
    modern = any(draft.set_id == "999" for draft in drafts)
    first = groups[0][1] if groups else None
    stated = interchange.header.get(15).strip()
    envelope = Envelope(
        sender=_endpoint(interchange, 7, first, 3),
        receiver=_endpoint(interchange, 5, first, 2),
        control=control,
        at=at,
        version="005010" if modern else "004010",
        usage=usage or (stated if stated in ("P", "T", "I") else "P"),
        delimiters=_delimiters(interchange.delimiters),
    )
    return compose(envelope, drafts, acknowledgements=notes)


def _endpoint(
    interchange: Interchange, qualifier: int, group: Group | None, application: int
) -> Endpoint:
    """Return one side of the question as a side of the answer, cleaned of what
    ISA cannot carry.
    """
    code = _clean(interchange.header.get(qualifier), 2)
    use = release("004010").segments["ISA"].uses[4]
    if len(code) != 2 or use.element is None or not use.element.allows(code):
        code = "ZZ"
    name = _clean(interchange.header.get(qualifier + 1), 15)
    known = _clean(group.header.get(application), 15) if group else ""
    return Endpoint(
        id=name or "UNKNOWN",
        qualifier=code,
        group_code=known if len(known) >= 2 else (name or "UNKNOWN").ljust(2, "0"),
    )


def _is_number(text: str, size: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= size


def _clean(text: str, size: int) -> str:
    """Keep what is printable ASCII and no usual separator."""
    kept = "".join(c for c in text if c.isascii() and c.isprintable() and c not in "*~>^|\\:")
    return kept.strip()[:size].strip()


def _delimiters(found: Delimiters) -> Delimiters:
    """Answer in the sender's separators when they are usual ones."""
    usual = found.problem() is None and found.element in "*|" and found.segment in "~\n"
    if not usual or found.component != ">" or found.repetition not in ("", "^"):
        return Delimiters(suffix="\n")
    suffix = found.suffix if found.suffix in ("", "\n", "\r\n") else ""
    return msgspec.structs.replace(found, repetition="", suffix=suffix)


def _ta1(interchange: Interchange, faults: Sequence[Finding]) -> tuple[str, ...]:
    codes = [f.code for f in faults if f.code]
    rejecting = [code for code in _REJECTING if code in codes]
    malformed = len(interchange.header.elements) != len(ISA_WIDTHS)
    if rejecting or malformed:
        status, code = "R", rejecting[0] if rejecting else "022"
    else:
        status, code = ("E", codes[0]) if codes else ("A", "000")
    header = interchange.header
    control, date, clock = (header.get(n).strip() for n in (13, 9, 10))
    return segment(
        "TA1",
        control.zfill(9) if _is_number(control, 9) else "000000000",
        date if _is_number(date, 6) and not list(judge(date, _DATE)) else "000101",
        clock if _is_number(clock, 4) and not list(judge(clock, _TIME)) else "0000",
        status,
        code,
    )


def _draft(group: Group, findings: Sequence[Finding], *, modern: bool) -> Draft:
    """Return the 997 or 999 for one functional group."""
    version = _clean(group.version, 12)
    control = group.control if _is_number(group.control, 9) else "0"
    family = _clean(group.functional_id, 2)
    family = family if len(family) == 2 else _UNKNOWN_GROUP
    rows = [segment("AK1", family, control, version if modern else "")]
    statuses = []
    by_transaction = _sorted(findings, lambda finding: finding.transaction)
    for number, transaction in enumerate(group.transactions, 1):
        inside = by_transaction.get(number, ())
        status = status_of(inside)
        statuses.append(status)
        rows += _response(transaction, inside, status, modern=modern)
    errors = [f.code for f in findings if f.level == "group" and f.code]
    rows.append(_summary(group, statuses, errors))
    return Draft(
        set_id="999" if modern else "997",
        segments=tuple(rows),
        convention=IMPLEMENTATION_999 if modern else "",
    )


def status_of(findings: Sequence[Finding]) -> Literal["A", "E", "R"]:
    """Return accepted, accepted with errors or rejected for a transaction set
    with these errors.
    """
    serious = any(
        f.level in ("transaction", "segment") or f.code in (MISSING, CONDITIONAL)
        for f in findings
        if not f.warning
    )
    return "R" if serious else "E" if any(not f.warning for f in findings) else "A"


def _response(
    transaction: Transaction, findings: Sequence[Finding], status: str, *, modern: bool
) -> Iterator[tuple[str, ...]]:
    set_id = _clean(transaction.set_id, 3)
    control = _clean(transaction.control, 9).ljust(4, "0")
    convention = _clean(transaction.header.get(3), 35) if modern else ""
    yield segment("AK2", set_id if len(set_id) == 3 else "000", control, convention)
    yield from _notes(findings, modern=modern)
    codes = list(dict.fromkeys(f.code for f in findings if f.level == "transaction"))
    if any(f.level in ("segment", "element") for f in findings):
        codes.append("5")
    yield segment("IK5" if modern else "AK5", status, *codes[:_CODES_MAX])


def _notes(findings: Sequence[Finding], *, modern: bool) -> Iterator[tuple[str, ...]]:
    """Yield the segment notes in order of position, each followed by its
    element notes.
    """
    about_segment, about_element = ("IK3", "IK4") if modern else ("AK3", "AK4")
    places: dict[int, list[Finding]] = {}
    for finding in findings:
        if finding.level in ("segment", "element"):
            places.setdefault(finding.position, []).append(finding)
    for position in sorted(places):
        elements = [f for f in places[position] if f.level == "element"]
        for f in places[position]:
            if f.level == "segment":
                loop = _clean(f.loop or "", 4)
                yield segment(about_segment, _tag(f.segment), str(position), loop, f.code)
        if elements:
            yield segment(about_segment, _tag(elements[0].segment), str(position), "", "8")
        for f in elements[:_ELEMENTS_MAX]:
            place = str(f.element) if f.component is None else f"{f.element}>{f.component}"
            code = f.code if modern else _FOLDED.get(f.code, f.code)
            number = f.reference if f.reference and f.reference.isdigit() else ""
            yield segment(about_element, place, number, code, _copy(f.value))


def _tag(tag: str) -> str:
    """Return a tag that AK301 can carry, whatever stood in the file."""
    kept = "".join(c for c in tag if c.isascii() and c.isalnum())[:3]
    return kept if len(kept) >= 2 else kept.ljust(2, "0")


def _copy(value: str | None) -> str:
    """Return the copy of a bad value, nothing if it cannot stand in an element
    as it is.
    """
    if value is None or _clean(value, 99) != value[:99].strip():
        return ""
    return value[:99].strip()


def _summary(group: Group, statuses: Sequence[str], errors: Sequence[str]) -> tuple[str, ...]:
    received = len(group.transactions)
    accepted = sum(status != "R" for status in statuses)
    if errors or (received and not accepted):
        status, accepted = "R", 0 if errors else accepted
    elif accepted < received:
        status = "P"
    else:
        status = "E" if "E" in statuses else "A"
    stated = group.trailer.get(1).strip() if group.trailer is not None else ""
    included = stated if _is_number(stated, 6) else str(received)
    codes = list(dict.fromkeys(errors))[:_CODES_MAX]
    return segment("AK9", status, included, str(received), str(accepted), *codes)
