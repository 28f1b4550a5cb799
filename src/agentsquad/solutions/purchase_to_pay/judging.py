"""Judges the invoices of a case one by one: suspicion, pairing, match, causes.

Part of the case's workflow: pure besides its context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.kernel.money import Money
from agentsquad.runtime.engine.contract import WorkflowContext
from agentsquad.solutions.purchase_to_pay import check, matching
from agentsquad.solutions.purchase_to_pay.actions import (
    PairingInput,
    SimilarityInput,
)
from agentsquad.solutions.purchase_to_pay.case import Case
from agentsquad.solutions.purchase_to_pay.casework import (
    APPROVAL_MS,
    CaseInput,
    Work,
)
from agentsquad.solutions.purchase_to_pay.document import Invoice, Order
from agentsquad.solutions.purchase_to_pay.duplicate import duplicate_facts
from agentsquad.solutions.purchase_to_pay.master import Vendor
from agentsquad.solutions.purchase_to_pay.matching import Pair, Progress
from agentsquad.solutions.purchase_to_pay.result import (
    Judged,
    found_of,
)


async def judge(ctx: WorkflowContext, value: CaseInput, work: Work, stands: bool) -> None:
    """Judge every invoice, the oldest first; all are held when something
    `stands` against the case."""
    case, vendor, order = value.case, value.vendor, value.case.order
    earlier: list[Invoice] = []
    got = matching.received(order, case.shipments) if order else {}
    for invoice in case.invoices:
        if invoice.credit or stands or vendor is None or order is None:
            work.judged.append(_unmatched(invoice, held=stands or vendor is None))
            continue
        facts = await _suspect(ctx, invoice, vendor, earlier, work)
        pairs = await _pair(ctx, invoice, order, work)
        numbers = matching.invoice_facts(invoice, order, vendor, pairs, (got, work.progress))
        verdict = await ctx.query("data.p2p.matching.result", {**numbers, **facts})
        found = found_of(verdict["exceptions"], po=case.po, document=invoice.number)
        work.exceptions += found
        _keep(work, (invoice, order, vendor), pairs, verdict)
        earlier.append(invoice)


def _unmatched(invoice: Invoice, *, held: bool) -> Judged:
    return Judged(
        number=invoice.number,
        date=invoice.date,
        total=invoice.total,
        payable=Money.zero(invoice.currency),
        disposition="hold" if held or not invoice.credit else "pay",
        lines=len(invoice.lines),
        credit=invoice.credit,
    )


def _keep(
    work: Work,
    given: tuple[Invoice, Order, Vendor],
    pairs: Sequence[Pair],
    verdict: Mapping[str, Any],
) -> None:
    """Add a judged invoice and what it takes of the order."""
    invoice, order, vendor = given
    disposition = verdict["disposition"]
    payable = {str(k): int(v) for k, v in verdict["payable"].items()}
    money = Money.zero(invoice.currency)
    if disposition == "pay":
        money = invoice.total
    elif disposition == "short_pay":
        money = matching.payable_money(invoice, order, vendor, pairs, payable)
    work.judged.append(
        Judged(
            number=invoice.number,
            date=invoice.date,
            total=invoice.total,
            payable=money,
            disposition=disposition,
            lines=len(invoice.lines),
            matched=len({pair.line for pair in pairs}),
        )
    )
    if disposition == "hold":
        return
    taken = dict(work.progress.taken)
    for pair in pairs:
        taken[pair.order_line] = taken.get(pair.order_line, 0) + payable.get(pair.line, 0)
    work.progress = Progress(
        taken=taken, charges_micros=work.progress.charges_micros + invoice.charged.micros
    )


async def _suspect(
    ctx: WorkflowContext,
    invoice: Invoice,
    vendor: Vendor,
    earlier: Sequence[Invoice],
    work: Work,
) -> dict[str, Any]:
    """Let the fraud checker look; keep only what the facts bear out."""
    facts = {
        **duplicate_facts(invoice, earlier),
        "account_differs": matching.account_differs(invoice, vendor),
    }
    shown = {
        **facts,
        "invoice": invoice.number,
        "vendor": vendor.name,
        "remit_name": invoice.remit_name,
        "total": str(invoice.total),
    }
    answer = await ctx.agent(
        "p2p-fraud-checker", shown, task="Name what is suspicious about this invoice."
    )
    points, reasons = check.checked_suspicion(answer, shown)
    work.suspicion = max(work.suspicion, points)
    if reasons:
        work.notes.append(f"{invoice.number} is suspicious: {', '.join(reasons)}")
    return facts


async def _pair(ctx: WorkflowContext, invoice: Invoice, order: Order, work: Work) -> list[Pair]:
    """Pair lines by number; what is left by description, in doubt by a
    person."""
    pairs = matching.pair_by_ids(invoice.lines, order.lines)
    lines, ordered = matching.unpaired(invoice, order, pairs)
    if not lines or not ordered:
        return pairs
    scored = await ctx.call(
        "p2p.similarity",
        SimilarityInput(
            lines={n.number: n.description for n in lines},
            others={n.number: n.description for n in ordered},
        ),
    )
    answer = await ctx.agent(
        "p2p-matcher",
        {
            "lines": [_line(n) for n in lines],
            "candidates": [_line(n) for n in ordered],
            "similarity": scored.scores,
        },
        task="Pair each invoice line with the order line it bills.",
    )
    for proposal in check.checked_pairs(answer, lines, ordered):
        if proposal.sure or await _accepted(ctx, (invoice, order), proposal):
            pairs.append(proposal.pair)
        else:
            work.notes.append(f"{invoice.number} line {proposal.pair.line}: pairing refused")
    return pairs


def _line(line: Any) -> dict[str, str]:
    return {
        "number": line.number,
        "description": line.description,
        "quantity": str(line.quantity),
        "unit": line.unit,
        "price": str(line.price),
    }


async def _accepted(
    ctx: WorkflowContext, given: tuple[Invoice, Order], proposal: check.Proposal
) -> bool:
    """Ask a person about an uncertain pairing."""
    invoice, order = given
    question = PairingInput(
        invoice=invoice.number,
        po=order.po,
        line=proposal.pair.line,
        order_line=proposal.pair.order_line,
        buyer=order.buyer,
    )
    answer = await ctx.approve(
        "p2p.accept_pairing",
        question,
        evidence={
            "because": proposal.because,
            "confidence": f"{proposal.confidence:.2f}",
            "agrees": proposal.agrees,
            "invoice_line": next(_line(n) for n in invoice.lines if n.number == question.line),
            "order_line": next(_line(n) for n in order.lines if n.number == question.order_line),
        },
        roles=("ap_clerk",),
        because="the matcher is not sure which order line this bills",
        requester="agent:p2p-matcher",
        expires_ms=APPROVAL_MS,
    )
    return answer.approved


async def research(ctx: WorkflowContext, case: Case, work: Work) -> None:
    """Let the researcher state causes; only cited documents that exist stay."""
    asked = [f for f in work.exceptions if f.disposition != "reject"]
    if not asked:
        return
    documents = check.documents_of(case.order, case.invoices)
    answer = await ctx.agent(
        "p2p-researcher",
        {
            "po": case.po,
            "exceptions": [
                {
                    "kind": f.kind,
                    "document": f.document,
                    "because": f.because,
                    "disposition": f.disposition,
                }
                for f in asked
            ],
            "documents": documents,
        },
        task="State the likely cause of each exception and the documents that show it.",
    )
    findings = check.checked_findings(answer, {f.kind for f in asked}, {d["id"] for d in documents})
    work.notes += [f"{one['kind']}: {one['cause']} ({one['recommend']})" for one in findings]
