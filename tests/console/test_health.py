"""The view of health: what the server says of itself, and its switches."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from tests.console.browser import Desk

# Before calls that no other test makes.
GUARD = {
    "spec": {
        "match": ["edi.ack"],
        "breaker": {
            "window": "60s",
            "minimum": 10,
            "errorRate": 0.5,
            "openFor": "30s",
            "probes": 3,
        },
    }
}

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


def test_health_says_what_the_server_says(desk: Desk) -> None:
    page = desk.go("health")
    expect(page.get_by_text("Ready", exact=True)).to_be_visible()
    expect(page.locator("dl", has_text="Event store").get_by_text("fine")).to_have_count(2)
    events = desk.served.call("log.stats", {})["root"]
    expect(page.get_by_text(events)).to_be_visible()


def test_a_breaker_is_opened_with_a_reason_and_closed_again(desk: Desk) -> None:
    desk.served.call("resources.put", {"kind": "Guard", "name": "bank", "resource": GUARD})
    page = desk.go("health")
    row = page.get_by_role("table", name="Breakers").get_by_role("row").filter(has_text="bank").last
    row.get_by_role("button", name="Open the breaker bank").click()
    page.get_by_label("Reason *").fill("maintenance of the bank")
    page.get_by_role("button", name="Send").click()
    expect(row.get_by_text("open", exact=True)).to_be_visible()
    expect(row.get_by_text("maintenance of the bank")).to_be_visible()
    desk.shoot("health")
    row.get_by_role("button", name="Close the breaker bank").click()
    page.get_by_label("Reason *").fill("they are back")
    page.get_by_role("button", name="Send").click()
    expect(row.get_by_text("closed", exact=True)).to_be_visible()
    (breaker,) = desk.served.call("breakers.list", {})["items"]
    assert (breaker["name"], breaker["state"]) == ("bank", "closed")
    desk.served.call("resources.delete", {"kind": "Guard", "name": "bank"})
