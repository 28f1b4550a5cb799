"""Writes a payment as an X12 820: the money, the trace number, every invoice
it settles."""

from __future__ import annotations

import datetime

from agentsquad.integrations.formats.x12 import Endpoint, Envelope, compose_bytes, documents
from agentsquad.solutions.purchase_to_pay.contract import Instruction, Payer

BANK = "SQUADBANK"


def write_payment(instruction: Instruction, buyer: Payer, now_ms: int) -> bytes:
    """Return the interchange for one payment; its numbers follow from the
    reference."""
    moment = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC)
    qualifier, _, name = (buyer.identity or "ZZ:BUYER").partition(":")
    order = documents.PaymentOrder(
        amount=instruction.amount.decimal(),
        date=moment.strftime("%Y-%m-%d"),
        method="ACH",
        format="CTX",
        payer=_account(buyer.routing, buyer.account),
        payee=_account(instruction.routing, instruction.account),
        trace=instruction.reference,
        currency=instruction.amount.currency,
        parties=(
            documents.Party(role="PR", name=buyer.name or name),
            documents.Party(role="PE", name=instruction.payee),
        ),
        remittances=tuple(
            documents.Remittance(
                number=line.invoice,
                qualifier="CM" if line.amount.micros < 0 else "IV",
                action="PO",
                paid=line.amount.decimal(),
                total=line.total.decimal(),
                references=(documents.Reference(qualifier="PO", value=instruction.po),),
            )
            for line in instruction.remitted
        ),
    )
    envelope = Envelope(
        sender=Endpoint(id=name, qualifier=qualifier),
        receiver=Endpoint(id=BANK),
        control=control_of(instruction.reference),
        at=moment.strftime("%Y-%m-%dT%H:%M"),
        version="005010",
    )
    return compose_bytes(envelope, [documents.write_820(order)])


def control_of(reference: str) -> int:
    """Return the interchange control number of a payment reference."""
    return int(reference[1:], 16) % 999_999_999 + 1


def _account(routing: str, account: str) -> documents.Account:
    if not account:
        return documents.Account()
    digits = routing.isdigit()
    return documents.Account(
        bank_qualifier="01" if digits else "02",
        bank=routing,
        kind="DA",
        number=account,
    )
