"""Laws of the ledger: headers are canonical, order and chains hold whatever is
appended, stores agree, and snapshots never win over the log.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import ConflictError
from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.ledger import snapshot
from agentsquad.runtime.ledger.adapters.memory import MemoryKeyRing
from agentsquad.runtime.ledger.contract import Ledger, StreamHead
from agentsquad.runtime.ledger.draft import Drafter
from agentsquad.runtime.ledger.header import Header, parse
from agentsquad.runtime.ledger.placing import Append, Placing
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.ledger.tree import GrowingTree
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy

texts = st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=12))
values = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
payloads = st.dictionaries(st.text(max_size=6), values, max_size=4).filter(
    lambda payload: b'{"$sealed":' not in canonical.dumps(payload)
)


def new_ledger(url: str = "memory:") -> Ledger:
    return open_ledger(url, ManualClock(), SeededEntropy())


@given(
    stream=texts,
    kind=texts,
    actor=texts,
    correlation=st.none() | st.text(max_size=30),
    cause=st.none() | st.just(1),
    version=st.integers(1, 2**53 - 1),
    seq=st.integers(2, 2**53),
    first=st.booleans(),
    payload=payloads,
)
def test_a_header_written_by_hand_is_its_canonical_json(**given: Any) -> None:
    event = NewEvent(
        stream=given["stream"],
        type=given["kind"],
        payload=given["payload"],
        actor=given["actor"],
        cause=given["cause"],
        correlation=given["correlation"],
        version=given["version"],
    )
    draft = Drafter(SeededEntropy(), MemoryKeyRing(SeededEntropy())).draft(event)
    seq, first = given["seq"], given["first"]
    prev = None if first else "sha256:" + "ab" * 32
    at = "2026-11-23T12:00:00.123Z/00ff"
    known = None if first else StreamHead(1, event.stream, 6, seq - 1, bytes.fromhex("ab" * 32))
    placing = Placing(seq, lambda name, fresh: known, lambda: at)
    append = Append([draft], None, None)
    placing.add(append)
    header = placing.batch(GrowingTree()).rows[0].header
    fields = {
        "actor": event.actor,
        "at": at,
        "cause": event.cause,
        "correlation": event.correlation,
        "payload_digest": "sha256:"
        + hashlib.sha256(draft.salt + canonical.dumps(event.payload)).hexdigest(),
        "prev": prev,
        "seq": seq,
        "stream": event.stream,
        "stream_seq": 1 if first else 7,
        "type": event.type,
        "version": event.version,
    }
    assert header == canonical.dumps(fields)
    assert parse(header, seq) == Header(**fields)
    told = msgspec.structs.asdict(append.result[0])
    assert canonical.dumps(told.pop("payload")) == canonical.dumps(event.payload)
    assert told == fields


steps = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.dictionaries(st.just("n"), scalars)), max_size=3
        ),
        st.none() | st.tuples(st.sampled_from("abcd"), st.integers(0, 6)),
    ),
    max_size=6,
)


@given(turns=st.lists(steps, max_size=4))
def test_any_appends_leave_what_a_list_would_hold(turns: list[Any]) -> None:
    """A model that is a plain list, against appends that share commits."""

    async def run() -> None:
        ledger = new_ledger()
        model: list[tuple[str, Any]] = []
        for turn in turns:
            outcomes = await asyncio.gather(
                *(
                    ledger.store.append(
                        [NewEvent(stream=s, type="x.y", payload=p) for s, p in events],
                        expect=dict([expect]) if expect else None,
                    )
                    for events, expect in turn
                ),
                return_exceptions=True,
            )
            for (events, expect), outcome in zip(turn, outcomes, strict=True):
                versions = {name: sum(s == name for s, _ in model) for name in "abcd"}
                if expect and versions[expect[0]] != expect[1]:
                    assert isinstance(outcome, ConflictError)
                else:
                    assert isinstance(outcome, list)
                    assert [e.seq for e in outcome] == [
                        len(model) + n for n in range(1, len(events) + 1)
                    ]
                    model += events
        events = await ledger.store.read(limit=10_000)
        plain = [(s, canonical.loads(canonical.dumps(p))) for s, p in model]
        assert [(e.stream, e.payload) for e in events] == plain
        for name in "abc":
            mine = await ledger.store.read_stream(name)
            assert [e.payload for e in mine] == [p for s, p in plain if s == name]
            assert [e.stream_seq for e in mine] == list(range(1, len(mine) + 1))
        ledger.close()

    asyncio.run(run())


@given(payload=payloads, secret=values, other=values)
def test_a_sealed_value_opens_to_itself_and_only_with_its_key(
    payload: dict[str, Any], secret: Any, other: Any
) -> None:
    body = {**payload, "one": secret, "two": [other]}
    if b'{"$sealed":' in canonical.dumps(body):
        return

    async def run() -> None:
        ledger = new_ledger()
        await ledger.store.append(
            [
                NewEvent(
                    stream="a",
                    type="x.y",
                    payload=body,
                    personal={"/one": "person:1", "/two/0": "person:2"},
                )
            ]
        )
        plain = canonical.loads(canonical.dumps(body))
        [event] = await ledger.store.read()
        assert event.payload == plain
        ledger.keyring.destroy("person:1")
        [event] = await ledger.store.read()
        assert list(event.payload["one"]) == ["$erased"]
        assert {**event.payload, "one": 0} == {**plain, "one": 0}
        ledger.close()

    asyncio.run(run())


def tally(state: dict[str, int], payload: dict[str, Any]) -> dict[str, int]:
    return {"sum": (state["sum"] * 3 + payload["n"]) % 9973, "count": state["count"] + 1}


@given(
    count=st.integers(0, 40),
    at=st.integers(0, 40),
    damage=st.none() | st.tuples(st.integers(0, 10_000), st.integers(0, 7)),
    forged=st.booleans(),
    foreign=st.booleans(),
)
def test_a_snapshot_never_wins_over_the_log(
    count: int, at: int, damage: tuple[int, int] | None, forged: bool, foreign: bool
) -> None:
    """Whatever a snapshot says, the state is the one folded from the log."""

    async def fold(ledger: Ledger, data: bytes | None, until: int) -> dict[str, int]:
        found = await snapshot.restore(data, "tally", 1, ledger.store)
        seq, state = found or (0, {"sum": 0, "count": 0})
        for event in await ledger.store.read(after=seq, limit=until - seq):
            state = tally(state, event.payload)
        return state

    async def run() -> None:
        ledger, other = new_ledger(), open_ledger("memory:", ManualClock(), SeededEntropy("other"))
        for name, one in (("mine", ledger), ("other", other)):
            events = [
                NewEvent(stream=name, type="x.y", payload={"n": n * len(name)})
                for n in range(count)
            ]
            await one.store.append(events)
        place = min(at, count)
        source = other if foreign else ledger
        state = await fold(source, None, place)
        data = bytearray(await snapshot.take("tally", 1, state, place, source.store))
        if forged:
            head = await ledger.store.head()
            body = {"name": "tally", "version": 1, "seq": place, "state": {"sum": 1, "count": -1}}
            data = bytearray(canonical.dumps(body | {"root": head.root.hex(), "digest": "0" * 64}))
        if damage is not None:
            data[damage[0] % len(data)] ^= 1 << damage[1]
        assert await fold(ledger, bytes(data), count) == await fold(ledger, None, count)
        if not (forged or foreign) and damage is None:
            assert await snapshot.restore(bytes(data), "tally", 1, ledger.store) == (place, state)
        assert await snapshot.restore(bytes(data), "tally", 2, ledger.store) is None
        ledger.close()
        other.close()

    asyncio.run(run())
