"""Letters to vendors: what must be said, a draft by rule, and the check
every draft passes.

Pure. A drafter only writes subject, opening and closing; points and amounts
are put in from the documents. Nothing is written to a vendor about fraud or
sanctions: that would warn the wrong person.
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
_BANNED = ("guarantee", "promise", "lawsuit", "legal action", "we will pay", "apolog", "http")
_TOPICS = {"invoice", "invoices", "order", "delivery", "shipment", "account", "payment", "price"}
_PERSONS = {"we", "our", "us", "you", "your"}
_WORD = re.compile(r"[a-z']+")
# What an opening may be made of: courtesy, and no word that could state a fact.
_COURTESY = (
    _TOPICS
    | _PERSONS
    | frozenset(
        _WORD.findall(
            """a about account all an and any appreciate are as ask assistance at attention be
            before below business by can concerning cooperation could dear details
            following for forward from full give good grateful have hearing help
            helping hope i if in is it kindly know let letter like look looking
            matter may me must my need note of on once open please point points
            questions quickly receipt received recent reference regarding regards
            reply review sentence settle shortly sincerely sir so some soon team
            thank thanks that the their them these this to today together up very
            wish with would write writing"""
        )
    )
)


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


def brief(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the little a drafter needs: to whom, and what about."""
    return {
        "vendor": facts["vendor"],
        "about": "; ".join(dict.fromkeys(point["says"] for point in facts["points"])),
    }


def draft(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the opening a rule writes."""
    return {
        "opening": "Thank you for your delivery. Before we can settle your account in full, "
        "please look at the following."
    }


def problems(answer: Mapping[str, Any]) -> list[str]:
    """Return what keeps an opening from being sent: numbers, promises, or
    words that could state a fact."""
    text = str(answer.get("opening", ""))
    words = _WORD.findall(text.casefold())
    wrong = [f"{word!r} promises or threatens" for word in _BANNED if word in text.casefold()]
    wrong += [f"{word!r} may state a fact" for word in words if word not in _COURTESY][:3]
    if any(c.isdigit() for c in text):
        wrong.append("it states a number")
    if not 6 <= len(words) <= 50:
        wrong.append(f"it has {len(words)} words")
    if len(set(words)) * 3 < len(words) * 2:
        wrong.append("it repeats itself")
    if not set(words) & _TOPICS or not set(words) & _PERSONS:
        wrong.append("it does not speak to the vendor about this business")
    if not text.rstrip().endswith((".", ",", ":")):
        wrong.append("it does not end")
    return wrong


def compose(opening: str, facts: Mapping[str, Any]) -> str:
    """Return the whole letter: an opening, then points and amounts that only
    the documents give."""
    lines = [f"Dear {facts['vendor']},", "", " ".join(opening.split()), ""]
    for point in facts["points"]:
        number = f"invoice {point['invoice']}: " if point["invoice"] else ""
        lines.append(f"- {number}{point['says']}.")
    lines.append("")
    for name, amount in sorted(facts["amounts"].items()):
        lines.append(f"{name[:1].upper()}{name[1:]}: {amount}")
    lines += ["", "Please answer to this address, naming the order.", "", "Accounts payable"]
    return "\n".join(lines)


def render(subject: str, body: str) -> bytes:
    """Return the letter as a text file."""
    return f"{subject}\n\n{body.rstrip()}\n".encode()
