"""The inbox over a real purchase-to-pay run: what waits is read, talked about
and answered, by keys alone, on a telephone, and across a restart."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.console.browser import Desk
from tests.console.served import Served

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

FORM = "main form"


def waiting(served: Served) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.call("runs.inbox", {})["items"]
    return found


def answers(served: Served, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.call("events.list", {"types": [kind], "limit": 1000})[
        "items"
    ]
    return found


def one_of(served: Served, risk: str) -> dict[str, Any]:
    return next(one for one in waiting(served) if one["evidence"]["risk"]["level"] == risk)


def open_list(desk: Desk) -> Page:
    page = desk.go("inbox")
    page.locator("main li a").first.wait_for()
    return page


def test_what_is_risky_comes_first_with_all_one_must_know(desk: Desk) -> None:
    risky = one_of(desk.served, "elevated")
    page = open_list(desk)
    rows = page.locator("main li a")
    expect(rows).to_have_count(len(waiting(desk.served)))
    expect(rows.first).to_contain_text(risky["input"]["payee"])
    expect(rows.first).to_contain_text("Elevated risk")
    detail = page.get_by_role("region", name=risky["input"]["payee"])
    expect(detail).to_contain_text(risky["input"]["account"])
    expect(detail).to_contain_text("agent:p2p-drafter")
    expect(detail).to_contain_text("duplicate_invoice: asks again for what HA-220018 billed")
    expect(detail).to_contain_text("p2p.payments.controller")
    expect(detail).to_contain_text("$4,782.55")
    desk.shoot("inbox")


def test_a_question_is_read_on_a_telephone(desk: Desk) -> None:
    risky = one_of(desk.served, "elevated")
    page = desk.go(f"inbox/{risky['id']}")
    page.get_by_text("What is bound").wait_for()
    desk.shoot("inbox-question", widths=(768, 360))
    page.set_viewport_size({"width": 360, "height": 740})
    page.get_by_role("button", name="All questions").click()
    expect(page.locator("main li a").first).to_be_visible()


def test_somebody_asks_and_hands_on_by_keys_alone(desk: Desk) -> None:
    page = open_list(desk)
    page.keyboard.press("j")
    expect(page.locator("main li a").first).to_be_focused()
    page.keyboard.press("q")
    page.keyboard.type("Was this delivered twice?")
    page.keyboard.press("Control+Enter")
    expect(page.locator("main ol").get_by_text("Was this delivered twice?")).to_be_visible()
    expect(page.locator(FORM)).to_have_count(0)
    page.keyboard.press("d")
    page.keyboard.type("eve")
    page.keyboard.press("Tab")
    page.keyboard.type("Eve knows the vendor")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("handed to person:eve")).to_be_visible()
    item = one_of(desk.served, "elevated")
    assert [(one["text"], one["to"]) for one in item["said"]] == [
        ("Was this delivered twice?", None),
        ("Eve knows the vendor", "person:eve"),
    ]


def test_what_was_typed_outlives_a_restart_and_is_sent_once(desk: Desk) -> None:
    """The server is gone when the answer is sent; it goes out when it is
    back."""
    before = len(answers(desk.served, "approval.given"))
    item = next(one for one in waiting(desk.served) if "cfo" in one["roles"])
    page = desk.go(f"inbox/{item['id']}")
    page.get_by_role("button", name="Approve").first.click()
    page.locator(f"{FORM} textarea").fill("Checked against the contract")
    page.reload()
    expect(page.locator(f"{FORM} textarea")).to_have_value("Checked against the contract")
    desk.served.stop()
    page.get_by_text("The server cannot be reached.").wait_for()
    page.get_by_role("button", name="Approve exactly this").click()
    expect(page.get_by_text("Your answer is sent as soon as it is back.")).to_be_visible()
    desk.served.start()
    expect(page.locator(f"#question-{item['id']}")).to_have_count(0, timeout=20_000)
    given = answers(desk.served, "approval.given")[before:]
    assert [(one["payload"]["binding"], one["payload"]["reason"]) for one in given] == [
        (item["binding"], "Checked against the contract")
    ]
    assert given[0]["actor"] == "person:ada"


def test_several_of_one_class_are_approved_together_and_others_are_not(desk: Desk) -> None:
    page = open_list(desk)
    equal = [one for one in waiting(desk.served) if one["roles"] == ["ap_clerk"]]
    assert len(equal) == 2
    other = next(one for one in waiting(desk.served) if one["roles"] == ["controller"])
    for one in (*equal, other):
        page.locator(f"li:has(#question-{one['id']}) input").check()
    together = page.get_by_role("button", name="Approve together")
    expect(together).to_be_disabled()
    page.locator(f"li:has(#question-{other['id']}) input").uncheck()
    together.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("listitem")).to_have_count(2)
    assert desk.violations() == []
    dialog.get_by_label("Why is it right?").fill("Small and expected")
    dialog.get_by_role("button", name="Approve 2 requests").click()
    for one in equal:
        expect(page.locator(f"#question-{one['id']}")).to_have_count(0)
    given = {one["payload"]["binding"] for one in answers(desk.served, "approval.given")}
    assert {one["binding"] for one in equal} <= given
    desk.go(f"inbox/{other['id']}")
    expect(page.get_by_text(re.compile(r"Compared with \d approved cases of"))).to_be_visible()
    expect(page.get_by_text("never among them")).to_be_visible()
    desk.shoot("inbox-compared", widths=(1440,))


def test_a_rejection_needs_a_reason_and_ends_the_question(desk: Desk) -> None:
    item = one_of(desk.served, "elevated")
    page = desk.go(f"inbox/{item['id']}")
    page.get_by_role("button", name="Reject").first.click()
    send = page.locator(FORM).get_by_role("button", name="Reject")
    expect(send).to_be_disabled()
    page.locator(f"{FORM} textarea").fill("Billed twice")
    send.click()
    expect(page.locator(f"#question-{item['id']}")).to_have_count(0)
    refused = answers(desk.served, "approval.refused")
    assert [one["payload"]["reason"] for one in refused] == ["Billed twice"]


def test_who_may_not_answer_is_told_who_may(
    desk_for: Callable[..., AbstractContextManager[Desk]],
) -> None:
    with desk_for("eve") as desk:
        page = desk.go("inbox?whose=all")
        left = waiting(desk.served)
        if left:
            page.locator("main li a").first.click()
            expect(page.get_by_text("may answer this. You may ask about it.")).to_be_visible()
            expect(page.get_by_role("button", name="Approve").first).to_be_disabled()
        assert desk.violations() == []
