"""What no package governs is asked once; what one governs, every time."""

from __future__ import annotations

from agentsquad.kernel.policy import Question
from agentsquad.kernel.registry import Plugin
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
