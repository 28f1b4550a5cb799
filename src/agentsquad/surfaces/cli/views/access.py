"""Access: who may do something, by which role, where."""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.cli.layout import Column, Page


def who(plain: Any, page: Page) -> None:
    """List who may, in each namespace."""
    items = plain["items"]
    if not items:
        page.line(f"nobody may {plain['action']} from afar; squad grants add gives a role")
        return
    columns = [
        Column("namespace", keep=True),
        Column("who", keep=True),
        Column("role", keep=True),
        Column("granted in"),
    ]
    asked = any(one.get("because") for one in items)
    rows = [
        [
            one["namespace"],
            one["actor"],
            ", ".join(one["by"]),
            ", ".join("all of them" if name == "*" else name for name in one["granted"]),
            *([one.get("because", "")] if asked else []),
        ]
        for one in items
    ]
    page.table([*columns, Column("policy says")] if asked else columns, rows)


VIEWS = {"access.who_can": who}
