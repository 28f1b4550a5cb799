from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel.money import Money
from agentsquad.runtime.policy.adapters.rego import RegoCompiler
from agentsquad.runtime.policy.contract import CompiledPolicy, PolicyFile
from agentsquad.solutions.purchase_to_pay.document import Invoice, Line, Order, Place, Shipment
from agentsquad.solutions.purchase_to_pay.duplicate import duplicate_facts, squeeze
from agentsquad.solutions.purchase_to_pay.master import Vendor
from agentsquad.solutions.purchase_to_pay.matching import (
    Progress,
    invoice_facts,
    pair_by_ids,
    payable_money,
    received,
    scale_of,
)
from agentsquad.solutions.purchase_to_pay.plugin import policies

Make = Callable[..., Any]


class Desk:
    """Judges one invoice as the workflow does."""

    def __init__(self, policy: CompiledPolicy, vendor: Vendor) -> None:
        self.policy = policy
        self.vendor = vendor
        self.reasons: list[str] = []

    def judge(
        self,
        invoice: Invoice,
        order: Order,
        shipped: list[Line] | None = None,
        before: Progress | None = None,
        earlier: tuple[Invoice, ...] = (),
    ) -> Mapping[str, Any]:
        parcel = Shipment(
            place=Place(file="s", digest="", interchange="", group="", transaction=""),
            po=order.po,
            number="S1",
            date="2026-03-05",
            sender="ZZ:ACME",
            lines=tuple(shipped if shipped is not None else invoice.lines),
        )
        pairs = pair_by_ids(invoice.lines, order.lines)
        seen = (received(order, [parcel]), before or Progress())
        facts = invoice_facts(invoice, order, self.vendor, pairs, seen)
        answer = self.policy.query(
            "data.p2p.matching.result", {**facts, **duplicate_facts(invoice, earlier)}
        )
        kinds = sorted({one["kind"] for one in answer["exceptions"]})
        payable = payable_money(invoice, order, self.vendor, pairs, answer["payable"])
        self.reasons = [one["because"] for one in answer["exceptions"]]
        return {"kinds": kinds, "disposition": answer["disposition"], "short": payable.decimal()}


@pytest.fixture
def desk(policy: CompiledPolicy, vendor: Vendor) -> Desk:
    return Desk(policy, vendor)


def test_a_clean_match_is_paid(desk: Desk, order: Make, invoice: Make) -> None:
    assert desk.judge(invoice(), order()) == {
        "kinds": [],
        "disposition": "pay",
        "short": "200.00",
    }


@pytest.mark.parametrize(
    ("price", "disposition"), [("2.04", "pay"), ("2.05", "hold"), ("1.50", "pay")]
)
def test_a_price_may_be_two_percent_above_the_order_and_no_cent_more(
    desk: Desk, order: Make, invoice: Make, line: Make, price: str, disposition: str
) -> None:
    answer = desk.judge(invoice(line(price=Decimal(price))), order())
    assert answer["disposition"] == disposition


@pytest.mark.parametrize(("quantity", "kinds"), [(100, []), (101, ["price_drift"])])
def test_a_line_may_cost_fifty_more_and_no_cent_more(
    desk: Desk, order: Make, invoice: Make, line: Make, quantity: int, kinds: list[str]
) -> None:
    many, dear = Decimal(quantity), Decimal("100.50")
    bought = order(line(quantity=many, price=Decimal(100)))
    billed = invoice(line(quantity=many, price=dear))
    assert desk.judge(billed, bought)["kinds"] == kinds


@pytest.mark.parametrize(("freight", "kinds"), [("25.00", []), ("25.01", ["tolerance_exceeded"])])
def test_unplanned_charges_may_be_twenty_five_and_no_cent_more(
    desk: Desk, order: Make, invoice: Make, freight: str, kinds: list[str]
) -> None:
    assert desk.judge(invoice(freight=freight), order())["kinds"] == kinds


def test_agreed_freight_is_no_exception_but_only_once(
    desk: Desk, order: Make, invoice: Make
) -> None:
    bought, billed = order(freight="80.00"), invoice(freight="80.00")
    assert desk.judge(billed, bought)["kinds"] == []
    spent = Progress(charges_micros=80_000_000)
    assert desk.judge(billed, bought, before=spent)["kinds"] == ["tolerance_exceeded"]


def test_over_delivery_pays_what_was_ordered(
    desk: Desk, order: Make, invoice: Make, line: Make
) -> None:
    answer = desk.judge(invoice(line(quantity=Decimal(110))), order())
    assert answer == {"kinds": ["over_delivery"], "disposition": "short_pay", "short": "200.00"}


def test_over_delivery_within_the_vendors_tolerance_is_paid_whole(
    policy: CompiledPolicy, vendor: Vendor, order: Make, invoice: Make, line: Make
) -> None:
    bulk = Desk(policy, msgspec.structs.replace(vendor, over_bp=200))
    assert bulk.judge(invoice(line(quantity=Decimal(102))), order())["disposition"] == "pay"
    assert bulk.judge(invoice(line(quantity=Decimal("102.001"))), order())["short"] == "200.00"


def test_billing_more_than_came_pays_what_came(
    desk: Desk, order: Make, invoice: Make, line: Make
) -> None:
    answer = desk.judge(invoice(), order(), shipped=[line(quantity=Decimal(75))])
    assert answer == {"kinds": ["short_shipment"], "disposition": "short_pay", "short": "150.00"}


def test_what_an_earlier_invoice_took_is_not_paid_again(
    desk: Desk, order: Make, invoice: Make, line: Make
) -> None:
    half = Progress(taken={"1": 60_000})
    answer = desk.judge(
        invoice(line(quantity=Decimal(60))), order(), [line(quantity=Decimal(100))], half
    )
    assert answer["kinds"] == ["short_shipment"] and answer["short"] == "80.00"


def test_tax_of_a_short_paid_invoice_is_on_what_is_paid(
    policy: CompiledPolicy, vendor: Vendor, order: Make, invoice: Make, line: Make
) -> None:
    taxed = Desk(policy, msgspec.structs.replace(vendor, tax_bp=825))
    billed = invoice(line(quantity=Decimal(110)), tax="18.15")
    assert taxed.judge(billed, order())["short"] == "216.50"


def test_a_wrong_tax_rate_holds_the_invoice(
    policy: CompiledPolicy, vendor: Vendor, order: Make, invoice: Make
) -> None:
    taxed = Desk(policy, msgspec.structs.replace(vendor, tax_bp=825))
    assert taxed.judge(invoice(tax="18.50"), order())["kinds"] == ["tax_mismatch"]


def test_an_invoice_that_does_not_add_up_is_held(desk: Desk, order: Make, invoice: Make) -> None:
    off = invoice(total=Money.parse("200.06", "USD"))
    assert desk.judge(off, order())["kinds"] == ["total_mismatch"]


def test_another_account_holds_the_invoice_however_it_is_spaced(
    desk: Desk, order: Make, invoice: Make
) -> None:
    assert desk.judge(invoice(account="3008-8127"), order())["kinds"] == []
    changed = desk.judge(invoice(account="30088128"), order())
    assert changed["kinds"] == ["changed_bank_account"] and changed["disposition"] == "hold"


def test_an_invoice_of_somebody_else_is_held(desk: Desk, order: Make, invoice: Make) -> None:
    assert desk.judge(invoice(sender="ZZ:OTHER"), order())["kinds"] == ["vendor_mismatch"]


def test_another_currency_is_held(desk: Desk, order: Make, invoice: Make) -> None:
    euros = invoice(currency="EUR", total=Money.parse("200.00", "EUR"))
    assert "currency_mismatch" in desk.judge(euros, order())["kinds"]


def test_the_same_goods_again_are_a_duplicate_and_nothing_else(
    desk: Desk, order: Make, invoice: Make, line: Make
) -> None:
    first, again = invoice(), invoice(number="INV1R")
    took = Progress(taken={"1": 100_000})
    answer = desk.judge(again, order(), [line()], took, (first,))
    assert answer["kinds"] == ["duplicate_invoice"] and answer["disposition"] == "hold"


def test_two_equal_halves_of_an_order_are_no_duplicates(
    desk: Desk, order: Make, invoice: Make, line: Make
) -> None:
    half = line(quantity=Decimal(50))
    first, second = invoice(half), invoice(half, number="INV-2")
    answer = desk.judge(second, order(), [line()], Progress(taken={"1": 50_000}), (first,))
    assert answer["kinds"] == []


def test_the_same_number_is_a_duplicate_however_it_is_written(
    desk: Desk, order: Make, invoice: Make
) -> None:
    assert squeeze("inv-001") == squeeze("INV 001") != squeeze("INV-0011")
    first = invoice(number="INV 1")
    assert desk.judge(invoice(), order(), earlier=(first,))["kinds"] == ["duplicate_invoice"]


def test_cases_at_the_same_money_are_paid_and_noted(
    desk: Desk, order: Make, invoice: Make, line: Make
) -> None:
    cases = line(quantity=Decimal(5), unit="CA", price=Decimal("40.00"), pack=20)
    answer = desk.judge(invoice(cases), order(line(pack=20)))
    assert answer == {"kinds": ["unit_mismatch"], "disposition": "pay", "short": "200.00"}


def test_each_labelled_as_cases_is_held(desk: Desk, order: Make, invoice: Make, line: Make) -> None:
    answer = desk.judge(invoice(line(unit="CA", pack=20)), order(line(pack=20)))
    assert answer["kinds"] == ["unit_mismatch"] and answer["disposition"] == "hold"


def test_units_nobody_can_convert_are_held(
    desk: Desk, order: Make, invoice: Make, line: Make
) -> None:
    answer = desk.judge(invoice(line(unit="LB")), order())
    assert answer["kinds"] == ["unit_mismatch"] and answer["disposition"] == "hold"


def test_a_line_nobody_ordered_is_not_paid(
    desk: Desk, order: Make, invoice: Make, line: Make
) -> None:
    extra = line("2", ids={"VP": "ZZZ"})
    answer = desk.judge(invoice(line(), extra), order())
    assert answer["kinds"] == ["item_not_ordered"] and answer["short"] == "200.00"


def test_an_unknown_currency_has_no_tolerance(desk: Desk, order: Make, invoice: Make) -> None:
    def yen(amount: str) -> Money:
        return Money.parse(amount, "JPY")

    billed = invoice(currency="JPY", total=yen("200.00"))
    assert desk.judge(billed, order(currency="JPY"))["kinds"] == []
    dear = msgspec.structs.replace(
        billed,
        lines=(msgspec.structs.replace(billed.lines[0], price=Decimal("2.01")),),
        total=yen("201.00"),
    )
    assert desk.judge(dear, order(currency="JPY"))["kinds"] == ["price_drift"]


def test_numbers_pair_under_their_qualifier_first(line: Make) -> None:
    ordered = [line("1", ids={"VP": "X", "BP": "Y"}), line("2", ids={"VP": "Y"})]
    pairs = pair_by_ids([line("1", ids={"VP": "Y"}), line("2", ids={"SK": "X"})], ordered)
    assert {(p.line, p.order_line) for p in pairs} == {("1", "2"), ("2", "1")}


def test_a_dozen_needs_no_pack_size(line: Make) -> None:
    assert scale_of(line(unit="DZ"), line()).times == 12
    assert not scale_of(line(unit="CA"), line()).known


@pytest.mark.parametrize(
    ("quantity", "agreed", "billed", "reason"),
    [
        (
            100, "0.0310", "0.0328",
            "price 0.0328 above the agreed 0.0310 USD by more than the allowed 2 %",
        ),
        (
            101, "100", "100.50",
            "price 100.50 above the agreed 100.00 USD makes 50.50 on the line, "
            "more than the allowed 50.00",
        ),
    ],
)  # fmt: skip
def test_a_price_that_drifts_is_told_in_money_and_percent(
    desk: Desk, order: Make, invoice: Make, line: Make, quantity: int, agreed: str, billed: str,
    reason: str,
) -> None:  # fmt: skip
    many = Decimal(quantity)
    bought = order(line(quantity=many, price=Decimal(agreed)))
    desk.judge(invoice(line(quantity=many, price=Decimal(billed))), bought)
    assert desk.reasons == [reason]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"freight": "40.00"}, "charges nobody agreed: 40.00 USD, allowed 25.00"),
        ({"tax": "16.50"}, "tax 16.50, expected 0.00 USD"),
        (
            {"total": Money.parse("1234567.8", "USD")},
            "the total says 1234567.80, its parts make 200.00 USD",
        ),
    ],
)
def test_what_does_not_add_up_is_told_in_money(
    desk: Desk, order: Make, invoice: Make, more: dict[str, Any], reason: str
) -> None:
    desk.judge(invoice(**more), order())
    assert desk.reasons == [reason]


CALLS = """package spoken
money := data.p2p.amount.text(input)
percent := data.p2p.amount.percent(input)
"""


@pytest.fixture(scope="module")
def spoken() -> CompiledPolicy:
    """The amounts room with two rules that call it: a query takes no
    function."""
    files = [PolicyFile(name="amount.rego", text=policies()["p2p/amount.rego"], layer=1)]
    return RegoCompiler().compile([*files, PolicyFile(name="spoken.rego", text=CALLS, layer=1)])


@given(st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1))
def test_rules_write_amounts_as_money_does(spoken: CompiledPolicy, micros: int) -> None:
    assert spoken.query("data.spoken.money", micros) == Money(micros, "USD").decimal()


@pytest.mark.parametrize(
    ("points", "text"), [(200, "2"), (150, "1.5"), (1000, "10"), (5, "0.05"), (0, "0")]
)
def test_rules_write_basis_points_as_percent(
    spoken: CompiledPolicy, points: int, text: str
) -> None:
    assert spoken.query("data.spoken.percent", points) == text
