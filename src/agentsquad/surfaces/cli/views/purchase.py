"""Purchase to pay: what the demo came to, and what a run over own files did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.surfaces.cli.cell import cut, inline, purse, spaced
from agentsquad.surfaces.cli.layout import Column, Page
from agentsquad.surfaces.cli.views.asked import waiting

RESULT = {"cases", "loose", "outcomes", "exceptions", "paid", "held"}
BECAUSE_MAX = 120
DOCUMENT_MAX = 24


def is_result(output: Any) -> bool:
    """Whether a run's output is what purchase to pay comes to."""
    return isinstance(output, Mapping) and set(output) >= RESULT


def result(output: Mapping[str, Any], page: Page, head: Sequence[tuple[str, Any]] = ()) -> None:
    """Lay out what a folder came to: the totals under what stands at the head,
    then every exception and every document that belongs to no order."""
    page.pairs(
        [
            *head,
            ("folder", output["folder"]),
            ("files", f"{output['files']}, {output['acknowledgements']} acknowledged"),
            ("orders", f"{output['orders']} ({output['matched']} matched)"),
            ("outcomes", _counts(output["outcomes"])),
        ]
    )
    _money(output, page)
    found = [one for case in output["cases"] for one in case.get("exceptions") or ()]
    _exceptions("exceptions", found, page)
    _exceptions("documents that belong to no order", output["loose"], page)
    if output["skipped"]:
        page.title("files left out")
        page.table(
            [Column("file", keep=True), Column("because")],
            [[name, why] for name, why in output["skipped"].items()],
        )


def _exceptions(title: str, found: Sequence[Mapping[str, Any]], page: Page) -> None:
    if not found:
        return
    page.title(title)
    page.table(
        [
            Column("order", keep=True),
            Column("document", keep=True),
            Column("line", keep=True, drop=2),
            Column("kind", keep=True),
            Column("then", keep=True, drop=1),
            Column("because"),
        ],
        [
            [
                one.get("po", ""),
                _short(one.get("document", "")),
                one.get("line", ""),
                spaced(one["kind"]),
                spaced(one["disposition"]),
                cut(one["because"], BECAUSE_MAX),
            ]
            for one in found
        ],
    )


def _short(document: str) -> str:
    """Return a document by the end of its file's name, which tells more."""
    name = document.partition(" ISA ")[0]
    return name if len(name) <= DOCUMENT_MAX else "…" + name[1 - DOCUMENT_MAX :]


def demo(plain: Any, page: Page) -> None:
    """Lay out what came of the demo."""
    waits = plain["status"] == "waiting"
    page.title("purchase to pay")
    page.pairs(
        [
            (
                "orders",
                f"{plain['orders']}{' so far' if waits else ''} ({plain['matched']} matched)",
            ),
            ("runs", str(plain["runs"])),
            ("outcomes", _counts(plain["outcomes"])),
            ("approvals", f"{plain['approvals']}{' by rule' if plain['auto'] else ''}"),
        ]
    )
    if plain["exceptions"]:
        page.title("exceptions")
        page.table(
            [Column("kind", keep=True), Column("count", right=True)],
            [[spaced(kind), str(n)] for kind, n in sorted(plain["exceptions"].items())],
        )
    _money(plain, page)
    page.title("how it was done")
    head = plain["head"] if isinstance(plain["head"], Mapping) else {}
    page.pairs(
        [
            ("models", ", ".join(plain["models"]) or "none: agents answered by rule"),
            ("cost", purse(plain["cost"])),
            ("events", str(plain["events"])),
            ("log", f"{head['size']} events" if "size" in head else ""),
            ("root", head.get("root")),
            ("ground truth", plain["ground_truth"]),
        ]
    )
    _differences(plain["differences"], page)
    if waits:
        waiting(plain["left"], page)
        page.line("squad demo asks again and goes on", "dim")
        return
    page.line()
    page.line(f"look closer: squad runs show {plain['run']}   squad log stats   squad cost", "dim")


def _differences(differences: Sequence[Mapping[str, Any]], page: Page) -> None:
    """Lay out where a result is not the known one; of counts and sums only
    those that differ."""
    if not differences:
        return
    page.title("differences from the known answer")
    rows = [
        [spaced(what), inline(expected) or "–", inline(came) or "–"]
        for one in differences
        for what, expected, came in _parts(one)
    ]
    page.table([Column("what", keep=True), Column("expected"), Column("came")], rows)


def _parts(difference: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return a difference; one between counts or sums by the parts that
    differ."""
    field = str(difference.get("field", ""))
    expected, came = difference.get("expected"), difference.get("came")
    if not (isinstance(expected, Mapping) and isinstance(came, Mapping)):
        return [(field, expected, came)]
    return [
        (f"{field} {part}", expected.get(part), came.get(part))
        for part in dict.fromkeys([*expected, *came])
        if expected.get(part) != came.get(part)
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {spaced(name)}" for name, count in counts.items())


def _money(plain: Any, page: Page) -> None:
    currencies = sorted({*plain["paid"], *plain["held"]})
    if not currencies:
        return
    page.title("money")
    page.table(
        [Column("currency", keep=True), Column("paid", right=True), Column("held", right=True)],
        [[c, plain["paid"].get(c, "0.00"), plain["held"].get(c, "0.00")] for c in currencies],
    )


VIEWS = {"demo.run": demo}
