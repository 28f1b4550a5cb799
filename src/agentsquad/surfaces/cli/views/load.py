"""The load of an engine: what is at work, what waits, and what was refused."""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.cli.cell import took, when
from agentsquad.surfaces.cli.layout import Page


def status(plain: Any, page: Page) -> None:
    """Lay out how an engine stands."""
    if not plain["running"]:
        page.line("no engine drives the runs of this store now; squad run and resume start one")
        return
    more = "; more come than can be begun" if plain["overloaded"] else ""
    page.pairs(
        [
            ("at work", f"{plain['at_work']} of at most {plain['limit']} at once"),
            ("waiting", f"{plain['waiting']} starts{more}"),
            ("delay", f"{took(plain['delay_ms'])} until the log has a new run"),
            ("begun", f"{plain['admitted']}, {plain['starts_s']:g} a second lately"),
            ("refused", str(plain["refused"])),
            ("seen", when(plain["seen"])),
        ]
    )


VIEWS = {"engine.status": status}
