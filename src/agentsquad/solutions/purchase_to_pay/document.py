"""The four business documents as the process sees them, whatever X12 version
they came in.

Amounts are Money, counts and prices are Decimal; every document says where it
stood, so that each statement about it can be checked against the file.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Literal

import msgspec

from agentsquad.kernel.money import Money
from agentsquad.kernel.personal import PERSONAL

CENT = Decimal("0.01")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a document stood: file, its digest, and the three control
    numbers.
    """

    file: str
    digest: str
    interchange: str
    group: str
    transaction: str

    @property
    def text(self) -> str:
        """The place in one line, for people."""
        parts = (("ISA", self.interchange), ("GS", self.group), ("ST", self.transaction))
        return " ".join([self.file, *(f"{tag} {number}" for tag, number in parts if number)])

    @property
    def id(self) -> str:
        """The place by content: the same document under any file name."""
        return f"{self.digest} {self.interchange} {self.group} {self.transaction}"


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. `ids` maps X12 qualifiers (VP, BP, UP …) to numbers.

    `pack` is how many of the smaller unit one of `unit` holds, when the
    document says so.
    """

    number: str
    ids: dict[str, str] = {}
    description: str = ""
    quantity: Decimal = Decimal(0)
    unit: str = ""
    price: Decimal | None = None
    pack: int | None = None
    status: str = ""


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """Freight and the like (SAC); an allowance lowers the total."""

    kind: Literal["charge", "allowance"]
    code: str
    amount: Money


class Tax(msgspec.Struct, frozen=True, kw_only=True):
    """One tax (TXI); `percent` is None when the partner sent none."""

    code: str
    amount: Money
    percent: Decimal | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An 850. `purpose` is BEG01: 00 original, 01 cancellation, 04 change, 05
    replace.
    """

    place: Place
    po: str
    purpose: str
    date: str
    currency: str
    receiver: str
    lines: tuple[Line, ...]
    buyer: Annotated[str, PERSONAL] = ""
    charges: tuple[Charge, ...] = ()


class Confirmation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An 855. `status` is BAK02, each line's status its ACK01."""

    place: Place
    po: str
    status: str
    date: str
    sender: str
    lines: tuple[Line, ...]


class Shipment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one 856 says was shipped for one order."""

    place: Place
    po: str
    number: str
    date: str
    sender: str
    lines: tuple[Line, ...]


class Invoice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An 810, invoice or credit note; all amounts are positive either way."""

    place: Place
    po: str
    number: str
    date: str
    currency: str
    sender: str
    total: Money
    lines: tuple[Line, ...]
    credit: bool = False
    remit_name: str = ""
    routing: str = ""
    account: str = ""
    charges: tuple[Charge, ...] = ()
    taxes: tuple[Tax, ...] = ()

    @property
    def goods(self) -> Money:
        """Sum of the line amounts."""
        total = Money.zero(self.currency)
        for line in self.lines:
            total = total + amount(line, self.currency)
        return total

    @property
    def tax(self) -> Money:
        """Sum of the taxes."""
        return Money(sum(tax.amount.micros for tax in self.taxes), self.currency)

    @property
    def charged(self) -> Money:
        """Charges less allowances."""
        return net(self.charges, self.currency)


def amount(line: Line, currency: str) -> Money:
    """Return quantity times price, rounded half up to the cent."""
    return extend(line.quantity, line.price or Decimal(0), currency)


def extend(quantity: Decimal, price: Decimal, currency: str) -> Money:
    """Return quantity times price, rounded half up to the cent."""
    return to_cents(quantity * price, currency)


def to_cents(value: Decimal, currency: str) -> Money:
    """Return an amount rounded half up to the cent, as invoices are."""
    rounded = value.quantize(CENT, rounding=ROUND_HALF_UP)
    return Money.parse(f"{rounded:f}", currency)


def net(charges: tuple[Charge, ...], currency: str) -> Money:
    """Return charges less allowances."""
    total = Money.zero(currency)
    for charge in charges:
        total = total + charge.amount if charge.kind == "charge" else total - charge.amount
    return total
