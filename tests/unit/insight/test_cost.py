"""Cost: any grouping has the same total, and an unknown price is never
nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.insight.analytics.cost import GROUPS, Ledger, report
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.event import Event


def event(seq: int, run: str, kind: str, payload: dict) -> Event:
    return Event(
        seq=seq,
        stream=f"run/{run}",
        stream_seq=seq,
        type=kind,
        version=1,
        at="2026-01-01T00:00:00.000Z/0000",
        actor="service:squad",
        cause=None,
        correlation=run,
        payload_digest="",
        prev=None,
        payload=payload,
    )


usages = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["a", "b"]),
        "input_tokens": st.integers(0, 1000),
        "output_tokens": st.integers(0, 1000),
        "cost_micros": st.none() | st.integers(0, 10**9),
        "currency": st.sampled_from(["USD", "EUR"]),
    }
)


@given(st.lists(st.tuples(st.sampled_from(["r1", "r1/1", "r2"]), usages)))
def test_every_grouping_adds_up_to_the_sum_of_the_events(pairs):
    log = [event(1, "r1/1", "run.started", {"workflow": "agent-turn", "input": {"agent": "x"}})]
    for seq, (run, usage) in enumerate(pairs, 2):
        log.append(event(seq, run, "step.completed", {"name": "ask", "usage": [usage]}))
    micros: dict[str, int] = {}
    for _, usage in pairs:
        if usage["cost_micros"] is not None:
            currency = usage["currency"]
            micros[currency] = micros.get(currency, 0) + usage["cost_micros"]
    reports = [report(log, by) for by in GROUPS]
    for found in reports:
        assert {c: round(float(v) * 1e6) for c, v in found.total.items()} == micros
        assert found.calls == len(pairs)
        assert found.unknown == sum(u["cost_micros"] is None for _, u in pairs)


def test_an_agents_turn_is_counted_for_the_agent():
    log = [
        event(1, "r/1", "run.started", {"workflow": "agent-turn", "input": {"agent": "matcher"}}),
        event(2, "r/1", "step.completed", {"usage": [{"model": "m", "cost_micros": 1_500_000}]}),
    ]
    (line,) = report(log, "agent").items
    assert (line.name, line.cost) == ("matcher", {"USD": "1.50"})


def test_an_unknown_grouping_names_the_known_ones():
    with pytest.raises(InvalidError) as caught:
        Ledger("moon")
    assert "model" in caught.value.hint
