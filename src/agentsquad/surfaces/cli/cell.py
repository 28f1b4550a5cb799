"""Cells: one value as a few words a person reads at a glance.

Pure. Times lose their fractions, digests their tails, money its structure;
whatever is too deep for a cell is counted, never printed as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from agentsquad.surfaces.cli.measure import beginning, cells

TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z(?:/[0-9a-f]{4})?")
DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
CURRENCY = re.compile(r"[A-Z]{3}")
SHORT_DIGEST = 12
SHORT_ID = 10  # a time-ordered id says its millisecond in ten letters


def when(text: str | None) -> str:
    """Return a time as 2026-11-23 13:17:01 (UTC), whatever the place."""
    if not text:
        return ""
    found = TIME.fullmatch(text)
    return f"{found[1]} {found[2]}" if found else text


def took(duration_ms: float | None) -> str:
    """Return a duration in the unit it is read in."""
    if duration_ms is None:
        return ""
    if duration_ms < 10:
        return f"{duration_ms:.1f} ms"
    if duration_ms < 1000:
        return f"{duration_ms:.0f} ms"
    seconds = duration_ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d} min"


def is_money(value: Any) -> bool:
    """Whether this is an amount: micros and a currency."""
    return isinstance(value, Mapping) and set(value) == {"micros", "currency"}


def is_purse(value: Any) -> bool:
    """Whether this is money by currency, as decimal strings."""
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(k, str) and CURRENCY.fullmatch(k) for k in value)
        and all(isinstance(v, str) for v in value.values())
    )


def purse(value: Mapping[str, str] | None) -> str:
    """Return money by currency in one line."""
    return ", ".join(f"{amount} {currency}" for currency, amount in (value or {}).items())


def amount(value: Mapping[str, Any]) -> str:
    """Return an amount of micro-units as 48740.80 USD."""
    micros, currency = int(value["micros"]), value["currency"]
    whole, rest = divmod(abs(micros), 1_000_000)
    places = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}{whole}.{places} {currency}"


def digest(text: str) -> str:
    """Return the beginning of a digest, enough to tell two apart."""
    found = DIGEST.fullmatch(text)
    return found[1][:SHORT_DIGEST] + "…" if found else text


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """Return for each run id its shortest beginning that no other in the list
    has; what follows a slash stays, without its hash."""
    names = list(ids)
    roots = sorted({one.partition("/")[0] for one in names})
    short = {}
    for index, root in enumerate(roots):
        size = SHORT_ID
        for other in roots[max(0, index - 1) : index + 2]:
            if other != root:
                size = max(size, _shared(root, other) + 1)
        short[root] = root[:size]
    return {one: "/".join([short[one.partition("/")[0]], *tail(one)]) for one in names}


def tail(run: str) -> list[str]:
    """Return the words after a run id's root, long hashes cut."""
    return [re.sub(r"-([0-9a-f]{4})[0-9a-f]{12}$", r"-\1", word) for word in run.split("/")[1:]]


def _shared(one: str, other: str) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def inline(value: Any, depth: int = 1) -> str:
    """Return any value in one line; what is deeper than `depth` is counted."""
    if value is None or value == {} or value == []:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return digest(when(value))
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if is_money(value):
        return amount(value)
    if is_purse(value):
        return purse(value)
    if isinstance(value, Mapping):
        return _inline_object(value, depth)
    return _inline_list(list(value), depth)


def _inline_object(value: Mapping[str, Any], depth: int) -> str:
    if depth == 0:
        return f"{len(value)} fields"
    shown = [(name, inline(inner, depth - 1)) for name, inner in value.items()]
    return ", ".join(f"{spaced(name)} {text}" for name, text in shown if text)


def _inline_list(value: list[Any], depth: int) -> str:
    plain = all(not isinstance(one, Mapping | list) or is_money(one) for one in value)
    if plain and (depth > 0 or len(value) == 1):
        texts = [inline(one) for one in value]
        joined = ", ".join(texts[:6])
        return f"{joined}, … ({len(value)})" if len(value) > 6 else joined
    if len(value) == 1 and depth > 0:
        return inline(value[0], depth)
    return f"{len(value)} items"


def spaced(name: str) -> str:
    """Return a field's name as words."""
    return name.replace("_", " ")


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, which takes an s unless it is one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def cut(text: str, width: int) -> str:
    """Return a text that fits, on one line; an ellipsis stands for the rest."""
    text = " ".join(text.split())
    if cells(text) <= width:
        return text
    return beginning(text, max(1, width - 1)).rstrip() + "…"
