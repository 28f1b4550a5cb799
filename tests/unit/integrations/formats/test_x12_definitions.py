from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

ROOM = files("agentsquad.integrations.formats.x12").joinpath("definitions")
WORDS_MAX = 5


def table(name: str) -> dict[str, Any]:
    return tomllib.loads(ROOM.joinpath(name).read_text("utf-8"))


def names() -> Iterator[str]:
    """Yield everything in the tables that is language and not notation."""
    for release in table("elements.toml").values():
        for element in release.values():
            yield " ".join(w for w in element.split()[3:] if not w.startswith("codes="))
    for codes in table("codes.toml")["labels"].values():
        yield from codes.values()
    for sets in ("sets_004010.toml", "sets_005010.toml"):
        yield from (one["name"] for one in table(sets).values())


def test_the_tables_hold_names_and_no_descriptions() -> None:
    found = list(names())
    assert len(found) > 300
    assert [name for name in found if len(name.split()) > WORDS_MAX or "." in name] == []


def test_segments_and_sets_are_notation_alone() -> None:
    lines = [line for part in table("segments.toml").values() for line in part.values()]
    for sets in ("sets_004010.toml", "sets_005010.toml"):
        lines += [one["segments"] for one in table(sets).values()]
    assert [line for line in lines if re.search(r"[a-wyz]", line)] == []  # x10: ten times
