from __future__ import annotations

import io
from typing import Any

import pytest

from agentsquad.runtime.engine.contract import InboxItem
from agentsquad.solutions.purchase_to_pay.adapters.terminal import TerminalApprover
from agentsquad.solutions.purchase_to_pay.contract import Verdict
from agentsquad.solutions.purchase_to_pay.question import laid_out

EVIDENCE: dict[str, Any] = {
    "vendor": "MAPLE RIDGE LINEN LTD",
    "order": "a.edi ISA 000001223",
    "ordered_by": "BRUNO KELLER",
    "due": "3621.62 CAD",
    "held": {},
    "invoices": [
        {
            "number": "MA-220007",
            "date": "2026-03-07",
            "total": "3768.66 CAD",
            "payable": "3621.62 CAD",
            "match": "3 of 3 lines",
            "exceptions": ["short_shipment"],
        },
        {
            "number": "MA-220007C",
            "date": "2026-04-17",
            "total": "147.04 CAD",
            "payable": "0.00 CAD",
            "match": "credit note",
            "exceptions": [],
        },
    ],
    "exceptions": ["short_shipment: more was billed than came"],
    "risk": {"score": 10, "level": "low", "reasons": ["short_shipment"]},
    "notes": ["screening: clear", "a second note"],
    "agreed": [],
}


def item(evidence: Any, value: Any, action: str = "payments.send") -> InboxItem:
    return InboxItem(
        id="73cdf9bbbc1b",
        run="r",
        position="4",
        action=action,
        because="3621.62 CAD, risk low",
        roles=("ap_clerk",),
        requester="agent:p2p",
        input=value,
        evidence=evidence,
        binding="sha256:00",
        asked="2026-11-23T12:00:00.000Z/0000",
    )


def test_a_payment_is_asked_about_in_lines_a_person_can_read() -> None:
    question = item(EVIDENCE, {"amount": {"micros": 3_621_620_000, "currency": "CAD"}})
    assert laid_out(question, ["person:ada", "person:chen"], (2, 6)).splitlines() == [
        "[2/6] 73cdf9bbbc1b  payments.send  3621.62 CAD  to MAPLE RIDGE LINEN LTD",
        "  because     3621.62 CAD, risk low",
        "  risk        low (score 10): short shipment",
        "  who may     ap_clerk: person:ada, person:chen",
        "  asked by    agent:p2p",
        "  invoices    MA-220007   2026-03-07  3768.66 CAD  3 of 3 lines"
        "  pays 3621.62 CAD  short shipment",
        "              MA-220007C  2026-04-17  147.04 CAD   credit note   pays 0.00 CAD",
        "  exceptions  short_shipment: more was billed than came",
        "  order       a.edi ISA 000001223",
        "  ordered by  BRUNO KELLER",
        "  notes       screening: clear",
        "              a second note",
    ]


def test_a_pairing_shows_both_lines_in_words() -> None:
    line = {"number": "1", "description": "NAPKIN", "quantity": "10", "unit": "EA", "price": "2"}
    evidence = {"agrees": False, "confidence": "0.61", "invoice_line": line}
    shown = laid_out(item(evidence, {}, "p2p.accept_pairing"), ["person:ada"], (1, 1))
    assert "agrees        no" in shown
    assert "invoice line  number 1, description NAPKIN, quantity 10, unit EA, price 2" in shown
    assert "{" not in shown


def test_no_document_can_draw_on_the_terminal() -> None:
    evidence = {**EVIDENCE, "vendor": "ACME\x1b[2J", "ordered_by": "A\nB"}
    shown = laid_out(item(evidence, {}), ["person:ada"], (1, 1))
    assert "\x1b" not in shown and "A\ufffdB" in shown


@pytest.mark.parametrize(
    ("typed", "verdict"),
    [
        ("y\nfine\n", Verdict(approve=True, approver="person:ada", reason="fine")),
        ("YES\n\n", Verdict(approve=True, approver="person:ada", reason="approved at the prompt")),
        ("n\ntoo much\n", Verdict(approve=False, approver="person:ada", reason="too much")),
        ("maybe\nno\nx\n", Verdict(approve=False, approver="person:ada", reason="x")),
        ("\n", None),
        ("", None),
        ("what\n", None),
        ("y\n", None),
    ],
    ids=["yes", "no-reason", "no", "asked-again", "later", "end", "end-after-wrong", "broken-off"],
)
async def test_the_prompt_takes_yes_no_or_later_and_asks_again_for_anything_else(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    verdict: Verdict | None,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert await TerminalApprover().ask("the question", ["person:ada"]) == verdict
    shown = capsys.readouterr()
    assert shown.out == "" and "the question" in shown.err
    assert ("please answer" in shown.err) == (typed[:1] in "mw" and bool(typed))
