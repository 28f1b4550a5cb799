"""Wraps docstrings and comments that are longer than 80 columns.

The formatter leaves prose alone; this is its missing half, run by `make
format`. Only paragraphs with a line that is too long are touched; lists,
tables, indented examples and lines without a space are left as they are.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from pathlib import Path

WIDTH = 80
KEEP = re.compile(r"^\s*([-*+•|>]|\d+[.)]|#!|# (type|noqa|ruff|mypy)\b|>>>|```|\S+$)")


def wrap_lines(lines: list[str], prefix: str, first: str = "") -> list[str]:
    """Wrap the paragraphs of `lines` (already without prefix) that need it.

    `first` is what stands before the first line, such as opening quotes.
    """
    done: list[str] = []
    block: list[str] = []

    def flush() -> None:
        opening = first if not done else prefix
        rows = [(opening if not i else prefix) + line for i, line in enumerate(block)]
        plain = all(line and not line[0].isspace() and not KEEP.match(line) for line in block)
        if block and plain and any(len(row) > WIDTH for row in rows):
            rows = textwrap.wrap(
                " ".join(block),
                WIDTH,
                initial_indent=opening,
                subsequent_indent=prefix,
                break_long_words=False,
                break_on_hyphens=False,
            )
        done.extend(rows)
        block.clear()

    for line in lines:
        if not line:
            flush()
            done.append("")
        elif KEEP.match(line) or line[0].isspace():
            flush()
            done.append((first if not done else prefix) + line)
        else:
            block.append(line)
    flush()
    return done


def wrap_docstring(rows: list[str]) -> list[str]:
    """Return the source lines of one triple-quoted docstring, wrapped."""
    indent = rows[0][: len(rows[0]) - len(rows[0].lstrip())]
    match = re.match(r'\s*([rR]?""")(.*)$', rows[0])
    if not match or max(map(len, rows)) <= WIDTH:
        return rows
    opening, head = match.groups()
    body = [head, *(row.removeprefix(indent) for row in rows[1:])]
    last = body[-1]
    if not last.endswith('"""'):
        return rows
    body[-1] = last[:-3]
    closing_apart = len(body) > 1 and not body[-1].strip()
    if closing_apart:
        body.pop()
    wrapped = wrap_lines(body, indent, indent + opening)
    if len(wrapped) == 1 and len(wrapped[0]) + 3 <= WIDTH:
        return [wrapped[0] + '"""']
    if len(wrapped) == 1:  # the closing quotes would stand beyond the margin
        text = body[0].rsplit(" ", 1)
        wrapped = [indent + opening + text[0], indent + text[-1]]
    return [*wrapped, indent + '"""']


def docstrings(tree: ast.AST) -> list[tuple[int, int]]:
    """Return the first and last line (from 0) of every docstring."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            head = node.body[0] if node.body else None
            if (
                isinstance(head, ast.Expr)
                and isinstance(head.value, ast.Constant)
                and isinstance(head.value.value, str)
            ):
                found.append((head.lineno - 1, (head.end_lineno or head.lineno) - 1))
    return found


def strings(tree: ast.AST) -> set[int]:
    """Return every line (from 0) inside a string of several lines."""
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr):
            last = node.end_lineno or node.lineno
            if last > node.lineno:
                inside.update(range(node.lineno - 1, last))
    return inside


def wrap_comments(rows: list[str], skip: set[int]) -> list[str]:
    """Wrap blocks of whole-line comments outside of strings."""
    done: list[str] = []
    index = 0
    while index < len(rows):
        match = re.match(r"( *)# ", rows[index])
        if not match or index in skip:
            done.append(rows[index])
            index += 1
            continue
        prefix = match.group()
        block = []
        while index < len(rows) and index not in skip and rows[index].startswith(prefix):
            block.append(rows[index].removeprefix(prefix))
            index += 1
        done.extend(wrap_lines(block, prefix, prefix))
    return done


def rewrap(source: str) -> str:
    """Return the source with long docstrings and comments wrapped."""
    rows = source.split("\n")
    for first, last in sorted(docstrings(ast.parse(source)), reverse=True):
        rows[first : last + 1] = wrap_docstring(rows[first : last + 1])
    rows = wrap_comments(rows, strings(ast.parse("\n".join(rows))))
    return "\n".join(rows)


def main(arguments: list[str]) -> int:
    """Rewrite the files given, or all Python files of the project."""
    root = Path(__file__).resolve().parents[1]
    files = [Path(name) for name in arguments] or [
        file for part in ("src", "tests", "tools", "bench") for file in (root / part).rglob("*.py")
    ]
    for file in files:
        before = file.read_text(encoding="utf-8")
        after = rewrap(before)
        if after != before:
            assert ast.dump(_bare(ast.parse(after))) == ast.dump(_bare(ast.parse(before))), file
            file.write_text(after, encoding="utf-8")
    return 0


def _bare(tree: ast.Module) -> ast.Module:
    """Drop docstrings, so that two versions of a program can be compared."""
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, owners) and ast.get_docstring(node, clean=False) is not None:
            node.body[0] = ast.Pass()
    return tree


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
