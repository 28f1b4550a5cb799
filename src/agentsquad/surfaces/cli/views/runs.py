"""Runs, their steps, and the questions that wait for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agentsquad.surfaces.cli.cell import (
    amount,
    cut,
    inline,
    is_money,
    purse,
    short_ids,
    spaced,
    tail,
    took,
    when,
)
from agentsquad.surfaces.cli.layout import Column, Page
from agentsquad.surfaces.cli.views import asked, messages, purchase

INLINE_MAX = 400
FOLD_MIN = 4
ANSWERED = ("approval", "intervention")  # with yes or no
STANDS = {"incident": "stands still", "signal": "does not come"}


def listing(plain: Any, page: Page) -> None:
    """Lay out a list of runs."""
    items = plain["items"]
    if not items:
        page.line("no runs to show; squad demo starts some")
        return
    short = short_ids(item["id"] for item in items)
    page.table(
        [
            Column("run", keep=True),
            Column("workflow", keep=True),
            Column("status", keep=True),
            Column("started", keep=True, drop=1),
            Column("took", right=True, drop=2),
            Column("cost", right=True, drop=3),
        ],
        [
            [
                short[item["id"]],
                item["workflow"],
                item["status"],
                when(item["started"]),
                took(_between(item["started"], item["ended"])),
                purse(item["cost"]),
            ]
            for item in items
        ],
    )
    if plain.get("next"):
        page.line(f"squad runs list --cursor {plain['next']} goes on", "dim")


def _between(started: str | None, ended: str | None) -> float | None:
    if not started or not ended:
        return None
    try:
        begin, end = (datetime.fromisoformat(one.partition("/")[0]) for one in (started, ended))
    except ValueError:
        return None
    return (end - begin).total_seconds() * 1000


def show(plain: Any, page: Page) -> None:
    """Lay out one run: what it is, its steps in order, its children."""
    duration = took(_between(plain["started"], plain["ended"]))
    workflow, given = plain["workflow"], plain["input"]
    if isinstance(given, Mapping) and {"name", "spec", "digest", "input"} <= set(given):
        workflow, given = f"{given['name']} (a manifest)", given["input"]
    page.pairs(
        [
            ("run", plain["id"]),
            ("workflow", workflow),
            ("status", plain["status"]),
            ("started", when(plain["started"])),
            ("ended", f"{when(plain['ended'])} ({duration})" if plain["ended"] else ""),
            ("cost", purse(plain["cost"])),
            ("input", cut(inline(given), INLINE_MAX)),
            ("output", cut(inline(plain["output"]), INLINE_MAX)),
            ("error", error_line(plain["error"])),
        ]
    )
    if plain["steps"]:
        page.title("steps")
        if plain.get("earlier"):
            page.line(f"{plain['earlier']} events before these are not shown; --limit", "dim")
        _steps(plain, page)
    if plain.get("at_work"):
        messages.at_work(plain["at_work"], page)
    if plain.get("chain"):
        page.line()
        page.line(f"one of {len(plain['chain'])} runs in a row, the last is {plain['chain'][-1]}")
    if plain["children"]:
        page.line()
        page.line(f"{len(plain['children'])} child runs; squad runs show {plain['children'][0]}")


def _steps(plain: Any, page: Page) -> None:
    steps = _folded(sorted(plain["steps"], key=lambda step: _place(step["position"])))
    page.table(
        [
            Column("step", keep=True),
            Column("what"),
            Column("status", keep=True),
            Column("took", right=True, drop=1),
            Column("uses", drop=2),
            Column("cost", right=True, drop=3),
            Column("child run", drop=4),
        ],
        [
            [
                step["position"],
                step["name"],
                step["status"],
                took(step["ms"]),
                step["uses"] or "",
                purse(step["cost"]),
                "/" + "/".join(tail(step["child"])[-1:]) if step["child"] else "",
            ]
            for step in steps
        ],
    )


def _folded(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return steps with those that a map did alike as one line: how many, and
    how long the longest took."""
    folded: list[list[dict[str, Any]]] = []
    for step in steps:
        if folded and _alike(folded[-1][0], step):
            folded[-1].append(step)
        else:
            folded.append([step])
    lines = []
    for group in folded:
        if len(group) < FOLD_MIN:
            lines += group
            continue
        longest = max((step["ms"] or 0 for step in group), default=0)
        head = group[0]["position"].partition(".")[0]
        name = f"{group[0]['name']} × {len(group)}"
        lines.append({**group[0], "position": f"{head}.…", "name": name, "ms": longest})
    return lines


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    fields = ("name", "status", "uses", "cost")
    return (
        not one["child"]
        and not other["child"]
        and "." in one["position"]
        and one["position"].partition(".")[0] == other["position"].partition(".")[0]
        and all(one[field] == other[field] for field in fields)
    )


def _place(position: str) -> list[tuple[int, int, str]]:
    """Return what a step's position sorts by: 2.10.1 after 2.9.1."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"[./]", position)
    ]


def error_line(error: Mapping[str, Any] | None) -> str:
    """Return a recorded error in words."""
    if not error:
        return ""
    text = f"{error.get('message', '')}  [{error.get('code', '')}]"
    return f"{text}\nhint: {error['hint']}" if error.get("hint") else text


def outcome(plain: Any, page: Page) -> None:
    """Lay out how one run stands, and what it came to."""
    output = plain.get("output")
    head = [
        ("run", plain["run"]),
        ("status", plain["status"]),
        ("error", error_line(plain.get("error"))),
    ]
    if purchase.is_result(output):
        purchase.result(output, page, head)
        page.line()
    else:
        page.pairs([*head, *_output(output)])
    if plain.get("questions"):
        asked.waiting(plain["questions"], page)
        page.line("squad resume continues the run once they are answered", "dim")
    elif plain["status"] in ("running", "waiting", "incident"):
        page.line("squad inbox shows what waits for a person; squad resume continues", "dim")
    else:
        page.line(f"squad runs show {plain['run']}", "dim")


def _output(output: Any) -> list[tuple[str, str]]:
    if isinstance(output, Mapping):
        return [(spaced(name), cut(inline(value), INLINE_MAX)) for name, value in output.items()]
    return [("output", cut(inline(output), INLINE_MAX))]


def outcomes(plain: Any, page: Page) -> None:
    """Lay out how several runs stand."""
    if not plain["items"]:
        page.line("no runs were open")
        return
    short = short_ids(item["run"] for item in plain["items"])
    page.table(
        [Column("run", keep=True), Column("status", keep=True), Column("error")],
        [
            [short[item["run"]], item["status"], error_line(item["error"]).partition("\n")[0]]
            for item in plain["items"]
        ],
    )
    if plain.get("questions"):
        asked.waiting(plain["questions"], page)
        page.line("squad resume continues the runs once they are answered", "dim")


def inbox(plain: Any, page: Page) -> None:
    """Lay out the questions that wait: what, how much, why, who may answer, on
    what evidence, and how."""
    items = plain["items"]
    if not items:
        page.line("no questions wait for a person")
        return
    for index, item in enumerate(items):
        if index:
            page.line()
        _question(item, page)
    first = next((item for item in items if item.get("kind", "approval") in ANSWERED), None)
    if first is not None:
        page.line()
        page.line(
            f"squad approve {first['id']} --reason '…' --as WHO    or: squad reject …", "bold"
        )


def talked(plain: Any, page: Page) -> None:
    """Lay out a question about which somebody has said something."""
    _question(plain, page)


def _question(item: Mapping[str, Any], page: Page) -> None:
    kind = item.get("kind", "approval")
    if kind in STANDS:
        _stands(item, kind, page)
        return
    asked = item["input"] if isinstance(item["input"], Mapping) else {}
    sums = [amount(value) for value in asked.values() if is_money(value)]
    payee = asked.get("payee") or asked.get("vendor")
    head = [item["id"], item["action"], *sums[:1], f"to {payee}" if payee and sums else ""]
    page.line("  ".join(word for word in head if word), "bold")
    evidence = item["evidence"] if isinstance(item["evidence"], Mapping) else {}
    page.pairs(
        [
            ("  because", item["because"]),
            ("  who may", ", ".join(item["roles"]) or "anyone but the requester"),
            ("  asked", f"{when(item['asked'])} by {item['requester']}"),
            (
                "  level",
                f"{item['level']}, since {when(item['since'])}" if item.get("level") else "",
            ),
            ("  run", f"{item['run']} step {item['position']}"),
            *(row for name, value in evidence.items() for row in _shown(name, value)),
            *_said(item),
        ]
    )


def _said(item: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was asked and said about a question, one row each."""
    return [
        (
            "  said" if index == 0 else "",
            f"{said['by']}, {when(said['at'])}: "
            f"{'to ' + said['to'] + ': ' if said.get('to') else ''}{said['text']}",
        )
        for index, said in enumerate(item.get("said") or ())
    ]


def _stands(item: Mapping[str, Any], kind: str, page: Page) -> None:
    """Lay out a step that stands still, or a signal that does not come, and
    what can be done about it."""
    run, step = item["run"], item["position"]
    page.line(f"{item['id']}  {STANDS[kind]}  {item['action']}", "bold")
    page.pairs(
        [
            ("  because", item["because"]),
            ("  who may", ", ".join(item["roles"])),
            ("  since", when(item["since"] or item["asked"])),
            ("  level", str(item["level"]) if item["level"] else ""),
            ("  input", cut(inline(item["input"]), 300) if kind == "incident" else ""),
            ("  run", f"{run} step {step}"),
        ]
    )
    if kind == "incident":
        page.line(f"  squad runs retry {run} {step} --reason '…'    or: skip, patch, fail", "bold")
    else:
        page.line(f"  squad runs signal {run} {item['action']} --payload '…'", "bold")


def _shown(name: str, value: Any) -> list[tuple[str, str]]:
    """Return a piece of evidence as rows; several objects get one each."""
    objects = isinstance(value, list) and all(isinstance(one, Mapping) for one in value)
    texts = [cut(inline(one, 1), 300) for one in (value if objects else [value])]
    return [("" if row else "  " + spaced(name), text) for row, text in enumerate(texts)]


def answered(plain: Any, page: Page) -> None:
    """Say what was answered."""
    word = "approved" if plain["approved"] else "refused"
    page.line(f"{word} {plain['item']} as {plain['approver']}")


VIEWS = {
    "runs.list": listing,
    "runs.show": show,
    "runs.start": outcome,
    "runs.cancel": outcome,
    "runs.signal": outcome,
    "runs.adopt": outcome,
    "effects.resolve": outcome,
    "runs.resume": outcomes,
    "runs.inbox": inbox,
    "approvals.approve": answered,
    "approvals.reject": answered,
    "approvals.ask": talked,
    "approvals.delegate": talked,
}
