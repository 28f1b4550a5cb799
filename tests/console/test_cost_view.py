"""The view of costs: the sums of the action, and budgets that are set there."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from tests.console.browser import Desk

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


def test_spending_is_what_the_action_says_by_whatever_it_is_added_up(desk: Desk) -> None:
    page = desk.go("cost")
    table = page.get_by_role("table", name="Where it went")
    for by in ("agent", "model", "step", "run"):
        page.get_by_label("Added up by").select_option(by)
        lines = desk.served.call("cost.show", {"by": by})["items"]
        assert lines
        expect(table.get_by_role("row")).to_have_count(len(lines) + 1)
        for line in lines:
            row = table.get_by_role("row").filter(has_text=line["name"])
            expect(row.get_by_role("cell").nth(1)).to_have_text(f"{line['calls']:,}")
    page.reload()
    expect(page.get_by_label("Added up by")).to_have_value("run")


def test_a_budget_is_set_changed_and_filled_without_leaving_the_page(desk: Desk) -> None:
    page = desk.go("cost")
    page.get_by_role("button", name="Set a budget").click()
    form = page.get_by_role("dialog", name="Set a budget")
    form.get_by_role("button", name="Send").click()
    expect(form.get_by_text("This is needed.")).to_have_count(3)
    form.get_by_label("Scope *").fill("tenant:default")
    form.get_by_label("Amount *").fill("250.00")
    form.get_by_label("Currency *").fill("USD")
    form.get_by_role("button", name="Send").click()
    expect(form).to_have_count(0)
    row = (
        page.get_by_role("table", name="Budgets")
        .get_by_role("row")
        .filter(has_text="tenant:default")
    )
    expect(row.get_by_text("$250.00").first).to_be_visible()
    row.get_by_role("button", name="Change the budget of tenant:default").click()
    page.get_by_label("Amount *").fill("99.50")
    page.get_by_role("button", name="Send").click()
    expect(row.get_by_text("$99.50").first).to_be_visible()
    (kept,) = desk.served.call("budget.show", {})["items"]
    assert (kept["scope"], kept["limit"]) == ("tenant:default", "99.50")


def test_costs_are_sound_in_both_themes_at_every_width(desk: Desk) -> None:
    page = desk.go("cost")
    expect(page.locator(".uplot")).to_be_visible()
    expect(page.get_by_role("table", name="Where it went")).to_be_visible()
    desk.shoot("cost")


def test_costs_are_read_from_the_right_in_arabic(desk: Desk) -> None:
    page = desk.go("cost")
    desk.speak("ar")
    expect(page.get_by_role("heading", name="التكلفة")).to_be_visible()
    expect(page.get_by_role("table", name="أين ذهب الإنفاق")).to_be_visible()
    assert desk.violations() == []
