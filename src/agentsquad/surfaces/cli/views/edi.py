"""X12: whether files keep to the standard, and where not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.surfaces.cli.cell import counted, inline
from agentsquad.surfaces.cli.layout import Column, Page

FILE_MAX = 24  # of a file's name beside its errors; it is whole above


def checked(plain: Any, page: Page) -> None:
    """Say whether files are valid, what is in them, and what is wrong where."""
    errors, warnings = plain["errors"], plain["warnings"]
    if plain["valid"]:
        page.line(f"valid: {_counted(plain['interchanges'])}")
    else:
        page.line(f"invalid: {counted(len(errors), 'error')} in {_counted(plain['interchanges'])}")
    if plain["interchanges"]:
        page.title("interchanges")
        _interchanges(plain["interchanges"], page)
    _problems("errors", errors, page)
    _problems("warnings", warnings, page)


def _counted(interchanges: Sequence[Mapping[str, Any]]) -> str:
    sets = sum(
        len(group.get("transactions") or ())
        for one in interchanges
        for group in one.get("groups") or ()
    )
    return f"{counted(len(interchanges), 'interchange')}, {counted(sets, 'document')}"


def _interchanges(interchanges: Sequence[Mapping[str, Any]], page: Page) -> None:
    rows = []
    for one in interchanges:
        groups = one.get("groups") or ()
        sets: dict[str, int] = {}
        for group in groups:
            for transaction in group.get("transactions") or ():
                name = str(transaction.get("set", ""))
                sets[name] = sets.get(name, 0) + 1
        rows.append(
            [
                str(one.get("file", "")),
                str(one.get("control", "")),
                f"{one.get('sender', '')} → {one.get('receiver', '')}",
                ", ".join(f"{count}×{name}" if count > 1 else name for name, count in sets.items()),
                ", ".join(dict.fromkeys(str(group.get("version", "")) for group in groups)),
            ]
        )
    page.table(
        [
            Column("file", keep=True),
            Column("control", keep=True, drop=2),
            Column("from → to", drop=3),
            Column("documents"),
            Column("version", keep=True, drop=1),
        ],
        rows,
    )


def _problems(title: str, items: Sequence[Mapping[str, Any]], page: Page) -> None:
    if not items:
        return
    page.title(title)
    short = _short_files(items)
    page.table(
        [
            Column("file", keep=True),
            Column("segment", keep=True),
            Column("position", right=True),
            Column("element", keep=True),
            Column("code", keep=True),
            Column("message"),
        ],
        [
            [
                short[item.get("file", "")],
                *(
                    inline(item.get(name))
                    for name in ("segment", "position", "element", "code", "message")
                ),
            ]
            for item in items
        ],
    )


def _short_files(items: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return files by the ends of their names, unless two end alike."""
    paths = {item.get("file", "") for item in items}
    ends = {p: p if len(p) <= FILE_MAX else "…" + p[1 - FILE_MAX :] for p in paths}
    return ends if len(set(ends.values())) == len(paths) else {path: path for path in paths}


VIEWS = {"edi.check": checked}
