"""Three-way match, the arithmetic: pairs lines of order, receipt and invoice
and states by how much they differ.

Pure, and without opinion: whether a difference is tolerable is policy
(policy/matching.rego); this module only delivers the numbers as integers,
quantities in thousandths and money in micro-units, so that no rule ever meets
a fraction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

from agentsquad.kernel.money import Money
from agentsquad.solutions.purchase_to_pay.document import (
    Invoice,
    Line,
    Order,
    Shipment,
    amount,
    net,
    to_cents,
)
from agentsquad.solutions.purchase_to_pay.master import Vendor

CASES = ("CA", "CS", "CT", "BX", "PK", "PL", "DZ")
DOZEN = 12
_MILLI = Decimal(1000)
_MICRO = Decimal(1_000_000)


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice line and the order line it bills; `how` is ids or
    description."""

    line: str
    order_line: str
    how: str = "ids"


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What earlier invoices of the case already took: thousandths by order
    line, and agreed charges in micro-units."""

    taken: dict[str, int] = {}
    charges_micros: int = 0


def pair_by_ids(lines: Sequence[Line], ordered: Sequence[Line]) -> list[Pair]:
    """Pair lines that share a product number, each order line once.

    A number counts under the same qualifier first, then under any.
    """
    pairs: list[Pair] = []
    free = list(ordered)
    for same in (_shares_id, _shares_value):
        for line in lines:
            if any(pair.line == line.number for pair in pairs):
                continue
            match = next((o for o in free if same(line, o)), None)
            if match is not None:
                free.remove(match)
                pairs.append(Pair(line=line.number, order_line=match.number))
    return pairs


def _shares_id(one: Line, other: Line) -> bool:
    return any(other.ids.get(qualifier) == value for qualifier, value in one.ids.items())


def _shares_value(one: Line, other: Line) -> bool:
    return bool(set(one.ids.values()) & set(other.ids.values()))


def unpaired(
    invoice: Invoice, order: Order, pairs: Iterable[Pair]
) -> tuple[list[Line], list[Line]]:
    """Return the invoice lines and order lines that no pair names."""
    pairs = list(pairs)
    lines, ordered = {p.line for p in pairs}, {p.order_line for p in pairs}
    return (
        [line for line in invoice.lines if line.number not in lines],
        [line for line in order.lines if line.number not in ordered],
    )


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How a document's unit relates to the order's.

    Quantities times `times` over `over` are in the order's unit. `known` is
    false when the units differ and no document says by how much.
    """

    times: int = 1
    over: int = 1
    differs: bool = False
    known: bool = True


def scale_of(line: Line, ordered: Line) -> Scale:
    """Compare units; the pack size is the document's own, else the order's."""
    if line.unit == ordered.unit:
        return Scale()
    if line.unit in CASES and ordered.unit not in CASES:
        pack = line.pack or ordered.pack or (DOZEN if line.unit == "DZ" else None)
        return Scale(differs=True, times=pack) if pack else Scale(differs=True, known=False)
    if ordered.unit in CASES and line.unit not in CASES:
        pack = ordered.pack or line.pack or (DOZEN if ordered.unit == "DZ" else None)
        return Scale(differs=True, over=pack) if pack else Scale(differs=True, known=False)
    return Scale(differs=True, known=False)


def received(order: Order, shipments: Iterable[Shipment]) -> dict[str, int]:
    """Return thousandths shipped by order line, in the order's unit."""
    total = {line.number: 0 for line in order.lines}
    by_number = {line.number: line for line in order.lines}
    for shipment in shipments:
        for pair in pair_by_ids(shipment.lines, order.lines):
            line = next(n for n in shipment.lines if n.number == pair.line)
            scale = scale_of(line, by_number[pair.order_line])
            if scale.known:
                total[pair.order_line] += _in_order_unit(line.quantity, scale)
    return total


def _in_order_unit(quantity: Decimal, scale: Scale) -> int:
    return milli(quantity * scale.times / scale.over)


def milli(value: Decimal) -> int:
    """Return thousandths, half rounded up."""
    return int((value * _MILLI).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def micros(value: Decimal) -> int:
    """Return millionths, half rounded up."""
    return int((value * _MICRO).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def invoice_facts(
    invoice: Invoice,
    order: Order,
    vendor: Vendor,
    pairs: Sequence[Pair],
    seen: tuple[Mapping[str, int], Progress],
) -> dict[str, Any]:
    """Return what policy judges one invoice by; `seen` is what was received
    and what earlier invoices took."""
    got, before = seen
    ordered = {line.number: line for line in order.lines}
    by_line = {pair.line: pair for pair in pairs}
    agreed = net(order.charges, order.currency).micros - before.charges_micros
    tax_expected = expected_tax(invoice, vendor)
    return {
        "invoice": invoice.number,
        "po": invoice.po,
        "currency": invoice.currency,
        "order_currency": order.currency,
        "sender_is_vendor": invoice.sender == vendor.identity,
        "over_bp": vendor.over_bp,
        "lines": [
            _line_facts(line, by_line.get(line.number), ordered, (got, before))
            for line in invoice.lines
        ],
        "goods_micros": invoice.goods.micros,
        "tax_micros": invoice.tax.micros,
        "tax_expected_micros": tax_expected.micros,
        "charges_micros": invoice.charged.micros,
        "charges_agreed_micros": max(0, agreed),
        "total_micros": invoice.total.micros,
        "sum_micros": (invoice.goods + invoice.tax + invoice.charged).micros,
        "account_differs": account_differs(invoice, vendor),
    }


def _line_facts(
    line: Line,
    pair: Pair | None,
    ordered: Mapping[str, Line],
    seen: tuple[Mapping[str, int], Progress],
) -> dict[str, Any]:
    target = ordered.get(pair.order_line) if pair else None
    if pair is None or target is None:
        return {"line": line.number, "paired": ""}
    scale = scale_of(line, target)
    price, agreed = line.price or Decimal(0), target.price or Decimal(0)
    quantity = milli(line.quantity)
    if scale.known:
        quantity = _in_order_unit(line.quantity, scale)
        price, agreed = price * scale.over, agreed * scale.times
    compared = line.quantity / scale.over
    return {
        "line": line.number,
        "order_line": target.number,
        "paired": pair.how,
        "unit_differs": scale.differs,
        "unit_known": scale.known,
        "invoiced_milli": quantity,
        "ordered_milli": milli(target.quantity),
        "received_milli": seen[0].get(target.number, 0),
        "before_milli": seen[1].taken.get(target.number, 0),
        "price_micros": micros(price),
        "agreed_micros": micros(agreed),
        "price_over_micros": to_cents((price - agreed) * compared, "XXX").micros,
    }


def expected_tax(invoice: Invoice, vendor: Vendor) -> Money:
    """Return the tax the agreed rate gives; without one, the invoice's own
    percentages on its goods."""
    goods = Decimal(invoice.goods.micros) / _MICRO
    if vendor.tax_bp is not None:
        return to_cents(goods * vendor.tax_bp / 10_000, invoice.currency)
    if any(tax.percent is None for tax in invoice.taxes):
        return invoice.tax
    total = Money.zero(invoice.currency)
    for tax in invoice.taxes:
        total = total + to_cents(goods * (tax.percent or Decimal(0)) / 100, invoice.currency)
    return total


def account_differs(invoice: Invoice, vendor: Vendor) -> bool:
    """Whether the invoice asks for another account than the one on file."""
    asked, filed = _squeeze(invoice.account), _squeeze(vendor.account)
    routing, known = _squeeze(invoice.routing), _squeeze(vendor.routing)
    return bool((asked and asked != filed) or (routing and routing != known))


def _squeeze(text: str) -> str:
    return "".join(text.split()).replace("-", "").upper()


def payable_money(
    invoice: Invoice,
    order: Order,
    vendor: Vendor,
    pairs: Sequence[Pair],
    payable_milli: Mapping[str, int],
) -> Money:
    """Return what a short-paid invoice comes to: payable quantities at invoiced
    prices, tax on those, charges whole.

    `payable_milli` is by invoice line, in the order's unit.
    """
    ordered = {line.number: line for line in order.lines}
    by_line = {pair.line: pair for pair in pairs}
    goods = Money.zero(invoice.currency)
    for line in invoice.lines:
        pair = by_line.get(line.number)
        if pair is None:
            continue
        scale = scale_of(line, ordered[pair.order_line])
        quantity = Decimal(payable_milli.get(line.number, 0)) / _MILLI
        part = quantity * scale.over / scale.times
        goods = goods + amount(msgspec.structs.replace(line, quantity=part), invoice.currency)
    if not goods:
        return goods
    return goods + _tax_on(goods, invoice, vendor) + invoice.charged


def _tax_on(goods: Money, invoice: Invoice, vendor: Vendor) -> Money:
    """Return the tax on a part of the goods at the invoice's real rate."""
    if vendor.tax_bp is not None and invoice.tax == expected_tax(invoice, vendor):
        base = Decimal(goods.micros) / _MICRO
        return to_cents(base * vendor.tax_bp / 10_000, invoice.currency)
    whole = invoice.goods.micros
    share = Decimal(invoice.tax.micros) * goods.micros / whole / _MICRO if whole else Decimal(0)
    return to_cents(share, invoice.currency)
