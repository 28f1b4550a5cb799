"""The laws of `evolve`: a run's status moves along its table, or not at all."""

from __future__ import annotations

import pytest

from agentsquad.kernel.event import Event
from agentsquad.runtime.engine.contract import TransitionError
from agentsquad.runtime.engine.state import END_EVENTS, TRANSITIONS, RunState, evolve

STARTED = {"workflow": "w", "definition": "sha256:0", "input": None}


def event(kind: str, number: int) -> Event:
    return Event(
        seq=number,
        stream="run/r",
        stream_seq=number,
        type=kind,
        version=1,
        at="2026-01-01T00:00:00.000Z/0000",
        actor="service:squad",
        cause=None,
        correlation="r",
        payload_digest="sha256:0",
        prev=None,
        payload=STARTED if kind == "run.started" else {},
    )


MOVES = {"run.started": "running", **END_EVENTS}


@pytest.mark.parametrize("first", ["new", *MOVES])
@pytest.mark.parametrize("second", MOVES)
def test_a_status_moves_only_along_the_table(first, second):
    state = RunState(run="r")
    told = ["run.started"] if first in END_EVENTS else []
    told += [] if first == "new" else [first]
    for number, kind in enumerate(told, start=1):
        evolve(state, event(kind, number))
    before = state.status
    assert before == MOVES.get(first, "new")
    if MOVES[second] in TRANSITIONS[before]:
        evolve(state, event(second, len(told) + 1))
        assert state.status == MOVES[second]
    else:
        with pytest.raises(TransitionError) as refused:
            evolve(state, event(second, len(told) + 1))
        assert refused.value.code == "run.transition"
        assert state.status == before


def test_every_status_of_the_table_can_be_reached_from_new():
    reached = {"new"}
    for _ in TRANSITIONS:
        reached |= {after for status in reached for after in TRANSITIONS[status]}
    assert reached == set(TRANSITIONS)
