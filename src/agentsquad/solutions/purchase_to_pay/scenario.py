"""The seeded kinds of orders and what each must end in, by the rules an
accounts clerk would apply.

Each function tells one story: the documents both sides send and, from the same
facts, what is to be paid and held to the cent. A kind is named after the
exception it provokes; `clean` provokes none. The rules in words are in
docs/tutorial/purchase-to-pay.md.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from agentsquad.solutions.purchase_to_pay import catalogue as c
from agentsquad.solutions.purchase_to_pay.catalogue import Item, Seller
from agentsquad.solutions.purchase_to_pay.facts import (
    Bill,
    Draw,
    Expectation,
    Goods,
    Parcel,
    Purchase,
    Story,
)

BUYERS = ("DANA WHITFIELD", "ERIK SOLBERG", "BRUNO KELLER")
CHARGE_TOLERANCE = 2_500
PRICE_TOLERANCE_BP = 200
CREDIT_LATE_DAYS = 30

# Every block of 25 orders holds these, shuffled; the first block therefore has
# them all.
MIX = (
    *("clean",) * 5,
    "over_delivery",
    "over_delivery_allowed",
    "price_drift",
    "price_edge",
    "price_cent_above",
    "split_shipment",
    "short_shipment",
    "duplicate_invoice",
    "unit_converted",
    "unit_mismatch",
    "bad_segment_count",
    "bad_line_total",
    "bad_interchange_trailer",
    "changed_bank_account",
    "sanctioned_vendor",
    "late_credit_note",
    "charge_edge",
    "charge_cent_above",
    "item_renamed",
    "order_replaced",
)


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Where a story happens: its number in the set, its seller, its agreed
    order.
    """

    index: int
    po: str
    seller: Seller
    draw: Draw
    purchase: Purchase

    @property
    def goods(self) -> tuple[Goods, ...]:
        """What was ordered."""
        return self.purchase.goods

    def parcel(self, goods: tuple[Goods, ...], suffix: str = "", days: int = 3) -> Parcel:
        """Return a shipment some days after the order."""
        return Parcel(number=f"S{self.po[-6:]}{suffix}", day=self.purchase.day + days, goods=goods)

    def bill(self, goods: tuple[Goods, ...], suffix: str = "", **more: object) -> Bill:
        """Return an invoice for goods with the agreed freight and the seller's
        tax.
        """
        fields: dict[str, object] = {
            "number": f"{self.seller.key[:2].upper()}-{int(self.po) % 900_000 + 10_000}{suffix}",
            "day": self.purchase.day + 4,
            "goods": goods,
            "seller": self.seller,
            "freight": self.purchase.freight,
            "tax_bp": self.seller.tax_bp,
            "account": self.seller.account,
        }
        return Bill(**{**fields, **more})  # type: ignore[arg-type]

    def story(
        self, kind: str, parcels: tuple[Parcel, ...], bills: tuple[Bill, ...], end: Expectation
    ) -> Story:
        """Return the finished story."""
        return Story(
            po=self.po, kind=kind, seller=self.seller, purchases=(self.purchase,),
            parcels=parcels, bills=bills, expected=end,
        )  # fmt: skip

    def plain(self, kind: str, bill: Bill, end: Expectation) -> Story:
        """Return a story with everything ordered delivered in one shipment."""
        return self.story(kind, (self.parcel(self.goods),), (bill,), end)


def clean(at: Setting) -> Story:
    """Ordered, delivered and invoiced alike."""
    bill = at.bill(at.goods)
    return at.plain("clean", bill, _paid(bill))


def over_delivery(at: Setting) -> Story:
    """More came and was invoiced than was ordered: the order is paid, the
    excess is held.
    """
    first, *rest = at.goods
    extra = max(1, first.quantity // 8)
    more = (first.with_quantity(first.quantity + extra), *rest)
    bill, owed = at.bill(more), at.bill(at.goods)
    end = Expectation(
        outcome="partly_paid", paid=owed.total, held=bill.total - owed.total,
        exceptions=("over_delivery",),
    )  # fmt: skip
    return at.story("over_delivery", (at.parcel(more),), (bill,), end)


def over_delivery_allowed(at: Setting) -> Story:
    """Bulk goods may run over by exactly the agreed tolerance: paid as
    delivered.
    """
    first, *rest = at.goods
    first = first.with_quantity(first.quantity // 50 * 50 or 50)
    more = (first.with_quantity(first.quantity * (10_000 + at.seller.over_bp) // 10_000), *rest)
    purchase = msgspec.structs.replace(at.purchase, goods=(first, *rest))
    at = msgspec.structs.replace(at, purchase=purchase)
    bill = at.bill(more)
    return at.story("over_delivery_allowed", (at.parcel(more),), (bill,), _paid(bill))


def price_drift(at: Setting) -> Story:
    """One price is six percent above the order: the invoice is held."""
    first, *rest = at.goods
    bill = at.bill((first.with_price(first.price * 106 // 100), *rest))
    return at.plain("price_drift", bill, _held(bill, "price_drift"))


def price_edge(at: Setting) -> Story:
    """One price is above the order by exactly the tolerance: paid as
    invoiced.
    """
    at, top = _edge(at)
    bill = at.bill((top, *at.goods[1:]))
    return at.plain("price_edge", bill, _paid(bill))


def price_cent_above(at: Setting) -> Story:
    """One price is a cent above the tolerance: the invoice is held."""
    at, top = _edge(at)
    bill = at.bill((top.with_price(top.price + 100), *at.goods[1:]))
    return at.plain("price_cent_above", bill, _held(bill, "price_drift"))


def split_shipment(at: Setting) -> Story:
    """Two shipments, each invoiced for what it held; freight is on the
    first.
    """
    one = tuple(g.with_quantity(g.quantity - g.quantity // 3) for g in at.goods)
    two = tuple(
        g.with_quantity(g.quantity - a.quantity)
        for g, a in zip(at.goods, one, strict=True)
        if g.quantity > a.quantity
    )
    bills = (at.bill(one, "A"), at.bill(two, "B", freight=0, day=at.purchase.day + 9))
    parcels = (at.parcel(one, "A"), at.parcel(two, "B", days=8))
    end = Expectation(
        outcome="paid", paid=sum(b.total for b in bills), exceptions=("split_shipment",)
    )
    return at.story("split_shipment", parcels, bills, end)


def short_shipment(at: Setting) -> Story:
    """Less was shipped than invoiced: what came is paid, the rest is held."""
    first, *rest = at.goods
    came = (first.with_quantity(first.quantity - max(1, first.quantity // 4)), *rest)
    bill, owed = at.bill(at.goods), at.bill(came)
    end = Expectation(
        outcome="partly_paid", paid=owed.total, held=bill.total - owed.total,
        exceptions=("short_shipment",),
    )  # fmt: skip
    return at.story("short_shipment", (at.parcel(came),), (bill,), end)


def duplicate_invoice(at: Setting) -> Story:
    """The same delivery is invoiced again under a changed number: paid once."""
    bill = at.bill(at.goods)
    again = msgspec.structs.replace(
        bill, number=bill.number.replace("-", "") + "R", day=bill.day + 6
    )
    end = Expectation(
        outcome="partly_paid", paid=bill.total, held=again.total,
        exceptions=("duplicate_invoice",),
    )  # fmt: skip
    return at.story("duplicate_invoice", (at.parcel(at.goods),), (bill, again), end)


def unit_converted(at: Setting) -> Story:
    """Ordered by the each, shipped and invoiced by the case at the same money:
    paid.
    """
    cases = tuple(g.in_cases() for g in at.goods)
    bill = at.bill(cases)
    end = Expectation(outcome="paid", paid=bill.total, exceptions=("unit_mismatch",))
    return at.story("unit_converted", (at.parcel(cases),), (bill,), end)


def unit_mismatch(at: Setting) -> Story:
    """The invoice says cases but counts and prices each: nobody can know, so it
    is held.
    """
    first, *rest = at.goods
    wrong = msgspec.structs.replace(first, unit="CA")
    bill = at.bill((wrong, *rest))
    return at.plain("unit_mismatch", bill, _held(bill, "unit_mismatch"))


def bad_segment_count(at: Setting) -> Story:
    """SE01 of the invoice is wrong: its 997 rejects it, nothing is owed yet."""
    return at.plain("bad_segment_count", at.bill(at.goods, fault="se"), _rejected())


def bad_line_total(at: Setting) -> Story:
    """CTT01 of the invoice is wrong: its 997 rejects it, nothing is owed
    yet.
    """
    return at.plain("bad_line_total", at.bill(at.goods, fault="ctt"), _rejected())


def bad_interchange_trailer(at: Setting) -> Story:
    """IEA02 disagrees with ISA13: the TA1 rejects the whole interchange."""
    return at.plain("bad_interchange_trailer", at.bill(at.goods, fault="iea"), _rejected())


def changed_bank_account(at: Setting) -> Story:
    """The invoice asks for payment to an account that is not on the vendor
    master.
    """
    strange = at.seller.account[:-3] + f"{at.draw.below(900) + 100}"
    if strange == at.seller.account:
        strange = strange[:-1] + "0"
    bill = at.bill(at.goods, account=strange)
    return at.plain("changed_bank_account", bill, _held(bill, "changed_bank_account"))


def sanctioned_vendor(at: Setting) -> Story:
    """The vendor's name is on the sanctions list: nothing may be paid."""
    bill = at.bill(at.goods)
    return at.plain("sanctioned_vendor", bill, _held(bill, "sanctioned_vendor"))


def late_credit_note(at: Setting) -> Story:
    """Goods came back and the credit note came weeks later: it lowers what is
    paid.
    """
    bill = at.bill(at.goods)
    first = at.goods[0]
    back = (first.with_quantity(max(1, first.quantity // 5)),)
    credit = at.bill(back, "C", credit=True, freight=0, day=bill.day + CREDIT_LATE_DAYS + 11)
    end = Expectation(
        outcome="paid", paid=bill.total - credit.total, credited=credit.total,
        exceptions=("late_credit_note",),
    )  # fmt: skip
    return at.story("late_credit_note", (at.parcel(at.goods),), (bill, credit), end)


def charge_edge(at: Setting) -> Story:
    """Freight nobody agreed, exactly at the tolerance: paid."""
    bill = at.bill(at.goods, freight=at.purchase.freight + CHARGE_TOLERANCE)
    return at.plain("charge_edge", bill, _paid(bill))


def charge_cent_above(at: Setting) -> Story:
    """Freight nobody agreed, one cent above the tolerance: held."""
    bill = at.bill(at.goods, freight=at.purchase.freight + CHARGE_TOLERANCE + 1)
    return at.plain("charge_cent_above", bill, _held(bill, "tolerance_exceeded"))


def item_renamed(at: Setting) -> Story:
    """The invoice names the goods by new numbers and words: paired by
    description, paid.
    """
    bill = at.bill(at.goods, renamed=True)
    end = Expectation(outcome="paid", paid=bill.total, exceptions=("item_renamed",))
    return at.plain("item_renamed", bill, end)


def order_replaced(at: Setting) -> Story:
    """A second 850 (purpose 05) changed the unit from each to case: the last
    one counts.
    """
    cases = tuple(g.in_cases() for g in at.goods)
    bill = at.bill(cases)
    story = at.story("order_replaced", (at.parcel(cases),), (bill,), _paid(bill))
    replaced = msgspec.structs.replace(
        at.purchase, goods=cases, purpose="05", day=at.purchase.day + 1
    )
    return msgspec.structs.replace(story, purchases=(at.purchase, replaced))


def _paid(bill: Bill) -> Expectation:
    return Expectation(outcome="paid", paid=bill.total)


def _held(bill: Bill, kind: str) -> Expectation:
    return Expectation(outcome="held", held=bill.total, exceptions=(kind,))


def _rejected() -> Expectation:
    return Expectation(outcome="rejected", exceptions=("bad_control_totals",))


def _edge(at: Setting) -> tuple[Setting, Goods]:
    """Return the order with a few of a round-priced item first, and its price
    at the edge.
    """
    price = max(100, at.goods[0].price // 5_000 * 5_000) or 5_000
    first = at.goods[0].with_price(price).with_quantity(min(at.goods[0].quantity, 12))
    purchase = msgspec.structs.replace(at.purchase, goods=(first, *at.goods[1:]))
    top = first.with_price(price * (10_000 + PRICE_TOLERANCE_BP) // 10_000)
    return msgspec.structs.replace(at, purchase=purchase), top


KINDS: dict[str, Callable[[Setting], Story]] = {
    fn.__name__: fn
    for fn in (
        clean, over_delivery, over_delivery_allowed, price_drift, price_edge, price_cent_above,
        split_shipment, short_shipment, duplicate_invoice, unit_converted, unit_mismatch,
        bad_segment_count, bad_line_total, bad_interchange_trailer, changed_bank_account,
        sanctioned_vendor, late_credit_note, charge_edge, charge_cent_above, item_renamed,
        order_replaced,
    )
}  # fmt: skip

# Kinds that only make sense with a certain seller; the others take turns.
SELLER_OF: dict[str, tuple[Seller, ...]] = {
    "over_delivery": (c.CASCADE, c.LAKESHORE, c.PRAIRIE, c.MAPLE),
    "over_delivery_allowed": (c.HALVORSEN,),
    "price_edge": (c.LAKESHORE,),
    "price_cent_above": (c.LAKESHORE,),
    "sanctioned_vendor": (c.ZELTARA,),
    "item_renamed": (c.NORDLYS,),
    "unit_converted": (c.CASCADE, c.MAPLE),
    "unit_mismatch": (c.CASCADE, c.MAPLE),
    "order_replaced": (c.MAPLE, c.CASCADE),
}


def choose_items(kind: str, seller: Seller) -> tuple[Item, ...]:
    """Return the items a story of this kind may be about."""
    if kind in ("unit_converted", "unit_mismatch", "order_replaced"):
        return tuple(item for item in seller.items if item.pack > 1)
    if kind == "item_renamed":
        return tuple(item for item in seller.items if item.renamed)
    if kind == "over_delivery_allowed":
        return tuple(item for item in seller.items if item.pack == 1)
    if kind in ("price_edge", "price_cent_above"):
        return tuple(item for item in seller.items if item.price >= 500_000)
    return seller.items
