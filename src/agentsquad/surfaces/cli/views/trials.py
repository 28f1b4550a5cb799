"""Tests made of runs, and trials of workflows."""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.cli.cell import spaced
from agentsquad.surfaces.cli.layout import Page


def exported(plain: Any, page: Page) -> None:
    """Print the test, or say what was written."""
    if plain["out"] is None:
        page.raw(plain["text"])
        return
    page.line(f"wrote {plain['out']}", "bold")
    page.pairs(
        [
            ("run", plain["run"]),
            ("events", f"{plain['events']}, {spaced(plain['verdict'])} when written"),
            ("people", spaced(plain["personal"])),
            ("policy", "asked again" if plain["decides"] else "not asked again"),
            ("try it", f"pytest {plain['out']}"),
        ]
    )


VIEWS = {"runs.export_test": exported}
