"""Rate limits: no window ever holds more than the limit, and nobody is
overtaken.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentsquad.runtime.resilience.rate import (
    NOTHING,
    SLOTS,
    Rate,
    Spent,
    earliest,
    reserve,
    settle,
)

asks = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 40)), max_size=80)


def grant_all(rate: Rate, steps: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Ask for each amount in turn and take every grant: (asked at, granted at,
    amount).
    """
    now, spent, granted = 0, NOTHING, []
    for pause, amount in steps:
        now += pause
        moment = earliest(rate, spent, now, amount)
        if moment is not None:
            spent = reserve(rate, spent, moment, amount)
            granted.append((now, moment, amount))
    return granted


@given(st.integers(1, 60), st.integers(1, 1000), asks)
def test_no_window_ever_holds_more_than_the_limit(
    limit: int, window: int, steps: list[tuple[int, int]]
) -> None:
    granted = grant_all(Rate(limit, window), steps)
    for _, end, _ in granted:
        inside = sum(size for _, at, size in granted if end - window < at <= end)
        assert inside <= limit


@given(st.integers(1, 60), st.integers(1, 1000), asks)
def test_grants_are_in_order_and_never_in_the_past(
    limit: int, window: int, steps: list[tuple[int, int]]
) -> None:
    granted = grant_all(Rate(limit, window), steps)
    moments = [at for _, at, _ in granted]
    assert moments == sorted(moments)
    assert all(at >= asked for asked, at, _ in granted)


@given(st.integers(1, 60), asks)
def test_what_is_asked_slowly_enough_is_never_delayed(
    limit: int, steps: list[tuple[int, int]]
) -> None:
    rate = Rate(limit, 100)
    spaced = [(pause + 101, min(amount, limit)) for pause, amount in steps]
    assert all(at == asked for asked, at, _ in grant_all(rate, spaced))


@given(asks)
def test_the_state_stays_small(steps: list[tuple[int, int]]) -> None:
    rate, now, spent = Rate(1_000_000, 1000), 0, NOTHING
    for pause, amount in steps * 5:
        now += pause // 100
        moment = earliest(rate, spent, now, amount)
        assert moment is not None
        spent = reserve(rate, spent, moment, amount)
        assert len(spent.slots) <= SLOTS + 1


def test_a_full_window_delays_by_no_more_than_the_oldest_slot() -> None:
    rate, spent = Rate(3, 60_000), NOTHING
    for at in (0, 1000, 2000):
        spent = reserve(rate, spent, at, 1)
    assert earliest(rate, spent, 3000, 1) == 60_000
    assert earliest(rate, spent, 3000, 2) == 61_000
    assert earliest(rate, spent, 3000, 3) == 62_000


def test_more_than_the_limit_can_never_pass() -> None:
    assert earliest(Rate(10), NOTHING, 0, 11) is None


def test_giving_back_what_was_not_used_lets_the_next_pass() -> None:
    rate = Rate(100, 1000)
    spent = reserve(rate, NOTHING, 0, 100)
    assert earliest(rate, spent, 1, 60) == 1000
    assert earliest(rate, settle(spent, 0, -60), 1, 60) == 1


def test_using_more_than_granted_makes_the_next_wait() -> None:
    rate = Rate(100, 1000)
    spent = settle(reserve(rate, NOTHING, 0, 10), 0, 95)
    assert earliest(rate, spent, 1, 1) == 1000


def test_a_grant_that_left_the_window_is_not_corrected() -> None:
    rate = Rate(100, 1000)
    spent = reserve(rate, reserve(rate, NOTHING, 0, 10), 5000, 10)
    assert settle(spent, 0, 50) == spent


def test_asking_for_nothing_changes_nothing() -> None:
    assert reserve(Rate(5), Spent(), 1, 0) == Spent()
