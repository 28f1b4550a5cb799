"""Schedules: what starts by itself, and when; times are UTC, whatever the zone
a schedule is written in."""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.cli.cell import short_ids, when
from agentsquad.surfaces.cli.layout import Column, Page


def listing(plain: Any, page: Page) -> None:
    """Lay out schedules and when each is due next."""
    if not plain["items"]:
        page.line("no schedules yet")
        return
    ran = any(one.get("last") for one in plain["items"])
    stopped = any(one.get("paused", "") for one in plain["items"])
    page.table(
        [
            Column("workflow", keep=True),
            Column("cron", keep=True),
            Column("timezone", keep=True, drop=1),
            Column("next (UTC)", keep=True),
            *([Column("last (UTC)", drop=2)] if ran else []),
            *([Column("paused")] if stopped else []),
        ],
        [
            [
                one["workflow"],
                one["cron"],
                one["timezone"],
                when(one["next"]),
                *([when(one["last"]) if one.get("last") else ""] if ran else []),
                *([one.get("paused", "")] if stopped else []),
            ]
            for one in plain["items"]
        ],
    )


def started(plain: Any, page: Page) -> None:
    """Lay out the runs that schedules started."""
    items = plain["items"]
    if not items:
        page.line("no runs were due")
        return
    short = short_ids(one["run"] for one in items)
    page.table(
        [
            Column("workflow", keep=True),
            Column("due (UTC)", keep=True),
            Column("run", keep=True),
            Column("skipped", right=True, drop=1),
        ],
        [
            [one["workflow"], when(one["due"]), short[one["run"]], str(one["skipped"] or "")]
            for one in items
        ],
    )


VIEWS = {"schedules.list": listing, "schedules.run": started, "schedules.backfill": started}
