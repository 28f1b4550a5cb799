"""What of a case is to be paid, held and credited, once every invoice is
judged.

Pure. Laws: paid + held + credited is what the accepted invoices ask for; a
credit note lowers what is paid and never below nothing; what earlier runs paid
is not paid again.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agentsquad.kernel.hashing import digest
from agentsquad.kernel.money import Money
from agentsquad.solutions.purchase_to_pay.contract import Instruction, Payer, Remitted
from agentsquad.solutions.purchase_to_pay.master import Vendor
from agentsquad.solutions.purchase_to_pay.result import Judged


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """Money of one case in its currency. `due` is what is still to be sent."""

    currency: str
    approved: Money
    credited: Money
    held: dict[str, int]
    due: Money
    remitted: tuple[Remitted, ...]


def settle(currency: str, judged: Sequence[Judged], settled: Sequence[Remitted]) -> Settlement:
    """Net approved invoices against credit notes and what was paid before.

    Credits beyond what is approved wait for the next invoice and count
    nothing.
    """
    zero = Money.zero(currency)
    held: dict[str, int] = {}
    approved, open_credit = zero, zero
    lines: list[Remitted] = []
    for one in judged:
        if one.credit:
            if one.total.currency == currency and one.disposition != "hold":
                open_credit = open_credit + one.total
            continue
        rest = one.total - one.payable
        if rest:
            held[rest.currency] = held.get(rest.currency, 0) + rest.micros
        if one.payable:
            approved = approved + one.payable
            lines.append(Remitted(invoice=one.number, amount=one.payable, total=one.total))
    before = zero
    for paid in settled:
        before = before + paid.amount
    # a credit lowers what is still to be paid; after the money left it waits
    room = approved - before
    credited = min(open_credit, room) if room.micros > 0 else zero
    left = credited
    for one in judged:
        if one.credit and one.total.currency == currency and left and one.disposition != "hold":
            part = min(left, one.total)
            left = left - part
            lines.append(Remitted(invoice=one.number, amount=-part, total=one.total))
    due = approved - credited - before
    return Settlement(
        currency=currency,
        approved=approved,
        credited=credited,
        held=held,
        due=due if due.micros > 0 else zero,
        remitted=tuple(_new(lines, settled)),
    )


def _new(lines: Sequence[Remitted], settled: Sequence[Remitted]) -> list[Remitted]:
    """Return what earlier payments did not already settle, line by line."""
    rest: list[Remitted] = []
    for line in lines:
        amount = line.amount
        for paid in settled:
            if paid.invoice == line.invoice:
                amount = amount - paid.amount
        if amount:
            rest.append(msgspec.structs.replace(line, amount=amount))
    return rest


def instruction(
    case: tuple[str, str], vendor: Vendor, payer: Payer, settlement: Settlement
) -> Instruction:
    """Return the payment of what is due, to the account on file.

    The reference follows from vendor, order and what is settled, so the same
    payment asked for by two runs is one payment. `case` is the order number and
    the name of who placed it.
    """
    po, buyer = case
    body = {
        "vendor": vendor.key,
        "po": po,
        "account": vendor.account,
        "amount": settlement.due.micros,
        "currency": settlement.currency,
        "remitted": [[line.invoice, line.amount.micros] for line in settlement.remitted],
    }
    return Instruction(
        reference="P" + digest(body).removeprefix("sha256:")[:15].upper(),
        vendor=vendor.key,
        po=po,
        payee=vendor.name,
        routing=vendor.routing,
        account=vendor.account,
        amount=settlement.due,
        remitted=settlement.remitted,
        payer=payer,
        buyer=buyer,
    )


def outcome(invoices: int, refused: int, paid: int, held: int) -> str:
    """Say how a case ended: open, rejected, paid, partly_paid, held or
    settled."""
    if not invoices:
        return "rejected" if refused else "open"
    if paid:
        return "partly_paid" if held else "paid"
    return "held" if held else "settled"
