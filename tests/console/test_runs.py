"""Runs in the console: found, followed, opened to the last event, and ended."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.console.browser import Desk

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


def _flagship(desk: Desk) -> str:
    """Return the flagship's run."""
    asked = {"workflow": "purchase-to-pay"}
    return str(desk.served.call("runs.list", asked)["items"][-1]["id"])


def _case(desk: Desk) -> str:
    """Return a run of one purchase order that has come to its end."""
    asked = {"workflow": "purchase-to-pay-case", "status": "completed", "all": True}
    found = [one["id"] for one in desk.served.call("runs.list", asked)["items"]]
    return str(
        max(found, key=lambda one: len(desk.served.call("runs.show", {"run": one})["steps"]))
    )


def _rows(page: Page) -> Any:
    return page.locator("main [role=grid] [role=row][aria-rowindex]:not([aria-rowindex='1'])")


def test_runs_are_listed_narrowed_and_found_again_after_a_reload(desk: Desk) -> None:
    page = desk.go("runs")
    expect(_rows(page).first).to_contain_text("purchase-to-pay")
    page.get_by_label("Child runs too").check()
    page.get_by_label("Workflow", exact=True).select_option("agent-turn")
    page.get_by_label("Status", exact=True).select_option("completed")
    page.get_by_label("Started", exact=True).select_option("24h")
    expect(_rows(page).first).to_contain_text("agent-turn")
    page.reload()
    expect(page.get_by_label("Workflow", exact=True)).to_have_value("agent-turn")
    expect(page.get_by_label("Status", exact=True)).to_have_value("completed")
    expect(page.get_by_label("Started", exact=True)).to_have_value("24h")
    expect(_rows(page).first).to_contain_text("agent-turn")
    page.get_by_role("searchbox").fill("nothing is called so")
    expect(page.get_by_text("No run fits")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    expect(_rows(page).first).to_contain_text("purchase-to-pay")


def test_the_list_is_sound_in_both_themes_at_every_width(desk: Desk) -> None:
    page = desk.go("runs?all=1")
    expect(_rows(page).first).to_be_visible()
    desk.shoot("runs")


def test_a_run_is_opened_by_the_keyboard_and_a_step_to_its_proof(desk: Desk) -> None:
    page = desk.go("runs?all=1&workflow=purchase-to-pay-case&status=completed")
    page.get_by_role("grid").press("j")
    page.get_by_role("grid").press("Enter")
    expect(page.locator("main h1")).to_have_text("purchase-to-pay-case")
    row = _rows(page).filter(has_text="payments.history")
    expect(row).to_contain_text("Done")
    row.click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_role("group", name="Input")).to_contain_text("vendor")
    expect(drawer.get_by_role("group", name="Output")).to_contain_text("remitted")
    expect(drawer.get_by_text("Allowed")).to_be_visible()
    drawer.get_by_text("Proof", exact=True).click()
    expect(drawer.get_by_text(re.compile("Event .* is in the log of .* events"))).to_be_visible()
    assert desk.violations() == []
    page.reload()
    expect(page.get_by_role("dialog").get_by_text("Allowed")).to_be_visible()


def test_the_slider_goes_back_to_any_event(desk: Desk) -> None:
    page = desk.go(f"runs/{_case(desk)}")
    expect(_rows(page).first).to_be_visible()
    slider = page.get_by_role("slider", name="Event")
    whole = _rows(page).count()
    slider.fill("3")
    expect(_rows(page)).to_have_count(2)
    assert "at=3" in page.url
    page.reload()
    expect(_rows(page)).to_have_count(2)
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^3 of \d+, step\.completed"))
    page.get_by_role("button", name="Newest").click()
    expect(_rows(page)).to_have_count(whole)


def test_a_run_is_sound_in_both_themes_at_every_width(desk: Desk) -> None:
    page = desk.go(f"runs/{_case(desk)}")
    expect(_rows(page).first).to_be_visible()
    expect(
        page.get_by_role("group", name="Graph of the steps").get_by_role("button").first
    ).to_be_visible()
    desk.shoot("run")
    page.set_viewport_size({"width": 360, "height": 740})
    page.get_by_role("tab", name="Graph").click()
    expect(
        page.get_by_role("group", name="Graph of the steps").get_by_role("button").first
    ).to_be_visible()
    desk.shoot("run-graph", widths=(360,))


def test_a_wide_fan_of_the_graph_is_opened(desk: Desk) -> None:
    page = desk.go(f"runs/{_flagship(desk)}")
    graph = page.get_by_role("group", name="Graph of the steps")
    fan = graph.get_by_role("button", name="× p2p.read")
    expect(fan).to_contain_text("Done")
    fan.click()
    expect(graph.get_by_role("button", name=re.compile("^p2p.read")).first).to_be_visible()


def test_a_run_is_cancelled_only_after_it_was_asked_why(desk: Desk) -> None:
    desk.served.stop()
    run = desk.served.pay()
    desk.served.start()
    page = desk.go(f"runs/{run}")
    page.get_by_role("button", name="Cancel…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel the run").click()
    expect(dialog).to_be_visible()  # without a reason nothing happens
    dialog.get_by_label("Reason").fill("ordered twice")
    assert desk.violations() == []
    dialog.get_by_role("button", name="Cancel the run").click()
    expect(page.locator("main header").get_by_text("Cancelled")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("button", name="Cancel…")).to_have_count(0)
