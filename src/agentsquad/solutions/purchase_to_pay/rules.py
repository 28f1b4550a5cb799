"""The five agents as plain rules: what they answer where no model is installed.

Each rule sees what a model would see (the request) and answers in the same
shape; the same checks follow either way, so both ways end at the same money.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentsquad.kernel import canonical
from agentsquad.solutions.purchase_to_pay.letter import draft
from agentsquad.workforce.agents.contract import ModelRequest

_INPUT = "Input:\n"
_SURE = 0.60
_MARGIN = 0.10


def asked(request: ModelRequest) -> dict[str, Any]:
    """Return the input of the turn, from the first message of the user."""
    text = next(m.content for m in request.messages if m.role == "user")
    value = canonical.loads(text[text.rindex(_INPUT) + len(_INPUT) :])
    return value if isinstance(value, dict) else {}


def pair_lines(request: ModelRequest) -> dict[str, Any]:
    """Pair each open invoice line with the most similar open order line.

    Sure only when the best is good, clearly better than the next, and nobody
    else's best.
    """
    value = asked(request)
    scores: Mapping[str, Mapping[str, float]] = value["similarity"]
    pairs = []
    taken: set[str] = set()
    ranked = sorted(
        ((score, line, other) for line, row in scores.items() for other, score in row.items()),
        key=lambda entry: (-entry[0], entry[1], entry[2]),
    )
    done: set[str] = set()
    for score, line, other in ranked:
        if line in done or other in taken or score <= 0:
            continue
        done.add(line)
        taken.add(other)
        next_best = max((s for o, s in scores[line].items() if o != other), default=0.0)
        sure = score >= _SURE and score - next_best >= _MARGIN
        pairs.append(
            {
                "line": line,
                "order_line": other,
                "confidence": score if sure else min(score, 0.5),
                "because": f"descriptions agree to {score:.2f}, the next best to {next_best:.2f}",
            }
        )
    return {"pairs": sorted(pairs, key=lambda pair: str(pair["line"]))}


_CAUSES = {
    "over_delivery": ("the vendor shipped and billed more than was ordered", "short_pay"),
    "short_shipment": ("the vendor billed what it has not shipped", "short_pay"),
    "price_drift": ("the vendor billed another price than the order agreed", "ask_vendor"),
    "tolerance_exceeded": ("the vendor added charges nobody agreed", "ask_vendor"),
    "unit_mismatch": ("order and invoice count in different units", "ask_vendor"),
    "duplicate_invoice": ("one delivery was billed twice", "hold"),
    "tax_mismatch": ("the tax is not what the agreed rate gives", "ask_vendor"),
    "total_mismatch": ("the invoice does not add up", "ask_vendor"),
    "changed_bank_account": ("payment was asked to an account that is not on file", "hold"),
    "late_credit_note": ("goods went back and the credit came late", "pay"),
    "split_shipment": ("the order came in several shipments", "pay"),
    "item_renamed": ("the vendor bills under new item numbers", "pay"),
    "missing_order": ("no order of this number was sent", "ask_vendor"),
    "missing_receipt": ("no ship notice came for what was billed", "ask_vendor"),
}


def research(request: ModelRequest) -> dict[str, Any]:
    """State the likely cause of each exception and the documents that show
    it."""
    value = asked(request)
    documents = value["documents"]
    findings = []
    for one in value["exceptions"]:
        cause, recommend = _CAUSES.get(one["kind"], (one["because"], "hold"))
        if one["kind"] == "unit_mismatch" and one["disposition"] == "pay":
            recommend = "pay"
        cited = [d["id"] for d in documents if one["document"] in ("", d["number"])]
        orders = [d["id"] for d in documents if d["type"] == "order"]
        findings.append(
            {
                "kind": one["kind"],
                "cause": cause,
                "evidence": list(dict.fromkeys(orders + cited))[:6],
                "recommend": recommend,
            }
        )
    return {"findings": findings}


def check_fraud(request: ModelRequest) -> dict[str, Any]:
    """Name what is suspicious about an invoice, by the facts it was given."""
    value = asked(request)
    reasons = []
    if value["account_differs"]:
        reasons.append("account_differs")
    if value["same_number"]:
        reasons.append("same_number")
    elif value["same_goods"]:
        reasons.append("same_goods")
    if value["remit_name"] and value["remit_name"].casefold() != value["vendor"].casefold():
        reasons.append("other_payee")
    duplicates = value["same_number"] or value["same_goods"]
    return {"reasons": reasons, "duplicate_of": duplicates[0] if duplicates else ""}


def screen_vendor(request: ModelRequest) -> dict[str, Any]:
    """Judge the best name found on the sanctions list."""
    value = asked(request)
    if value["score"] >= value["hold"]:
        return {"decision": "match", "because": f"{value['listed']!r} is the same name"}
    if value["score"] >= value["review"]:
        return {"decision": "possible", "because": f"{value['listed']!r} is close"}
    return {"decision": "clear", "because": "no name on the list is close"}


def draft_letter(request: ModelRequest) -> dict[str, Any]:
    """Write the letter from the facts."""
    return draft(asked(request))


RULES: dict[str, Callable[[ModelRequest], Mapping[str, Any]]] = {
    "p2p-matcher": pair_lines,
    "p2p-researcher": research,
    "p2p-fraud-checker": check_fraud,
    "p2p-screener": screen_vendor,
    "p2p-drafter": draft_letter,
}
