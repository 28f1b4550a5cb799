"""Drift: what moved, by how much, what it looks like, and which change is to
blame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.surfaces.cli.cell import counted, cut, digest, when
from agentsquad.surfaces.cli.layout import Column, Page

SHOWN_MAX = 12
NAME_MAX = 60
BLOCKS = " ▁▂▃▄▅▆▇█"
BAR = 12


def report(plain: Any, page: Page) -> None:
    """Lay out a comparison, the answer first."""
    page.line(plain["answer"], "bold")
    since, baseline = plain["since"], plain["baseline"]
    page.pairs(
        [
            ("baseline", _window(baseline)),
            ("since", _window(since)),
            ("looked", _looks(plain)),
            ("recorded", f"event {plain['recorded']}" if plain["recorded"] else None),
        ]
    )
    _findings(plain["findings"], page)
    _categories(plain["findings"], page)
    _changes(plain["changes"], page)
    _culprit(plain["culprit"], page)
    drifted = [one for one in plain["inputs"] if one["drifted"]]
    if drifted:
        page.title("inputs that changed")
        _table(drifted[:SHOWN_MAX], page)
    for note in [*plain["notes"], *((plain["culprit"] or {}).get("notes") or [])]:
        page.line(f"note: {note}", "dim")


def _window(window: Mapping[str, Any]) -> str:
    if not window["runs"]:
        return "no runs"
    return f"{counted(window['runs'], 'run')}, {when(window['first'])} to {when(window['last'])}"


def _looks(plain: Mapping[str, Any]) -> str:
    alpha = f"{100 * plain['alpha']:g} %"
    if plain["method"] == "once":
        return f"once, with a chance of {alpha} of a false alarm"
    sizes = [str(one["runs"]) for one in plain["looks"]]
    told = f"after {', '.join(sizes)} runs; {alpha} for all looks there will ever be"
    if plain["waiting_runs"] and not plain["alarm"]:
        told += f"; {plain['waiting_runs']} runs wait for the next look"
    return told


def _findings(findings: Sequence[Mapping[str, Any]], page: Page) -> None:
    if not findings:
        page.line("nothing to compare: all that could be is the same in every run")
        return
    drifted = [one for one in findings if one["drifted"]]
    page.title("features that moved" if drifted else "features nearest to moving")
    shown = drifted[:SHOWN_MAX] or list(findings[:5])
    _table(shown, page)
    left = len(findings) - len(shown)
    if left:
        page.line(f"{left} of {len(findings)} features not shown; -o json has every one", "dim")


def _table(findings: Sequence[Mapping[str, Any]], page: Page) -> None:
    page.table(
        [
            Column("feature"),
            Column("old", right=True),
            Column("new", right=True),
            Column("difference, 95 %", right=True),
            Column("p", right=True),
            Column("old → new", keep=True, drop=1),
        ],
        [
            [
                _name(one),
                _amount(one, one["old"]),
                _amount(one, one["new"]),
                f"{_amount(one, one['low'], True)} to {_amount(one, one['high'], True)}",
                _p(one["corrected"]),
                _picture(one),
            ]
            for one in findings
        ],
    )


def _name(one: Mapping[str, Any]) -> str:
    category = f" = {one['category']}" if one["category"] is not None else ""
    return cut(f"{one['kind']}: {one['name']}{category}", NAME_MAX)


def _amount(one: Mapping[str, Any], value: float, signed: bool = False) -> str:
    if one["category"] is not None:
        points = 100 * value
        return f"{points:+.0f}" if signed else f"{points:.0f} %"
    micros = one["name"].endswith(".micros") or (
        len(one["name"]) >= 3 and one["name"][-3:].isupper() and one["name"][-4:-3] in ("", ".")
    )
    number = value / 1e6 if micros else value
    text = (
        f"{number:,.2f}" if micros else f"{number:,.0f}" if abs(number) >= 1000 else _short(number)
    )
    return f"+{text}" if signed and number > 0 else text


def _short(number: float) -> str:
    return f"{number:.3g}" if abs(number) >= 0.001 else "0"


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _picture(one: Mapping[str, Any]) -> str:
    """Return both distributions as eight bars each; of words, both shares."""
    if one["category"] is not None:
        return f"{_bar(one['old'])} → {_bar(one['new'])}"
    bins = one["bins"]
    return f"{_spark([a for a, _ in bins])} → {_spark([b for _, b in bins])}"


def _bar(share: float) -> str:
    filled = round(share * 8)
    return "█" * filled + "·" * (8 - filled)


def _spark(counts: Sequence[int]) -> str:
    paired = [sum(counts[i : i + 2]) for i in range(0, len(counts), 2)]
    most = max(paired, default=0) or 1
    # What is there at all is never drawn as nothing.
    levels = [(count * 8 + most - 1) // most for count in paired]
    return "".join(BLOCKS[level] if level else "·" for level in levels)


def _categories(findings: Sequence[Mapping[str, Any]], page: Page) -> None:
    """Show all categories of the first feature that moved and has some."""
    first = next((one for one in findings if one["drifted"] and one["categories"]), None)
    if first is None or len(first["categories"]) < 3:
        return
    page.title(f"{first['kind']}: {first['name']}")
    rows = sorted(first["categories"].items(), key=lambda row: -sum(row[1]))
    page.table(
        [
            Column("value"),
            Column("old", right=True),
            Column("new", right=True),
            Column("", keep=True),
        ],
        [
            [
                cut(name, NAME_MAX),
                f"{100 * old / first['old_count']:.0f} %",
                f"{100 * new / first['new_count']:.0f} %",
                f"{_bar(old / first['old_count'])} → {_bar(new / first['new_count'])}",
            ]
            for name, (old, new) in rows[:SHOWN_MAX]
        ],
    )


def _changes(changes: Sequence[Mapping[str, Any]], page: Page) -> None:
    if not changes:
        return
    page.title("versions that changed")
    page.table(
        [Column(name, keep=name in ("factor", "first run")) for name in
         ("factor", "of", "old", "new", "first run")],
        [
            [one["factor"], one["of"], digest(one["old"]), digest(one["new"]), when(one["first"])]
            for one in changes
        ],
    )  # fmt: skip


def _culprit(culprit: Mapping[str, Any] | None, page: Page) -> None:
    if culprit is None:
        return
    page.title(f"{counted(culprit['sample'], 'old run')} driven again")
    page.pairs(
        [
            ("verdict", culprit["verdict"]),
            ("measured", culprit["feature"].replace("/", ": ", 1)),
            ("unchanged", f"{culprit['control']} came out as recorded when nothing was swapped"),
            ("left out", counted(culprit["skipped"], "run") if culprit["skipped"] else None),
        ]
    )
    if not culprit["shares"]:
        return
    page.table(
        [
            Column("swapped", keep=True),
            Column("share", right=True),
            Column("95 %", right=True),
            Column("stand-ins", right=True, drop=1),
            Column("version changed", keep=True, drop=2),
        ],
        [
            [
                one["factor"],
                f"{_whole(one['share'])} %",
                f"{_whole(one['low'])} to {_whole(one['high'])}",
                str(one["stand_ins"] or ""),
                "yes" if one["changed"] else "no",
            ]
            for one in culprit["shares"]
        ],
    )


def _whole(share: float) -> int:
    return round(100 * share)


def pinned(plain: Any, page: Page) -> None:
    """Say what was pinned."""
    page.line(f"pinned: {plain['workflow']}, {counted(plain['baseline']['runs'], 'run')}", "bold")
    page.pairs(
        [
            ("runs", f"{when(plain['baseline']['first'])} to {when(plain['baseline']['last'])}"),
            ("digest", plain["baseline"]["digest"]),
            (
                "policy",
                f"{digest(plain['policy'])}, {'kept' if plain['keeps_policy'] else 'not kept'}",
            ),
            ("event", str(plain["event"])),
        ]
    )


VIEWS = {"drift.show": report, "drift.baseline": pinned}
