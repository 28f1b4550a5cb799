"""What is recorded of a step: the decision as it is, and how long it took."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel.policy import Decision
from agentsquad.runtime.engine.flow import plain
from agentsquad.runtime.engine.perform import told

texts = st.text(max_size=8)
obligations = st.dictionaries(texts, st.integers() | texts | st.lists(texts, max_size=2))


@given(st.booleans(), texts, texts, st.lists(texts, max_size=3), st.lists(obligations, max_size=2))
def test_a_decision_is_told_with_everything_it_says(allow, reason, revision, clauses, owed):
    decision = Decision(
        allow=allow,
        reason=reason,
        revision=revision,
        clauses=tuple(clauses),
        obligations=tuple(owed),
    )
    assert told(decision) == plain(decision)
    assert set(told(decision)) == {field.name for field in msgspec.structs.fields(Decision)}
