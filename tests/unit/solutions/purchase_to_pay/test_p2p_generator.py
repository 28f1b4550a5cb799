from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal

import pytest

from agentsquad.kernel.errors import InvalidError
from agentsquad.solutions.purchase_to_pay import scenario
from agentsquad.solutions.purchase_to_pay.generator import generate, tell


def test_the_same_number_and_seed_give_the_same_bytes() -> None:
    assert generate(30, 5).files == generate(30, 5).files


def test_another_seed_gives_other_files() -> None:
    assert generate(30, 5).files != generate(30, 6).files


def test_the_first_25_orders_hold_every_kind_of_story() -> None:
    assert {story.kind for story in tell(25, 3)} == set(scenario.KINDS)


def test_more_orders_keep_the_mix_and_every_order_number_is_its_own() -> None:
    stories = tell(500, 1)
    counts = Counter(story.kind for story in stories)
    assert counts["clean"] == 100 and counts["price_drift"] == 20
    assert len({story.po for story in stories}) == 500


def test_every_cent_invoiced_is_paid_held_or_credited() -> None:
    for story in tell(200, 9):
        accepted = [bill for bill in story.bills if not bill.fault]
        invoiced = sum(bill.total for bill in accepted if not bill.credit)
        end = story.expected
        assert end.paid + end.held + end.credited == invoiced, story.kind


def test_invoice_numbers_differ_within_a_vendor() -> None:
    numbers = Counter(
        (story.seller.key, bill.number) for story in tell(400, 2) for bill in story.bills
    )
    assert max(numbers.values()) == 1


def test_the_truth_file_adds_up_to_its_cases_and_strays() -> None:
    truth = json.loads(generate(75, 4).files["truth.json"])
    paid: Counter[str] = Counter()
    for case in truth["cases"]:
        paid[case["currency"]] += int(Decimal(case["paid"]) * 100)
    assert {k: f"{v / 100:.2f}" for k, v in paid.items() if v} == truth["paid"]
    assert truth["orders"] == 75 and len(truth["cases"]) == 75


def test_partners_write_in_different_dialects() -> None:
    files = generate(25, 7).files
    firsts = {data[3:4] for name, data in files.items() if "-810-" in name}
    assert {b"*", b"|", b"\x1d"} <= firsts
    assert any(b"\r\n" in data for name, data in files.items() if "-810-" in name)
    assert any(b"005010" in data for data in files.values())
    assert any(data.count(b"ST*810") > 1 for data in files.values())
    assert {data[:3] for name, data in files.items() if "-8" in name} == {b"ISA"}


def test_control_numbers_of_a_sender_never_repeat() -> None:
    files = generate(100, 7).files
    headers = Counter(
        (data[32:50], data[90:99])
        for name, data in files.items()
        if data.startswith(b"ISA") and "resent" not in name and not name.endswith(".part")
    )
    assert max(headers.values()) == 1


@pytest.mark.parametrize("orders", [0, -1, 100_001])
def test_an_impossible_number_of_orders_is_refused(orders: int) -> None:
    with pytest.raises(InvalidError) as caught:
        generate(orders, 1)
    assert caught.value.code == "p2p.orders"
