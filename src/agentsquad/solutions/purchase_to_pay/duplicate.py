"""Looks for invoices that ask twice for one delivery.

Pure. Two signs: the same number again, or the same goods at the same money
under another number. The second alone is no proof (two equal halves of a split
order look the same), so policy also asks whether both together exceed what was
ordered and received.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentsquad.solutions.purchase_to_pay.document import Invoice


def duplicate_facts(invoice: Invoice, earlier: Sequence[Invoice]) -> dict[str, Any]:
    """Return which earlier invoices of the case look like this one."""
    others = [one for one in earlier if not one.credit]
    return {
        "same_number": [o.number for o in others if squeeze(o.number) == squeeze(invoice.number)],
        "same_goods": [o.number for o in others if _goods(o) == _goods(invoice)],
    }


def squeeze(number: str) -> str:
    """Return an invoice number without case, zeros in front and punctuation."""
    return "".join(c for c in number.upper() if c.isalnum()).lstrip("0")


def _goods(invoice: Invoice) -> list[tuple[Any, ...]]:
    lines = [
        (tuple(sorted(line.ids.values())), line.quantity, line.unit, line.price)
        for line in invoice.lines
    ]
    return [*sorted(lines, key=repr), (invoice.total.micros, invoice.currency)]
