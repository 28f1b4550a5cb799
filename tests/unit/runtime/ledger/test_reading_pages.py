"""Readings are read in pages, and kept up from what the process itself wrote;
both give what reading everything from the log gives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentsquad.kernel.errors import BugError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.ledger.contract import Ledger, Query
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.ledger.projection import TAIL_MAX, Projection, Table, Tables
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy


def fold(tables: Tables, event: Event) -> None:
    """Keep what is told, and what is not told at all."""
    tables.put("told", {"id": event.seq, **event.payload})


TOLD = Projection(
    "told",
    1,
    (Table("told", ("id",), ("kind", "at", "more"), (("kind", "at", "id"), ("at", "id"))),),
    fold,
    ("was.told",),
)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = open_ledger(f"sqlite:///{tmp_path}/ledger.db", ManualClock(), SeededEntropy())
    opened.readings.add(TOLD)
    yield opened
    opened.close()


def told(kind: str | None, at: Any, more: Any = None) -> NewEvent:
    return NewEvent(
        stream="t", type="was.told", payload={"kind": kind, "at": at, "more": more or {}}
    )


async def pages(ledger: Ledger, query: Query) -> list[int]:
    """Return the ids of all pages of a query."""
    found: list[int] = []
    after = query.after
    while True:
        page = await ledger.readings.select(
            "told",
            Query(
                equal=query.equal,
                order=query.order,
                after=after,
                descending=query.descending,
                limit=query.limit,
            ),
        )
        if not page:
            return found
        found += [row["id"] for row in page]
        after = tuple(page[-1][name] for name in query.order)


async def test_pages_hold_every_row_once_in_order(ledger: Ledger) -> None:
    at = [9, 10, 100, 9, 2, 10, 10, 7]
    kinds = ["a", "b", "a", "a", "b", "a", "a", None]
    await ledger.store.append([told(kind, when) for kind, when in zip(kinds, at, strict=True)])
    every = await pages(ledger, Query(order=("at", "id"), limit=3))
    assert every == [5, 8, 1, 4, 2, 6, 7, 3]
    down = await pages(ledger, Query(order=("at", "id"), descending=True, limit=1))
    assert down == every[::-1]
    only = await pages(ledger, Query(equal={"kind": "a"}, order=("at", "id"), limit=2))
    assert only == [1, 4, 6, 7, 3]
    assert await pages(ledger, Query(equal={"kind": None}, order=("at", "id"))) == [8]


async def test_rows_without_a_place_in_the_order_are_left_out(ledger: Ledger) -> None:
    await ledger.store.append([told("a", None), told("a", 1)])
    assert await pages(ledger, Query(order=("at", "id"))) == [2]


async def test_a_column_of_an_index_holds_no_structure(ledger: Ledger) -> None:
    await ledger.store.append([told("a", [1])])
    with pytest.raises(BugError):
        await ledger.readings.select("told", Query(order=("at", "id")))


async def test_what_was_appended_here_is_folded_without_reading_it_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.store.append([told("old", 0)])
    tail = ledger.readings.attend("told")
    await ledger.readings.follow("told")
    assert tail is not None
    await ledger.store.append([told("a", 1), NewEvent(stream="t", type="x.y", payload={})])
    await ledger.store.append([told("b", 2)])
    assert len(tail) == 2

    async def read(**_: Any) -> list[Event]:
        raise AssertionError("it was read again")

    with monkeypatch.context() as patch:
        patch.setattr(ledger.store, "read_sealed", read)
        assert [row["kind"] for row in await ledger.readings.rows("told")] == ["old", "a", "b"]
    assert len(tail) == 0
    await ledger.readings.check("told")


async def test_personal_values_are_folded_sealed(ledger: Ledger) -> None:
    ledger.readings.attend("told")
    await ledger.store.append([told("first", 0)])
    await ledger.readings.follow("told")
    event = told("a", 1, {"name": "Ada"})
    await ledger.store.append(
        [
            NewEvent(
                stream=event.stream,
                type=event.type,
                payload=event.payload,
                personal={"/more/name": "person:1"},
            )
        ]
    )
    await ledger.readings.follow("told")
    assert "Ada" not in str(await ledger.readings.rows("told"))
    await ledger.readings.check("told")


async def test_a_tail_that_grew_too_long_or_has_a_gap_is_read_from_the_log(
    ledger: Ledger, tmp_path: Path
) -> None:
    tail = ledger.readings.attend("told")
    assert tail is not None
    await ledger.store.append([told("a", 0)] * (TAIL_MAX + 1))
    await ledger.store.append([told("b", 1)])
    assert len(tail) == 1
    other = open_ledger(f"sqlite:///{tmp_path}/ledger.db", ManualClock(), SeededEntropy("other"))
    await other.store.append([told("c", 2)])
    other.close()
    await ledger.store.append([told("d", 3)])
    rows = await ledger.readings.rows("told")
    assert [row["kind"] for row in rows[-3:]] == ["b", "c", "d"]
    assert len(rows) == TAIL_MAX + 4
    await ledger.readings.check("told")


@pytest.mark.parametrize("look", ["rows", "select", "follow"])
async def test_damage_that_is_met_while_reading_is_mended_from_the_log(
    ledger: Ledger, tmp_path: Path, look: str
) -> None:
    await ledger.store.append([told("a", n, {"text": "x" * 500}) for n in range(300)])
    whole = await ledger.readings.rows("told")
    ledger.readings.close()
    path = tmp_path / "ledger.readings.db"
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096):  # the header and the schema stay
        data[page * 4096 + 100 : page * 4096 + 140] = b"?" * 40
    path.write_bytes(data)
    await ledger.store.append([told("b", 1000)])
    if look == "follow":
        await ledger.readings.follow("told")
    elif look == "select":
        query = Query(order=("at", "id"), descending=True, limit=1)
        assert [row["kind"] for row in await ledger.readings.select("told", query)] == ["b"]
    assert (await ledger.readings.rows("told"))[:-1] == whole
    await ledger.readings.check("told")
