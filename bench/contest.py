"""Contests: several contestants do one job in turns, and what came of it is
told as JSON or as a table.

Shared by the scripts that others call (`park.py`, `fanout.py`, `recover.py`):
each contestant runs in a process of its own, the order is turned round every
other round, and the middle of the rounds is told with its range. Ratios are
those within a round, since figures of different minutes cannot be compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

import peers

RIVALS = ("restate", "langgraph", "dbos")
DURABILITY = {
    "ours": "SQLite WAL, synchronous FULL: what is acknowledged was synced",
    "restate": "RocksDB log with WAL sync; commits are grouped",
    "langgraph": "SQLite WAL, synchronous FULL, durability='sync'",
    "dbos": "SQLite as it comes (rollback journal, synchronous FULL)",
}
# What the peers' cells call the figures of ours.
NAMES = {
    "starts_s": "starts_per_s",
    "kb_each": "rss_kb_each",
    "waking_s": "wake_s",
    "done_s": "woken_per_s",
}
Words = Callable[[str], tuple[str, str, Sequence[object]]]  # script, interpreter, arguments


def arguments(about: str | None, size: str, default: int) -> argparse.ArgumentParser:
    """Return the options that every contest has."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument(size, dest="size", type=int, default=default)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--with", dest="rivals", default=None, metavar="restate,langgraph,dbos")
    parser.add_argument("-o", dest="output", choices=("text", "json"), default="text")
    return parser


def rivals_of(parser: argparse.ArgumentParser, options: argparse.Namespace) -> list[str]:
    """Return who is asked for: those named, else those that are installed."""
    there = [name for name in RIVALS if peers.interpreter(name)]
    if options.size < 1 or options.rounds < 1:
        parser.error("the size and --rounds must be above zero")
    if options.rivals is None:
        return there
    named = [name for name in options.rivals.split(",") if name]
    for name in named:
        if name not in RIVALS:
            parser.error(f"--with {name}: expected some of {', '.join(RIVALS)}")
        if name not in there:
            parser.error(f"{name} is not installed: python bench/peers.py install")
    return named


def hold(names: list[str], words: Words, rounds: int, limit_s: int) -> dict[str, Any]:
    """Let everybody do the job in turns and return what came of it."""
    lines: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    conditions = []
    for number in range(rounds):
        conditions.append(peers.conditions())
        for name in names if number % 2 == 0 else names[::-1]:
            script, python, args = words(name)
            line = peers.measured(script, python, *args, timeout_s=limit_s)
            line.pop("process_s", None)
            line = {NAMES.get(figure, figure): value for figure, value in line.items()}
            print(json.dumps({name: line}), file=sys.stderr, flush=True)
            lines[name].append(line)
    found: dict[str, Any] = {name: _middle(name, told) for name, told in lines.items()}
    found["conditions"] = {
        name: [one[name] for one in conditions] for name in ("cpu_share", "sync_ms")
    }
    found["ratios"] = {
        name: _ratios(lines["ours"], lines[name]) for name in names if name != "ours"
    }
    return found


def _middle(name: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    told = [line for line in lines if "failed" not in line]
    if not told:
        return {"failed": lines[-1]["failed"], "durability": DURABILITY[name]}
    found: dict[str, Any] = {}
    for figure in told[0]:
        values = [line[figure] for line in told if figure in line]
        found[figure] = round(statistics.median(values), 4)
        if len(values) > 1:
            found[f"{figure}_range"] = [round(min(values), 4), round(max(values), 4)]
    return {**found, "rounds": len(told), "durability": DURABILITY[name]}


def _ratios(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, float]:
    """Return ours by theirs, the middle of the rounds, figure by figure."""
    found: dict[str, float] = {}
    for figure in ours[0]:
        pairs = [
            a[figure] / b[figure]
            for a, b in zip(ours, theirs, strict=True)
            if figure in a and b.get(figure)
        ]
        if pairs:
            found[figure] = round(statistics.median(pairs), 4)
    return found


def tell(found: dict[str, Any], output: str) -> None:
    """Print what came of it."""
    if output == "json":
        print(json.dumps(found))
        return
    for name, one in found.items():
        if not isinstance(one, dict):
            continue
        print(name)
        for figure, value in one.items():
            shown = f"{value:,.4g}" if isinstance(value, (int, float)) else value
            print(f"    {figure:<22}{shown}")
