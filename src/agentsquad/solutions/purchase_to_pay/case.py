"""Joins documents into cases, one per order number, and says which version of
an order counts.

Pure. A document belongs to the case of the order it names; an invoice that
names none is a case of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from agentsquad.kernel.hashing import digest
from agentsquad.solutions.purchase_to_pay.document import (
    Confirmation,
    Invoice,
    Order,
    Place,
    Shipment,
)

CANCELLED = "01"


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction set that its acknowledgement refused; nothing in it counts.

    `po` is what it would have been about, when that could be read.
    """

    place: Place
    set_id: str
    kind: str
    reason: str
    sender: str = ""
    po: str = ""


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What one file held, accepted and rejected."""

    orders: tuple[Order, ...] = ()
    confirmations: tuple[Confirmation, ...] = ()
    shipments: tuple[Shipment, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    rejections: tuple[Rejection, ...] = ()


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known about one order number."""

    po: str
    vendor: str
    order: Order | None = None
    replaced: tuple[Place, ...] = ()
    confirmations: tuple[Confirmation, ...] = ()
    shipments: tuple[Shipment, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    rejections: tuple[Rejection, ...] = ()

    @property
    def key(self) -> str:
        """Name of this case with exactly these documents."""
        places = [
            *(one.place.id for one in self.confirmations),
            *(one.place.id for one in self.shipments),
            *(one.place.id for one in self.invoices),
            *(one.place.id for one in self.rejections),
        ]
        if self.order is not None:
            places.append(self.order.place.id)
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in self.po[:30])
        return f"{name or 'none'}-{digest([self.po, *sorted(places)])[7:23]}"


def cases_of(files: Iterable[Contents]) -> list[Case]:
    """Return the cases in order of their numbers; the same files, the same
    cases."""
    heaps: dict[str, _Heap] = {}
    unnamed: list[Invoice] = []
    for part in files:
        for order in part.orders:
            heaps.setdefault(order.po, _Heap()).orders.append(order)
        for confirmation in part.confirmations:
            heaps.setdefault(confirmation.po, _Heap()).confirmations.append(confirmation)
        for shipment in part.shipments:
            heaps.setdefault(shipment.po, _Heap()).shipments.append(shipment)
        for invoice in part.invoices:
            if invoice.po:
                heaps.setdefault(invoice.po, _Heap()).invoices.append(invoice)
            else:
                unnamed.append(invoice)
        for rejection in part.rejections:
            if rejection.po:
                heaps.setdefault(rejection.po, _Heap()).rejections.append(rejection)
    found = [heaps[po].case(po) for po in sorted(heaps)]
    return found + [
        Case(po="", vendor=invoice.sender, invoices=(invoice,))
        for invoice in sorted(unnamed, key=_age)
    ]


class _Heap:
    """The documents that name one order, in the order they were met."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.confirmations: list[Confirmation] = []
        self.shipments: list[Shipment] = []
        self.invoices: list[Invoice] = []
        self.rejections: list[Rejection] = []

    def case(self, po: str) -> Case:
        """Return the case of these documents."""
        current, replaced = current_order(self.orders)
        bills = tuple(sorted(self.invoices, key=_age))
        others: tuple[Invoice | Shipment | Confirmation | Rejection, ...] = (
            *bills,
            *self.shipments,
            *self.confirmations,
            *self.rejections,
        )
        sender = others[0].sender if others else ""
        return Case(
            po=po,
            vendor=current.receiver if current else sender,
            order=current,
            replaced=replaced,
            confirmations=tuple(self.confirmations),
            shipments=tuple(self.shipments),
            invoices=bills,
            rejections=tuple(self.rejections),
        )


def current_order(orders: Sequence[Order]) -> tuple[Order | None, tuple[Place, ...]]:
    """Return the version that counts, the latest by date and purpose, and the
    places of those it replaced."""
    if not orders:
        return None, ()
    ranked = sorted(orders, key=lambda o: (o.date, o.purpose != "00", o.place.interchange))
    return ranked[-1], tuple(o.place for o in ranked[:-1])


def _age(invoice: Invoice) -> tuple[bool, str, str, str]:
    """Credit notes last, else by date and number: who came first is paid."""
    return invoice.credit, invoice.date, invoice.number, invoice.place.text
