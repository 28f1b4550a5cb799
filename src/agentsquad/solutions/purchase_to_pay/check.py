"""Checks what agents say against the documents; what does not hold is dropped.

Pure. A model may propose, cite and suspect; it can neither release money that
rules hold nor state a fact that no document shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.solutions.purchase_to_pay.document import Invoice, Line, Order
from agentsquad.solutions.purchase_to_pay.matching import Pair, scale_of

CONFIDENT = 0.60
SUSPICION = {"account_differs": 40, "same_number": 20, "same_goods": 20, "other_payee": 15}


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A checked pairing by description; `sure` false needs a person."""

    pair: Pair
    confidence: float
    agrees: bool
    because: str

    @property
    def sure(self) -> bool:
        """Whether it may be used without asking: confident and consistent."""
        return self.agrees and self.confidence >= CONFIDENT


def checked_pairs(
    answer: Any, open_lines: Sequence[Line], open_ordered: Sequence[Line]
) -> list[Proposal]:
    """Keep pairs of lines that exist, each used once; say whether quantity and
    price agree."""
    lines = {line.number: line for line in open_lines}
    ordered = {line.number: line for line in open_ordered}
    kept: list[Proposal] = []
    for one in answer.get("pairs", ()):
        line, target = lines.pop(one["line"], None), ordered.get(one["order_line"])
        if line is None or target is None:
            continue
        del ordered[target.number]
        kept.append(
            Proposal(
                pair=Pair(line=line.number, order_line=target.number, how="description"),
                confidence=round(min(1.0, max(0.0, float(one["confidence"]))), 4),
                agrees=agrees(line, target),
                because=str(one["because"])[:200],
            )
        )
    return kept


def agrees(line: Line, target: Line) -> bool:
    """Whether a line bills at most the quantity, in the unit, at the price of
    an order line."""
    scale = scale_of(line, target)
    return (
        not scale.differs
        and line.price is not None
        and line.price == target.price
        and 0 < line.quantity <= target.quantity
    )


def checked_suspicion(answer: Any, facts: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Return points and reasons, only those that the facts bear out."""
    shown = {
        "account_differs": bool(facts["account_differs"]),
        "same_number": bool(facts["same_number"]),
        "same_goods": bool(facts["same_goods"]),
        "other_payee": bool(facts["remit_name"])
        and facts["remit_name"].casefold() != facts["vendor"].casefold(),
    }
    reasons = [r for r in dict.fromkeys(answer.get("reasons", ())) if shown.get(r)]
    return min(100, sum(SUSPICION[r] for r in reasons)), reasons


def checked_findings(answer: Any, kinds: set[str], known: set[str]) -> list[dict[str, Any]]:
    """Keep findings about exceptions there are, citing documents there are."""
    return [
        {**one, "evidence": [ref for ref in one["evidence"] if ref in known]}
        for one in answer.get("findings", ())
        if one["kind"] in kinds
    ]


def documents_of(order: Order | None, invoices: Sequence[Invoice]) -> list[dict[str, str]]:
    """Return the ids by which a finding may cite documents."""
    cited = []
    if order is not None:
        cited.append({"id": order.place.text, "type": "order", "number": order.po})
    for invoice in invoices:
        cited.append({"id": invoice.place.text, "type": "invoice", "number": invoice.number})
    return cited
