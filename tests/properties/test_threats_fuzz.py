"""Whatever a request is made of, the shield answers, and takes nothing for a
proof that is none."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.trust.threats.challenge import Challenges
from agentsquad.trust.threats.contract import Hit, refusal
from agentsquad.trust.threats.injection import screen
from agentsquad.trust.threats.shape import depth_of
from agentsquad.trust.threats.shield import SquadShield

words = st.text(max_size=40)
hits = st.builds(
    Hit,
    surface=words,
    method=words,
    path=words,
    route=words,
    query=words,
    headers=st.dictionaries(
        st.sampled_from(("content-type", "content-length", "user-agent", "squad-proof", "x")),
        words | st.just("application/json"),
        max_size=5,
    ),
    body=st.binary(max_size=60),
    address=words | st.ip_addresses().map(str),
    actor=words,
    namespace=words,
    cost=st.integers(0, 10_000),
)


@settings(max_examples=400)
@given(one=hits, status=st.integers(100, 599))
def test_a_shield_answers_whatever_comes(one: Hit, status: int) -> None:
    shield = SquadShield(ManualClock(), SeededEntropy())
    for verdict in (shield.outer(one), shield.inner(one)):
        error = refusal(verdict)
        assert (error is None) is (verdict.answer in ("pass", "log"))
    shield.ended(one, status)


@settings(max_examples=400)
@given(proof=words, parts=st.lists(words, min_size=5, max_size=5), number=words)
def test_what_nobody_was_given_proves_nothing(proof: str, parts: list[str], number: str) -> None:
    challenges = Challenges(ManualClock(), SeededEntropy())
    assert challenges.proven(proof, "203.0.113.9") == 0
    assert challenges.proven(".".join(parts) + ":" + number, "203.0.113.9") == 0


@given(text=st.text(max_size=300))
def test_any_text_can_be_screened(text: str) -> None:
    found = screen(text)
    assert found.attempt is (found.score >= 5)


@given(
    body=st.recursive(
        st.just(b"1"),
        lambda inner: st.lists(inner, max_size=3).map(lambda parts: b"[" + b",".join(parts) + b"]"),
        max_leaves=20,
    )
)
def test_depth_is_counted_exactly(body: bytes) -> None:
    depth = deepest = 0
    for byte in body:
        depth += {91: 1, 93: -1}.get(byte, 0)
        deepest = max(deepest, depth)
    assert depth_of(body, 1_000) == deepest
