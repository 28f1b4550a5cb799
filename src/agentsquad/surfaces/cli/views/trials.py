"""Tests made of runs, and trials of workflows."""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.cli.cell import counted, cut, inline, spaced
from agentsquad.surfaces.cli.layout import Column, Page

WORLD_MAX = 2_000


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


def tested(plain: Any, page: Page) -> None:
    """Say what was tried and what it came to, each failure at its smallest."""
    failed = plain["failed"]
    said = f"{failed} failed" if failed else "every law was kept"
    page.line(f"{counted(plain['scenarios'], 'scenario')}, {said}", "bold")
    page.pairs(
        [
            ("workflow", plain["workflow"]),
            ("took", f"{plain['seconds']} s, seed {plain['seed']}"),
            ("ended", ", ".join(f"{count} {name}" for name, count in _most(plain["endings"]))),
        ]
    )
    broken = {one["invariant"]: one["found"] for one in plain["failures"]}
    page.title("laws")
    page.table(
        [Column("law", keep=True), Column("checked", right=True), Column("broken", right=True)],
        [
            [name, str(count), str(broken.get(name) or "")]
            for name, count in plain["invariants"].items()
        ],
    )
    for one in plain["failures"] or ([plain["smallest"]] if plain["smallest"] else []):
        _failure(one, page)


def _most(endings: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(endings.items(), key=lambda pair: (-pair[1], pair[0]))


def _failure(one: Any, page: Page) -> None:
    name = one["invariant"]
    page.title(f"{name}: {one['reason']}" if name else one["reason"])
    page.pairs(
        [
            ("input", cut(inline(one["input"], 4), WORLD_MAX)),
            ("with", cut(inline(one["world"], 4), WORLD_MAX) if one["world"] else ""),
            ("and", "; ".join(one["behaviour"])),
            ("events", f"{len(one['events'])}, found with {one['shrunk_from']}" if name else ""),
        ]
    )
    for line in one["events"]:
        page.line(f"  {line}")
    page.pairs([("test", one["file"] or "")])
    page.raw(one["repeat"])


VIEWS = {"runs.export_test": exported, "trials.test": tested}
