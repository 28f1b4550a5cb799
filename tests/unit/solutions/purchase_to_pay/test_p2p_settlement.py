from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel.money import Money
from agentsquad.solutions.purchase_to_pay.contract import Payer, Remitted
from agentsquad.solutions.purchase_to_pay.master import Vendor
from agentsquad.solutions.purchase_to_pay.result import Judged
from agentsquad.solutions.purchase_to_pay.settlement import instruction, outcome, settle


def usd(cents: int) -> Money:
    return Money(cents * 10_000, "USD")


def judged(number: str, total: int, payable: int, *, credit: bool = False) -> Judged:
    return Judged(
        number=number,
        date="2026-03-06",
        total=usd(total),
        payable=usd(payable),
        disposition="pay",
        credit=credit,
    )


CASE = st.lists(
    st.tuples(st.integers(1, 10**7), st.integers(0, 100), st.booleans()), max_size=8
).map(
    lambda rows: [
        judged(f"I{n}", total, 0 if credit else total * share // 100, credit=credit)
        for n, (total, share, credit) in enumerate(rows)
    ]
)


@given(CASE)
def test_every_cent_of_the_invoices_is_paid_held_or_credited(rows: list[Judged]) -> None:
    money = settle("USD", rows, ())
    asked = sum(row.total.micros for row in rows if not row.credit)
    held = money.held.get("USD", 0)
    assert money.approved.micros + held == asked
    assert 0 <= money.credited.micros <= money.approved.micros
    assert money.due == money.approved - money.credited
    assert sum(line.amount.micros for line in money.remitted) == money.due.micros


@given(CASE)
def test_what_was_paid_is_not_paid_again(rows: list[Judged]) -> None:
    first = settle("USD", rows, ())
    assert not settle("USD", rows, first.remitted).due


@given(CASE, st.integers(1, 10**6))
def test_a_later_invoice_is_paid_by_itself(rows: list[Judged], more: int) -> None:
    first = settle("USD", rows, ())
    second = settle("USD", [*rows, judged("NEW", more, more)], first.remitted)
    credits = sum(row.total.micros for row in rows if row.credit)
    unused = credits - first.credited.micros
    assert second.due.micros == max(0, more * 10_000 - unused)


def test_a_credit_that_comes_after_the_payment_waits_for_the_next_invoice() -> None:
    paid = settle("USD", [judged("I1", 1000, 1000)], ()).remitted
    late = [judged("I1", 1000, 1000), judged("C1", 300, 0, credit=True)]
    waiting = settle("USD", late, paid)
    assert not waiting.due and not waiting.credited
    further = [*late, judged("I2", 500, 500)]
    assert settle("USD", further, paid).due == usd(200)


def test_a_credit_never_makes_a_payment_negative() -> None:
    money = settle("USD", [judged("I1", 100, 100), judged("C1", 300, 0, credit=True)], ())
    assert not money.due and money.credited == usd(100)


def test_the_reference_of_a_payment_follows_from_what_is_paid() -> None:
    vendor = Vendor(key="acme", name="ACME", identity="ZZ:ACME", routing="1", account="2")
    first = settle("USD", [judged("I1", 100, 100)], ())
    other = settle("USD", [judged("I1", 101, 101)], ())

    def reference(money: object, po: str = "1") -> str:
        return instruction((po, ""), vendor, Payer(), money).reference  # type: ignore[arg-type]

    assert reference(first) == reference(first)
    assert len({reference(first), reference(other), reference(first, "2")}) == 3


def test_how_a_case_ends_is_said_in_one_word() -> None:
    assert outcome(0, 0, 0, 0) == "open"
    assert outcome(0, 1, 0, 0) == "rejected"
    assert outcome(1, 0, 5, 0) == "paid"
    assert outcome(1, 0, 5, 1) == "partly_paid"
    assert outcome(1, 1, 0, 5) == "held"
    assert outcome(1, 0, 0, 0) == "settled"


def test_remittances_survive_the_bank_untouched() -> None:
    line = Remitted(invoice="I1", amount=usd(5), total=usd(9))
    assert settle("USD", [judged("I1", 9, 5)], ()).remitted == (line,)
