"""The log: events one a line, what is in it, whether it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agentsquad.surfaces.cli.cell import cut, inline, short_ids, when
from agentsquad.surfaces.cli.layout import Column, Page
from agentsquad.surfaces.cli.measure import cells
from agentsquad.surfaces.cli.views.readings import tables

# What of a payload says most about an event, in this order.
WHAT_MIN = 12
SEQ_MIN = len("seq")
HASH = re.compile(r"([0-9a-z]{6})[0-9a-z]{12,}")
TELLING = ("workflow", "name", "action", "position", "reason", "approver", "kind", "scope")


def events(plain: Any, page: Page) -> None:
    """Lay out events, one a line."""
    items = plain["items"]
    if not items:
        page.line("no such events")
        return
    if plain.get("whole"):
        _whole(items[0], page)
        return
    short = _short_streams([item["stream"] for item in items])
    rows = [
        [str(item["seq"]), when(item["at"]), short[item["stream"]], item["type"]] for item in items
    ]
    room = _room(page, rows, 4)
    if room < WHAT_MIN:
        rows = [[row[0], row[1], "", row[3]] for row in rows]
        room = max(WHAT_MIN, _room(page, rows, 4))
    page.table(
        [
            Column("seq", right=True),
            Column("time", keep=True, drop=1),
            Column("stream", keep=True, drop=2),
            Column("event", keep=True),
            Column("what", keep=True),
        ],
        [
            [*row, cut(said(item.get("payload")), room)]
            for row, item in zip(rows, items, strict=True)
        ],
    )
    page.line()
    page.line(f"{len(items)} of {plain['size']} events; --limit and --after page", "dim")


def _whole(event: Mapping[str, Any], page: Page) -> None:
    """Lay out one event with everything it says."""
    page.line(f"{event['seq']}  {event['type']}", "bold")
    page.pairs(
        [
            ("stream", f"{event['stream']}, its event {event['stream_seq']}"),
            ("time", when(event["at"])),
            ("actor", event["actor"]),
            ("cause", None if event["cause"] is None else f"event {event['cause']}"),
            ("correlation", event["correlation"]),
            ("version", str(event["version"])),
            ("digest", event["payload_digest"]),
            ("previous", event["prev"]),
        ]
    )
    page.title("payload")
    if event["payload"] is None:
        page.line("erased")
        return
    import yaml

    page.raw(
        yaml.safe_dump(event["payload"], sort_keys=False, allow_unicode=True, width=page.width)
    )


def _short_streams(streams: list[str]) -> dict[str, str]:
    """Return streams as they are told apart; where all runs are one run's
    children, without that run."""
    runs = [stream.removeprefix("run/") for stream in streams if stream.startswith("run/")]
    ids = short_ids(runs)
    one = len({run.partition("/")[0] for run in runs}) == 1
    short = {stream: HASH.sub(r"\1…", stream) for stream in streams}
    for run, shown in ids.items():
        _, slash, rest = shown.partition("/")
        short[f"run/{run}"] = f"…/{rest}" if one and slash else shown
    return short


def _room(page: Page, rows: list[list[str]], count: int) -> int:
    """Return how wide the last column may be beside the others."""
    taken = [max(cells(row[i]) for row in rows) for i in range(count)]
    return page.width - sum(max(width, SEQ_MIN) + 2 for width in taken if width)


def said(payload: Any) -> str:
    """Return what an event says, in a few words."""
    if not isinstance(payload, Mapping):
        return inline(payload)
    words = []
    for name in TELLING:
        value = payload.get(name)
        if isinstance(value, str) and value and value not in words:
            words.append(f"step {value}" if name == "position" else value)
    error = payload.get("error")
    if isinstance(error, Mapping):
        words.append(f"{error.get('code')}: {error.get('message')}")
    if not words:
        words.append(inline(payload))
    return ", ".join(words)


def stats(plain: Any, page: Page) -> None:
    """Lay out what the log holds."""
    page.pairs(
        [
            ("events", str(plain["events"])),
            ("streams", str(plain["streams"])),
            ("bytes", f"{plain['bytes']:,} ({plain['bytes_per_event']:g} an event)"),
            ("last", when(plain["last"])),
            ("root", plain["root"]),
        ]
    )
    if plain["types"]:
        page.title("by type")
        page.table(
            [Column("type", keep=True), Column("count", right=True)],
            [[name, str(count)] for name, count in plain["types"].items()],
        )


def verify(plain: Any, page: Page) -> None:
    """Say whether the log holds, and where not."""
    counts = ", ".join(f"{plain[name]} {name}" for name in ("events", "streams", "tiles", "blobs"))
    page.line("valid: every hash, chain and tile is right" if plain["valid"] else "invalid")
    page.pairs([("checked", counts), ("root", plain["root"])])
    tables(page, "findings", plain["findings"], ("seq", "what"))


def rebuilt(plain: Any, page: Page) -> None:
    """Say what was built again, or that what was kept is the same."""
    page.line(plain["verdict"], "bold")
    page.pairs([("events", str(plain["events"]))])
    if plain["tables"]:
        page.table(
            [Column("table", keep=True), Column("digest", keep=True)],
            [[name, inline(digest)] for name, digest in plain["tables"].items()],
        )


def prove(plain: Any, page: Page) -> None:
    """Lay out a proof."""
    page.pairs(
        [
            ("kind", plain["kind"]),
            ("event", plain.get("seq")),
            ("leaf", plain.get("leaf")),
            ("old size", plain.get("old_size")),
            ("old root", plain.get("old_root")),
            ("size", str(plain["size"])),
            ("root", plain["root"]),
            ("proof", f"{len(plain['proof'])} hashes"),
        ]
    )
    page.line("-o json has all of it", "dim")


def rotated(plain: Any, page: Page) -> None:
    """Say which key signs now, and which did."""
    page.line(f"the key was replaced; event {plain['event']} holds the first head by the new one")
    page.pairs(
        [
            ("log", plain["origin"]),
            ("size", str(plain["size"])),
            ("root", plain["root"]),
            ("key", plain["key"]),
            ("fingerprint", plain["fingerprint"]),
            ("replaced", plain["replaced"]),
            ("witness", plain["witness"]),
        ]
    )
    page.line("tell the new fingerprint to whoever trusted the old one", "dim")


VIEWS = {
    "log.rotate_key": rotated,
    "log.show": events,
    "log.stats": stats,
    "log.verify": verify,
    "log.prove": prove,
    "readings.rebuild": rebuilt,
}
