"""Invoices and credit notes: 810 as values, read and written."""

from __future__ import annotations

import msgspec

from agentsquad.integrations.formats.x12 import details as d
from agentsquad.integrations.formats.x12.builder import Draft, segment
from agentsquad.integrations.formats.x12.interchange import Segment, Transaction
from agentsquad.integrations.formats.x12.order import first, require_set, slices


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One invoiced item (IT1 loop)."""

    number: str = ""
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
    parties: tuple[d.Party, ...] = ()

    @property
    def order_number(self) -> str:
        """The order this line belongs to, when the line names one (id PO or
        REF PO).
        """
        return d.product(self.ids, "PO") or d.reference(self.references, "PO")


class Invoice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An invoice (810). `kind` "DI" debit invoice, "CR"/"CN" credit, "" plain;
    `total` as in TDS01.
    """

    number: str
    date: str
    order_number: str = ""
    order_date: str = ""
    release: str = ""
    kind: str = ""
    purpose: str = ""
    currency: str = ""
    references: tuple[d.Reference, ...] = ()
    contacts: tuple[d.Contact, ...] = ()
    dates: tuple[d.Moment, ...] = ()
    parties: tuple[d.Party, ...] = ()
    terms: tuple[d.Terms, ...] = ()
    notes: tuple[str, ...] = ()
    lines: tuple[InvoiceLine, ...] = ()
    total: str = ""
    discountable: str = ""
    discounted: str = ""
    discount: str = ""
    charges: tuple[d.Charge, ...] = ()
    taxes: tuple[d.Tax, ...] = ()
    amounts: tuple[d.Amount, ...] = ()
    line_count: str = ""
    hash_total: str = ""

    @property
    def is_credit(self) -> bool:
        """Whether it gives money back: a credit type, or a negative total."""
        return self.kind in ("CR", "CN") or self.total.startswith("-")


_SUMMARY = frozenset(("TDS", "CTT"))


def read_810(transaction: Transaction) -> Invoice:
    """Read an invoice; X12ReadError if it is another set. Invalid content is
    taken as it is.
    """
    require_set(transaction, "810")
    heading, lines, summary = slices(transaction.body, "IT1", _SUMMARY)
    begin, found, ending = first(heading, "BIG"), d.collect(heading), d.collect(summary)
    totals, count = first(summary, "TDS"), first(summary, "CTT")
    return Invoice(
        date=d.iso_date(begin.get(1)),
        number=begin.get(2).strip(),
        order_date=d.iso_date(begin.get(3)),
        order_number=begin.get(4).strip(),
        release=begin.get(5),
        kind=begin.get(7),
        purpose=begin.get(8),
        currency=found.currency,
        references=found.references,
        contacts=found.contacts,
        dates=found.dates,
        parties=found.parties,
        terms=found.terms,
        notes=found.notes,
        lines=tuple(_read_line(line) for line in lines),
        total=d.from_implied(totals.get(1)),
        discountable=d.from_implied(totals.get(2)),
        discounted=d.from_implied(totals.get(3)),
        discount=d.from_implied(totals.get(4)),
        charges=ending.charges,
        taxes=ending.taxes,
        amounts=ending.amounts,
        line_count=count.get(1),
        hash_total=count.get(2),
    )


def _read_line(line: list[Segment]) -> InvoiceLine:
    head, found = line[0], d.collect(line[1:])
    return InvoiceLine(
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
        parties=found.parties,
    )


def write_810(invoice: Invoice) -> Draft:
    """Write an invoice; the line count is computed unless it states one, the
    total never is.
    """
    rows: list[d.Row] = [
        segment(
            "BIG", d.x12_date(invoice.date), invoice.number, d.x12_date(invoice.order_date),
            invoice.order_number, invoice.release, "", invoice.kind, invoice.purpose,
        ),
        *[segment("NTE", "", note) for note in invoice.notes],
        *d.currency_rows(invoice.currency, "SE"),
        *d.reference_rows(invoice.references),
        *d.contact_rows(invoice.contacts),
        *d.party_rows(invoice.parties),
        *d.terms_rows(invoice.terms),
        *d.moment_rows(invoice.dates),
    ]  # fmt: skip
    for line in invoice.lines:
        rows += _line_rows(line)
    amounts = (invoice.total, invoice.discountable, invoice.discounted, invoice.discount)
    rows.append(segment("TDS", *(d.to_implied(a) for a in amounts)))
    rows += d.tax_rows(invoice.taxes)
    rows += d.amount_rows(invoice.amounts)
    rows += d.charge_rows(invoice.charges)
    rows.append(segment("CTT", invoice.line_count or str(len(invoice.lines)), invoice.hash_total))
    return Draft(set_id="810", segments=tuple(rows))


def _line_rows(line: InvoiceLine) -> list[d.Row]:
    return [
        segment(
            "IT1", line.number, line.quantity, line.unit, line.price, line.price_basis,
            *d.id_elements(line.ids),
        ),
        *d.tax_rows(line.taxes),
        *d.description_rows([line.description] if line.description else []),
        *d.reference_rows(line.references),
        *d.moment_rows(line.dates),
        *d.charge_rows(line.charges),
        *d.party_rows(line.parties),
    ]  # fmt: skip
