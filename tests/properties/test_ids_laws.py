from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel.ids import HybridClock, IdGenerator, id_time_ms, parse_reading, rfc3339


class Scripted:
    """A clock that reads what it is told, and chance from a seed."""

    def __init__(self, times: list[int], seed: int = 0) -> None:
        self.times = iter(times)
        self.chance = random.Random(seed)

    def now_ms(self) -> int:
        return next(self.times)

    def monotonic_ms(self) -> float:
        return 0.0

    async def sleep_ms(self, duration_ms: float) -> None:
        raise AssertionError("nothing here sleeps")

    def token(self, size: int) -> bytes:
        return self.chance.randbytes(size)


TIMES = st.integers(1_700_000_000_000, 1_700_000_000_010) | st.integers(0, 2**40)


@given(st.lists(TIMES, min_size=1, max_size=50), st.integers())
def test_ids_rise_whatever_the_clock_does(times: list[int], seed: int) -> None:
    world = Scripted(times, seed)
    generator = IdGenerator(world, world)
    made = [generator.next() for _ in times]
    assert made == sorted(set(made))
    assert id_time_ms(made[-1]) >= max(times)


@given(
    st.lists(st.tuples(TIMES, st.none() | st.tuples(TIMES, st.integers(0, 0xFFFF))), max_size=50)
)
def test_readings_rise_and_pass_all_that_was_merged(
    steps: list[tuple[int, tuple[int, int] | None]],
) -> None:
    hybrid = HybridClock(Scripted([time for time, _ in steps]))
    last = ""
    for time, remote in steps:
        if remote is None:
            reading = hybrid.tick()
        else:
            theirs = f"{rfc3339(remote[0])}/{remote[1]:04x}"
            reading = hybrid.merge(theirs)
            assert reading > theirs
        assert reading > last
        assert parse_reading(reading)[0] >= time
        last = reading


@given(st.integers(0, 253_402_300_799_999), st.integers(0, 0xFFFF))
def test_a_reading_is_read_as_it_was_written(time_ms: int, counter: int) -> None:
    assert parse_reading(f"{rfc3339(time_ms)}/{counter:04x}") == (time_ms, counter)
