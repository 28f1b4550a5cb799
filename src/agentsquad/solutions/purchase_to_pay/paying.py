"""Asks policy and people about a payment, and sends it.

Part of the case's workflow: pure besides its context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.kernel.errors import DeadlineError, DeniedError
from agentsquad.kernel.money import Money
from agentsquad.runtime.engine.contract import Approval, WorkflowContext
from agentsquad.solutions.purchase_to_pay.case import Case
from agentsquad.solutions.purchase_to_pay.casework import (
    APPROVAL_MS,
    REQUESTER,
    CaseInput,
    Work,
)
from agentsquad.solutions.purchase_to_pay.contract import Receipt
from agentsquad.solutions.purchase_to_pay.result import (
    ApprovalGiven,
    Found,
    Judged,
)
from agentsquad.solutions.purchase_to_pay.settlement import (
    Settlement,
    instruction,
)


async def pay(
    ctx: WorkflowContext, value: CaseInput, work: Work, settlement: Settlement
) -> tuple[Receipt | None, list[ApprovalGiven]]:
    """Ask policy and the people it names, then send; None when refused."""
    case, vendor = value.case, value.vendor
    assert vendor is not None
    risk = await ctx.query(
        "data.p2p.risk.result",
        {
            "exceptions": sorted({f.kind for f in work.exceptions}),
            "suspicion": work.suspicion,
            "screening_score": value.screening.score if value.screening else 0,
        },
    )
    ordered_by = case.order.buyer if case.order else ""
    payment = instruction((case.po, ordered_by), vendor, value.buyer, settlement)
    facts: dict[str, Any] = {
        "requester": REQUESTER,
        "risk": risk["level"],
        "filed_account": vendor.account,
        "filed_routing": vendor.routing,
        "holds": [],
        "amount_text": settlement.due.decimal(),
    }
    decision = await ctx.decide("payments.send", payment, facts={**facts, "stage": "ask"})
    if not decision.allow:
        work.exceptions.append(_unpaid(case, "payment_denied", decision.reason))
        return None, []
    answers: list[ApprovalGiven] = []
    approvals: list[Approval] = []
    for duty in decision.obligations:
        if "approve" not in duty:
            continue
        try:
            approval = await ctx.approve(
                "payments.send",
                payment,
                evidence=_evidence(value, work, settlement, (risk, answers)),
                roles=tuple(duty["approve"]["roles"]),
                because=duty["approve"]["because"],
                requester=REQUESTER,
                expires_ms=APPROVAL_MS,
            )
        except DeadlineError as error:
            work.exceptions.append(_unpaid(case, "approval_expired", error.message))
            return None, answers
        answers.append(
            ApprovalGiven(
                approver=approval.approver, approved=approval.approved, reason=approval.reason
            )
        )
        if not approval.approved:
            because = f"{approval.approver}: {approval.reason}"
            work.exceptions.append(_unpaid(case, "approval_refused", because))
            return None, answers
        approvals.append(approval)
    try:
        receipt: Receipt = await ctx.call(
            "payments.send",
            payment,
            approval=approvals,
            facts={**facts, "stage": "send"},
        )
    except DeniedError as error:
        work.exceptions.append(_unpaid(case, "payment_denied", error.message))
        return None, answers
    return receipt, answers


def _unpaid(case: Case, kind: str, because: str) -> Found:
    return Found(kind=kind, disposition="hold", because=because, po=case.po)


def _shown(one: Judged, work: Work) -> dict[str, Any]:
    match = "credit note" if one.credit else f"{one.matched} of {one.lines} lines"
    return {
        "number": one.number,
        "date": one.date,
        "total": str(one.total),
        "payable": str(one.payable),
        "match": match,
        "exceptions": sorted({f.kind for f in work.exceptions if f.document == one.number}),
    }


def _evidence(
    value: CaseInput,
    work: Work,
    settlement: Settlement,
    known: tuple[Mapping[str, Any], Sequence[ApprovalGiven]],
) -> dict[str, Any]:
    """Return what an approver is shown, and the approval is bound to."""
    risk, answers = known
    order = value.case.order
    return {
        "vendor": value.vendor.name if value.vendor else "",
        "order": order.place.text if order else "",
        "ordered_by": order.buyer if order else "",
        "due": str(settlement.due),
        "held": {c: Money(m, c).decimal() for c, m in settlement.held.items()},
        "invoices": [_shown(j, work) for j in work.judged],
        "exceptions": [f"{f.kind}: {f.because}" for f in work.exceptions],
        "risk": dict(risk),
        "notes": list(work.notes),
        "holds": [],
        "agreed": [a.approver for a in answers],
    }
