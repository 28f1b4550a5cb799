"""Projections follow the log, and are the same bytes when built again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from agentsquad.kernel.errors import IntegrityError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.ledger.projection import Projection, Table, Tables
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy


@pytest.fixture(params=["memory", "sqlite"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/ledger.db"
    opened = open_ledger(url, ManualClock(), SeededEntropy())
    yield opened
    opened.close()


def run_event(run: str, type: str, **payload: object) -> NewEvent:
    return NewEvent(stream=f"run/{run}", type=type, payload=payload)


async def two_runs(ledger: Ledger) -> None:
    usage = [
        {"model": "m", "cost_micros": 1500, "currency": "USD"},
        {"model": "n", "cost_micros": 7, "currency": "EUR"},
        {"model": "unpriced", "cost_micros": None},
    ]
    await ledger.store.append(
        [
            run_event("a", "run.started", workflow="p2p"),
            run_event("a", "step.completed", position="1", usage=usage),
            run_event("b", "run.started", workflow="child", parent={"run": "a", "position": "2"}),
            run_event("b", "approval.requested", position="1"),
            run_event("a", "step.completed", position="2", usage=usage[:1]),
            run_event("a", "run.completed", output={}),
        ]
    )


async def test_a_run_of_a_manifest_is_listed_under_its_name(ledger: Ledger) -> None:
    given = {"name": "check-files", "spec": {"graph": {}}, "digest": "sha256:0", "input": {}}
    await ledger.store.append(
        [
            run_event("a", "run.started", workflow="agent-workflow", input=given),
            run_event("b", "run.started", workflow="agent-workflow", input={"name": "other"}),
            run_event("c", "run.started", workflow="p2p", input={"name": "x", "spec": {}}),
        ]
    )
    rows = await ledger.readings.rows("runs")
    assert [row["workflow"] for row in rows] == ["check-files", "agent-workflow", "p2p"]


async def test_runs_are_folded_with_status_parent_and_cost(ledger: Ledger) -> None:
    await two_runs(ledger)
    a, b = await ledger.readings.rows("runs")
    assert a["id"] == "a" and a["workflow"] == "p2p" and a["parent"] is None
    assert a["status"] == "completed" and a["ended"] >= a["started"]
    assert a["cost"] == {"USD": 3000, "EUR": 7}
    assert (b["status"], b["parent"], b["ended"], b["cost"]) == ("waiting", "a", None, {})
    await ledger.store.append([run_event("b", "approval.given", position="1")])
    assert (await ledger.readings.rows("runs"))[1]["status"] == "running"


async def test_streams_are_folded_with_their_ends(ledger: Ledger) -> None:
    await two_runs(ledger)
    a, b = await ledger.readings.rows("streams")
    assert (a["stream"], a["events"], a["first_seq"], a["last_seq"]) == ("run/a", 4, 1, 6)
    assert (b["stream"], b["events"], b["first_seq"], b["last_seq"]) == ("run/b", 2, 3, 4)


async def test_following_in_any_portions_gives_what_a_rebuild_gives(ledger: Ledger) -> None:
    for number in range(23):
        await ledger.store.append(
            [run_event(f"{number % 5}", "run.started", workflow=f"w{number}")] * (number * 7 + 1)
        )
        if number % 3 == 0:
            await ledger.readings.follow()
    followed = await ledger.readings.check()
    assert followed.events == await ledger.store.size() > 1500
    assert await ledger.readings.rebuild() == followed
    assert await ledger.readings.check() == followed
    assert set(followed.tables) == {"runs.runs", "streams.streams"}


async def test_a_rebuild_after_an_erasure_gives_the_same_bytes(ledger: Ledger) -> None:
    def fold(tables: Tables, event: Event) -> None:
        tables.put("last", {"stream": event.stream, "payload": event.payload})

    ledger.readings.add(Projection("last", 1, (Table("last", ("stream",), ("payload",)),), fold))
    await ledger.store.append(
        [NewEvent(stream="a", type="x.y", payload={"name": "Ada"}, personal={"/name": "person:1"})]
    )
    before = await ledger.readings.rebuild()
    [row] = await ledger.readings.rows("last")
    assert "Ada" not in str(row) and "$sealed" in row["payload"]["name"]
    ledger.keyring.destroy("person:1")
    assert await ledger.readings.rebuild() == before


async def test_a_raised_version_is_built_anew_and_rows_can_go(ledger: Ledger) -> None:
    def count(tables: Tables, event: Event) -> None:
        row = tables.get("counts", event.stream, event.type) or {"n": 0}
        if event.payload.get("gone"):
            tables.delete("counts", event.stream, event.type)
            return
        key = {"stream": event.stream, "type": event.type}
        tables.put("counts", {**key, "n": row["n"] + 1})

    def double(tables: Tables, event: Event) -> None:
        count(tables, event)
        count(tables, event)

    table = Table("counts", ("stream", "type"), ("n",))
    ledger.readings.add(Projection("counts", 1, (table,), count))
    await ledger.store.append([NewEvent(stream="a", type="x.y", payload={})] * 3)
    assert [row["n"] for row in await ledger.readings.rows("counts")] == [3]
    ledger.readings.add(Projection("counts", 2, (table,), double))
    assert [row["n"] for row in await ledger.readings.rows("counts")] == [6]
    await ledger.store.append([NewEvent(stream="a", type="x.y", payload={"gone": True})])
    assert await ledger.readings.rows("counts") == []
    await ledger.readings.check()


async def test_a_fold_that_is_no_function_is_found_by_the_check(ledger: Ledger) -> None:
    calls = iter(range(1000))

    def fold(tables: Tables, event: Event) -> None:
        tables.put("odd", {"seq": event.seq, "call": next(calls)})

    ledger.readings.add(Projection("odd", 1, (Table("odd", ("seq",), ("call",)),), fold))
    await ledger.store.append([NewEvent(stream="a", type="x.y", payload={})] * 3)
    with pytest.raises(IntegrityError) as caught:
        await ledger.readings.check("odd")
    assert caught.value.code == "readings.differ"
    assert caught.value.details["table"] == "odd"
    await ledger.readings.check("runs")


async def test_an_edited_row_is_found_by_the_check_and_healed_by_a_rebuild(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", ManualClock(), SeededEntropy())
    await two_runs(ledger)
    good = await ledger.readings.rebuild()
    ledger.readings.close()
    connection = apsw.Connection(str(tmp_path / "ledger.readings.db"))
    connection.execute("UPDATE runs SET status = 'failed' WHERE id = 'a'")
    connection.close()
    with pytest.raises(IntegrityError) as caught:
        await ledger.readings.check()
    assert caught.value.message.startswith("differs: table 'runs'")
    assert caught.value.details["kept"]["status"] == "failed"
    assert await ledger.readings.rebuild() == good == await ledger.readings.check()
    ledger.close()


async def test_a_deleted_or_damaged_file_of_readings_is_built_again(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path}/ledger.db", tmp_path / "ledger.readings.db"
    ledger = open_ledger(url, ManualClock(), SeededEntropy())
    await two_runs(ledger)
    rows = await ledger.readings.rows("runs")
    for damage in (b"", b"not a database at all" * 500, None):
        ledger.readings.close()
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage)
        assert await ledger.readings.rows("runs") == rows
    ledger.close()


async def test_readings_of_another_log_are_not_continued(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        url = f"sqlite:///{tmp_path / name}/ledger.db"
        ledger = open_ledger(url, ManualClock(), SeededEntropy(name))
        await ledger.store.append([run_event(name, "run.started", workflow=name)] * 3)
        await ledger.readings.follow()
        ledger.close()
    foreign = (tmp_path / "one/ledger.readings.db").read_bytes()
    (tmp_path / "two/ledger.readings.db").write_bytes(foreign)
    ledger = open_ledger(url, ManualClock(), SeededEntropy("two"))
    assert [row["id"] for row in await ledger.readings.rows("runs")] == ["two"]
    ledger.close()


async def test_two_followers_of_one_file_do_not_count_twice(tmp_path: Path) -> None:
    def count(tables: Tables, event: Event) -> None:
        row = tables.get("n", "all") or {"n": 0}
        tables.put("n", {"key": "all", "n": row["n"] + 1})

    url = f"sqlite:///{tmp_path}/ledger.db"
    ledgers = [open_ledger(url, ManualClock(), SeededEntropy(str(n))) for n in range(2)]
    for ledger in ledgers:
        ledger.readings.add(Projection("n", 1, (Table("n", ("key",), ("n",)),), count))
    for number in range(1, 30):
        await ledgers[number % 2].store.append([NewEvent(stream="a", type="x.y", payload={})])
        # Between its read and its commit the first sees the second commit.
        original = ledgers[0].readings._root
        raced = False

        async def race(size: int, original: Any = original) -> bytes:
            nonlocal raced
            if not raced and size == await ledgers[0].store.size():
                raced = True
                await ledgers[1].readings.follow("n")
            return await original(size)

        ledgers[0].readings._root = race
        assert [row["n"] for row in await ledgers[0].readings.rows("n")] == [number]
        ledgers[0].readings._root = original
        assert [row["n"] for row in await ledgers[1].readings.rows("n")] == [number]
    for ledger in ledgers:
        ledger.close()
