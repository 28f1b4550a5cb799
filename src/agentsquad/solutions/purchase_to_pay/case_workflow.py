"""One order from its documents to its payment: the child run of a case.

The order of work: what stands against the whole case, the invoices one by one
in order of age, what agents find, money, people, the bank, the vendor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel.errors import DeniedError, SquadError
from agentsquad.kernel.money import Money
from agentsquad.runtime.engine.contract import Approval, WorkflowContext, workflow
from agentsquad.solutions.purchase_to_pay import check, matching
from agentsquad.solutions.purchase_to_pay.actions import (
    DRAFTER,
    HistoryInput,
    LetterInput,
    PairingInput,
    SimilarityInput,
)
from agentsquad.solutions.purchase_to_pay.case import CANCELLED, Case
from agentsquad.solutions.purchase_to_pay.contract import Payer, Receipt
from agentsquad.solutions.purchase_to_pay.document import Invoice, Order
from agentsquad.solutions.purchase_to_pay.duplicate import duplicate_facts
from agentsquad.solutions.purchase_to_pay.letter import (
    brief,
    compose,
    draft,
    letter_facts,
    problems,
    worth_writing,
)
from agentsquad.solutions.purchase_to_pay.master import Vendor
from agentsquad.solutions.purchase_to_pay.matching import Pair, Progress
from agentsquad.solutions.purchase_to_pay.result import (
    ApprovalGiven,
    CaseResult,
    Found,
    Judged,
    found_of,
)
from agentsquad.solutions.purchase_to_pay.screening import Screening
from agentsquad.solutions.purchase_to_pay.settlement import (
    Settlement,
    instruction,
    outcome,
    settle,
)

CASE = "purchase-to-pay-case"
REQUESTER = "agent:p2p-drafter"
APPROVAL_MS = 14 * 24 * 3_600_000


class CaseInput(msgspec.Struct, frozen=True, kw_only=True):
    """A case and what is known of its vendor."""

    case: Case
    vendor: Vendor | None = None
    buyer: Payer = Payer()
    screening: Screening | None = None
    thresholds: dict[str, int] = {}
    drafter: str = DRAFTER


class Work(msgspec.Struct, kw_only=True):
    """What a case has come to so far; local to one run."""

    judged: list[Judged] = []
    exceptions: list[Found] = []
    notes: list[str] = []
    suspicion: int = 0
    progress: Progress = Progress()


@workflow(CASE, version="1")
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
        await _judge(ctx, value, work, stands)
        await _research(ctx, case, work)
        settled = await ctx.call(
            "payments.history", HistoryInput(po=case.po, vendor=vendor.key if vendor else "")
        )
        settlement = settle(currency, work.judged, settled.remitted)
        if vendor is not None and settlement.due:
            receipt, approvals = await _pay(ctx, value, work, settlement)
            if receipt is None:
                settlement = _not_paid(settlement)
        letters = await _write(ctx, value, work, settlement)
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
    """Return the settlement when people refused to pay: it is all held."""
    held = dict(settlement.held)
    amount = settlement.approved.micros
    held[settlement.currency] = held.get(settlement.currency, 0) + amount
    zero = Money.zero(settlement.currency)
    return msgspec.structs.replace(
        settlement, approved=zero, credited=zero, held=held, due=zero, remitted=()
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
    import datetime

    try:
        first = min(datetime.date.fromisoformat(i.date) for i in invoices)
        return (datetime.date.fromisoformat(credit.date) - first).days
    except ValueError:
        return 0


async def _judge(ctx: WorkflowContext, value: CaseInput, work: Work, stands: bool) -> None:
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


async def _research(ctx: WorkflowContext, case: Case, work: Work) -> None:
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


async def _pay(
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
        work.notes.append(f"payment denied: {decision.reason}")
        return None, []
    answers: list[ApprovalGiven] = []
    approvals: list[Approval] = []
    for duty in decision.obligations:
        if "approve" not in duty:
            continue
        approval = await ctx.approve(
            "payments.send",
            payment,
            evidence=_evidence(value, work, settlement, (risk, answers)),
            roles=tuple(duty["approve"]["roles"]),
            because=duty["approve"]["because"],
            requester=REQUESTER,
            expires_ms=APPROVAL_MS,
        )
        answers.append(
            ApprovalGiven(
                approver=approval.approver, approved=approval.approved, reason=approval.reason
            )
        )
        if not approval.approved:
            work.exceptions.append(_refusal(case, approval.approver, approval.reason))
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
        work.notes.append(f"payment refused at the door: {error.message}")
        return None, answers
    return receipt, answers


def _refusal(case: Case, approver: str, reason: str) -> Found:
    return Found(
        kind="approval_refused",
        disposition="hold",
        because=f"{approver}: {reason}",
        po=case.po,
    )


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
        "invoices": [
            {"number": j.number, "total": str(j.total), "payable": str(j.payable)}
            for j in work.judged
        ],
        "exceptions": [f"{f.kind}: {f.because}" for f in work.exceptions],
        "risk": dict(risk),
        "notes": list(work.notes),
        "holds": [],
        "agreed": [a.approver for a in answers],
    }


async def _write(
    ctx: WorkflowContext, value: CaseInput, work: Work, settlement: Settlement
) -> list[str]:
    """Write to the vendor about what is not paid; a draft that states anything
    else is replaced by the plain one."""
    case, vendor = value.case, value.vendor
    points = worth_writing(work.exceptions)
    if vendor is None or not points:
        return []
    amounts = {
        f"not paid ({currency})": f"{Money(micros, currency).decimal()} {currency}"
        for currency, micros in sorted(settlement.held.items())
    }
    facts = letter_facts(vendor.name, case.po, points, amounts)
    written = await ctx.call(
        "p2p.write_letter",
        LetterInput(
            name=f"{case.key}.txt",
            vendor=vendor.key,
            subject=f"Our order {case.po}",
            body=compose(await _opening(ctx, value, facts, work), facts),
        ),
    )
    return list(written.documents)


async def _opening(
    ctx: WorkflowContext, value: CaseInput, facts: Mapping[str, Any], work: Work
) -> str:
    """Let the drafter word the opening; what fails its check, or never comes,
    is replaced by the rule's words."""
    given = brief(facts)
    try:
        answer = await ctx.agent(value.drafter, given, task="Write the opening sentence.")
        wrong = problems(answer)
    except SquadError as error:
        answer, wrong = {}, [f"the drafter failed: {error.message}"]
    if not wrong:
        return str(answer["opening"])
    work.notes.append(f"draft replaced: {'; '.join(wrong[:3])}")
    return draft(given)["opening"]
