"""Letters to vendors: what must be said, a draft by rule, and the check every
draft passes.

Pure. Nothing is written to a vendor about fraud or sanctions: that would warn
the wrong person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.solutions.purchase_to_pay.result import Found

SILENT = ("sanctioned_vendor", "changed_bank_account", "unknown_partner", "vendor_mismatch")
_WORDS = {
    "over_delivery": "more was delivered and billed than we ordered; we pay for what we ordered",
    "short_shipment": "more was billed than your ship notices show; we pay for what was shipped",
    "price_drift": "a price is above the agreed one; please send a corrected invoice",
    "tolerance_exceeded": "charges were added that the order does not hold; please correct them",
    "unit_mismatch": "unit, quantity and price do not fit the order; please send a correction",
    "duplicate_invoice": "this delivery was already billed; we keep the first invoice",
    "tax_mismatch": "the tax differs from the agreed rate; please send a corrected invoice",
    "total_mismatch": "the total does not equal the sum of its parts; please correct it",
    "currency_mismatch": "the currency is not the one ordered in; please send a correction",
    "item_not_ordered": "a line is not part of the order; we do not pay that line",
    "missing_order": "we have no order of this number; please send a copy",
    "missing_receipt": "no ship notice reached us; please send it",
    "order_cancelled": "the order was cancelled before you billed it",
    "order_refused": "your acknowledgement refused the order; please explain the invoice",
}
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def worth_writing(found: Sequence[Found]) -> list[Found]:
    """Return the exceptions a vendor should hear of; none if one must stay
    secret."""
    if any(one.kind in SILENT for one in found):
        return []
    return [one for one in found if one.disposition in ("hold", "short_pay") and one.kind in _WORDS]


def letter_facts(
    vendor: str, po: str, found: Sequence[Found], amounts: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the drafter is told; `amounts` name sums, as decimals with
    currency."""
    seen: dict[tuple[str, str], str] = {}
    for one in found:
        seen.setdefault((one.document, one.kind), _WORDS[one.kind])
    return {
        "vendor": vendor,
        "po": po,
        "points": [
            {"invoice": document, "kind": kind, "says": says}
            for (document, kind), says in sorted(seen.items())
        ],
        "amounts": dict(amounts),
    }


def draft(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write the letter that says exactly the facts."""
    lines = [f"Dear {facts['vendor']},", "", f"about our order {facts['po']}:", ""]
    for point in facts["points"]:
        number = f"invoice {point['invoice']}: " if point["invoice"] else ""
        lines.append(f"- {number}{point['says']}.")
    lines.append("")
    for name, amount in sorted(facts["amounts"].items()):
        lines.append(f"{name.capitalize()}: {amount}")
    lines += ["", "Please answer to this address, naming the order.", "", "Accounts payable"]
    return {"subject": f"Order {facts['po']}", "body": "\n".join(lines)}


def problems(letter: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """Return what a draft says that the facts do not, or leaves out."""
    text = f"{letter.get('subject', '')}\n{letter.get('body', '')}"
    known = set(_NUMBER.findall(repr(facts)))
    wrong = [f"{n} is no number of this case" for n in _NUMBER.findall(text) if n not in known]
    needed = [facts["po"], *(p["invoice"] for p in facts["points"]), *facts["amounts"].values()]
    wrong += [f"{one!r} is not mentioned" for one in needed if one and one not in text]
    return list(dict.fromkeys(wrong))


def render(letter: Mapping[str, Any]) -> bytes:
    """Return the letter as a text file."""
    return f"{letter['subject']}\n\n{letter['body'].rstrip()}\n".encode()
