"""What happened in an invented order, as plain facts, and the money that
follows from them.

This is the generator's own arithmetic (integers of cents and ten-thousandths);
it never looks at the code that matches, so that its totals can judge it.
"""

from __future__ import annotations

import hashlib

import msgspec

from agentsquad.solutions.purchase_to_pay.catalogue import Item, Seller


class Goods(msgspec.Struct, frozen=True, kw_only=True):
    """So much of an item at a price (ten-thousandths), counted in a unit."""

    item: Item
    quantity: int
    price: int
    unit: str

    def with_quantity(self, quantity: int) -> Goods:
        """Return the same goods in another quantity."""
        return msgspec.structs.replace(self, quantity=quantity)

    def with_price(self, price: int) -> Goods:
        """Return the same goods at another price."""
        return msgspec.structs.replace(self, price=price)

    def in_cases(self) -> Goods:
        """Return the same goods counted and priced by the case."""
        pack = self.item.pack
        if self.quantity % pack:
            raise ValueError(f"{self.quantity} {self.item.sku} are not whole cases of {pack}")
        return Goods(
            item=self.item, quantity=self.quantity // pack, price=self.price * pack, unit="CA"
        )

    @property
    def cents(self) -> int:
        """The line amount, half a cent rounded up."""
        return half_up(self.quantity * self.price, 100)


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """One 850 as sent: `purpose` is 00 original or 05 replace; freight is
    agreed in cents.
    """

    goods: tuple[Goods, ...]
    day: int
    buyer: str
    freight: int = 0
    purpose: str = "00"


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """One 856: what left the vendor's dock."""

    number: str
    day: int
    goods: tuple[Goods, ...]


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """One 810: an invoice, or a credit note when `credit`.

    `fault` is "", "se" (segment count), "ctt" (line count) or "iea"
    (interchange control number). `ids` maps an item's number to the number and
    text printed instead.
    """

    number: str
    day: int
    goods: tuple[Goods, ...]
    seller: Seller
    freight: int = 0
    tax_bp: int = 0
    account: str = ""
    credit: bool = False
    fault: str = ""
    renamed: bool = False

    @property
    def goods_cents(self) -> int:
        """Sum of the line amounts."""
        return sum(g.cents for g in self.goods)

    @property
    def tax_cents(self) -> int:
        """Tax on the goods, half a cent rounded up."""
        return half_up(self.goods_cents * self.tax_bp, 10_000)

    @property
    def total(self) -> int:
        """What the vendor asks for (or gives back), in cents."""
        return self.goods_cents + self.tax_cents + self.freight


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """The known answer: cents paid, held and credited, exceptions, and how the
    case ends.
    """

    outcome: str
    paid: int = 0
    held: int = 0
    credited: int = 0
    exceptions: tuple[str, ...] = ()


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one invented purchase order."""

    po: str
    kind: str
    seller: Seller
    purchases: tuple[Purchase, ...]
    parcels: tuple[Parcel, ...]
    bills: tuple[Bill, ...]
    expected: Expectation


class Draw:
    """A seeded stream of choices: SHA-256 in counter mode, the same on every
    platform.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._count = 0

    def below(self, limit: int) -> int:
        """Return an integer in [0, limit)."""
        self._count += 1
        block = hashlib.sha256(self._seed + b"/" + str(self._count).encode()).digest()
        return int.from_bytes(block[:8], "big") % limit

    def between(self, low: int, high: int) -> int:
        """Return an integer in [low, high]."""
        return low + self.below(high - low + 1)

    def shuffle(self, items: list[str]) -> list[str]:
        """Return the items in another order."""
        rest, out = list(items), []
        while rest:
            out.append(rest.pop(self.below(len(rest))))
        return out


def half_up(numerator: int, denominator: int) -> int:
    """Divide non-negative integers, half rounded up."""
    return (2 * numerator + denominator) // (2 * denominator)
