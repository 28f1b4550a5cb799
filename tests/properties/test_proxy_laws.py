"""Laws of the proxy: what is recorded of streams and requests is all of it,
balancers do what they say, batches give each asker its own, and equal requests
have equal fingerprints."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from agentsquad.integrations.proxy import batch, fingerprint
from agentsquad.integrations.proxy.balance import Hashed, Least, Load, RoundRobin, Weighted
from agentsquad.integrations.proxy.delta import KEPT, Library
from agentsquad.integrations.proxy.fold import fold, read, unfold
from agentsquad.integrations.proxy.sse import Event, Reader

words = st.text(alphabet=st.characters(codec="utf-8"), max_size=8)
names = st.sampled_from(["", "delta", "content_block_delta", "response.output_text.delta"])
leaves = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), words)
values = st.recursive(
    leaves, lambda inner: st.one_of(st.lists(inner, max_size=3),
                                    st.dictionaries(words, inner, max_size=3)), max_leaves=6
)  # fmt: skip
objects = st.dictionaries(words.filter(lambda key: key != "obfuscation"), values, max_size=4)


@st.composite
def streams(draw: Any) -> list[tuple[str, Any]]:
    """Draw events as vendors send them: many that differ in one text, counted
    or not, and others in between."""
    found: list[tuple[str, Any]] = []
    for number in range(draw(st.integers(0, 4))):
        base, name = draw(objects), draw(names)
        counted = draw(st.booleans())
        for index, piece in enumerate(draw(st.lists(words, max_size=6))):
            data = {**base, "delta": {"content": piece}, "id": number}
            if counted:
                data["sequence_number"] = index + number
            found.append((name, data))
        if draw(st.booleans()):
            found.append((draw(names), draw(st.one_of(objects, words))))
    return found


@given(streams())
def test_a_folded_stream_unfolds_to_what_it_was(events: list[tuple[str, Any]]) -> None:
    again = unfold(fold(events))
    assert [event.name for event in again] == [name for name, _ in events]
    for event, (_, data) in zip(again, events, strict=True):
        if isinstance(data, str):
            assert event.data == data
        else:
            assert fingerprint_of(read(event.data)) == fingerprint_of(data)


def fingerprint_of(value: Any) -> str:
    return fingerprint.exact("", "", [value])


def test_many_pieces_become_one_entry() -> None:
    pieces = [("", {"choices": [{"delta": {"content": f"word {i}"}}], "n": i}) for i in range(500)]
    (entry,) = fold(pieces)
    assert len(entry["cuts"]) == 500


@given(st.lists(st.builds(Event, names, words.filter(lambda t: "\r" not in t)), max_size=6),
       st.data())  # fmt: skip
def test_events_are_read_alike_wherever_bytes_are_cut(events: list[Event], data: Any) -> None:
    sent = b"".join(event.dump() for event in events)
    reader, found, begin = Reader(), [], 0
    while begin < len(sent):
        size = data.draw(st.integers(1, 7))
        found += reader.feed(sent[begin : begin + size])
        begin += size
    assert found + reader.end() == events


@given(st.binary(max_size=300), st.integers(1, 20))
def test_no_bytes_of_an_upstream_break_the_reader(data: bytes, size: int) -> None:
    from agentsquad.kernel.errors import UnavailableError

    reader = Reader()
    try:
        for begin in range(0, len(data), size):
            for event in reader.feed(data[begin : begin + size]):
                read(event.data)
        reader.end()
    except UnavailableError:
        pass


items = st.dictionaries(st.sampled_from(["role", "content"]), leaves, max_size=2)
bodies = st.fixed_dictionaries(
    {"model": words}, optional={"messages": st.lists(items, max_size=5), "temperature": leaves,
                                "tools": st.lists(leaves, max_size=3), "$like": leaves}
)  # fmt: skip


@given(st.lists(bodies, max_size=2 * KEPT), st.lists(items, max_size=5))
def test_a_request_is_restored_from_what_was_new_in_it(found: list[Any], talk: list[Any]) -> None:
    found = found + [{"model": "m", "messages": talk[:end]} for end in range(len(talk) + 1)]
    writing, reading = Library(), Library()
    for n, body in enumerate(found, 1):
        short = writing.shorten(body)
        writing.add(n, body)
        again = reading.restore(short)
        reading.add(n, again)
        assert fingerprint_of(again) == fingerprint_of(body)


def test_a_conversation_ten_times_as_long_takes_about_ten_times_the_room() -> None:
    def size(turns: int) -> int:
        library, total = Library(), 0
        messages: list[Any] = []
        for n in range(turns):
            messages = [*messages, {"role": "user", "content": f"question {n % 10} " + "x" * 300}]
            body = {"model": "gpt-4o", "messages": messages, "tools": ["t" * 500]}
            total += len(repr(library.shorten(body)))
            library.add(n, body)
        return total

    assert size(500) < 10.5 * size(50)


loads = st.lists(st.integers(1, 9), min_size=1, max_size=6).map(
    lambda weights: [Load(f"t{i}", weight) for i, weight in enumerate(weights)]
)


@given(loads, st.integers(0, 40))
def test_round_robin_takes_each_once_in_any_round(targets: list[Load], before: int) -> None:
    turns = RoundRobin()
    for _ in range(before):
        turns.pick(targets, "", 0)
    picked = [turns.pick(targets, "", 0).name for _ in targets]
    assert sorted(picked) == sorted(one.name for one in targets)


@given(loads)
def test_weights_are_kept_exactly_and_spread(targets: list[Load]) -> None:
    turns, whole = Weighted(), sum(one.weight for one in targets)
    picked = [turns.pick(targets, "", 0).name for _ in range(2 * whole)]
    for one in targets:
        assert picked[:whole].count(one.name) == one.weight
        assert picked[whole:].count(one.name) == one.weight


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 9999)), min_size=2, max_size=6))
def test_least_never_takes_who_is_both_busier_and_slower(state: list[tuple[int, float]]) -> None:
    targets = [Load(f"t{i}", 1, busy, ms) for i, (busy, ms) in enumerate(state)]
    found = Least().pick(targets, "", 0.0)
    for one in targets:
        assert not (one.under_way < found.under_way and one.ewma_ms < found.ewma_ms)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e5)), max_size=20))
def test_a_peak_counts_at_once_and_the_mean_stays_between(samples: list[Any]) -> None:
    load, now = Load("t"), 0.0
    for ms, gap in samples:
        now += gap
        before = load.ewma_ms
        load.took(ms, now)
        assert load.ewma_ms >= ms or math.isclose(load.ewma_ms, ms)
        assert load.ewma_ms <= max(before, ms) * (1 + 1e-9)


@given(loads, st.lists(words, min_size=1, max_size=20), st.data())
def test_without_a_target_only_its_own_keys_move(
    targets: list[Load], keys: list[str], data: Any
) -> None:
    assume(len(targets) > 1)
    free = Hashed(bound=1e9)
    gone = data.draw(st.sampled_from(targets))
    left = [one for one in targets if one is not gone]
    for key in keys:
        first = free.pick(targets, key, 0).name
        assert free.pick(targets, key, 0).name == first
        if first != gone.name:
            assert free.pick(left, key, 0).name == first


@given(loads, st.lists(words, min_size=1, max_size=60), st.floats(1.0, 3.0))
def test_no_target_takes_more_than_its_bounded_share(
    targets: list[Load], keys: list[str], bound: float
) -> None:
    bounded, whole = Hashed(bound), sum(one.weight for one in targets)
    for count, key in enumerate(keys, 1):
        found = bounded.pick(targets, key, 0)
        found.under_way += 1
        assert found.under_way <= math.ceil(bound * count * found.weight / whole)


texts = st.one_of(words, st.lists(words, min_size=1, max_size=4))


@given(st.lists(texts, min_size=1, max_size=6), st.integers(0, 10_000), st.randoms())
def test_each_asker_of_a_batch_gets_its_own(inputs: list[Any], tokens: int, chance: Any) -> None:
    askers = [{"model": "m", "input": one} for one in inputs]
    whole = batch.joined(askers)
    data = [{"index": i, "embedding": text} for i, text in enumerate(whole["input"])]
    chance.shuffle(data)
    answer = {"data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    parts = batch.parted(answer, askers)
    for asker, part in zip(askers, parts, strict=True):
        assert [one["embedding"] for one in part["data"]] == batch.texts_of(asker)
        assert [one["index"] for one in part["data"]] == list(range(len(part["data"])))
    assert sum(part["usage"]["prompt_tokens"] for part in parts) == tokens


@given(st.datetimes(), st.datetimes(), st.uuids(), st.uuids(), words)
def test_the_time_of_day_and_random_ids_change_no_loose_fingerprint(
    one: Any, other: Any, first: Any, second: Any, text: str
) -> None:
    def body(time: Any, name: Any) -> Any:
        return {"messages": [{"content": f"Now: {time.isoformat()} {text} ({name})"}]}

    assert fingerprint.loose("a", "/", body(one, first)) == fingerprint.loose(
        "a", "/", body(other, second)
    )


@given(bodies, bodies)
def test_requests_that_differ_have_other_fingerprints(one: Any, other: Any) -> None:
    same = fingerprint.exact("a", "/", one) == fingerprint.exact("a", "/", other)
    assert same == (repr(sorted(one.items())) == repr(sorted(other.items())))
