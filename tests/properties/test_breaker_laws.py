"""Laws of the breaker, on any sequence of calls and moments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentsquad.runtime.resilience.breaker import (
    HALF_OPEN,
    OPEN,
    Breaker,
    BreakerRule,
    Learned,
    Sample,
    judge,
    limits,
)

RULES = st.builds(
    BreakerRule,
    window_ms=st.sampled_from([1_000, 10_000]),
    calls=st.integers(1, 20),
    minimum=st.integers(1, 8),
    error_rate=st.none() | st.floats(0.1, 1),
    latency_ms=st.none() | st.floats(1, 100),
    cost_micros=st.none() | st.integers(1, 100),
    concurrency=st.none() | st.integers(1, 4),
    adaptive=st.none() | st.floats(1, 5),
    open_ms=st.integers(1, 2_000),
    probes=st.integers(1, 3),
)
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["enter", "leave", "leave", "wait"]),
        st.booleans(),
        st.integers(0, 3_000),
        st.integers(0, 30),
    ),
    max_size=60,
)


@given(RULES, MOVES)
def test_a_breaker_keeps_its_laws_whatever_happens(rule, moves):
    breaker, now, under_way, opened_until = Breaker(rule), 0.0, [], None
    for move, ok, duration, cost in moves:
        if move == "wait":
            now += duration
        elif move == "enter":
            if breaker.blocked(now) is not None:
                continue
            change = breaker.asks(now)
            if change is not None:
                if change[0] == "breaker.half_opened":
                    assert opened_until is None or now >= opened_until
                breaker.evolve(*change)
                if breaker.blocked(now) is not None:
                    opened_until = breaker.until_ms
                    continue
            assert breaker.state != OPEN
            if breaker.state == HALF_OPEN:
                probes = sum(probe for probe, _ in under_way)
                assert probes < rule.probes
            if rule.concurrency is not None and breaker.state != HALF_OPEN:
                assert breaker.under_way < rule.concurrency
            under_way.append((breaker.enter(), now))
        elif under_way:
            probe, began = under_way.pop(0)
            breaker.leave(probe)
            state, size = breaker.state, len(breaker.samples)
            sample = Sample(now, ok, now - began, cost, "r", "1", "" if ok else "unavailable")
            change = breaker.took(sample, probe, now)
            assert len(breaker.samples) <= max(rule.calls, size)
            if change is None:
                continue
            kind, body = change
            if kind == "breaker.opened" and state != HALF_OPEN:
                held = [Sample(*one) for one in body["samples"]]
                found = judge(rule, Learned(**body["learned"]), held)
                assert found is not None and found.measure == body["measure"]
            if kind == "breaker.closed":
                assert state == HALF_OPEN and body["probes"] == rule.probes
            breaker.evolve(kind, body)
            opened_until = breaker.until_ms
    assert breaker.under_way == len(under_way)


@given(RULES, st.builds(Learned, st.integers(0, 9), st.floats(0, 1), st.floats(0, 1_000)))
def test_what_was_learned_never_lifts_a_limit(rule, learned):
    for measure, limit in limits(rule, learned, 10).items():
        assert limit <= getattr(rule, measure)


@given(RULES, st.lists(st.tuples(st.booleans(), st.floats(0, 200)), min_size=1, max_size=20))
def test_a_call_that_went_better_never_opens_what_was_closed(rule, calls):
    samples = [Sample(n, ok, ms, 1, "", "", "") for n, (ok, ms) in enumerate(calls)]
    if judge(rule, Learned(), samples) is None:
        for index, one in enumerate(samples):
            better = [*samples[:index], one._replace(ok=True, ms=0.0), *samples[index + 1 :]]
            assert judge(rule, Learned(), better) is None
