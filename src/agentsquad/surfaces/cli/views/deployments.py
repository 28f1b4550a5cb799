"""Deployments: what becomes of open runs, and which versions there are."""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.cli.cell import counted, cut, inline
from agentsquad.surfaces.cli.layout import Column, Page

SHOWN_MAX = 20
SHORT, RUN = 12, 33


def report(plain: Any, page: Page) -> None:
    """Say what becomes of the open runs, and what to do about those past the
    change."""
    page.line(
        f"{counted(plain['open'], 'open run')}: {plain['continue']} continue, "
        f"{plain['pinned']} pinned, {plain['stuck']} stuck",
        "bold",
    )
    done = "checked only" if not plain["deployed"] else "deployed"
    if plain["unchanged"]:
        done += ", it was the newest already"
    page.pairs(
        [
            (plain["kind"], plain["name"]),
            ("version", f"{_short(plain['digest'])}, {done}"),
            ("before", _short(plain["before"])),
            ("workflows", ", ".join(plain["workflows"])),
            ("moved to it", counted(plain["adopted"], "run") if plain["adopted"] else ""),
        ]
    )
    past = [one for one in plain["runs"] if one["verdict"] != "continue"]
    _rows(past, page)
    closed = plain["closed"]
    if closed is not None:
        page.title("ended runs")
        page.line(
            f"{closed['checked']} drawn with seed {closed['seed']}: {closed['same']} come out "
            f"the same, {len(closed['different'])} do not"
        )
        _rows(closed["different"], page)


def _rows(rows: list[Any], page: Page) -> None:
    for one in rows[:SHOWN_MAX]:
        page.title(f"{one['run'][:RUN]} {one['verdict']}")
        differs = one["field"] is not None and one["was"] is not None
        page.pairs(
            [
                ("at", f"event {one['at']}" + (f", step {one['step']}" if one["step"] else "")),
                ("was", f"{one['field']} {cut(inline(one['was'], 4), 60)}" if differs else ""),
                ("now", cut(inline(one["now"], 4), 60) if differs else ""),
                ("why", "" if differs and one["verdict"] == "pinned" else one["why"]),
                ("do", "\n".join(one["remedy"])),
            ]
        )
    if len(rows) > SHOWN_MAX:
        page.line(f"and {len(rows) - SHOWN_MAX} more: -o json lists all", "dim")


def versions(plain: Any, page: Page) -> None:
    """List versions, one a line."""
    _table(plain["items"], page)


def _table(items: list[Any], page: Page) -> None:
    if not items:
        page.line("nothing was deployed")
        return
    page.table(
        [
            Column("name", keep=True),
            Column("version", keep=True),
            Column("state"),
            Column("since"),
            Column("by"),
            Column("open runs", right=True),
            Column("reason"),
        ],
        [
            [
                one["name"],
                one["version"],
                one["state"],
                one["since"][:19].replace("T", " "),
                one["by"].removeprefix("person:"),
                str(one["open"]),
                one["reason"],
            ]
            for one in items
        ],
    )


def shown(plain: Any, page: Page) -> None:
    """Show the versions of one deployment, then its source."""
    _table(plain["versions"], page)
    for path, text in plain["files"].items():
        page.title(path)
        page.raw(text)


def _short(digest: str | None) -> str:
    return "" if digest is None else digest.removeprefix("sha256:")[:SHORT]


VIEWS = {
    "deployments.deploy": report,
    "deployments.list": versions,
    "deployments.show": shown,
}
