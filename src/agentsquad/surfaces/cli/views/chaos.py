"""Chaos: what a workflow withstood, and where it did not."""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.cli.layout import Column, Page

KINDS = {
    "crash-before": "crash right before an event",
    "crash-after": "crash right after an event",
    "lost-before": "answer lost, call not arrived",
    "lost-after": "answer lost, call arrived",
    "twice": "delivered twice",
}
SHOWN_MAX = 20


def report(plain: Any, page: Page) -> None:
    """Lay out the points by kind, the failures, and the sum of it all last."""
    receipt = plain["receipt"] or {}
    page.pairs(
        [
            ("workflow", plain["workflow"]),
            ("run", plain["run"]),
            ("undisturbed", _calm(plain)),
            ("made up", ", ".join(plain["made_up"])),
            ("seen to by hand", ", ".join(plain["by_hand"])),
            ("receipt", receipt.get("digest")),
            ("in the log", receipt.get("event")),
        ]
    )
    page.title("faults")
    page.table(
        [Column("fault", keep=True), Column("points", right=True), Column("recovered", right=True)],
        [
            [KINDS.get(kind, kind), str(one["points"]), str(one["recovered"])]
            for kind, one in plain["kinds"].items()
        ],
    )
    failures = plain["failures"]
    for one in failures[:SHOWN_MAX]:
        page.title(f"{one['point']} was not recovered")
        page.pairs([("where", one["boundary"]), ("why", one["why"]), ("repeat", one["repeat"])])
    if len(failures) > SHOWN_MAX:
        page.line(f"and {len(failures) - SHOWN_MAX} more: -o json lists all", "dim")
    page.line("")
    page.line(
        f"{plain['points']} crash points, {plain['recovered']} recovered, "
        f"{plain['repeated_effects']} repeated effects",
        "bold",
    )


def _calm(plain: Any) -> str:
    return f"{plain['status']}, {plain['events']} events, {plain['effects']} effects"


VIEWS = {"chaos.run": report}
