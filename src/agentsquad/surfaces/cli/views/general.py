"""Any output by its shape: an object as names and values, a list as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.surfaces.cli.cell import inline, is_money, is_purse, short_ids, spaced, when
from agentsquad.surfaces.cli.layout import Column, Page

IDS = ("id", "run", "item")


def lay_out(plain: Any, page: Page) -> None:
    """Lay out anything."""
    if plain is None:
        return
    if isinstance(plain, str):
        page.raw(plain)
    elif isinstance(plain, Mapping):
        _object(plain, page)
    elif isinstance(plain, list):
        rows(plain, page)
    else:
        page.line(str(plain))


def _object(plain: Mapping[str, Any], page: Page) -> None:
    values = list(plain.values())
    if len(plain) == 1 and isinstance(values[0], str):
        page.raw(values[0])
        return
    if list(plain) == ["items"]:
        rows(plain["items"], page)
        return
    lists = [name for name, value in plain.items() if _is_table(value)]
    page.pairs((spaced(name), full(value)) for name, value in plain.items() if name not in lists)
    for name in lists:
        page.title(spaced(name))
        rows(plain[name], page)


def _is_table(value: Any) -> bool:
    return bool(value) and isinstance(value, list) and isinstance(value[0], Mapping)


def full(value: Any) -> str:
    """Return a value beside its name: whole, so that it can be copied."""
    if isinstance(value, str):
        return when(value)
    if isinstance(value, Mapping) and not (is_money(value) or is_purse(value)):
        lines = [(spaced(name), full(inner)) for name, inner in value.items()]
        flat = [(name, text) for name, text in lines if text]
        if all("\n" not in text and len(text) < 30 for _, text in flat):
            return ", ".join(f"{name} {text}" for name, text in flat)
        return "\n".join(f"{name} {text}" for name, text in flat)
    if isinstance(value, list) and value and not isinstance(value[0], Mapping | list):
        return ", ".join(map(inline, value))
    return inline(value, 2)


def rows(items: Sequence[Any], page: Page) -> None:
    """Lay a list out as a table; columns that are empty everywhere are left
    out."""
    if not items:
        page.line("no items")
        return
    if not isinstance(items[0], Mapping):
        for item in items:
            page.line(inline(item, 2))
        return
    names = list(dict.fromkeys(name for item in items for name in item))
    short = short_ids([str(i[n]) for n in IDS for i in items if isinstance(i.get(n), str)])
    page.table(
        [column(name, [item.get(name) for item in items]) for name in names],
        [[_cell(name, item.get(name), short) for name in names] for item in items],
    )


def _cell(name: str, value: Any, short: Mapping[str, str]) -> str:
    if name in IDS and isinstance(value, str):
        return short.get(value, value)
    return inline(value)


def column(name: str, values: Sequence[Any]) -> Column:
    """Return how a column of such values is set."""
    there = [value for value in values if value is not None]
    number = all(
        is_money(v) or is_purse(v) or (isinstance(v, int | float) and not isinstance(v, bool))
        for v in there
    )
    brief = all(isinstance(v, str) and " " not in v and len(v) <= 40 for v in there)
    return Column(spaced(name), right=bool(there) and number, keep=brief)
