"""Views: how outputs are laid out for people.

A list becomes a table, an object a column of names and values; a few outputs
have a layout of their own, by action.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def view(action: str, result: Any, plain: Any, console: Any) -> None:
    """Lay one output out."""
    own = VIEWS.get(action)
    if own is not None:
        own(plain, console)
    else:
        general(plain, console)


def general(plain: Any, console: Any) -> None:
    """Lay out anything."""
    if plain is None:
        return
    if isinstance(plain, str):
        console.print(plain, markup=False, soft_wrap=True)
    elif isinstance(plain, Mapping):
        _object(plain, console)
    elif isinstance(plain, list):
        rows(plain, console)
    else:
        console.print(str(plain), markup=False)


def _object(plain: Mapping[str, Any], console: Any) -> None:
    tables = [k for k, v in plain.items() if v and isinstance(v, list) and isinstance(v[0], dict)]
    if len(plain) == 1 and isinstance(next(iter(plain.values())), str):
        general(next(iter(plain.values())), console)
        return
    if list(plain) == ["items"]:
        if not plain["items"]:
            console.print("nothing")
        else:
            general(plain["items"], console)
        return
    from rich.table import Table
    from rich.text import Text

    page = Table.grid(padding=(0, 2))
    page.add_column(style="bold", no_wrap=True)
    page.add_column(overflow="fold")
    for name, value in plain.items():
        if name not in tables and value not in (None, [], {}):
            page.add_row(name, Text(cell(value)))
    console.print(page)
    for name in tables:
        console.print(Text(f"\n{name}", style="bold"))
        rows(plain[name], console)


def rows(items: Sequence[Any], console: Any) -> None:
    """Lay a list out as a table; columns that are empty everywhere are left
    out."""
    from rich.table import Table
    from rich.text import Text

    if not items or not isinstance(items[0], Mapping):
        for item in items:
            console.print(cell(item), markup=False)
        return
    names = list(dict.fromkeys(k for item in items for k in item))
    names = [n for n in names if any(item.get(n) not in (None, "", [], {}, ()) for item in items)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        numbers = all(isinstance(item.get(name), (int, float, type(None))) for item in items)
        table.add_column(name, overflow="fold", justify="right" if numbers else "left")
    for item in items:
        table.add_row(*(Text(cell(item.get(name))) for name in names))
    console.print(table)


def cell(value: Any) -> str:
    """Return a value in one cell."""
    if value is None or value == {} or value == []:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and all(isinstance(v, (str, int)) for v in value.values()):
        return ", ".join(f"{v} {k}" if _currency(k) else f"{k} {v}" for k, v in value.items())
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)


def _currency(name: str) -> bool:
    return len(name) == 3 and name.isupper()


VIEWS: dict[str, Any] = {}
