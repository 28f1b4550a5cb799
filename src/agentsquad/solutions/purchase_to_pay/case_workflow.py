"""One order from its documents to its payment: the child run of a case.

The order of work: what stands against the whole case, the invoices one by one
in order of age, what agents find, money, people, the bank, the vendor.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import msgspec

from agentsquad.kernel.money import Money
from agentsquad.runtime.engine.contract import WorkflowContext, workflow
from agentsquad.solutions.purchase_to_pay import (
    casework,
    check,
    duplicate,
    judging,
    letter,
    matching,
    paying,
    writing,
)
from agentsquad.solutions.purchase_to_pay import settlement as settling
from agentsquad.solutions.purchase_to_pay.actions import (
    HistoryInput,
)
from agentsquad.solutions.purchase_to_pay.case import CANCELLED, Case
from agentsquad.solutions.purchase_to_pay.casework import (
    CASE,
    CaseInput,
    Work,
)
from agentsquad.solutions.purchase_to_pay.contract import Receipt
from agentsquad.solutions.purchase_to_pay.document import Invoice
from agentsquad.solutions.purchase_to_pay.judging import judge, research
from agentsquad.solutions.purchase_to_pay.paying import pay
from agentsquad.solutions.purchase_to_pay.result import (
    ApprovalGiven,
    CaseResult,
    Found,
    found_of,
)
from agentsquad.solutions.purchase_to_pay.settlement import (
    Settlement,
    outcome,
    settle,
)
from agentsquad.solutions.purchase_to_pay.writing import write_letter


@workflow(
    CASE,
    version="1",
    uses=(casework, check, duplicate, judging, letter, matching, paying, settling, writing),
)
async def purchase_to_pay_case(ctx: WorkflowContext, value: CaseInput) -> CaseResult:
    """Judge, approve and pay what one order is owed."""
    case, vendor = value.case, value.vendor
    work = Work(
        exceptions=[
            Found(
                kind=r.kind,
                disposition="reject",
                because=r.reason,
                po=case.po,
                document=r.place.text,
            )
            for r in case.rejections
        ]
    )
    receipt: Receipt | None = None
    approvals: list[ApprovalGiven] = []
    currency = case.order.currency if case.order else _currency(case)
    settlement = settle(currency, (), ())
    letters: list[str] = []
    if case.invoices:
        stands = await _standing(ctx, value, work)
        await judge(ctx, value, work, stands)
        await research(ctx, case, work)
        settled = await ctx.call(
            "payments.history", HistoryInput(po=case.po, vendor=vendor.key if vendor else "")
        )
        settlement = settle(currency, work.judged, settled.remitted)
        if vendor is not None and settlement.due:
            receipt, approvals = await pay(ctx, value, work, settlement)
            if receipt is None:
                settlement = _not_paid(settlement)
        letters = await write_letter(ctx, value, work, settlement)
    paid = settlement.approved - settlement.credited
    return CaseResult(
        po=case.po,
        vendor=vendor.key if vendor else case.vendor,
        outcome=outcome(
            sum(not i.credit for i in case.invoices),
            sum(r.set_id == "810" for r in case.rejections),
            paid.micros,
            sum(settlement.held.values()),
        ),
        paid={currency: paid.micros} if paid else {},
        held=settlement.held,
        credited={currency: settlement.credited.micros} if settlement.credited else {},
        exceptions=tuple(work.exceptions),
        invoices=tuple(work.judged),
        receipt=receipt,
        approvals=tuple(approvals),
        letters=tuple(letters),
        notes=tuple(work.notes),
    )


def _currency(case: Case) -> str:
    return case.invoices[0].currency if case.invoices else "USD"


def _not_paid(settlement: Settlement) -> Settlement:
    """Return the settlement when what is due was not sent: it is held, and what
    earlier runs paid stays paid."""
    held = dict(settlement.held)
    held[settlement.currency] = held.get(settlement.currency, 0) + settlement.due.micros
    return msgspec.structs.replace(
        settlement,
        approved=settlement.approved - settlement.due,
        held=held,
        due=Money.zero(settlement.currency),
        remitted=(),
    )


async def _standing(ctx: WorkflowContext, value: CaseInput, work: Work) -> bool:
    """Ask what stands against the whole case; return whether all is held."""
    case, screening = value.case, value.screening
    if screening is not None:
        answer = await ctx.agent(
            "p2p-screener",
            {
                "name": screening.name,
                "listed": screening.listed,
                "score": screening.score,
                "program": screening.program,
                **value.thresholds,
            },
            task="Say whether this vendor is the listed one.",
        )
        work.notes.append(f"screening: {answer['decision']}, {answer['because']}")
    invoices = [i for i in case.invoices if not i.credit]
    standing = await ctx.query(
        "data.p2p.standing.result",
        {
            "po": case.po,
            "vendor_known": value.vendor is not None,
            "has_order": case.order is not None,
            "cancelled": case.order is not None and case.order.purpose == CANCELLED,
            "refused": any(c.status == "RJ" for c in case.confirmations),
            "invoices": len(invoices),
            "shipments": len({s.number for s in case.shipments}),
            "screening": {
                "name": screening.name if screening else "",
                "listed": screening.listed if screening else "",
                "score": screening.score if screening else 0,
            },
            "credits": [
                {"number": c.number, "days": _days_after(c, invoices)}
                for c in case.invoices
                if c.credit
            ],
        },
    )
    work.exceptions += found_of(standing["exceptions"], po=case.po)
    return bool(standing["disposition"] == "hold")


def _days_after(credit: Invoice, invoices: Sequence[Invoice]) -> int:
    """Return the days between the first invoice and a credit note."""
    try:
        first = min(datetime.date.fromisoformat(i.date) for i in invoices)
        return (datetime.date.fromisoformat(credit.date) - first).days
    except ValueError:
        return 0
