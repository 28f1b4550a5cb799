"""Replay, fork and proof: what a run would say again, or otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.surfaces.cli.cell import cut, digest, inline, spaced, tail
from agentsquad.surfaces.cli.layout import Column, Page

SHOWN_MAX = 200


def replay(plain: Any, page: Page) -> None:
    """Say whether a run replays, and where not."""
    verdict = spaced(plain["verdict"])
    event = f" at event {plain['event']}" if plain["event"] is not None else ""
    field = f", field {plain['field']}" if plain["field"] else ""
    page.line(f"{verdict}{event}{field}", "bold")
    page.pairs(
        [
            ("run", plain["run"]),
            ("events", f"{plain['events']}, {plain['recomputed']} steps computed again"),
            ("step", plain["position"]),
            ("was", cut(inline(plain["was"], 2), SHOWN_MAX)),
            ("now", cut(inline(plain["now"], 2), SHOWN_MAX)),
            ("reason", plain["reason"]),
            ("definition", _definitions(plain)),
        ]
    )
    children = plain["children"]
    worse = [child for child in children if child["verdict"] not in ("identical", "compatible")]
    if children:
        counts = Counter(spaced(child["verdict"]) for child in children)
        said = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        page.line(f"child runs: {said}")
    tables(
        page,
        "child runs that differ",
        [{**child, "child": "/" + "/".join(tail(child["run"]))} for child in worse],
        ("child", "verdict", "event", "field"),
    )


def _definitions(plain: Mapping[str, Any]) -> str:
    then, now = digest(plain["recorded_definition"]), digest(plain["definition"])
    return now if then == now or not then else f"{then} then, {now} now"


def fork(plain: Any, page: Page) -> None:
    """Lay out what would have been: outcome, money, decisions, effects."""
    moved = any(set(row.get("difference", "0")) - set("0.") for row in plain["money"].values())
    other = plain["output_changed"] or moved or plain["status"] != plain["was_status"]
    page.line("it would come out otherwise" if other else "it would come out the same", "bold")
    page.pairs(
        [
            ("run", plain["run"]),
            ("changed", "\n".join(f"{c['path']} = {inline(c['value'])}" for c in plain["changes"])),
            ("status", _was_now(plain["was_status"], plain["status"])),
            ("steps", f"{plain['reused']} reused, {plain['rerun']} done again"),
            ("error", cut(inline(plain["error"]), SHOWN_MAX)),
        ]
    )
    _money(plain["money"], page)
    _differences(page, "decisions", plain["decisions"])
    _differences(page, "effects that were held back", plain["suppressed"])
    _differences(page, "steps that differ", plain["differences"])
    if plain["output_changed"]:
        _outputs(plain["was_output"], plain["output"], page)


def _was_now(was: Any, now: Any) -> str:
    return str(now) if was == now else f"{was} → {now}"


def _money(money: Mapping[str, Mapping[str, str]], page: Page) -> None:
    if not any(money.values()):
        return
    page.title("money")
    names = list(dict.fromkeys(name for row in money.values() for name in row))
    page.table(
        [Column("", keep=True), *(Column(spaced(name), right=True) for name in names)],
        [[spaced(what), *(row.get(name, "") for name in names)] for what, row in money.items()],
    )


def _differences(page: Page, title: str, items: Sequence[Mapping[str, Any]]) -> None:
    shown = [
        {
            "step": "/".join([*tail(one["run"]), one["position"]]),
            "name": one["name"],
            "what": " ".join(filter(None, (one["what"], one["field"]))),
            "was": cut(inline(one["was"]), 60),
            "now": cut(inline(one["now"]), 60),
        }
        for one in items
    ]
    tables(page, title, shown, ("step", "name", "what", "was", "now"))


def _outputs(was: Any, now: Any, page: Page) -> None:
    if not isinstance(was, Mapping) or not isinstance(now, Mapping):
        page.title("output")
        page.pairs([("was", inline(was, 2)), ("now", inline(now, 2))])
        return
    changed = [
        {"output": spaced(name), "was": cut(inline(was.get(name)), 80),
         "now": cut(inline(now.get(name)), 80)}
        for name in dict.fromkeys([*was, *now])
        if was.get(name) != now.get(name)
    ]  # fmt: skip
    tables(page, "output", changed, ("output", "was", "now"))


def tables(
    page: Page, title: str, items: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> None:
    """Add a titled table of some fields, unless there is nothing."""
    if not items:
        return
    page.title(title)
    page.table(
        [
            Column(spaced(name), keep=index == 0, right=isinstance(items[0].get(name), int))
            for index, name in enumerate(names)
        ],
        [[inline(item.get(name)) for name in names] for item in items],
    )


def proved(plain: Any, page: Page) -> None:
    """Say what was written and how anybody checks it."""
    page.line(f"wrote {plain['out']} ({plain['out_size']:,} bytes)", "bold")
    page.pairs(
        [
            ("events", f"{plain['events']} of {plain['size']}, {plain['blobs']} files"),
            ("disclosed", f"{plain['disclosed']} sealed values"),
            ("digest", plain["digest"]),
            ("root", plain["root"]),
            ("key", plain["fingerprint"]),
            ("check it", plain["verify"]),
        ]
    )


def why(plain: Any, page: Page) -> None:
    """Lay out an answer, what it rests on, and what would flip it."""
    page.line(plain["answer"], "bold")
    if plain["run"].startswith("breaker/"):
        page.pairs([("now", plain["verdict"])])
    else:
        page.pairs(
            [
                ("run", plain["run"]),
                ("document", plain["document"]),
                ("verdict", plain["verdict"]),
                ("checked", f"by driving it again {plain['checked']} times"),
            ]
        )
    tables(page, "because", plain["causes"], ("event", "position", "name", "because", "shown_by"))
    tables(
        page,
        "by hand",
        plain["by_hand"],
        ("event", "run", "step", "means", "by", "approver", "reason"),
    )
    flips = [one for one in (plain["flip"], *plain["others"]) if one]
    shown = [
        {
            "change": one["path"],
            "was": cut(inline(one["was"]), 40),
            "needed": cut(inline(one["needed"]), 40),
            "then": one["then"],
        }
        for one in flips
    ]
    tables(page, "smallest changes that flip it", shown, ("change", "was", "needed", "then"))
    if plain["exhausted"]:
        page.line("not everything could be tried", "dim")


VIEWS = {
    "runs.replay": replay,
    "runs.fork": fork,
    "attest.prove": proved,
    "explain.why": why,
}
