"""Turns typed X12 documents into the documents of this process.

Syntax was judged before (validation and 997) and the segments were read by the
X12 format; here only the meaning is taken out, tolerantly: what a partner
leaves out stays empty, what cannot be understood is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from agentsquad.integrations.formats.x12 import Transaction, documents
from agentsquad.solutions.purchase_to_pay.contract import UnreadableError
from agentsquad.solutions.purchase_to_pay.document import (
    Charge,
    Confirmation,
    Invoice,
    Line,
    Order,
    Place,
    Shipment,
    Tax,
    to_cents,
)

READABLE = ("850", "855", "856", "810")
_REMIT = ("RI", "RE", "PE")
_ROUTING = ("01", "RT", "4D")
_ACCOUNT = ("11", "AP", "AC")
_TAX_CODES = ("H850", "H740", "H770")
_LINE_TAG = {"850": "PO1", "855": "PO1", "810": "IT1"}


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What the envelope says about a document; parties are `qualifier:id`."""

    place: Place
    sender: str
    receiver: str
    currency: str = "USD"


Read = Order | Confirmation | Shipment | Invoice


def read(transaction: Transaction, at: Setting) -> list[Read]:
    """Return the documents of one transaction set; an 856 may ship several
    orders."""
    set_id = transaction.set_id
    if set_id == "850":
        return [_order(transaction, at)]
    if set_id == "855":
        return [_confirmation(transaction, at)]
    if set_id == "856":
        return list(_shipments(transaction, at))
    if set_id == "810":
        return [_invoice(transaction, at)]
    raise UnreadableError(
        f"a transaction set {set_id!r} is not part of purchase to pay",
        hint=f"expected one of {', '.join(READABLE)}",
    )


def _order(transaction: Transaction, at: Setting) -> Order:
    given = documents.read_850(transaction)
    currency = _currency(given.currency, at)
    charges = [*given.charges, *(c for line in given.lines for c in line.charges)]
    return Order(
        place=at.place,
        po=_needed(given.number, "BEG03, the order number"),
        purpose=given.purpose.strip(),
        date=given.date,
        currency=currency,
        receiver=at.receiver,
        buyer=next((c.name.strip() for c in given.contacts if c.function == "BD"), ""),
        charges=_charges(charges, currency),
        lines=_lines(given.lines, _packs(transaction)),
    )


def _confirmation(transaction: Transaction, at: Setting) -> Confirmation:
    given = documents.read_855(transaction)
    lines = _lines(given.lines, _packs(transaction))
    statuses = [line.answers[0].status if line.answers else "" for line in given.lines]
    return Confirmation(
        place=at.place,
        po=_needed(given.number, "BAK03, the order number"),
        status=given.status.strip(),
        date=given.order_date,
        sender=at.sender,
        lines=tuple(
            msgspec.structs.replace(line, status=status)
            for line, status in zip(lines, statuses, strict=True)
        ),
    )


def _shipments(transaction: Transaction, at: Setting) -> list[Shipment]:
    given = documents.read_856(transaction)
    found = [
        Shipment(
            place=at.place,
            po=order.number.strip(),
            number=given.number,
            date=given.date,
            sender=at.sender,
            lines=_lines(order.lines, {}),
        )
        for order in given.orders
        if order.number.strip()
    ]
    if not found:
        raise UnreadableError("the ship notice names no order (PRF01)")
    return found


def _invoice(transaction: Transaction, at: Setting) -> Invoice:
    given = documents.read_810(transaction)
    currency = _currency(given.currency, at)
    total = to_cents(_decimal(_needed(given.total, "TDS01, the total"), "TDS01"), currency)
    lines = _lines(given.lines, _packs(transaction))
    charges = given.charges or tuple(c for line in given.lines for c in line.charges)
    routing, account, name = _remittance(given.parties)
    return Invoice(
        place=at.place,
        po=given.order_number or _order_of_lines(given),
        number=_needed(given.number, "BIG02, the invoice number"),
        date=given.date,
        currency=currency,
        sender=at.sender,
        total=abs(total),
        lines=tuple(msgspec.structs.replace(n, quantity=abs(n.quantity)) for n in lines),
        credit=given.is_credit,
        remit_name=name,
        routing=routing,
        account=account,
        charges=_charges(charges, currency),
        taxes=_taxes(given, charges, currency),
    )


def _lines(given: Iterable[Any], packs: dict[int, int]) -> tuple[Line, ...]:
    lines = []
    for index, line in enumerate(given, start=1):
        price = getattr(line, "price", "").strip()
        number = line.number.strip() or str(index)
        lines.append(
            Line(
                number=number,
                ids={i.qualifier: i.value.strip() for i in line.ids if i.value.strip()},
                description=line.description.strip(),
                quantity=_decimal(line.quantity or "0", f"the quantity of line {number}"),
                unit=line.unit.strip(),
                price=_decimal(price, f"the price of line {number}") if price else None,
                pack=packs.get(index),
            )
        )
    return tuple(lines)


def _packs(transaction: Transaction) -> dict[int, int]:
    """Return PO401 (how many of the inner unit a line's unit holds) by line."""
    tag, index, packs = _LINE_TAG[transaction.set_id], 0, {}
    for segment in transaction.body:
        if segment.tag == tag:
            index += 1
        elif segment.tag == "PO4":
            text = segment.get(1).strip()
            if text.isascii() and text.isdigit() and 0 < int(text) < 10**6:
                packs[index] = int(text)
    return packs


def _charges(given: Iterable[documents.Charge], currency: str) -> tuple[Charge, ...]:
    out = []
    for one in given:
        if one.kind not in ("A", "C") or not one.amount or one.code in _TAX_CODES:
            continue
        value = abs(to_cents(_decimal(one.amount, "SAC05"), currency))
        out.append(
            Charge(kind="allowance" if one.kind == "A" else "charge", code=one.code, amount=value)
        )
    return tuple(out)


def _taxes(
    given: documents.Invoice, charges: Sequence[documents.Charge], currency: str
) -> tuple[Tax, ...]:
    """Take the taxes of the summary, else of the lines, else tax sent as
    SAC.
    """
    found = given.taxes or tuple(t for line in given.lines for t in line.taxes)
    taxes = [
        Tax(
            code=one.kind,
            amount=abs(to_cents(_decimal(one.amount, "TXI02"), currency)),
            percent=_decimal(one.percent, "TXI03") if one.percent.strip() else None,
        )
        for one in found
        if one.amount.strip()
    ]
    if not taxes:
        taxes = [
            Tax(code=c.code, amount=abs(to_cents(_decimal(c.amount, "SAC05"), currency)))
            for c in charges
            if c.kind == "C" and c.code in _TAX_CODES and c.amount
        ]
    return tuple(taxes)


def _remittance(parties: Sequence[documents.Party]) -> tuple[str, str, str]:
    """Return routing, account and name of the party to be paid."""
    payee = documents.party(parties, *_REMIT)
    if payee is None:
        return "", "", ""
    routing = documents.reference(payee.references, *_ROUTING).strip()
    account = documents.reference(payee.references, *_ACCOUNT).strip()
    return routing, account, payee.name.strip()


def _order_of_lines(given: documents.Invoice) -> str:
    """Return the order the lines agree on, when the heading names none."""
    numbers = {line.order_number.strip() for line in given.lines}
    numbers |= {documents.reference(given.references, "PO").strip()}
    numbers -= {""}
    return numbers.pop() if len(numbers) == 1 else ""


def _currency(text: str, at: Setting) -> str:
    code = text.strip().upper()
    return code if len(code) == 3 and code.isascii() and code.isalpha() else at.currency


def _decimal(text: str, what: str) -> Decimal:
    try:
        value = Decimal(text.strip()) if text.isascii() else Decimal("NaN")
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or abs(value) >= 10**9 or "_" in text:
        raise UnreadableError(f"{what} is {text!r}, not a usable number")
    return value


def _needed(text: str, what: str) -> str:
    value = text.strip()
    if not value:
        raise UnreadableError(f"{what}, is missing")
    return value
