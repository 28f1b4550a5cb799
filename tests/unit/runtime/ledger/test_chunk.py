"""Chunks: what comes out is byte for byte what went in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel.errors import BugError, IntegrityError
from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.ledger.chunk import Chunk, numbers, pack, unpacked
from agentsquad.runtime.ledger.contract import Row
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy

MARKS = st.sampled_from(
    ["run/a", 'x","payload_digest":"sha256:', '"prev":"sha256:', "a\nb", "ü\\", "\x01"]
)
TEXTS = MARKS | st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=8
)
EVENTS = st.lists(
    st.builds(
        NewEvent,
        stream=TEXTS,
        type=st.sampled_from(["a.b", "c.d"]) | TEXTS,
        payload=st.dictionaries(TEXTS, TEXTS | st.integers(-9, 9) | st.none(), max_size=3),
        actor=TEXTS,
        correlation=st.none() | TEXTS,
    ),
    min_size=1,
    max_size=20,
)


def stored(events: list[NewEvent]) -> list[Row]:
    """Return the rows that a log would keep for these events."""
    ledger = open_ledger("memory:", ManualClock(), SeededEntropy())
    asyncio.run(ledger.store.append(events))
    return ledger.store.volume.scan(0, 10_000)


@given(EVENTS, st.data())
def test_what_comes_out_of_a_chunk_is_what_went_in(
    events: list[NewEvent], data: st.DataObject
) -> None:
    rows = stored(events)[data.draw(st.integers(0, len(events) - 1)) :]
    ids = {row.type: 10 + 70_000 * at for at, row in enumerate(rows)}
    chunk = Chunk(pack(rows, ids))
    names = {one: name for name, one in ids.items()}
    order = data.draw(st.permutations(rows))
    assert [chunk.row(row.seq, names) for row in order] == order
    assert (chunk.first, chunk.end) == (rows[0].seq, rows[-1].seq + 1)


@given(st.lists(st.integers(0, 2**63), min_size=1, max_size=9))
def test_numbers_are_read_as_they_were_written(values: list[int]) -> None:
    assert list(unpacked(numbers(values), len(values))) == values
    for data, count in ((numbers(values) + b"x", len(values)), (b"", 3), (b"ab", 0)):
        with pytest.raises(IntegrityError):
            unpacked(data, count)


def test_a_chunk_of_steps_is_a_tenth_of_its_rows() -> None:
    body = {"action": "edi.check", "effect": "read", "decision": {"allow": True}, "ms": 0.1}
    events = [
        NewEvent(stream=f"run/{n % 5}", type="step.completed", payload={**body, "position": str(n)})
        for n in range(64)
    ]
    rows = stored(events)
    packed = pack(rows, {"step.completed": 1})
    size = sum(len(part) for part in msgspec.structs.astuple(packed) if isinstance(part, bytes))
    assert size < sum(len(r.header) + len(r.salt) + len(r.payload) for r in rows) / 8


def test_what_no_log_writes_is_no_chunk(tmp_path: Path) -> None:
    row = stored([NewEvent(stream="s", type="t", payload={})])[0]
    for change in ({"payload": b"a\nb"}, {"salt": b"short"}):
        with pytest.raises(BugError):
            pack([msgspec.structs.replace(row, **change)], {"t": 1})
