"""What runs answer, take, and have done to them by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsquad.kernel.ids import rfc3339
from agentsquad.surfaces.cli.cell import cut, inline, when
from agentsquad.surfaces.cli.layout import Column, Page
from agentsquad.surfaces.cli.views import general

VALUE_MAX = 400


def answer(plain: Any, page: Page) -> None:
    """Lay out what a run answers; the built-in queries as tables."""
    said = plain["answer"]
    if said is None or said in ([], {}):
        page.line("nothing")
    elif plain["name"] == "waiting" and isinstance(said, list):
        _waiting(said, page)
    elif plain["name"] == "stack" and isinstance(said, list):
        _stack(said, page)
    elif isinstance(said, Mapping | list):
        general.lay_out(said, page)
    else:
        page.line(inline(said))


def _waiting(waits: list[dict[str, Any]], page: Page) -> None:
    if not waits:
        page.line("it waits for nothing")
        return
    page.table(
        [
            Column("step", keep=True),
            Column("waits for", keep=True),
            Column("name"),
            Column("until", keep=True, drop=1),
            Column("who may", drop=2),
            Column("why", drop=3),
        ],
        [
            [
                one["position"],
                one["kind"],
                one["name"],
                _time(one["due_ms"]),
                ", ".join(one["roles"]),
                (one["error"] or {}).get("message", "") if one["kind"] == "incident" else "",
            ]
            for one in waits
        ],
    )


def _time(due_ms: int | None) -> str:
    return "" if due_ms is None else when(rfc3339(due_ms))


def _stack(branches: list[dict[str, Any]], page: Page) -> None:
    for branch in branches:
        name = f"branch {branch['branch']}" if branch["branch"] else "the run"
        at = f", at step {branch['at']}" if branch["at"] else ""
        page.line(f"{name}{at}", "bold")
        for frame in branch["frames"]:
            page.line(f"  {frame['function']}  {frame['file']}:{frame['line']}")


def updated(plain: Any, page: Page) -> None:
    """Say what became of an update."""
    error = plain["error"] or {}
    failed = f"{error['message']} ({error['code']})" if "code" in error else inline(error)
    page.pairs(
        [
            ("update", plain["name"]),
            ("status", plain["status"]),
            ("key", plain["key"]),
            ("answer", cut(inline(plain["output"]), VALUE_MAX)),
            ("error", failed),
        ]
    )
    if plain["status"] == "accepted":
        page.line("ask again with the same --key for its answer", "dim")


def wished(plain: Any, page: Page) -> None:
    """Say what was asked for, and who must approve it."""
    step = f" step {plain['step']}" if plain["step"] else ""
    who = ", ".join(plain["roles"]) or "anybody else"
    verb = plain["action"].partition(".")[2]
    page.line(f"asked: {verb}{step} of run {plain['run']}; {who} may approve")
    page.line(f"squad approve {plain['item']} --reason '…' --as WHO", "bold")


def at_work(beats: list[dict[str, Any]], page: Page) -> None:
    """Lay out steps under way that show that they live."""
    page.title("at work")
    page.table(
        [
            Column("step", keep=True),
            Column("what"),
            Column("try", right=True),
            Column("beats", right=True),
            Column("last", keep=True),
            Column("says"),
        ],
        [
            [
                one["position"],
                one["action"],
                str(one["attempt"]),
                str(one["count"]),
                _time(one["at_ms"]),
                cut(inline(one["detail"]), 80),
            ]
            for one in beats
        ],
    )


VIEWS = {
    "runs.query": answer,
    "runs.update": updated,
    "runs.retry": wished,
    "runs.skip": wished,
    "runs.patch": wished,
    "runs.fail": wished,
    "runs.compensate": wished,
}
