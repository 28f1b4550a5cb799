"""Laws of limits: never above the limit in any window, whatever is asked and
whenever; a refusal changes nothing; what is said about waiting is true.
"""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from agentsquad.trust.threats.limit import Outcome, Rule, State, take

rules = st.builds(
    Rule,
    limit=st.integers(1, 50),
    window_ms=st.integers(1, 5_000),
    algorithm=st.sampled_from(("token-bucket", "leaky-bucket", "sliding-window")),
    burst=st.integers(0, 30),
)
asked = st.lists(
    st.tuples(st.integers(0, 2_000), st.integers(1, 8)), min_size=1, max_size=80
)  # (milliseconds since the one before, cost)


def passed(rule: Rule, asked: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return (moment, cost) of what passed."""
    state: State | None = None
    now, found = 0, []
    for wait, cost in asked:
        now += wait
        state, outcome = take(rule, state, now, cost)
        if outcome.passes:
            found.append((now, cost))
    return found


@given(rule=rules, asked=asked)
def test_never_above_the_limit_in_any_window(rule: Rule, asked: list[tuple[int, int]]) -> None:
    found = passed(rule, asked)
    for first in range(len(found)):
        total = 0
        for moment, cost in found[first:]:
            total += cost
            length = moment - found[first][0]
            if rule.algorithm == "sliding-window":
                if length < rule.window_ms:
                    assert total <= rule.limit
            else:
                assert total <= rule.depth + Fraction(rule.limit * length, rule.window_ms)


@given(rule=rules, asked=asked)
def test_a_refusal_changes_nothing(rule: Rule, asked: list[tuple[int, int]]) -> None:
    state: State | None = None
    now = 0
    for wait, cost in asked:
        now += wait
        after, outcome = take(rule, state, now, cost)
        if not outcome.passes:
            for probe in (1, 3, 8):
                later = now + 777
                assert take(rule, after, later, probe)[1] == take(rule, state, later, probe)[1]
        state = after


@given(rule=rules, asked=asked, cost=st.integers(1, 8))
def test_waiting_as_long_as_told_is_enough_and_no_shorter_wait_is(
    rule: Rule, asked: list[tuple[int, int]], cost: int
) -> None:
    state: State | None = None
    now = 0
    for wait, price in asked:
        now += wait
        state, _ = take(rule, state, now, price)
    outcome = take(rule, state, now, cost)[1]
    if outcome.passes:
        return
    if outcome.retry_ms is None:
        assert cost > (rule.limit if rule.algorithm == "sliding-window" else rule.depth)
        return
    assert outcome.retry_ms > 0
    assert take(rule, state, now + outcome.retry_ms, cost)[1].passes
    assert not take(rule, state, now + outcome.retry_ms - 1, cost)[1].passes


@given(rule=rules, asked=asked)
def test_what_remains_may_pass_at_once_and_all_of_it_after_the_reset(
    rule: Rule, asked: list[tuple[int, int]]
) -> None:
    state: State | None = None
    now = 0
    outcome: Outcome | None = None
    for wait, cost in asked:
        now += wait
        state, outcome = take(rule, state, now, cost)
    assert outcome is not None
    assert outcome.remaining >= 0
    if outcome.remaining:
        assert take(rule, state, now, outcome.remaining)[1].passes
    whole = rule.limit if rule.algorithm == "sliding-window" else rule.depth
    assert take(rule, state, now + outcome.reset_ms, whole)[1].passes
