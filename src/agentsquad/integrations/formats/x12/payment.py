"""Payment orders with remittance advice: 820 as values, read and written."""

from __future__ import annotations

import msgspec

from agentsquad.integrations.formats.x12 import details as d
from agentsquad.integrations.formats.x12.builder import Draft, segment
from agentsquad.integrations.formats.x12.interchange import Segment, Transaction
from agentsquad.integrations.formats.x12.order import first, require_set


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bank account: bank by qualifier ("01" ABA, "02" SWIFT) and id, account
    by qualifier and number.
    """

    bank_qualifier: str = ""
    bank: str = ""
    kind: str = ""
    number: str = ""


class Adjustment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A deduction or addition (ADX); `amount` with its sign, `reason` e.g.
    "59" item returned.
    """

    amount: str
    reason: str
    qualifier: str = ""
    reference: str = ""


class Remittance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One invoice paid (RMR loop); `qualifier` "IV" seller's invoice, "CM"
    credit memo.
    """

    number: str
    qualifier: str = "IV"
    action: str = ""
    paid: str = ""
    total: str = ""
    discount: str = ""
    references: tuple[d.Reference, ...] = ()
    dates: tuple[d.Moment, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    notes: tuple[str, ...] = ()


class PaymentOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A payment order (820).

    `handling` (BPR01) "C" payment with advice, "I" advice only, "D" payment
    only; `flag` "C" credit; `method` "ACH", "CHK", "FWT", "BOP"; `format`
    "CCP", "CTX"; `date` is when money moves.
    """

    amount: str
    date: str
    handling: str = "C"
    flag: str = "C"
    method: str = "ACH"
    format: str = ""
    payer: Account = Account()
    payee: Account = Account()
    originator: str = ""
    trace: str = ""
    trace_kind: str = "1"
    trace_originator: str = ""
    currency: str = ""
    references: tuple[d.Reference, ...] = ()
    dates: tuple[d.Moment, ...] = ()
    parties: tuple[d.Party, ...] = ()
    remittances: tuple[Remittance, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()


def read_820(transaction: Transaction) -> PaymentOrder:
    """Read a payment order; X12ReadError if it is another set. Invalid content
    is taken as it is.
    """
    require_set(transaction, "820")
    heading, remittances, entity = _slices(transaction.body)
    pay, trace, found = first(heading, "BPR"), first(heading, "TRN"), d.collect(heading)
    return PaymentOrder(
        handling=pay.get(1),
        amount=pay.get(2),
        flag=pay.get(3),
        method=pay.get(4),
        format=pay.get(5),
        payer=_account(pay, 6),
        originator=pay.get(10),
        payee=_account(pay, 12),
        date=d.iso_date(pay.get(16)),
        trace_kind=trace.get(1),
        trace=trace.get(2).strip(),
        trace_originator=trace.get(3),
        currency=found.currency,
        references=found.references,
        dates=found.dates,
        parties=found.parties,
        remittances=tuple(_read_remittance(r) for r in remittances),
        adjustments=tuple(_read_adjustment(s) for s in entity if s.tag == "ADX"),
    )


def _slices(body: tuple[Segment, ...]) -> tuple[list[Segment], list[list[Segment]], list[Segment]]:
    """Cut into heading, one list per RMR, and what ENT loops hold before their
    first RMR.
    """
    heading: list[Segment] = []
    remittances: list[list[Segment]] = []
    entity: list[Segment] = []
    place = heading
    for one in body:
        if one.tag == "ENT" or (one.tag == "ADX" and place is heading):
            place = entity
        elif one.tag == "RMR":
            remittances.append([])
            place = remittances[-1]
        place.append(one)
    return heading, remittances, entity


def _account(pay: Segment, start: int) -> Account:
    return Account(
        bank_qualifier=pay.get(start),
        bank=pay.get(start + 1),
        kind=pay.get(start + 2),
        number=pay.get(start + 3),
    )


def _read_remittance(segments: list[Segment]) -> Remittance:
    head = segments[0]
    paid = [s for s in segments[1:] if s.tag != "ADX"]
    cut = next((n for n, s in enumerate(segments) if s.tag == "ADX"), len(segments))
    found = d.collect(segments[1:cut])
    return Remittance(
        qualifier=head.get(1),
        number=head.get(2).strip(),
        action=head.get(3),
        paid=head.get(4),
        total=head.get(5),
        discount=head.get(6),
        references=found.references,
        dates=found.dates,
        adjustments=tuple(_read_adjustment(s) for s in segments if s.tag == "ADX"),
        notes=d.collect(paid).notes,
    )


def _read_adjustment(one: Segment) -> Adjustment:
    return Adjustment(
        amount=one.get(1), reason=one.get(2), qualifier=one.get(3), reference=one.get(4)
    )


def write_820(payment: PaymentOrder) -> Draft:
    """Write a payment order with one ENT loop that holds every remittance."""
    payer, payee = payment.payer, payment.payee
    rows: list[d.Row] = [
        segment(
            "BPR", payment.handling, payment.amount, payment.flag, payment.method, payment.format,
            payer.bank_qualifier, payer.bank, payer.kind, payer.number,
            payment.originator, "",
            payee.bank_qualifier, payee.bank, payee.kind, payee.number,
            d.x12_date(payment.date),
        )
    ]  # fmt: skip
    if payment.trace:
        rows.append(segment("TRN", payment.trace_kind, payment.trace, payment.trace_originator))
    rows += d.currency_rows(payment.currency, "PR")
    rows += d.reference_rows(payment.references)
    rows += d.moment_rows(payment.dates)
    rows += d.party_rows(payment.parties)
    if payment.remittances or payment.adjustments:
        rows.append(segment("ENT", "1"))
        rows += _adjustment_rows(payment.adjustments)
    for one in payment.remittances:
        rows += _remittance_rows(one)
    return Draft(set_id="820", segments=tuple(rows))


def _adjustment_rows(adjustments: tuple[Adjustment, ...]) -> list[d.Row]:
    return [segment("ADX", a.amount, a.reason, a.qualifier, a.reference) for a in adjustments]


def _remittance_rows(one: Remittance) -> list[d.Row]:
    return [
        segment("RMR", one.qualifier, one.number, one.action, one.paid, one.total, one.discount),
        *[segment("NTE", "", note) for note in one.notes],
        *d.reference_rows(one.references),
        *d.moment_rows(one.dates),
        *_adjustment_rows(one.adjustments),
    ]
