from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.runtime.resilience.admission import tuning_of
from agentsquad.runtime.resilience.concurrency import Concurrency, Tuning
from agentsquad.runtime.resilience.contract import AdmissionSettingError
from agentsquad.runtime.resilience.line import Line, Tide, Waiting

TUNING = Tuning(at_once_min=4, at_once_first=16, at_once_max=1000, delay_target_ms=250)


def windows(count: int, delay_ms: float, *, pressed: bool = True) -> Concurrency:
    """Return what is learned from windows that all show one delay."""
    learned = Concurrency(TUNING, 0.0)
    now = 0.0
    for _ in range(count):
        if pressed:
            learned.press()
        learned.took(now + 1, now + 1 + delay_ms, alone=False)
        now += max(TUNING.window_ms, delay_ms) + 2
        learned.turn(now, measuring=False)
    return learned


def test_the_limit_doubles_while_nobody_waits_for_the_log() -> None:
    assert windows(1, 5).limit == 32
    assert windows(4, 5).limit == 256
    assert windows(20, 5).limit == TUNING.at_once_max


def test_the_limit_follows_the_delay_down_to_its_floor() -> None:
    assert windows(1, 400).limit == 10
    assert windows(1, 10_000).limit == 8
    assert windows(20, 10_000).limit == TUNING.at_once_min


def test_the_limit_stays_where_nobody_asks_for_more() -> None:
    assert windows(10, 5, pressed=False).limit == TUNING.at_once_first


def test_after_a_decrease_the_limit_grows_in_small_steps() -> None:
    learned = Concurrency(TUNING, 0.0)
    learned.took(1, 801, alone=False)
    learned.turn(900, measuring=False)
    assert learned.limit == 8
    learned.press()
    learned.took(901, 905, alone=False)
    learned.turn(1001, measuring=False)

    assert learned.limit == 10


def test_a_measurement_from_before_a_change_does_not_count_twice() -> None:
    learned = Concurrency(TUNING, 0.0)
    learned.took(1, 801, alone=False)
    learned.turn(900, measuring=False)
    learned.took(2, 950, alone=False)
    learned.turn(1100, measuring=False)

    assert learned.limit == 8


def test_nothing_is_concluded_while_the_only_measurement_is_under_way() -> None:
    learned = Concurrency(TUNING, 0.0)
    learned.press()
    learned.turn(500, measuring=True)
    assert learned.limit == 16
    learned.turn(500, measuring=False)
    assert learned.limit == 32


def test_a_slow_disk_is_not_taken_for_a_queue() -> None:
    learned = Concurrency(TUNING, 0.0)
    for _ in range(2):
        learned.took(1, 401, alone=True)
    assert learned.target_ms == 1200
    learned.press()
    learned.took(2, 402, alone=False)
    learned.turn(500, measuring=False)

    assert learned.limit == 32


def test_neither_a_cold_start_nor_one_slow_write_is_taken_for_a_slow_disk() -> None:
    learned = Concurrency(TUNING, 0.0)
    learned.took(1, 3_001, alone=True)
    assert learned.target_ms == TUNING.delay_target_ms
    learned.took(1, 101, alone=True)
    learned.took(1, 2_001, alone=True)

    assert learned.target_ms == 375


@given(st.lists(st.tuples(st.floats(0, 5000), st.booleans(), st.booleans()), max_size=60))
@settings(deadline=None)
def test_the_limit_stays_in_its_bounds_and_at_most_halves(
    steps: list[tuple[float, bool, bool]],
) -> None:
    learned, now, waited = Concurrency(TUNING, 0.0), 0.0, False
    for delay, pressed, measuring in steps:
        before = learned.limit
        if pressed:
            learned.press()
        learned.took(now, now + delay, alone=False)
        now += delay + 60
        learned.turn(now, measuring=measuring)
        assert TUNING.at_once_min <= learned.limit <= TUNING.at_once_max
        assert learned.limit >= before // 2
        waited = waited or pressed
        assert learned.limit <= before or waited
        waited = waited and learned.limit == before  # a change begins a new window


def line_of(*actors: str) -> Line[int]:
    line: Line[int] = Line()
    for number, actor in enumerate(actors):
        line.join(Waiting(actor, float(number), number))
    return line


def taken(line: Line[int], *, newest: bool = False) -> list[int]:
    found = []
    while (waiting := line.take(newest=newest)) is not None:
        found.append(waiting.told)
    return found


def test_one_actor_is_served_in_the_order_it_came() -> None:
    assert taken(line_of("a", "a", "a")) == [0, 1, 2]


def test_a_caller_with_many_waits_behind_himself() -> None:
    assert taken(line_of("a", "a", "a", "a", "b", "c")) == [0, 1, 4, 2, 5, 3]


def test_the_newest_goes_first_when_asked_for() -> None:
    assert taken(line_of("a", "a", "a"), newest=True) == [2, 1, 0]
    assert taken(line_of("a", "b", "c"), newest=True) == [2, 1, 0]


def test_who_was_served_takes_turns_with_who_was_not() -> None:
    line = line_of("a", "a")
    assert line.take(newest=False) is not None
    for actor in ("b", "c", "d"):
        line.join(Waiting(actor, 9.0, ord(actor)))

    assert taken(line) == [1, ord("b"), ord("c"), ord("d")]


def test_the_actor_with_most_waiting_gives_way_with_its_oldest() -> None:
    waiting = line_of("a", "b", "b", "c").crowd()

    assert waiting is not None
    assert waiting.told == 1


def test_who_has_little_waiting_is_given_more_patience() -> None:
    line = line_of("greedy", "modest", *["greedy"] * 20)

    stale = [waiting.actor for waiting in line.stale(2_000.0, 1_000.0)]

    assert stale == ["greedy"] * 21
    assert [waiting.actor for waiting in line.stale(3_500.0, 1_000.0)] == ["modest"]


def test_only_who_has_less_than_an_even_share_may_push_others_out() -> None:
    line = line_of(*["greedy"] * 10)

    assert not line.few("greedy")
    assert line.few("modest")
    assert not line_of("a", "b", "c").few("d")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("jtlcs")), max_size=80))
def test_nobody_is_lost_or_told_twice(steps: list[tuple[str, str]]) -> None:
    line: Line[int] = Line()
    inside: dict[int, Waiting[int]] = {}
    for number, (actor, step) in enumerate(steps):
        gone: list[Waiting[int] | None] = []
        if step == "j":
            inside[number] = Waiting(actor, float(number), number)
            line.join(inside[number])
        elif step == "t":
            gone = [line.take(newest=number % 2 == 0)]
        elif step == "c":
            gone = [line.crowd()]
        elif step == "s":
            gone = list(line.stale(float(number), 10.0))
        elif inside:
            found = inside.pop(min(inside))
            line.leave(found)
            line.leave(found)
        for waiting in gone:
            if waiting is not None:
                assert inside.pop(waiting.told) is waiting
        assert len(line) == len(inside)
    assert sorted(taken(line)) == sorted(inside)


def tide(*intervals: tuple[int, int]) -> Tide:
    """Return the tide after intervals in which so many came and went."""
    found, now = Tide(1000, 3, 0.0), 0.0
    for came, went in ((1, 1), *intervals):
        for _ in range(came):
            found.came()
        for _ in range(went):
            found.went()
        now += 1000
        found.turn(now)
    return found


def test_a_burst_that_is_worked_off_is_no_overload() -> None:
    assert not tide((1000, 50), (0, 50), (0, 50), (0, 50)).high


def test_more_coming_than_going_for_three_intervals_is_an_overload() -> None:
    assert not tide((100, 50), (100, 50)).high
    assert tide((100, 50), (100, 50), (100, 50)).high


def test_an_overload_is_over_when_less_comes_but_the_newest_go_first_until_the_line_is_empty() -> (
    None
):
    over = tide((100, 50), (100, 50), (100, 50), (20, 50))

    assert not over.high
    assert over.newest
    over.emptied()
    assert not over.newest


def test_the_settings_of_the_environment_are_taken() -> None:
    found = tuning_of({"SQUAD_RUNS_AT_ONCE": "3", "SQUAD_STEP_DELAY_MS": "40", "HOME": "x"})

    assert (found.at_once_max, found.at_once_min, found.delay_target_ms) == (3, 3, 40)
    assert tuning_of({}) == Tuning()


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "²"])
def test_a_setting_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(AdmissionSettingError, match="SQUAD_RUNS_WAITING"):
        tuning_of({"SQUAD_RUNS_WAITING": text})
