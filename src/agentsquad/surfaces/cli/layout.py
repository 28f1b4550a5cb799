"""Layout: pages of lines, pairs and tables that fit the width there is.

A table drops columns that may be dropped before it breaks words, and never
breaks a cell of a `keep` column: what cannot fit becomes a list of cards.
Colour only where the output is a terminal and NO_COLOR is not set.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_ELSEWHERE = 100  # of a file or a pipe
GAP = 2
NARROWEST = 18
ROWS_MAX = 60

GOOD = ("completed", "done", "confirmed", "approved", "ready", "valid", "matches", "identical",
        "yes", "ok", "pass", "allow")  # fmt: skip
BAD = ("failed", "diverged", "refused", "denied", "differs", "invalid", "ambiguous", "no",
       "not_replayable", "fail", "deny")  # fmt: skip
OPEN = ("running", "waiting", "asked", "waits", "sent", "planned", "compatible", "pinned")


class Column:
    """One column: `keep` cells are never broken, `right` are numbers; with
    `drop` it leaves, highest first, when the page is narrow."""

    def __init__(
        self, name: str, *, keep: bool = False, right: bool = False, drop: int = 0
    ) -> None:
        self.name = name
        self.keep = keep or right
        self.right = right
        self.drop = drop


class Page:
    """What will be printed."""

    def __init__(self) -> None:
        self._parts: list[Any] = []
        self.width = shutil.get_terminal_size((WIDTH_ELSEWHERE, 24)).columns

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        return Console(highlight=False, markup=False, emoji=False, width=self.width)

    def text(self) -> str:
        """Return everything as it is printed."""
        with self._console.capture() as capture:
            for part, options in self._parts:
                self._console.print(part, **options)
        lines = capture.get().splitlines()
        if not self._console.is_terminal:
            lines = [line.rstrip() for line in lines]
        return "".join(f"{line}\n" for line in lines)

    def take(self, other: Page) -> None:
        """Add everything another page has."""
        self._parts += other._parts

    def raw(self, text: str) -> None:
        """Add text exactly as it is."""
        self._parts.append((text.rstrip("\n"), {"soft_wrap": True}))

    def line(self, text: str = "", style: str = "") -> None:
        """Add a line, broken between words where it is too long."""
        self._parts.append((_styled(text, style), {}))

    def title(self, text: str) -> None:
        """Add a heading with a blank line above, unless it is the first."""
        if self._parts:
            self.line()
        self.line(text, "bold")

    def pairs(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Add names and values; what is empty is left out, and no word is
        broken."""
        shown = [(name, str(value)) for name, value in pairs if value not in (None, "")]
        indent = max((len(name) for name, _ in shown), default=0) + GAP
        for name, value in shown:
            lines = _wrapped(value, max(NARROWEST, self.width - indent))
            if any(len(line) > self.width - indent for line in lines):
                self._parts.append((_styled(name, "dim"), {}))
                self._parts += [(_styled(f"  {line}", ""), {"soft_wrap": True}) for line in lines]
                continue
            for index, line in enumerate(lines):
                head = name.ljust(indent) if index == 0 else " " * indent
                self._parts.append((_joined(_styled(head, "dim"), coloured(line)), {}))

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """Add a table; columns that are empty in every row are left out."""
        shown = [i for i in range(len(columns)) if any(row[i] for row in rows)]
        shown = self._fitting(columns, rows, shown)
        if not shown:
            return
        if self._least(columns, rows, shown) > self.width:
            self._cards([columns[i].name for i in shown], [[r[i] for i in shown] for r in rows])
            return
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
        for i in shown:
            table.add_column(
                columns[i].name,
                justify="right" if columns[i].right else "left",
                no_wrap=columns[i].keep,
                overflow="fold",
                min_width=_widest(columns, rows, i) if columns[i].keep else None,
            )
        for row in clipped(rows):
            table.add_row(*(coloured(row[i]) for i in shown))
        self._parts.append((table, {}))
        if len(rows) > ROWS_MAX:
            self.line(f"{len(rows)} in all; -o json has every one", "dim")

    def _fitting(
        self, columns: Sequence[Column], rows: Sequence[Sequence[str]], shown: list[int]
    ) -> list[int]:
        """Return the columns that fit, the most dispensable left out."""
        while self._least(columns, rows, shown) > self.width:
            dispensable = [i for i in shown if columns[i].drop]
            if not dispensable:
                break
            shown.remove(max(dispensable, key=lambda i: columns[i].drop))
        return shown

    def _least(
        self, columns: Sequence[Column], rows: Sequence[Sequence[str]], shown: list[int]
    ) -> int:
        widths = [
            width if columns[i].keep else min(width, NARROWEST)
            for i in shown
            for width in [_widest(columns, rows, i)]
        ]
        return sum(widths) + GAP * (len(shown) - 1)

    def _cards(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        for index, row in enumerate(clipped(rows)):
            if index:
                self.line()
            self.pairs(zip(names, row, strict=True))


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return [
        line
        for part in text.split("\n")
        for line in textwrap.wrap(part, width, break_long_words=False, break_on_hyphens=False)
        or [""]
    ]


def _joined(*texts: Any) -> Any:
    from rich.text import Text

    return Text.assemble(*texts, overflow="fold")


def clipped(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Return the first and last rows of a long list, the gap marked."""
    if len(rows) <= ROWS_MAX:
        return list(rows)
    gap = ["…"] + [""] * (len(rows[0]) - 1)
    return [*rows[: ROWS_MAX - 10], gap, *rows[-9:]]


def _widest(columns: Sequence[Column], rows: Sequence[Sequence[str]], i: int) -> int:
    from rich.cells import cell_len

    return max([cell_len(columns[i].name), *(cell_len(row[i]) for row in rows)])


def coloured(text: str) -> Any:
    """Return a cell; a word that says how something stands has a colour."""
    word = text.partition(" ")[0].rstrip(",:")
    style = "green" if word in GOOD else "red" if word in BAD else "yellow" if word in OPEN else ""
    return _styled(text, style)


def _styled(text: str, style: str) -> Any:
    from rich.text import Text

    return Text(text, style=style, overflow="fold")
