"""Money: what was spent, what may be spent."""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.cli.cell import SHORT_ID, counted, purse, short_ids, when
from agentsquad.surfaces.cli.layout import Column, Page


def cost(plain: Any, page: Page) -> None:
    """Lay out what was spent, with its sum."""
    items = plain["items"]
    if not items:
        page.line("no costs yet")
        return
    names = {item["name"]: item["name"] for item in items}
    if plain["by"] == "run":
        names = short_ids(names)
    rows = [
        [
            names[item["name"]],
            str(item["calls"]),
            str(item["input_tokens"]),
            str(item["output_tokens"]),
            str(item["unknown"] or ""),
            purse(item["cost"]),
        ]
        for item in items
    ]
    rows.append(
        ["total", str(plain["calls"]), "", "", str(plain["unknown"] or ""), purse(plain["total"])]
    )
    page.table(
        [
            Column(plain["by"], keep=True),
            Column("calls", right=True),
            Column("tokens in", right=True, drop=1),
            Column("tokens out", right=True, drop=1),
            Column("price unknown", right=True),
            Column("cost", right=True),
        ],
        rows,
    )


def budgets(plain: Any, page: Page) -> None:
    """Lay out what may be spent and what is left."""
    if not plain["items"]:
        page.line("no budgets yet; squad budget set tenant:acme 250.00 USD --period month")
        return
    page.table(
        [
            Column("scope"),
            Column("period", keep=True, drop=2),
            Column("limit", right=True),
            Column("spent", right=True),
            Column("reserved", right=True, drop=1),
            Column("left", right=True),
            Column("currency", keep=True),
        ],
        [
            [
                one["scope"],
                " ".join(dict.fromkeys(filter(None, (one["period"], one["window"])))),
                one["limit"],
                one["spent"],
                one["reserved"],
                one["left"],
                one["currency"],
            ]
            for one in plain["items"]
        ],
    )


def released(plain: Any, page: Page) -> None:
    """Lay out what was given back, and what stays reserved."""
    verb = "counted as spent" if plain["spent"] else "given back"
    if plain["items"]:
        page.table(
            [
                Column("reservation", keep=True),
                Column("scopes"),
                Column("reserved", right=True),
                Column("since", keep=True, drop=1),
                Column("because", drop=2),
            ],
            [
                [
                    one["id"][:SHORT_ID],
                    ", ".join(one["scopes"]),
                    f"{one['reserved'] or 'unknown'} {one['currency']}",
                    when(one["since"]),
                    one["because"],
                ]
                for one in plain["items"]
            ],
        )
    page.line(f"{counted(len(plain['items']), 'reservation')} {verb}, {plain['open']} still open")


VIEWS = {
    "budget.release": released,
    "cost.show": cost,
    "budget.show": budgets,
    "budget.set": budgets,
}
