"""Orders and their acknowledgements: 850 and 855, read and written."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agentsquad.integrations.formats.contract import X12ReadError
from agentsquad.integrations.formats.x12 import details as d
from agentsquad.integrations.formats.x12.builder import Draft, segment
from agentsquad.integrations.formats.x12.interchange import Segment, Transaction


class OrderLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One ordered item (PO1 loop); `price_basis` e.g. "PE" price per each, ""
    the same.
    """

    number: str
    quantity: str = ""
    unit: str = ""
    price: str = ""
    price_basis: str = ""
    ids: tuple[d.ProductId, ...] = ()
    description: str = ""
    references: tuple[d.Reference, ...] = ()
    dates: tuple[d.Moment, ...] = ()
    charges: tuple[d.Charge, ...] = ()
    taxes: tuple[d.Tax, ...] = ()
    notes: tuple[str, ...] = ()
    parties: tuple[d.Party, ...] = ()


class PurchaseOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A purchase order (850). `purpose` "00" original; `kind` e.g. "SA"
    stand-alone, "NE" new.
    """

    number: str
    date: str
    purpose: str = "00"
    kind: str = "SA"
    release: str = ""
    contract: str = ""
    currency: str = ""
    references: tuple[d.Reference, ...] = ()
    contacts: tuple[d.Contact, ...] = ()
    dates: tuple[d.Moment, ...] = ()
    parties: tuple[d.Party, ...] = ()
    terms: tuple[d.Terms, ...] = ()
    charges: tuple[d.Charge, ...] = ()
    carriers: tuple[d.Carrier, ...] = ()
    notes: tuple[str, ...] = ()
    lines: tuple[OrderLine, ...] = ()
    line_count: str = ""
    hash_total: str = ""
    amounts: tuple[d.Amount, ...] = ()


class LineAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the seller says about a line (ACK): "IA" accepted, "IQ"/"IP"
    quantity or price changed, "IB" back-ordered, "IR" rejected.
    """

    status: str
    quantity: str = ""
    unit: str = ""
    date_qualifier: str = ""
    date: str = ""
    ids: tuple[d.ProductId, ...] = ()


class AckLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One acknowledged item (PO1 loop with ACK)."""

    number: str
    quantity: str = ""
    unit: str = ""
    price: str = ""
    price_basis: str = ""
    ids: tuple[d.ProductId, ...] = ()
    description: str = ""
    answers: tuple[LineAnswer, ...] = ()
    references: tuple[d.Reference, ...] = ()
    dates: tuple[d.Moment, ...] = ()


class PurchaseOrderAck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A purchase order acknowledgement (855). `status` "AD" accepted, "AC"
    with changes, "RJ" rejected.
    """

    number: str
    order_date: str
    status: str = "AD"
    purpose: str = "00"
    release: str = ""
    seller_reference: str = ""
    date: str = ""
    currency: str = ""
    references: tuple[d.Reference, ...] = ()
    contacts: tuple[d.Contact, ...] = ()
    dates: tuple[d.Moment, ...] = ()
    parties: tuple[d.Party, ...] = ()
    notes: tuple[str, ...] = ()
    lines: tuple[AckLine, ...] = ()
    line_count: str = ""


def require_set(transaction: Transaction, set_id: str) -> None:
    """Raise X12ReadError unless the transaction set is a `set_id`."""
    if transaction.set_id != set_id:
        raise X12ReadError(
            f"expected a transaction set {set_id}, this is {transaction.set_id!r}",
            hint="look at Transaction.set_id before choosing the reader",
        )


def first(segments: Sequence[Segment], tag: str) -> Segment:
    """Return the first segment with a tag, an empty one if there is none."""
    return next((s for s in segments if s.tag == tag), Segment.of(tag))


def slices(
    segments: Sequence[Segment], start: str, ends: frozenset[str]
) -> tuple[list[Segment], list[list[Segment]], list[Segment]]:
    """Cut into heading, one list per `start` segment, and summary from the
    first of `ends`.
    """
    heading: list[Segment] = []
    lines: list[list[Segment]] = []
    summary: list[Segment] = []
    for one in segments:
        if summary or one.tag in ends:
            summary.append(one)
        elif one.tag == start:
            lines.append([one])
        else:
            (lines[-1] if lines else heading).append(one)
    return heading, lines, summary


_SUMMARY = frozenset(("CTT",))


def read_850(transaction: Transaction) -> PurchaseOrder:
    """Read a purchase order; X12ReadError if it is another set. Invalid
    content is taken as it is.
    """
    require_set(transaction, "850")
    heading, lines, summary = slices(transaction.body, "PO1", _SUMMARY)
    begin, found, total = first(heading, "BEG"), d.collect(heading), d.collect(summary)
    count = first(summary, "CTT")
    return PurchaseOrder(
        purpose=begin.get(1),
        kind=begin.get(2),
        number=begin.get(3).strip(),
        release=begin.get(4),
        date=d.iso_date(begin.get(5)),
        contract=begin.get(6),
        currency=found.currency,
        references=found.references,
        contacts=found.contacts,
        dates=found.dates,
        parties=found.parties,
        terms=found.terms,
        charges=found.charges,
        carriers=found.carriers,
        notes=found.notes,
        lines=tuple(_read_line(line) for line in lines),
        line_count=count.get(1),
        hash_total=count.get(2),
        amounts=found.amounts + total.amounts,
    )


def _read_line(line: list[Segment]) -> OrderLine:
    head, found = line[0], d.collect(line[1:])
    return OrderLine(
        number=head.get(1),
        quantity=head.get(2),
        unit=head.get(3),
        price=head.get(4),
        price_basis=head.get(5),
        ids=d.product_ids(head.elements[5:]),
        description=found.description,
        references=found.references,
        dates=found.dates,
        charges=found.charges,
        taxes=found.taxes,
        notes=found.notes,
        parties=found.parties,
    )


def write_850(order: PurchaseOrder, version: str = "004010") -> Draft:
    """Write a purchase order; the line count is computed unless it states one.

    `version` is the release of the envelope it goes into.
    """
    rows: list[d.Row] = [
        segment(
            "BEG", order.purpose, order.kind, order.number, order.release,
            d.x12_date(order.date), order.contract,
        ),
        *d.currency_rows(order.currency, "BY"),
        *d.reference_rows(order.references),
        *d.contact_rows(order.contacts),
        *d.charge_rows(order.charges),
        *d.terms_rows(order.terms),
        *d.moment_rows(order.dates),
        *d.carrier_rows(order.carriers),
        *d.note_rows(order.notes, version),
        *d.party_rows(order.parties),
    ]  # fmt: skip
    for line in order.lines:
        rows += _line_rows(line, version)
    rows.append(segment("CTT", order.line_count or str(len(order.lines)), order.hash_total))
    rows += d.amount_rows(order.amounts)
    return Draft(set_id="850", segments=tuple(rows))


def _line_rows(line: OrderLine, version: str) -> list[d.Row]:
    return [
        segment(
            "PO1", line.number, line.quantity, line.unit, line.price, line.price_basis,
            *d.id_elements(line.ids),
        ),
        *d.description_rows([line.description] if line.description else []),
        *d.reference_rows(line.references),
        *d.charge_rows(line.charges),
        *d.moment_rows(line.dates),
        *d.tax_rows(line.taxes),
        *d.note_rows(line.notes, version),
        *d.party_rows(line.parties),
    ]  # fmt: skip


def read_855(transaction: Transaction) -> PurchaseOrderAck:
    """Read an acknowledgement of a purchase order; X12ReadError if it is
    another set.
    """
    require_set(transaction, "855")
    heading, lines, summary = slices(transaction.body, "PO1", _SUMMARY)
    begin, found = first(heading, "BAK"), d.collect(heading)
    return PurchaseOrderAck(
        purpose=begin.get(1),
        status=begin.get(2),
        number=begin.get(3).strip(),
        order_date=d.iso_date(begin.get(4)),
        release=begin.get(5),
        seller_reference=begin.get(8),
        date=d.iso_date(begin.get(9)),
        currency=found.currency,
        references=found.references,
        contacts=found.contacts,
        dates=found.dates,
        parties=found.parties,
        notes=found.notes,
        lines=tuple(_read_ack_line(line) for line in lines),
        line_count=first(summary, "CTT").get(1),
    )


def _read_ack_line(line: list[Segment]) -> AckLine:
    head, found = line[0], d.collect(s for s in line[1:] if s.tag != "ACK")
    return AckLine(
        number=head.get(1),
        quantity=head.get(2),
        unit=head.get(3),
        price=head.get(4),
        price_basis=head.get(5),
        ids=d.product_ids(head.elements[5:]),
        description=found.description,
        answers=tuple(_read_answer(s) for s in line if s.tag == "ACK"),
        references=found.references,
        dates=found.dates,
    )


def _read_answer(one: Segment) -> LineAnswer:
    return LineAnswer(
        status=one.get(1),
        quantity=one.get(2),
        unit=one.get(3),
        date_qualifier=one.get(4),
        date=d.iso_date(one.get(5)),
        ids=d.product_ids(one.elements[6:]),
    )


def write_855(ack: PurchaseOrderAck, version: str = "004010") -> Draft:
    """Write an acknowledgement; the line count is computed unless stated.

    `version` is the release of the envelope it goes into.
    """
    rows: list[d.Row] = [
        segment(
            "BAK", ack.purpose, ack.status, ack.number, d.x12_date(ack.order_date), ack.release,
            "", "", ack.seller_reference, d.x12_date(ack.date),
        ),
        *d.currency_rows(ack.currency, "SE"),
        *d.reference_rows(ack.references),
        *d.contact_rows(ack.contacts),
        *d.moment_rows(ack.dates),
        *d.note_rows(ack.notes, version),
        *d.party_rows(ack.parties),
    ]  # fmt: skip
    for line in ack.lines:
        rows += _ack_line_rows(line)
    rows.append(segment("CTT", ack.line_count or str(len(ack.lines))))
    return Draft(set_id="855", segments=tuple(rows))


def _ack_line_rows(line: AckLine) -> list[d.Row]:
    answers = [
        segment(
            "ACK", a.status, a.quantity, a.unit, a.date_qualifier, d.x12_date(a.date), "",
            *d.id_elements(a.ids),
        )
        for a in line.answers
    ]  # fmt: skip
    return [
        segment(
            "PO1", line.number, line.quantity, line.unit, line.price, line.price_basis,
            *d.id_elements(line.ids),
        ),
        *d.description_rows([line.description] if line.description else []),
        *d.reference_rows(line.references),
        *d.moment_rows(line.dates),
        *answers,
    ]  # fmt: skip
