"""Retry decisions: what is tried again, how often and how patiently."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel.action import RetryPolicy
from agentsquad.kernel.errors import (
    TABLE,
    ConflictError,
    DeadlineError,
    IntegrityError,
    InvalidError,
    LimitError,
    SquadError,
    UnavailableError,
)
from agentsquad.runtime.resilience.retry import next_delay_ms, retryable


def half() -> float:
    return 0.5


def no_chance() -> float:
    raise AssertionError("chance was drawn although nothing is retried")


policies = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 2000),
    initial_ms=st.integers(0, 10_000),
    factor=st.floats(0.5, 10),
    max_ms=st.integers(0, 100_000),
    jitter=st.floats(0, 1),
)


@pytest.mark.parametrize("cls", sorted(TABLE, key=lambda c: c.__name__))
def test_the_error_table_decides_what_is_retried(cls: type[SquadError]) -> None:
    delay = next_delay_ms(RetryPolicy(attempts=2), 1, cls("x"), half)
    assert (delay is not None) == TABLE[cls].retryable


def test_delays_grow_by_the_factor_up_to_the_cap() -> None:
    policy = RetryPolicy(attempts=9, initial_ms=100, factor=3, max_ms=2000, jitter=0)
    delays = [next_delay_ms(policy, n, UnavailableError(), no_chance) for n in range(1, 10)]
    assert delays == [100, 300, 900, 2000, 2000, 2000, 2000, 2000, None]


def test_what_the_other_side_asked_for_is_waited_for() -> None:
    policy = RetryPolicy(attempts=2, initial_ms=10, max_ms=20)
    assert next_delay_ms(policy, 1, LimitError(retry_after_ms=9000), half) == 9000


def test_a_named_code_is_retried_although_its_class_is_not() -> None:
    policy = RetryPolicy(attempts=3, codes=("deadline",))
    assert retryable(policy, DeadlineError())
    assert not retryable(policy, ConflictError())


def test_integrity_errors_and_signals_are_never_retried() -> None:
    policy = RetryPolicy(attempts=3, codes=("integrity",))
    assert next_delay_ms(policy, 1, IntegrityError(), no_chance) is None
    assert next_delay_ms(policy, 1, KeyboardInterrupt(), no_chance) is None


def test_a_foreign_exception_counts_as_a_bug_and_is_not_retried() -> None:
    assert next_delay_ms(RetryPolicy(attempts=3), 1, ValueError("x"), no_chance) is None


def test_nothing_is_drawn_when_the_policy_gives_up() -> None:
    assert next_delay_ms(RetryPolicy(attempts=1), 1, UnavailableError(), no_chance) is None
    assert next_delay_ms(RetryPolicy(attempts=5), 1, InvalidError("x"), no_chance) is None


@given(policies, st.integers(1, 3000), st.floats(0, 1, exclude_max=True))
def test_every_delay_lies_inside_the_jittered_cap(
    policy: RetryPolicy, attempt: int, chance: float
) -> None:
    delay = next_delay_ms(policy, attempt, UnavailableError(), lambda: chance)
    if attempt >= policy.attempts:
        assert delay is None
    else:
        assert delay is not None
        assert 0 <= delay <= policy.max_ms * (1 + policy.jitter) + 1


@given(policies, st.integers(1, 500), st.integers(0, 10**7))
def test_a_delay_is_never_shorter_than_asked(policy: RetryPolicy, attempt: int, asked: int) -> None:
    delay = next_delay_ms(policy, attempt, UnavailableError(retry_after_ms=asked), half)
    assert delay is None or delay >= asked


@given(policies)
def test_without_jitter_delays_never_shrink(policy: RetryPolicy) -> None:
    import msgspec

    steady = msgspec.structs.replace(policy, jitter=0, factor=max(1.0, policy.factor), attempts=40)
    delays = [next_delay_ms(steady, n, UnavailableError(), no_chance) or 0 for n in range(1, 40)]
    assert delays == sorted(delays)
