"""The console's frame: signing in, finding one's way, light and language."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest
from playwright.sync_api import Browser, expect
from tests.console.browser import Desk
from tests.console.served import PASSWORD, Served

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


def test_somebody_signs_in_and_is_where_they_wanted_to_be(browser: Browser, served: Served) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{served.url}/")
    page.wait_for_url("**/login?next=*")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/console/default/**")
    expect(page.locator("main h1")).to_be_visible()
    context.close()


def test_the_frame_is_sound_in_both_themes_at_every_width(desk: Desk) -> None:
    page = desk.go("nowhere")
    expect(page.get_by_text("Live", exact=True).filter(visible=True)).to_be_visible()
    desk.shoot("shell")


def test_the_keyboard_goes_to_the_content_first(desk: Desk) -> None:
    page = desk.go("nowhere")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    skip.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_arabic_is_written_from_the_right(desk: Desk) -> None:
    page = desk.go("nowhere")
    desk.speak("ar")
    assert page.evaluate("getComputedStyle(document.body).direction") == "rtl"
    expect(page.get_by_role("link", name="انتقل إلى المحتوى")).to_be_attached()
    assert desk.violations() == []


def test_a_server_that_is_gone_is_said_and_comes_back(desk: Desk) -> None:
    page = desk.go("nowhere")
    live = page.get_by_text("Live", exact=True).filter(visible=True)
    expect(live).to_be_visible()
    desk.served.stop()
    expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
    desk.served.start()
    expect(live).to_be_visible(timeout=15_000)
    expect(page.get_by_text("The server cannot be reached.")).to_have_count(0)


def test_another_namespace_is_another_address(
    desk_for: Callable[..., AbstractContextManager[Desk]],
) -> None:
    with desk_for("ada") as desk:
        page = desk.go("nowhere")
        page.get_by_label("Namespace").filter(visible=True).select_option("system")
        page.wait_for_url("**/console/system/**")


def test_files_are_small_kept_and_named_by_their_content(served: Served) -> None:
    with httpx.Client(base_url=served.url) as client:
        page = client.get("/console/default/runs?status=open")
        assert page.status_code == 200 and page.headers["cache-control"] == "no-cache"
        assert "unsafe" not in page.headers["content-security-policy"]
        again = client.get("/console/", headers={"If-None-Match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        script = page.text.partition('type="module" crossorigin src="')[2].partition('"')[0]
        plain = client.get(script, headers={"Accept-Encoding": "identity"})
        assert "immutable" in plain.headers["cache-control"]
        for encoding in ("gzip", "br"):
            answer = client.stream("GET", script, headers={"Accept-Encoding": encoding})
            with answer as packed:
                assert packed.headers["content-encoding"] == encoding
                size = len(b"".join(packed.iter_raw()))
            assert size < len(plain.content) / 2
            assert size < 300 * 1024
        assert client.get("/console/assets/none.js").status_code == 404
        assert client.get("/console/..%2f..%2froutes.py").status_code == 404
        assert client.get("/").status_code == 404
