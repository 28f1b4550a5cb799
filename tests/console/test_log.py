"""View 6, the log: searched, followed, opened, and proven by the browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from tests.console.browser import Desk
from tests.console.proof_vectors import FILE, written

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


def test_the_browser_is_held_to_the_verdicts_of_this_side() -> None:
    assert FILE.read_text() == written()


def test_the_log_is_a_list_that_is_sound_at_every_width(desk: Desk) -> None:
    page = desk.go("log")
    expect(page.get_by_role("row").nth(3)).to_be_visible()
    desk.shoot("log")


def test_what_is_looked_for_stands_in_the_address(desk: Desk) -> None:
    page = desk.go("log")
    page.get_by_label("Type").select_option("approval.requested")
    page.get_by_placeholder("Search in everything").fill("prairie")
    page.wait_for_url("**type=approval.requested**text=prairie**")
    rows = page.get_by_role("row").filter(has_text="approval.requested")
    expect(rows.first).to_be_visible()
    asked = [
        one
        for one in desk.served.call("log.show", {"type": "approval.requested"})["items"]
        if "PRAIRIE" in str(one["payload"])
    ]
    expect(rows).to_have_count(len(asked))
    page.reload()
    expect(rows).to_have_count(len(asked))
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("row", name=re.compile("effect.confirmed")).first).to_be_visible()


def test_times_and_streams_narrow_it_and_nothing_is_said_in_words(desk: Desk) -> None:
    first = desk.served.call("events.list", {"after": 0, "limit": 1})["items"][0]
    page = desk.go(f"log?stream={first['stream']}&until=2020-01-01T00:00:00")
    expect(page.get_by_text("Nothing fits")).to_be_visible()
    page.goto(page.url.partition("&until")[0])
    expect(page.get_by_role("row").filter(has_text=first["stream"]).first).to_be_visible()


def test_what_happens_now_comes_by_itself(desk: Desk) -> None:
    page = desk.go("log?type=log.checkpointed")
    expect(page.get_by_text("Live", exact=True).filter(visible=True)).to_be_visible()
    done = desk.served.call("log.checkpoint", {})
    expect(page.get_by_role("row", name=re.compile(f"{done['event']:,}"))).to_be_visible()


def test_an_event_says_where_it_comes_from_and_how_far_it_reached(desk: Desk) -> None:
    asked = desk.served.call("log.show", {"type": "approval.requested"})["items"][0]
    page = desk.go(f"log?event={asked['seq']}")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(asked["actor"]).first).to_be_visible()
    desk.shoot("log-event", widths=(1440, 360))
    dialog.get_by_role("tab", name="Causes").click()
    led = dialog.get_by_role("list", name="What led to it")
    expect(led.get_by_role("button", name=re.compile(rf"#{asked['cause']}\b"))).to_be_visible()
    page.goto(f"{desk.served.url}/console/default/log?event=1&part=impact")
    expect(dialog.get_by_text("How far it reached")).to_be_visible()
    runs = desk.served.call("runs.list", {"all": True, "limit": 500})["items"]
    expect(dialog.locator("dl div", has_text="Runs").locator("dd")).to_have_text(str(len(runs)))
    expect(dialog.get_by_role("heading", name="Payments")).to_be_visible()
    desk.shoot("log-impact", widths=(1440, 360))


def test_the_browser_proves_an_event_itself_and_sees_a_changed_letter(desk: Desk) -> None:
    page = desk.go("log?event=7&part=proof")
    dialog = page.get_by_role("dialog")
    steps = dialog.locator("[data-step]")
    expect(steps).to_have_count(5)
    head = desk.served.call("log.checkpoint", {})
    page.reload()
    expect(dialog.get_by_text("Not vouched for yet.")).to_be_visible()
    dialog.get_by_label("The log’s public key").fill(head["key"])
    dialog.get_by_role("button", name="Trust").click()
    expect(dialog.get_by_text("Proven.")).to_be_visible()
    expect(dialog.locator("[data-step][data-state=good]")).to_have_count(5)
    desk.shoot("log-proof")
    dialog.get_by_role("button", name="Change one letter").click()
    expect(dialog.get_by_text("Does not hold.")).to_be_visible()
    expect(dialog.locator("[data-step=root]")).to_have_attribute("data-state", "bad")


def test_an_answer_that_was_forged_on_the_way_is_found_out(desk: Desk) -> None:
    head = desk.served.call("log.checkpoint", {})
    page = desk.go("log")
    page.evaluate(
        "key => localStorage.setItem('squad.log.default', JSON.stringify({key}))", head["key"]
    )

    def forge(route: object) -> None:
        answer = route.fetch()  # type: ignore[attr-defined]
        told = answer.json()
        told["items"][0]["actor"] = "person:mallory"
        route.fulfill(response=answer, json=told)  # type: ignore[attr-defined]

    page.route("**/v1/actions/log.show", forge)
    page.goto(f"{desk.served.url}/console/default/log?event=9&part=proof")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Does not hold.")).to_be_visible()
    expect(dialog.locator("[data-step=header]")).to_have_attribute("data-state", "bad")


def test_the_browser_remembers_what_it_saw_and_has_growth_proven_from_there(desk: Desk) -> None:
    head = desk.served.call("log.checkpoint", {})
    page = desk.go("log")
    kept = desk.served.call("log.prove", {"from": 20, "to": 40})
    memory = {"key": head["key"], "head": {"size": 20, "root": kept["old_root"]}}
    keep = "one => localStorage.setItem('squad.log.default', JSON.stringify(one))"
    page.evaluate(keep, memory)
    page.get_by_role("button", name="Prove growth").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Proven.")).to_be_visible()
    desk.shoot("log-growth", widths=(1440, 360))
    seen = page.evaluate("JSON.parse(localStorage.getItem('squad.log.default')).head.size")
    assert seen == head["size"]
    page.evaluate(keep, {**memory, "head": {"size": 20, "root": kept["root"]}})
    page.reload()
    expect(dialog.get_by_text("Does not hold.")).to_be_visible()
    expect(dialog.locator("[data-step=kept]")).to_have_attribute("data-state", "bad")


def test_the_log_is_read_from_the_right_in_arabic(desk: Desk) -> None:
    page = desk.go("log")
    desk.speak("ar")
    expect(page.get_by_role("heading", name="السجل", exact=True)).to_be_visible()
    assert desk.violations() == []
