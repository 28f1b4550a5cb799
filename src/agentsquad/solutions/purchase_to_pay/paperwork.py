"""Turns invented facts into the transaction sets partners would send: 850, 855,
856, 810.
"""

from __future__ import annotations

import datetime

from agentsquad.solutions.purchase_to_pay import catalogue as c
from agentsquad.solutions.purchase_to_pay.catalogue import Item, Seller
from agentsquad.solutions.purchase_to_pay.emitter import Segment, Transaction
from agentsquad.solutions.purchase_to_pay.facts import (
    Bill,
    Expectation,
    Goods,
    Parcel,
    Purchase,
    Story,
)

_FIRST_DAY = datetime.date(2026, 3, 2)


def date_of(day: int) -> str:
    """Return CCYYMMDD of a day counted from the first."""
    return (_FIRST_DAY + datetime.timedelta(days=day)).strftime("%Y%m%d")


def decimal(units: int, places: int) -> str:
    """Write an integer of 10^-places as X12 writes decimals: no useless
    zeros.
    """
    whole, rest = divmod(units, 10**places)
    fraction = f"{rest:0{places}d}".rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


def order_850(story: Story, purchase: Purchase) -> Transaction:
    """Return the purchase order as the buyer's system writes it."""
    seller = story.seller
    body: list[Segment] = [
        ("BEG", purchase.purpose, "SA", story.po, "", date_of(purchase.day)),
        ("CUR", "BY", seller.currency),
        ("REF", "DP", "0410"),
        ("PER", "BD", purchase.buyer, "TE", "2065550171"),
    ]
    if purchase.freight:
        body.append(("SAC", "C", "D240", "", "", str(purchase.freight)))
    body += [
        ("ITD", "01", "3", "", "", "", "", "30"),
        ("DTM", "002", date_of(purchase.day + 7)),
        ("N1", "BY", c.BUYER_NAME, "92", "0410"),
        ("N1", "ST", "HARBORLIGHT PIER 9", "92", "0412"),
        ("N3", "9 PIER ST"),
        ("N4", "SEATTLE", "WA", "98101", "US"),
        ("N1", "VN", seller.name, "92", seller.key.upper()),
    ]
    for number, goods in enumerate(purchase.goods, start=1):
        item = goods.item
        body.append(
            ("PO1", str(number), str(goods.quantity), goods.unit, decimal(goods.price, 4), "PE",
             "VP", item.sku, "BP", item.buyer_sku)
        )  # fmt: skip
        body.append(("PID", "F", "", "", "", item.description))
        if item.pack > 1:
            body.append(("PO4", str(item.pack), "1", goods.unit))
    return Transaction(code="850", body=tuple(body), lines=len(purchase.goods))


def confirmation_855(story: Story) -> Transaction:
    """Return the vendor's acknowledgement of the (last) order, every line
    accepted.
    """
    purchase = story.purchases[-1]
    body: list[Segment] = [
        ("BAK", "00", "AD", story.po, date_of(purchase.day), *[""] * 4, date_of(purchase.day + 1)),
        ("CUR", "SE", story.seller.currency),
        ("N1", "SE", story.seller.name),
    ]
    for number, goods in enumerate(purchase.goods, start=1):
        body.append(
            ("PO1", str(number), str(goods.quantity), goods.unit, decimal(goods.price, 4), "PE",
             "VP", goods.item.sku, "BP", goods.item.buyer_sku)
        )  # fmt: skip
        due = date_of(purchase.day + 6)
        body.append(("ACK", "IA", str(goods.quantity), goods.unit, "067", due))
    return Transaction(code="855", body=tuple(body), lines=len(purchase.goods))


def shipment_856(story: Story, parcel: Parcel) -> Transaction:
    """Return the ship notice: shipment, order, items."""
    seller = story.seller
    weight = sum(goods.quantity for goods in parcel.goods) // 3 + 10
    body: list[Segment] = [
        ("BSN", "00", parcel.number, date_of(parcel.day), "1530", "0001"),
        ("HL", "1", "", "S"),
        ("TD1", "CTN25", str(len(parcel.goods)), "", "", "", "G", str(weight), "LB"),
        ("TD5", "B", "2", "RDWY", "M"),
        ("REF", "BM", f"BL{parcel.number[1:]}"),
        ("DTM", "011", date_of(parcel.day)),
        ("N1", "SF", seller.name),
        ("N1", "ST", "HARBORLIGHT PIER 9", "92", "0412"),
        ("HL", "2", "1", "O"),
        ("PRF", story.po, "", "", date_of(story.purchases[-1].day)),
    ]
    for number, goods in enumerate(parcel.goods, start=1):
        body += [
            ("HL", str(number + 2), "2", "I"),
            ("LIN", str(number), "VP", goods.item.sku, "BP", goods.item.buyer_sku),
            ("SN1", str(number), str(goods.quantity), goods.unit),
        ]
    return Transaction(code="856", body=tuple(body), lines=len(parcel.goods) + 2)


def invoice_810(story: Story, bill: Bill) -> Transaction:
    """Return the invoice or credit note, with the seeded fault in its
    counts.
    """
    seller = story.seller
    kind = "CR" if bill.credit else "DI"
    routing, account = seller.account_codes
    ordered = story.purchases[0].day
    body: list[Segment] = [
        ("BIG", date_of(bill.day), bill.number, date_of(ordered), story.po, "", "", kind),
        ("CUR", "SE", seller.currency),
        ("N1", "SE", seller.name),
        ("N1", "RI", seller.name),
        ("N3", seller.address[0]),
        ("N4", *seller.address[1:]),
        ("REF", routing, seller.routing),
        ("REF", account, bill.account),
        ("N1", "BT", c.BUYER_NAME, "92", "0410"),
        ("ITD", "01", "3", "", "", "", "", "30"),
        ("DTM", "011", date_of(bill.day - 1)),
    ]
    for number, goods in enumerate(bill.goods, start=1):
        body += _invoice_line(number, goods, bill)
    body.append(("TDS", str(bill.total)))
    if bill.tax_bp:
        body.append(("TXI", seller.tax_code, decimal(bill.tax_cents, 2), decimal(bill.tax_bp, 2)))
    body.append(("CAD", "M", "", "", "RDWY"))
    if bill.freight:
        body.append(("SAC", "C", "D240", "", "", str(bill.freight)))
    return Transaction(
        code="810", body=tuple(body), lines=len(bill.goods),
        count_offset=3 if bill.fault == "se" else 0,
        lines_offset=2 if bill.fault == "ctt" else 0,
    )  # fmt: skip


def _invoice_line(number: int, goods: Goods, bill: Bill) -> list[Segment]:
    item: Item = goods.item
    sku, text = item.sku, item.description
    ids: tuple[str, ...] = ("BP", item.buyer_sku)
    if bill.renamed and item.renamed:
        (sku, text), ids = item.renamed, ()
    line = ("IT1", str(number), str(goods.quantity), goods.unit, decimal(goods.price, 4), "PE")
    lines: list[Segment] = [(*line, "VP", sku, *ids), ("PID", "F", "", "", "", text)]
    if goods.unit == "CA":
        lines.append(("PO4", str(item.pack), "1", "EA"))
    return lines


def stray_invoice(seller: Seller, po: str, bill: Bill) -> Transaction:
    """Return an invoice for an order nobody placed."""
    story = Story(
        po=po, kind="", seller=seller, parcels=(), bills=(),
        purchases=(Purchase(goods=(), day=bill.day - 5, buyer=""),),
        expected=Expectation(outcome=""),
    )  # fmt: skip
    return invoice_810(story, bill)
