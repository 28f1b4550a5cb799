"""One person at a browser: goes to a view, looks at it, and is told what is
wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page
from tests.console.served import Served

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "console" / "node_modules" / "axe-core" / "axe.min.js"
IMAGES = ROOT / "docs" / "images" / "console"
WIDTHS = {1440: 900, 768: 1024, 360: 740}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Colours that still change are neither what is shown nor what is measured.
_STILL = """() => Promise.race([
  Promise.all(document.getAnimations().map(one => one.finished.catch(() => null))),
  new Promise(done => setTimeout(done, 1500)),
])"""
_RUN_AXE = "rules => axe.run({runOnly: rules}).then(found => found.violations)"
# A request that a restarting server could not take is told in the browser's
# own log; that is no fault of the page.
UNREACHED = ("Failed to load resource", "WebSocket connection", "ERR_CONNECTION")


@cache
def _axe() -> str:
    return AXE.read_text()


class Desk:
    """A signed-in person at one window."""

    def __init__(self, context: BrowserContext, served: Served) -> None:
        self.context = context
        self.served = served
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning") and not any(
            word in message.text for word in UNREACHED
        ):
            self.complaints.append(message.text)

    def go(self, view: str = "", namespace: str = "default") -> Page:
        """Go to a view of the console and wait for its heading."""
        self.page.goto(f"{self.served.url}/console/{namespace}/{view}")
        self.page.locator("main h1").wait_for()
        return self.page

    def light(self, theme: str) -> None:
        """Choose how light it is."""
        self.page.evaluate(
            "theme => { document.documentElement.dataset.theme = theme;"
            " localStorage.setItem('squad.theme', theme); }",
            theme,
        )

    def speak(self, language: str) -> None:
        """Choose a language and have the view again."""
        self.page.evaluate("one => localStorage.setItem('squad.language', one)", language)
        self.page.reload()
        self.page.locator("main h1").wait_for()

    def violations(self) -> list[str]:
        """Return what axe finds wrong with what is shown, one line each."""
        self.page.evaluate(_axe())
        found = self.page.evaluate(_RUN_AXE, RULES)
        return [
            f"{one['id']}: {one['help']} ({node['target']}: {node['failureSummary']})"
            for one in found
            for node in one["nodes"]
        ]

    def shoot(self, name: str, widths: Sequence[int] = tuple(WIDTHS)) -> None:
        """Make the documentation's pictures of what is shown, and check each
        with axe and for what sticks out at the side.

        They are written with SCREENSHOTS=1 only, so that a test run leaves the
        tree as it was.
        """
        for theme in ("light", "dark"):
            self.light(theme)
            for width in widths:
                self.page.set_viewport_size({"width": width, "height": WIDTHS[width]})
                self.page.wait_for_timeout(80)  # what is measured by an observer settles
                self.page.evaluate(_STILL)
                wide = self.page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{name} is {wide} px wide at {width} px"
                assert self.violations() == [], (name, theme, width)
                if os.environ.get("SCREENSHOTS"):
                    IMAGES.mkdir(parents=True, exist_ok=True)
                    self.page.screenshot(path=IMAGES / f"{name}-{theme}-{width}.png")
        self.page.set_viewport_size({"width": 1440, "height": 900})


@contextmanager
def desk_of(browser: Browser, served: Served, name: str, **options: Any) -> Iterator[Desk]:
    """Give a desk to a person; afterwards nothing may have been complained
    about, which also means that the content security policy was kept."""
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, locale="en-US", reduced_motion="reduce", **options
    )
    context.add_cookies(served.sign_in(name))  # type: ignore[arg-type]
    desk = Desk(context, served)
    try:
        yield desk
        assert desk.complaints == []
    finally:
        context.close()
