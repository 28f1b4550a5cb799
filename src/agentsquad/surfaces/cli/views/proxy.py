"""The proxy: what was recorded of an agent, how far a replay agreed, and what
was given up."""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.cli.cell import when
from agentsquad.surfaces.cli.layout import Column, Page


def served(plain: Any, page: Page) -> None:
    """Say in a line what became of a session."""
    count = plain["requests"]
    counted = f"{count} request" + ("" if count == 1 else "s")
    if plain.get("replayed") is None:
        for run in plain["runs"]:
            page.line(f"recorded as {run} ({counted})")
        if not plain["runs"]:
            page.line("nobody asked anything", "dim")
        return
    found = plain.get("diverged")
    if found is None:
        page.line(f"identical: all {counted} as recorded")
        return
    page.line(f"diverged at request {found['request']}, {found['field']}", "red")
    page.line(found["message"])


def dead(plain: Any, page: Page) -> None:
    """List dead letters."""
    if not plain["items"]:
        page.line("no dead letters")
        return
    page.table(
        [Column("letter", keep=True), Column("since"), Column("api"), Column("model"),
         Column("sent", right=True), Column("why")],
        [(one["id"], when(one["at"]), one["api"], one["model"], str(one["attempts"]), one["why"])
         for one in plain["items"]],
    )  # fmt: skip


def again(plain: Any, page: Page) -> None:
    """Say what came of a letter that was sent again."""
    said = "answered" if plain["answered"] else f"given up again: {plain['why']}"
    page.line(f"{said} ({plain['status']}); recorded as {plain['run']}")


VIEWS = {"proxy.run": served, "proxy.dead": dead, "proxy.retry": again}
