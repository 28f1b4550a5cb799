"""The load of an engine: what is at work, what waits, what was refused, and who
drives."""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.cli.cell import took, when
from agentsquad.surfaces.cli.layout import Column, Page


def status(plain: Any, page: Page) -> None:
    """Lay out how an engine stands."""
    if not plain["running"]:
        page.line("no engine drives the runs of this store now; squad run and resume start one")
    elif plain["seen"] is not None:
        _load(plain, page)
    if plain["processes"]:
        page.pairs([("token", str(plain["token"]))])
        page.table(
            [Column("process"), Column("does"), Column("since"), Column("heard of")],
            [
                (
                    f"{one['host']}/{one['pid']}",
                    "drives" if one["drives"] else "stands by",
                    when(one["since"]),
                    f"{one['seen_s']:g} s ago",
                )
                for one in plain["processes"]
            ],
        )


def _load(plain: Any, page: Page) -> None:
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


def served(plain: Any, page: Page) -> None:
    """Say why a process ended, and whether it drove until then."""
    did = "drove the runs" if plain["drove"] else "stood by"
    page.line(f"ended ({plain['why']}): it {did} of this store")


def pools(plain: Any, page: Page) -> None:
    """Lay out the places of every pool."""
    if not plain["items"]:
        page.line("no pools; squad explain pool says how to declare one")
        return
    fields = ("pool", "node", "slots", "cpu", "memory", "gpu", "busy", "waiting", "refused")
    page.table(
        [Column(name) for name in fields],
        [tuple(str(one[name]) for name in fields) for one in plain["items"]],
    )
    if not plain["running"]:
        page.line("no engine drives the runs of this store now", "dim")


VIEWS = {"pools.list": pools, "engine.status": status, "engine.run": served}
