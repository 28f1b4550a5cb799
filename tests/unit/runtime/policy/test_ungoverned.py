"""What no package governs is asked once; what one governs, every time."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.kernel.policy import Question
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.policy.adapters import rego
from agentsquad.runtime.policy.contract import question_document
from agentsquad.runtime.policy.plugin import load_policy

RULES = """package shop.limits

actions := {"shop.*"}

allow contains {"clause": "shop.limits.small", "reason": "small"} if input.input.n < 10
"""


def ask(policy, action: str, n: int, effect: str = "write") -> bool:
    question = Question(actor="person:ada", action=action, effect=effect, input={"n": n})
    return policy.decide(question).allow


def test_a_governed_action_is_decided_by_its_input_each_time():
    policy = load_policy([Plugin(name="shop", policies={"shop/limits.rego": RULES})])
    assert [ask(policy, "shop.pay", n) for n in (5, 50, 5)] == [True, False, True]


def test_an_ungoverned_write_is_denied_and_a_read_allowed_however_often():
    policy = load_policy([Plugin(name="shop", policies={"shop/limits.rego": RULES})])
    assert [ask(policy, "other.pay", n) for n in (5, 50)] == [False, False]
    assert [ask(policy, "other.pay", n, "read") for n in (5, 50)] == [True, True]
    denied = Question(actor="person:bob", action="other.pay", effect="write", input=None)
    assert "other.pay" in policy.decide(denied).reason


def test_a_package_that_denies_everywhere_is_never_passed_over():
    rules = 'package deny.all\n\ndeny contains {"clause": "deny.all.n"} if input.input.n > 10\n'
    policy = load_policy([Plugin(name="deny", policies={"deny/all.rego": rules})])
    assert [ask(policy, "any.read", n, "read") for n in (5, 50, 5)] == [True, False, True]


MORE = """package shop.people

actions := {"shop.pay", "desk.*"}

deny contains {"clause": "shop.people.bob", "reason": "not bob"} if input.actor == "person:bob"

obligations contains {"clause": "shop.people.two", "approve": {"count": 2}} if input.input.n > 7
"""
BROKEN = """package shop.broken

actions := {"shop.broken"}

allow contains {"clause": "shop.broken.any"} if input.input.n / input.input.zero > 0
"""
WORDS = st.sampled_from(["shop.pay", "shop.payment", "shop", "desk.open", "other.x", "shop.broken"])


@given(
    asked=st.lists(
        st.tuples(WORDS, st.integers(0, 12), st.sampled_from(["ada", "bob"]),
                  st.sampled_from(["write", "read"])),
        min_size=1, max_size=12,
    ),
    often=st.sampled_from([1, 3, 1000]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_who_is_asked_and_what_is_remembered_changes_no_decision(asked, often):
    files = {"shop/a.rego": RULES, "shop/b.rego": MORE, "shop/c.rego": BROKEN}
    policy = load_policy([Plugin(name="shop", policies=files)])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rego, "OFTEN", often)
        rego._engines.few.clear()
        rego._engines.asked.clear()
        _hold(policy, asked)


def _hold(policy, asked):
    for action, n, actor, effect in asked:
        question = Question(
            actor=f"person:{actor}", action=action, effect=effect, input={"n": n, "zero": 0}
        )
        whole = policy.fresh_engine()  # every package mounted, nothing remembered
        whole.set_input_json(msgspec.json.encode(question_document(question)).decode())
        try:
            expected = json.loads(whole.eval_rule_as_json("data.squad.decision"))
        except RuntimeError:
            expected = {"allow": False, "clauses": ["policy.error"]}
        for _ in range(2):
            found = policy.decide(question)
            assert found.allow == expected["allow"]
            assert list(found.clauses) == sorted(expected["clauses"])
            assert list(found.obligations) == expected.get("obligations", [])


def test_the_same_question_is_evaluated_once_and_another_one_anew(monkeypatch):
    policy = load_policy([Plugin(name="shop", policies={"shop/limits.rego": RULES})])
    evaluated = []
    decided = policy._decided

    def counted(text, governing):
        evaluated.append(text)
        return decided(text, governing)

    monkeypatch.setattr(policy, "_decided", counted)
    assert [ask(policy, "shop.pay", n) for n in (5, 50, 5, 50, 5)] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert len(evaluated) == 2
    other = load_policy(
        [Plugin(name="shop", policies={"shop/limits.rego": RULES.replace("< 10", "< 5")})]
    )
    assert ask(other, "shop.pay", 5) is False
