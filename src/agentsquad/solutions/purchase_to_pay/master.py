"""The vendor master: whom we buy from, on what terms, into which account.

Read from `master.json` beside the files. An ERP would own it; here it is a
file, and a folder without one makes every partner unknown, which pays nobody.
"""

from __future__ import annotations

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.solutions.purchase_to_pay.contract import MasterError, Payer

FILE = "master.json"


class Vendor(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor. Rates and tolerances are hundredths of a percent.

    `tax_bp` None means the rate is not agreed and the invoice's own is checked.
    """

    key: str
    name: str
    identity: str
    currency: str = "USD"
    routing: str = ""
    account: str = ""
    tax_bp: int | None = None
    over_bp: int = 0
    city: str = ""


class Master(msgspec.Struct, frozen=True, kw_only=True):
    """Everything agreed beforehand."""

    vendors: tuple[Vendor, ...] = ()
    buyer: Payer = Payer()

    def vendor(self, identity: str) -> Vendor | None:
        """Return the vendor that writes under an interchange id."""
        for vendor in self.vendors:
            if vendor.identity == identity:
                return vendor
        return None


def read_master(data: bytes) -> Master:
    """Read `master.json`; MasterError names what is wrong in it."""
    try:
        master = msgspec.json.decode(data, type=Master)
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidError) as error:
        raise MasterError(f"{FILE} cannot be used: {error}", hint=_HINT) from None
    for what, names in (
        ("identity", [v.identity for v in master.vendors]),
        ("key", [v.key for v in master.vendors]),
    ):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise MasterError(f"{FILE}: the {what} {twice!r} is there twice", hint=_HINT)
    return master


_HINT = "see the example that `squad demo data --out DIR` writes"
