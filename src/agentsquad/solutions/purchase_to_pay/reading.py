"""Reads accepted X12 transaction sets into business documents.

Syntax was judged before (validation and 997); here only the meaning is taken
out, tolerantly: what a partner leaves out stays empty, and what cannot be
understood is reported, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.money import Money
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
_CREDIT = ("CR", "CN", "CP")
_REMIT = ("RI", "RE", "PE")
_ROUTING = ("01", "RT", "4D")
_ACCOUNT = ("11", "AP", "AC")
_TAX_SAC = ("H850", "H740", "H770")


class SegmentLike(Protocol):
    """What is needed of a segment; element numbers count from 1."""

    tag: str

    def get(self, number: int) -> str:
        """Return an element, "" when it was not sent."""
        ...


class Setting:
    """What the envelope says about a document."""

    def __init__(self, place: Place, sender: str, receiver: str, currency: str = "USD") -> None:
        self.place = place
        self.sender = sender
        self.receiver = receiver
        self.currency = currency


def read(
    set_id: str, body: Sequence[SegmentLike], at: Setting
) -> list[Order | Confirmation | Shipment | Invoice]:
    """Return the documents of one transaction set; an 856 may ship several
    orders.
    """
    if set_id == "850":
        return [read_order(body, at)]
    if set_id == "855":
        return [read_confirmation(body, at)]
    if set_id == "856":
        return list(read_shipments(body, at))
    if set_id == "810":
        return [read_invoice(body, at)]
    raise UnreadableError(f"a {set_id} is not part of purchase to pay")


def read_order(body: Sequence[SegmentLike], at: Setting) -> Order:
    """Read an 850."""
    begin = _one(body, "BEG")
    currency = _currency(body, at)
    charges = []
    for segment in _until(body, "PO1"):
        if segment.tag == "SAC":
            charges += _charges(segment, currency)
    return Order(
        place=at.place,
        po=_needed(begin, 3, "the order number"),
        purpose=begin.get(1).strip(),
        date=begin.get(5).strip(),
        currency=currency,
        receiver=at.receiver,
        buyer=next((s.get(2).strip() for s in body if s.tag == "PER" and s.get(1) == "BD"), ""),
        charges=tuple(charges),
        lines=_lines(body, "PO1"),
    )


def read_confirmation(body: Sequence[SegmentLike], at: Setting) -> Confirmation:
    """Read an 855."""
    begin = _one(body, "BAK")
    return Confirmation(
        place=at.place,
        po=_needed(begin, 3, "the order number"),
        status=begin.get(2).strip(),
        date=begin.get(4).strip(),
        sender=at.sender,
        lines=_lines(body, "PO1"),
    )


def read_shipments(body: Sequence[SegmentLike], at: Setting) -> list[Shipment]:
    """Read an 856 into one shipment an order level."""
    begin = _one(body, "BSN")
    found: list[tuple[str, list[Line]]] = []
    level, po = "", ""
    line: Line | None = None
    for segment in body:
        if segment.tag == "HL":
            level = segment.get(3).strip()
        elif segment.tag == "PRF":
            po = segment.get(1).strip()
            found.append((po, []))
        elif segment.tag == "LIN" and level == "I":
            number = segment.get(1).strip() or str(len(found[-1][1]) + 1 if found else 1)
            line = Line(number=number, ids=_ids(segment, 2))
        elif segment.tag == "SN1" and line is not None:
            if not found:
                raise UnreadableError("the ship notice names no order (PRF)")
            found[-1][1].append(
                _with(line, quantity=_decimal(segment, 2), unit=segment.get(3).strip())
            )
            line = None
        elif segment.tag == "PO4" and found and found[-1][1]:
            found[-1][1][-1] = _with(found[-1][1][-1], pack=_pack(segment))
    if not any(po for po, _ in found):
        raise UnreadableError("the ship notice names no order (PRF)")
    return [
        Shipment(
            place=at.place, po=po, number=begin.get(2).strip(), date=begin.get(3).strip(),
            sender=at.sender, lines=tuple(lines),
        )
        for po, lines in found
        if po
    ]  # fmt: skip


def read_invoice(body: Sequence[SegmentLike], at: Setting) -> Invoice:
    """Read an 810; a negative total makes it a credit note as BIG07 does."""
    begin = _one(body, "BIG")
    currency = _currency(body, at)
    total = _implied(_one(body, "TDS"), 1, currency)
    lines = tuple(_with(line, quantity=abs(line.quantity)) for line in _lines(body, "IT1"))
    taxes, charges = _surcharges(body, currency)
    remit = _remittance(body)
    return Invoice(
        place=at.place,
        po=begin.get(4).strip() or _order_of_lines(body),
        number=_needed(begin, 2, "the invoice number"),
        date=begin.get(1).strip(),
        currency=currency,
        sender=at.sender,
        total=abs(total),
        lines=lines,
        credit=begin.get(7).strip() in _CREDIT or total.micros < 0,
        remit_name=remit.get("name", ""),
        routing=remit.get("routing", ""),
        account=remit.get("account", ""),
        charges=charges,
        taxes=taxes,
    )


def _surcharges(
    body: Sequence[SegmentLike], currency: str
) -> tuple[tuple[Tax, ...], tuple[Charge, ...]]:
    """Take taxes and charges; those of the summary stand for those of the
    lines.
    """
    at_total = next((i for i, s in enumerate(body) if s.tag == "TDS"), len(body))
    first_line = next((i for i, s in enumerate(body) if s.tag == "IT1"), at_total)
    taxes: list[Tax] = []
    charges: list[Charge] = []
    header, middle, tail = body[:first_line], body[first_line:at_total], body[at_total:]
    for part in ((*header, *tail), middle):
        seen_taxes, seen_charges = bool(taxes), bool(charges)
        for segment in part:
            if segment.tag == "TXI" and not seen_taxes:
                taxes += _taxes(segment, currency)
            elif segment.tag == "SAC":
                is_tax = segment.get(2).strip() in _TAX_SAC
                if is_tax and not seen_taxes and not any(s.tag == "TXI" for s in body):
                    value = abs(_implied(segment, 5, currency))
                    taxes.append(Tax(code=segment.get(2).strip(), amount=value))
                elif not is_tax and not seen_charges:
                    charges += _charges(segment, currency)
    return tuple(taxes), tuple(charges)


def _lines(body: Sequence[SegmentLike], tag: str) -> tuple[Line, ...]:
    lines: list[Line] = []
    for segment in body:
        if segment.tag == tag:
            lines.append(
                Line(
                    number=segment.get(1).strip() or str(len(lines) + 1),
                    quantity=_decimal(segment, 2),
                    unit=segment.get(3).strip(),
                    price=_decimal(segment, 4) if segment.get(4).strip() else None,
                    ids=_ids(segment, 6),
                )
            )
        elif segment.tag in ("CTT", "TDS"):
            break
        elif not lines:
            continue
        elif segment.tag == "PID" and not lines[-1].description:
            lines[-1] = _with(lines[-1], description=segment.get(5).strip())
        elif segment.tag == "PO4":
            lines[-1] = _with(lines[-1], pack=_pack(segment))
        elif segment.tag == "ACK":
            lines[-1] = _with(lines[-1], status=segment.get(1).strip())
    return tuple(lines)


def _remittance(body: Sequence[SegmentLike]) -> dict[str, str]:
    """Take name, routing and account of the party to be paid, if the invoice
    names one.
    """
    found: dict[str, str] = {}
    inside = False
    for segment in body:
        if segment.tag == "N1":
            inside = segment.get(1).strip() in _REMIT
            if inside:
                found.setdefault("name", segment.get(2).strip())
        elif segment.tag in ("IT1", "ITD", "DTM", "TDS"):
            inside = False
        elif inside and segment.tag == "REF":
            if segment.get(1).strip() in _ROUTING:
                found["routing"] = segment.get(2).strip()
            elif segment.get(1).strip() in _ACCOUNT:
                found["account"] = segment.get(2).strip()
    return found


def _order_of_lines(body: Sequence[SegmentLike]) -> str:
    """Return the order number the lines agree on, when the header has none."""
    numbers = {_ids(s, 6).get("PO", "") for s in body if s.tag == "IT1"} - {""}
    numbers |= {s.get(2).strip() for s in body if s.tag == "REF" and s.get(1).strip() == "PO"}
    return numbers.pop() if len(numbers) == 1 else ""


def _currency(body: Sequence[SegmentLike], at: Setting) -> str:
    for segment in body:
        if segment.tag == "CUR":
            code = segment.get(2).strip().upper()
            if len(code) == 3 and code.isascii() and code.isalpha():
                return code
    return at.currency


def _charges(segment: SegmentLike, currency: str) -> list[Charge]:
    kind = {"C": "charge", "A": "allowance"}.get(segment.get(1).strip())
    if kind is None or not segment.get(5).strip():
        return []
    value = abs(_implied(segment, 5, currency))
    code = segment.get(2).strip()
    return [Charge(kind="charge" if kind == "charge" else "allowance", code=code, amount=value)]


def _taxes(segment: SegmentLike, currency: str) -> list[Tax]:
    if not segment.get(2).strip():
        return []
    percent = _decimal(segment, 3) if segment.get(3).strip() else None
    value = to_cents(abs(_decimal(segment, 2)), currency)
    return [Tax(code=segment.get(1).strip(), amount=value, percent=percent)]


def _ids(segment: SegmentLike, start: int) -> dict[str, str]:
    found = {}
    for number in range(start, start + 20, 2):
        qualifier, value = segment.get(number).strip(), segment.get(number + 1).strip()
        if qualifier and value:
            found[qualifier] = value
    return found


def _pack(segment: SegmentLike) -> int | None:
    text = segment.get(1).strip()
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 10**6 else None


def _decimal(segment: SegmentLike, number: int) -> Decimal:
    text = segment.get(number).strip()
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not text.isascii() or not value.is_finite() or abs(value) >= 10**12:
        raise UnreadableError(f"{segment.tag}{number:02d} is {text!r}, not a number")
    return value


def _implied(segment: SegmentLike, number: int, currency: str) -> Money:
    """Read an amount with two implied decimals; a written point is taken as it
    stands.
    """
    value = _decimal(segment, number)
    return to_cents(value if "." in segment.get(number) else value / 100, currency)


def _one(body: Sequence[SegmentLike], tag: str) -> SegmentLike:
    for segment in body:
        if segment.tag == tag:
            return segment
    raise UnreadableError(f"the mandatory segment {tag} is missing")


def _needed(segment: SegmentLike, number: int, what: str) -> str:
    value = segment.get(number).strip()
    if not value:
        raise UnreadableError(f"{segment.tag}{number:02d}, {what}, is missing")
    return value


def _until(body: Sequence[SegmentLike], tag: str) -> Sequence[SegmentLike]:
    stop = next((i for i, s in enumerate(body) if s.tag == tag), len(body))
    return body[:stop]


def _with(line: Line, **changes: Any) -> Line:
    return msgspec.structs.replace(line, **changes)


class UnreadableError(InvalidError):
    """The document is well formed but says too little to be used."""

    code = "p2p.unreadable"
