"""Layout: pages of lines, pairs and tables that fit the width there is.

A table drops columns that may be dropped before it breaks words, and never
breaks a cell of a `keep` column: what cannot fit becomes a list of cards.
A page is laid out before anybody knows in which ink it is printed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from typing import Any

from agentsquad.kernel.visible import visible
from agentsquad.surfaces.cli.ink import Ink
from agentsquad.surfaces.cli.measure import cells, wrapped

WIDTH_ELSEWHERE = 100  # of a file or a pipe
GAP = 2
NARROWEST = 18
WORD_MAX = 30
ROWS_MAX = 60

GOOD = ("completed", "done", "confirmed", "approved", "ready", "valid", "matches", "identical",
        "yes", "ok", "pass", "allow")  # fmt: skip
BAD = ("failed", "diverged", "refused", "denied", "differs", "invalid", "ambiguous", "no",
       "not_replayable", "fail", "deny")  # fmt: skip
OPEN = ("running", "waiting", "asked", "waits", "sent", "planned", "compatible", "pinned")

Span = tuple[str, str]  # a text and its style


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
        self._lines: list[Sequence[Span] | str] = []  # a str is printed as it is
        self.width = max(1, shutil.get_terminal_size((WIDTH_ELSEWHERE, 24)).columns)

    def text(self, ink: Ink = Ink()) -> str:  # noqa: B008 - a value
        """Return everything as it is printed."""
        return "".join(_printed(line, ink) for line in self._lines)

    def take(self, other: Page) -> None:
        """Add everything another page has."""
        self._lines += other._lines

    def raw(self, text: str) -> None:
        """Add text exactly as it is; a terminal shows what would steer it."""
        self._lines.append(text if text.endswith("\n") else text + "\n")

    def line(self, text: str = "", style: str = "") -> None:
        """Add a line, broken between words where it is too long."""
        self._lines += [[(line, style)] for line in wrapped(visible(text), self.width)]

    def title(self, text: str) -> None:
        """Add a heading with a blank line above, unless it is the first."""
        if self._lines:
            self.line()
        self.line(text, "bold")

    def pairs(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Add names and values; what is empty is left out, and no word is
        broken."""
        shown = [
            (visible(name), visible(str(value))) for name, value in pairs if value not in (None, "")
        ]
        indent = max((cells(name) for name, _ in shown), default=0) + GAP
        room = self.width - indent
        for name, value in shown:
            lines = wrapped(value, max(NARROWEST, room), fold=False)
            if any(cells(line) > room for line in lines):
                self._lines.append([(name, "dim")])
                self._lines += [[(f"  {line}", "")] for line in lines]
                continue
            for index, line in enumerate(lines):
                head = _padded(name if index == 0 else "", indent)
                self._lines.append([(head, "dim"), (line, tint(line))])

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """Add a table; columns that are empty in every row are left out."""
        cleaned = [[visible(cell) for cell in row] for row in rows]
        natural = [_widest(column.name, cleaned, i) for i, column in enumerate(columns)]
        shown = [i for i in range(len(columns)) if any(row[i] for row in cleaned)]
        shown = self._fitting(columns, natural, shown)
        if not shown:
            return
        if _least(columns, natural, shown) > self.width:
            self._cards([columns[i].name for i in shown], [[r[i] for i in shown] for r in cleaned])
            return
        widths = self._widths(columns, cleaned, natural, shown)
        self._row([columns[i] for i in shown], widths, [columns[i].name for i in shown], "bold")
        for row in clipped(cleaned):
            self._row([columns[i] for i in shown], widths, [row[i] for i in shown])
        if len(rows) > ROWS_MAX:
            self.line(f"{len(rows)} in all; -o json has every one", "dim")

    def _fitting(
        self, columns: Sequence[Column], natural: Sequence[int], shown: list[int]
    ) -> list[int]:
        """Return the columns that fit, the most dispensable left out."""
        while _least(columns, natural, shown) > self.width:
            dispensable = [i for i in shown if columns[i].drop]
            if not dispensable:
                break
            shown.remove(max(dispensable, key=lambda i: columns[i].drop))
        return shown

    def _widths(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[str]],
        natural: Sequence[int],
        shown: Sequence[int],
    ) -> list[int]:
        """Return how wide each column is.

        What may be broken gets room for its longest word first, where all have
        that, and shares the rest; none takes more than it has use for.
        """
        widths = {i: natural[i] for i in shown if columns[i].keep}
        room = self.width - GAP * (len(shown) - 1) - sum(widths.values())
        loose = [i for i in shown if i not in widths]
        words = {i: _longest_word(columns[i].name, rows, i) for i in loose}
        if sum(words.values()) > room:
            words = dict.fromkeys(loose, 0)
        room -= sum(words.values())
        loose.sort(key=lambda i: natural[i] - words[i])
        for done, i in enumerate(loose):
            more = min(natural[i] - words[i], room // (len(loose) - done))
            widths[i] = words[i] + more
            room -= more
        return [widths[i] for i in shown]

    def _row(
        self,
        columns: Sequence[Column],
        widths: Sequence[int],
        row: Sequence[str],
        style: str | None = None,
    ) -> None:
        """Add a row, on as many lines as its longest cell takes."""
        broken = [wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        styles = [tint(cell) if style is None else style for cell in row]
        for number in range(max(map(len, broken))):
            spans: list[Span] = []
            for column, width, lines, tinted in zip(columns, widths, broken, styles, strict=True):
                cell = lines[number] if number < len(lines) else ""
                space = " " * (width - cells(cell))
                around = (
                    [(space, ""), (cell, tinted)] if column.right else [(cell, tinted), (space, "")]
                )
                spans += [*([(" " * GAP, "")] if spans else []), *around]
            self._lines.append(spans)

    def _cards(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        for index, row in enumerate(clipped(rows)):
            if index:
                self.line()
            self.pairs(zip(names, row, strict=True))


def _printed(line: Sequence[Span] | str, ink: Ink) -> str:
    if isinstance(line, str):
        if not ink.terminal:
            return line
        return visible(line.replace("\r\n", "\n"))
    spans = list(line)
    while spans and not spans[-1][0].strip():
        spans.pop()
    if spans:
        spans[-1] = (spans[-1][0].rstrip(), spans[-1][1])
    return "".join(ink.styled(text, style) for text, style in spans) + "\n"


def clipped(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Return the first and last rows of a long list, the gap marked."""
    if len(rows) <= ROWS_MAX:
        return list(rows)
    gap = ["…"] + [""] * (len(rows[0]) - 1)
    return [*rows[: ROWS_MAX - 10], gap, *rows[-9:]]


def _least(columns: Sequence[Column], natural: Sequence[int], shown: Sequence[int]) -> int:
    """Return the least width a table of these columns can have."""
    widths = [natural[i] if columns[i].keep else min(natural[i], NARROWEST) for i in shown]
    return sum(widths) + GAP * (len(shown) - 1)


def _widest(name: str, rows: Sequence[Sequence[str]], i: int) -> int:
    return max([cells(name), *(cells(line) for row in rows for line in row[i].split("\n"))])


def _longest_word(name: str, rows: Sequence[Sequence[str]], i: int) -> int:
    """Return the cells of the longest word of a column that should stay
    whole."""
    longest = max(cells(word) for text in (name, *(row[i] for row in rows)) for word in
                  (text.split() or [""]))  # fmt: skip
    return min(longest, WORD_MAX)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def tint(text: str) -> str:
    """Return the colour of a cell: that of a first word which says how
    something stands."""
    word = text.partition(" ")[0].rstrip(",:")
    return "green" if word in GOOD else "red" if word in BAD else "yellow" if word in OPEN else ""
