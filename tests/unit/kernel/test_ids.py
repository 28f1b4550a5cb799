from __future__ import annotations

import pytest

from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.ids import (
    HybridClock,
    IdGenerator,
    id_time_ms,
    new_id,
    parse_reading,
    rfc3339,
)

NOON_MS = 1_795_435_200_123  # 2026-11-23T12:00:00.123Z


class HandClock:
    """A clock set by hand."""

    def __init__(self, now_ms: int = NOON_MS) -> None:
        self.time_ms = now_ms

    def now_ms(self) -> int:
        return self.time_ms

    def monotonic_ms(self) -> float:
        return float(self.time_ms)

    async def sleep_ms(self, duration_ms: float) -> None:
        self.time_ms += int(duration_ms)


class FixedEntropy:
    """Always the same byte."""

    def __init__(self, byte: int = 0) -> None:
        self.byte = byte

    def token(self, size: int) -> bytes:
        return bytes([self.byte]) * size


def test_an_id_is_26_lower_case_letters_that_tell_their_time() -> None:
    made = new_id(HandClock(1_469_918_176_385), FixedEntropy(0xFF))
    assert made == "01aryz6s41" + "z" * 16  # the time of the example in the ULID specification
    assert id_time_ms(made) == 1_469_918_176_385


def test_ids_sort_by_time() -> None:
    assert new_id(HandClock(NOON_MS), FixedEntropy(0xFF)) < new_id(
        HandClock(NOON_MS + 1), FixedEntropy(0)
    )


def test_a_generator_rises_within_one_millisecond_and_when_the_clock_goes_back() -> None:
    clock = HandClock()
    generator = IdGenerator(clock, FixedEntropy(7))
    made = [generator.next() for _ in range(3)]
    clock.time_ms -= 5_000
    made.append(generator.next())
    clock.time_ms += 5_001
    made.append(generator.next())
    assert made == sorted(set(made))
    assert id_time_ms(made[3]) == NOON_MS
    assert id_time_ms(made[4]) == NOON_MS + 1


def test_a_generator_carries_into_the_next_millisecond_when_chance_is_used_up() -> None:
    generator = IdGenerator(HandClock(), FixedEntropy(0xFF))
    first, second = generator.next(), generator.next()
    assert first < second
    assert id_time_ms(second) == NOON_MS + 1


@pytest.mark.parametrize("text", ["", "01", "0" * 25 + "u", "0" * 27, "É" * 26])
def test_what_is_not_an_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        id_time_ms(text)
    assert caught.value.code == "ids.invalid"


def test_a_reading_is_the_time_and_a_counter() -> None:
    hybrid = HybridClock(HandClock())
    assert hybrid.tick() == "2026-11-23T12:00:00.123Z/0000"
    assert hybrid.tick() == "2026-11-23T12:00:00.123Z/0001"
    assert parse_reading("2026-11-23T12:00:00.123Z/00ff") == (NOON_MS, 255)


def test_a_reading_never_goes_back_when_the_clock_does() -> None:
    clock = HandClock()
    hybrid = HybridClock(clock)
    before = hybrid.tick()
    clock.time_ms -= 60_000
    assert hybrid.tick() > before
    clock.time_ms += 60_001
    assert hybrid.tick() == "2026-11-23T12:00:00.124Z/0000"


def test_merging_a_later_reading_moves_past_it() -> None:
    hybrid = HybridClock(HandClock())
    hybrid.tick()
    assert hybrid.merge("2026-11-23T12:30:00.000Z/0007") == "2026-11-23T12:30:00.000Z/0008"
    assert hybrid.tick() == "2026-11-23T12:30:00.000Z/0009"


def test_merging_an_earlier_reading_only_counts_on() -> None:
    hybrid = HybridClock(HandClock())
    hybrid.tick()
    assert hybrid.merge("2020-01-01T00:00:00.000Z/ffff") == "2026-11-23T12:00:00.123Z/0001"


def test_merging_at_the_same_time_takes_the_larger_counter() -> None:
    hybrid = HybridClock(HandClock())
    hybrid.tick()
    assert hybrid.merge("2026-11-23T12:00:00.123Z/0010") == "2026-11-23T12:00:00.123Z/0011"


def test_a_full_counter_carries_into_the_next_millisecond() -> None:
    hybrid = HybridClock(HandClock())
    assert hybrid.merge("2026-11-23T12:00:00.123Z/ffff") == "2026-11-23T12:00:00.124Z/0000"


def test_a_reading_too_far_ahead_is_refused_when_a_limit_is_set() -> None:
    hybrid = HybridClock(HandClock(), drift_ms_max=1_000)
    with pytest.raises(InvalidError) as caught:
        hybrid.merge("2026-11-23T12:00:02.000Z/0000")
    assert caught.value.code == "ids.drift"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23T12:00:00.123Z",
        "2026-13-23T12:00:00.123Z/0000",
        "2026-11-23T12:00:00.123Z/00FF",
        "2026-11-23T12:00:00Z/0000",
        "٢٠٢٦-11-23T12:00:00.123Z/0000",
    ],
)
def test_what_is_not_a_reading_is_refused(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_reading(text)
    assert caught.value.code == "ids.reading"


def test_times_are_written_as_rfc_3339() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(951_782_400_001) == "2000-02-29T00:00:00.001Z"
    assert rfc3339(-1) == "1969-12-31T23:59:59.999Z"
    with pytest.raises(InvalidError):
        rfc3339(10**18)


def test_a_clock_before_1970_is_refused() -> None:
    with pytest.raises(InvalidError) as caught:
        HybridClock(HandClock(-1)).tick()
    assert caught.value.code == "ids.time"
