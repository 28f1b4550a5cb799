"""A server with people and a flagship run, and a browser in front of it.

The browser lives as long as the tests of one file: its driver keeps an event
loop going, beside which tests of other files may want their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.console.browser import Desk, desk_of
from tests.console.served import Served

from agentsquad.surfaces.console.routes import DIST

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server over one flagship run that waits for people. Tests share it:
    what a test answers is answered for all."""
    assert (DIST / "index.html").exists(), "the console is not built: make console"
    found = Served(tmp_path_factory.mktemp("console") / "home")
    try:
        found.pay()
        found.start()
        found.people()
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield found
        found.close()


@pytest.fixture
def desk(browser: Browser, served: Served) -> Iterator[Desk]:
    """Ada, who may do everything, at a window of 1440 px."""
    with desk_of(browser, served, "ada") as found:
        yield found


@pytest.fixture
def desk_for(browser: Browser, served: Served) -> Callable[..., AbstractContextManager[Desk]]:
    """Somebody else, or a second window: `with desk_for("eve") as desk`."""

    def give(name: str, **options: Any) -> AbstractContextManager[Desk]:
        return desk_of(browser, served, name, **options)

    return give
