"""Policy: what is in force, what it says, which rules decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.surfaces.cli.cell import inline
from agentsquad.surfaces.cli.layout import Column, Page


def shown(plain: Any, page: Page) -> None:
    """Lay out the policy in force."""
    page.pairs([("revision", plain["revision"])])
    page.title("files")
    page.table(
        [Column("file", keep=True), Column("from", keep=True), Column("lines", right=True)],
        [[one["name"], one["origin"], str(one["lines"])] for one in plain["files"]],
    )
    _packages(plain["packages"], page)
    _rules(plain["rules"], page)


def checked(plain: Any, page: Page) -> None:
    """Say that files are good policy, and what is in them."""
    page.line(f"valid: {plain['files']} files, {len(plain['rules'])} rules")
    page.pairs([("revision", plain["revision"])])
    _packages(plain["packages"], page)
    _rules(plain["rules"], page)


def _packages(packages: Sequence[Mapping[str, Any]], page: Page) -> None:
    if not packages:
        return
    page.title("packages")
    page.table(
        [Column("package", keep=True), Column("governs"), Column("parts", drop=1)],
        [
            [
                one["name"],
                "" if one["actions"] is None else ", ".join(one["actions"]),
                ", ".join(one["parts"]),
            ]
            for one in packages
        ],
    )


def _rules(rules: Sequence[Mapping[str, Any]], page: Page) -> None:
    if not rules:
        return
    page.title("rules")
    page.table(
        [
            Column("rule"),
            Column("kind", keep=True, drop=2),
            Column("where", keep=True),
            Column("clauses", drop=1),
        ],
        [
            [
                f"{one['package']}.{one['name']}",
                one["kind"],
                f"{one['file']}:{one['line']}",
                ", ".join(clause.removeprefix(one["package"] + ".") for clause in one["clauses"]),
            ]
            for one in rules
        ],
    )


def asked(plain: Any, page: Page) -> None:
    """Say what policy says and by which rules."""
    page.line(f"{'allow' if plain['allow'] else 'deny'}: {plain['reason']}", "bold")
    page.pairs(
        [
            ("clauses", ", ".join(plain["clauses"])),
            ("on condition", "\n".join(inline(one, 2) for one in plain["obligations"])),
            ("effect", plain["effect"]),
            ("revision", plain["revision"]),
        ]
    )
    _rules(plain["rules"], page)


def tested(plain: Any, page: Page) -> None:
    """Say which tests passed and what they do not reach."""
    page.line(
        f"{plain['passed']} passed, {plain['failed']} failed, "
        f"{plain['coverage_percent']:g} % of lines reached"
    )
    for one in plain["results"]:
        if one["outcome"] not in ("pass", "passed"):
            page.line(f"{one['outcome']}: {one['name']} at {one['file']}:{one['line']}", "red")
            page.line(f"  {one['message']}")
        for line in one["printed"]:
            page.line(f"  {line}", "dim")
    missed = [one for one in plain["coverage"] if one["missed"]]
    if missed:
        page.title("lines not reached")
        page.table(
            [Column("file", keep=True), Column("lines")],
            [[one["file"], ", ".join(map(str, one["missed"]))] for one in missed],
        )


VIEWS = {
    "policy.show": shown,
    "policy.check": checked,
    "policy.ask": asked,
    "policy.test": tested,
}
