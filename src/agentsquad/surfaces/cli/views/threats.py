"""What protects an installation: each check with what was found."""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.cli.layout import Column, Page


def checked(plain: Any, page: Page) -> None:
    """Show every check, then how to mend what failed."""
    words = {"passed": "pass", "failed": "fail", "absent": "-"}
    page.table(
        [Column("check"), Column("state", keep=True), Column("found")],
        [[one["name"], words[one["state"]], one["found"]] for one in plain["checks"]],
    )
    page.line()
    page.line(f"{plain['passed']} passed, {plain['failed']} failed")
    for one in plain["checks"]:
        if one["hint"]:
            page.line(f"{one['name']}: {one['hint']}", "dim")


VIEWS = {"threats.check": checked}
