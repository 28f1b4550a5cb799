"""Every event store keeps the same promises: one suite over all of them."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import ConflictError, InvalidError, MissingError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.ids import parse_reading
from agentsquad.runtime.ledger import merkle
from agentsquad.runtime.ledger.contract import ClosedError, Ledger

_spec = importlib.util.spec_from_file_location(
    "ledger_kit", Path(__file__).parents[1] / "conformance" / "ledger_kit.py"
)
assert _spec and _spec.loader
kit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(kit)
event = kit.event


@pytest.fixture(params=kit.STORES)
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = kit.open_test_ledger(kit.url_of(request.param, tmp_path))
    yield opened
    opened.close()


async def test_events_come_back_as_they_were_appended(ledger: Ledger) -> None:
    new = NewEvent(
        stream='run:ä"\\\n',
        type="run.started",
        payload={"b": [1, 2.5, None, True], "a": {"text": "€\u2028"}},
        actor="person:ada",
        correlation="case 7",
        version=3,
    )
    appended = await ledger.store.append([new])
    [read] = await ledger.store.read()
    assert appended == [read]
    assert read.payload == new.payload
    assert (read.seq, read.stream_seq, read.stream) == (1, 1, new.stream)
    assert (read.type, read.version, read.actor) == ("run.started", 3, "person:ada")
    assert (read.correlation, read.cause, read.prev) == ("case 7", None, None)
    assert parse_reading(read.at) == (1_795_435_200_000, 0)


async def test_seq_is_gap_free_over_all_streams_and_within_each(ledger: Ledger) -> None:
    async def write(stream: str) -> None:
        for number in range(30):
            await ledger.store.append([event(stream, n=number)] * (1 + number % 3))

    await asyncio.gather(*(write(f"run:{i}") for i in range(7)))
    events = await ledger.store.read(limit=10_000)
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    for i in range(7):
        mine = [e for e in events if e.stream == f"run:{i}"]
        assert [e.stream_seq for e in mine] == list(range(1, 61))
        assert mine == await ledger.store.read_stream(f"run:{i}")


async def test_appends_that_wait_together_share_one_commit(ledger: Ledger) -> None:
    before = ledger.store.commits
    await asyncio.gather(*(ledger.store.append([event(f"run:{i}")]) for i in range(500)))
    assert ledger.store.commits == before + 1


async def test_an_append_is_all_or_nothing_when_a_stream_has_moved_on(ledger: Ledger) -> None:
    await ledger.store.append([event("a"), event("a")], expect={"a": 0})
    with pytest.raises(ConflictError) as caught:
        await ledger.store.append([event("b"), event("a")], expect={"b": 0, "a": 1})
    assert caught.value.code == "ledger.expect"
    assert caught.value.details == {"stream": "a", "expected": 1, "actual": 2}
    assert await ledger.store.size() == 2
    assert await ledger.store.streams() == [("a", 2)]


async def test_of_two_appends_with_one_expectation_in_one_commit_one_wins(ledger: Ledger) -> None:
    outcomes = await asyncio.gather(
        *(ledger.store.append([event("a", n=n)], expect={"a": 0}) for n in range(4)),
        ledger.store.append([event("b")]),
        return_exceptions=True,
    )
    assert [isinstance(o, ConflictError) for o in outcomes] == [False, True, True, True, False]
    assert await ledger.store.streams() == [("a", 1), ("b", 1)]


async def test_an_expectation_may_name_a_stream_that_is_not_appended_to(ledger: Ledger) -> None:
    await ledger.store.append([event("a")])
    await ledger.store.append([event("b")], expect={"a": 1, "c": 0})
    with pytest.raises(ConflictError):
        await ledger.store.append([event("b")], expect={"a": 0})


async def test_appending_nothing_checks_the_expectation_and_writes_nothing(ledger: Ledger) -> None:
    assert await ledger.store.append([]) == []
    assert await ledger.store.append([], expect={"a": 0}) == []
    with pytest.raises(ConflictError):
        await ledger.store.append([], expect={"a": 1})
    assert await ledger.store.size() == 0


@pytest.mark.parametrize(
    "bad",
    [
        NewEvent(stream="", type="x.y", payload={}),
        NewEvent(stream="a", type="", payload={}),
        NewEvent(stream="a" * 513, type="x.y", payload={}),
        NewEvent(stream="a\0b", type="x.y", payload={}),
        NewEvent(stream="\ud800", type="x.y", payload={}),
        NewEvent(stream="a", type="x.y", payload={"n": float("nan")}),
        NewEvent(stream="a", type="x.y", payload={"n": 2**70 + 1}),
        NewEvent(stream="a", type="x.y", payload={"n": b"bytes"}),
        NewEvent(stream="a", type="x.y", payload=["no object"]),  # type: ignore[arg-type]
        NewEvent(stream="a", type="x.y", payload={}, version=0),
        NewEvent(stream="a", type="x.y", payload={}, cause=True),
        NewEvent(stream="a", type="x.y", payload={}, cause=2),
        NewEvent(stream="a", type="x.y", payload={"x": {"$sealed": {}}}),
        NewEvent(stream="a", type="x.y", payload={"a": 1}, personal={"/b": "person:1"}),
        NewEvent(stream="a", type="x.y", payload={"a": 1}, personal={"": "person:1"}),
        NewEvent(stream="a", type="x.y", payload={"a": 1}, personal={"/a": ""}),
        NewEvent(
            stream="a", type="x.y", payload={"a": {"b": 1}}, personal={"/a": "p", "/a/b": "p"}
        ),
    ],
)
async def test_what_cannot_be_written_is_refused_whole(ledger: Ledger, bad: NewEvent) -> None:
    with pytest.raises(InvalidError):
        await ledger.store.append([event("a"), bad])
    assert await ledger.store.size() == 0


async def test_a_cause_is_an_earlier_event_even_of_the_same_append(ledger: Ledger) -> None:
    await ledger.store.append([event(), NewEvent(stream="b", type="x.y", payload={}, cause=1)])
    assert [e.cause for e in await ledger.store.read()] == [None, 1]


async def test_a_long_stream_can_be_read_from_anywhere(ledger: Ledger) -> None:
    for start in range(0, 330, 11):
        await ledger.store.append([event("long", n=start + i) for i in range(11)] + [event("x")])
    whole = await ledger.store.read_stream("long")
    assert [e.payload["n"] for e in whole] == list(range(330))
    for after in (0, 1, 62, 63, 64, 65, 127, 128, 255, 256, 319, 320, 328, 329, 330, 400):
        assert await ledger.store.read_stream("long", after=after) == whole[after:]
        for limit in (0, 1, 2, 64, 65, 500):
            found = await ledger.store.read_stream("long", after=after, limit=limit)
            assert found == whole[after : after + limit], (after, limit)


async def test_reading_is_by_place_type_and_limit(ledger: Ledger) -> None:
    await ledger.store.append([event("a", f"t.{n % 3}", n=n) for n in range(20)])
    whole = await ledger.store.read()
    assert await ledger.store.read(after=5, limit=4) == whole[5:9]
    assert await ledger.store.read(after=20) == await ledger.store.read(limit=0) == []
    assert await ledger.store.read(after=-5, limit=1) == whole[:1]
    some = [e for e in whole if e.type in ("t.0", "t.2")]
    assert await ledger.store.read(types=["t.2", "t.0", "t.0"]) == some
    assert (
        await ledger.store.read(types=["t.0", "t.2"], after=6, limit=3)
        == [e for e in some if e.seq > 6][:3]
    )
    assert await ledger.store.read(types=["t.9"]) == await ledger.store.read(types=[]) == []


async def test_streams_are_listed_by_prefix_oldest_first(ledger: Ledger) -> None:
    for name in ("run:b", "run:a", "run", "rum", "run:b", "\U0010ffff", "z"):
        await ledger.store.append([event(name)])
    assert await ledger.store.streams("run:") == [("run:b", 2), ("run:a", 1)]
    assert await ledger.store.streams("\U0010ffff") == [("\U0010ffff", 1)]
    assert len(await ledger.store.streams()) == 6
    assert await ledger.store.read_stream("nowhere") == []


async def test_records_are_canonical_and_hang_together(ledger: Ledger) -> None:
    for n in range(9):
        await ledger.store.append([event(f"run:{n % 2}", n=n)])
    records = await ledger.store.read_records()
    last: dict[str, str] = {}
    for record in records:
        header = canonical.loads(record.header)
        assert canonical.dumps(header) == record.header
        assert set(header) == {
            "actor", "at", "cause", "correlation", "payload_digest", "prev", "seq", "stream",
            "stream_seq", "type", "version",
        }  # fmt: skip
        digest = hashlib.sha256(record.salt + record.payload).hexdigest()
        assert header["payload_digest"] == "sha256:" + digest
        assert record.leaf == hashlib.sha256(b"\0" + record.header).digest()
        assert header["prev"] == last.get(header["stream"])
        last[header["stream"]] = "sha256:" + record.leaf.hex()
    assert len({record.salt for record in records}) == 9
    assert records[3] == await ledger.store.record(4)
    for seq in (0, 10):
        with pytest.raises(MissingError):
            await ledger.store.record(seq)


@pytest.mark.slow
async def test_the_head_is_the_root_over_all_headers_at_every_size(ledger: Ledger) -> None:
    leaves: list[bytes] = []
    for count in (1, 1, 2, 251, 1, 1, 300, 700, 64):
        await ledger.store.append([event(n=n) for n in range(count)])
        for record in await ledger.store.read_records(after=len(leaves), limit=10_000):
            leaves.append(record.leaf)
        head = await ledger.store.head()
        assert (head.size, head.root) == (len(leaves), merkle.root_of(leaves))
    nodes = merkle.TileNodes(ledger.store, len(leaves))
    for index in (0, 255, 256, 1000, len(leaves) - 1):
        proof = merkle.inclusion_proof(index, len(leaves), nodes)
        assert merkle.verify_inclusion(leaves[index], index, len(leaves), proof, head.root)


async def test_readings_of_the_clock_rise_even_when_it_stands_or_goes_back(ledger: Ledger) -> None:
    first = await ledger.store.append([event(), event()])
    ledger.store._clock.time_ms -= 60_000
    second = await ledger.store.append([event()])
    ats = [e.at for e in first + second]
    assert ats == sorted(set(ats))


async def test_waiting_ends_with_the_next_append_or_the_timeout(ledger: Ledger) -> None:
    assert await ledger.store.wait(0, timeout_ms=200) == 0
    waiting = asyncio.create_task(ledger.store.wait(0))
    await asyncio.sleep(0)
    await ledger.store.append([event()])
    assert await waiting == 1
    assert await ledger.store.wait(0) == 1


async def test_a_cancelled_append_that_was_not_written_yet_is_not_written(ledger: Ledger) -> None:
    task = asyncio.create_task(ledger.store.append([event("a")]))
    kept = asyncio.create_task(ledger.store.append([event("b")]))
    asyncio.get_running_loop().call_soon(task.cancel)
    await kept
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ledger.store.streams() == [("b", 1)]


async def test_a_closed_ledger_says_so(ledger: Ledger) -> None:
    waiting = asyncio.create_task(ledger.store.append([event()]))
    await asyncio.sleep(0)
    ledger.store.close()
    with pytest.raises(ClosedError):
        await waiting
    with pytest.raises(ClosedError):
        await ledger.store.append([event()])
    with pytest.raises(ClosedError):
        await ledger.store.read()


async def test_a_returned_payload_is_the_callers_own(ledger: Ledger) -> None:
    payload = {"list": [1]}
    [returned] = await ledger.store.append([NewEvent(stream="a", type="x.y", payload=payload)])
    returned.payload["list"].append(2)
    payload["list"].append(3)
    [read] = await ledger.store.read()
    assert read.payload == {"list": [1]}
