"""How rules of many packages become one decision."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from agentsquad.kernel.policy import Decision, PolicyEngine, Question
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.policy.contract import (
    CompiledPolicy,
    PolicyFile,
    PolicyQueryError,
)
from agentsquad.runtime.policy.plugin import compiler, load_policy

LIMITS = """package p2p.limits

actions := {"payments.send", "p2p.*"}

allow contains {"clause": "p2p.limits.within", "reason": "within the limit"} if {
	input.input.amount <= data.limits.auto
}

allow contains {"clause": "p2p.limits.approved", "reason": "approved"} if {
	input.facts.approval.approved
}

deny contains {"clause": "p2p.limits.never", "reason": sprintf("%d is too much", [n])} if {
	n := input.input.amount
	n > data.limits.most
}

obligations contains {
	"clause": "p2p.limits.controller",
	"approve": {"roles": ["controller"], "count": 1},
} if {
	input.input.amount > data.limits.auto
}
"""
DUTIES = """package p2p.duties

deny contains {"clause": "p2p.duties.same_person", "reason": "approver is the requester"} if {
	input.facts.approval.approver == input.facts.requester
}
"""
DATA = '{"limits": {"auto": 1000, "most": 50000}}'


def policy(*texts: str, data: str = DATA) -> CompiledPolicy:
    files = [PolicyFile(name=f"{n}.rego", text=text) for n, text in enumerate(texts)]
    return compiler(None).compile([*files, PolicyFile(name="data.json", text=data)])


def asked(
    engine: PolicyEngine, value: Any, action: str = "payments.send", **facts: Any
) -> Decision:
    effect = "read" if action.endswith(".get") else "irreversible"
    return engine.decide(
        Question(actor="agent:drafter", action=action, effect=effect, input=value, facts=facts)
    )


def test_a_rule_allows_and_is_named_as_the_clause_that_decided() -> None:
    decision = asked(policy(LIMITS, DUTIES), {"amount": 10})
    assert decision.allow
    assert decision.clauses == ("p2p.limits.within",)
    assert decision.reason == "within the limit"
    assert decision.obligations == ()


@pytest.mark.parametrize("effect", ["write", "irreversible", "something-else"])
def test_what_no_rule_allows_is_denied(effect: str) -> None:
    question = Question(actor="agent:x", action="mail.send", effect=effect, input={})
    decision = policy(LIMITS).decide(question)
    assert not decision.allow
    assert decision.clauses == ("policy.default_deny",)
    assert decision.reason == "no rule allows mail.send"


@pytest.mark.parametrize("effect", ["pure", "read"])
def test_reading_is_allowed_unless_a_rule_denies(effect: str) -> None:
    question = Question(actor="agent:x", action="mail.get", effect=effect, input={})
    assert policy(LIMITS).decide(question).clauses == ("policy.default_allow",)
    closed = 'package m\ndeny contains {"clause": "m.closed"} if input.action == "mail.get"\n'
    decision = policy(LIMITS, closed).decide(question)
    assert not decision.allow
    assert decision.clauses == ("m.closed",)
    assert decision.reason == "m.closed"


def test_any_denial_wins_over_every_allowance_and_all_denials_are_named() -> None:
    facts = {"approval": {"approved": True, "approver": "person:ada"}, "requester": "person:ada"}
    decision = asked(policy(LIMITS, DUTIES), {"amount": 90_000}, **facts)
    assert not decision.allow
    assert decision.clauses == ("p2p.duties.same_person", "p2p.limits.never")
    assert decision.reason == "approver is the requester; 90000 is too much"
    assert decision.obligations == ()


def test_an_allowance_comes_with_its_obligations() -> None:
    facts = {"approval": {"approved": True, "approver": "person:bob"}, "requester": "person:ada"}
    decision = asked(policy(LIMITS, DUTIES), {"amount": 5_000}, **facts)
    assert decision.allow
    assert decision.clauses == ("p2p.limits.approved", "p2p.limits.controller")
    assert [dict(one)["approve"] for one in decision.obligations] == [
        {"roles": ["controller"], "count": 1}
    ]


def test_obligations_reach_reads_too() -> None:
    mask = 'package m\nobligations contains {"clause": "m.iban", "mask": ["/iban"]}\n'
    decision = asked(policy(mask), {}, action="vendors.get")
    assert decision.allow
    assert decision.clauses == ("m.iban", "policy.default_allow")
    assert decision.obligations[0]["mask"] == ["/iban"]


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        ("payments.send", True),
        ("payments.sender", False),
        ("payments.send.twice", False),
        ("p2p.pay", True),
        ("p2p.", True),
        ("p2px.pay", False),
        ("xp2p.pay", False),
        ("p2p", False),
    ],
)
def test_a_package_allows_only_the_actions_it_names(action: str, allowed: bool) -> None:
    assert asked(policy(LIMITS), {"amount": 1}, action=action).allow is allowed


def test_a_package_that_only_denies_governs_everything_unless_it_names_actions() -> None:
    stop = 'package stop\ndeny contains {"clause": "stop.all"}\n'
    assert not asked(policy(LIMITS, stop), {"amount": 1}).allow
    narrow = stop.replace("\ndeny", '\nactions := {"mail.*"}\ndeny')
    assert asked(policy(LIMITS, narrow), {"amount": 1}).allow
    assert asked(policy(LIMITS, narrow), {}, action="mail.send").clauses == ("stop.all",)


@pytest.mark.parametrize("part", ["deny", "allow", "obligations"])
@pytest.mark.parametrize("element", ['"text"', "1", '{"reason": "x"}', '{"clause": 7}', "[]"])
def test_an_element_without_a_clause_denies(part: str, element: str) -> None:
    slip = f'package slip\nactions := {{"*"}}\n{part} contains {element}\n'
    decision = asked(policy(LIMITS, slip), {"amount": 1})
    assert not decision.allow
    assert decision.clauses == ("policy.malformed",)
    assert "slip" in decision.reason


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("1 / input.input.zero > 1", "divide by zero"),
        ("to_number(input.input.text) > 1", "could not parse"),
        ("input.input.text + 1 > 1", "numeric"),
    ],
)
def test_a_rule_that_fails_denies_and_says_so(body: str, said: str) -> None:
    text = f'package e\nactions := {{"*"}}\nallow contains {{"clause": "e.ok"}} if {body}\n'
    decision = asked(policy(text), {"zero": 0, "text": "x"})
    assert not decision.allow
    assert decision.clauses == ("policy.error",)
    assert said in decision.reason
    assert "0.rego:3" in decision.reason
    assert "backtrace" not in decision.reason
    assert "\n" not in decision.reason


def test_what_cannot_be_written_as_json_denies() -> None:
    for value in (object(), {1j: 2}, float("nan")):
        decision = asked(policy(LIMITS), value)
        assert not decision.allow
    assert asked(policy(LIMITS), object()).clauses == ("policy.error",)


def test_the_engine_answers_again_after_an_error() -> None:
    engine = policy(LIMITS)
    assert asked(engine, object()).clauses == ("policy.error",)
    assert asked(engine, {"amount": 1}).allow


def test_large_amounts_are_compared_exactly() -> None:
    engine = policy(LIMITS, data='{"limits": {"auto": 9007199254740992, "most": 1e18}}')
    assert asked(engine, {"amount": 9007199254740992}).allow
    assert not asked(engine, {"amount": 9007199254740993}).allow


def test_query_evaluates_any_rule_and_none_means_undefined() -> None:
    engine = policy(LIMITS, 'package m\nresult := {"sum": input.a + input.b}\n')
    assert engine.query("data.m.result", {"a": 1, "b": 2}) == {"sum": 3}
    assert engine.query("data.m.result", {"a": 1}) is None
    assert engine.query("data.limits", {}) == {"auto": 1000, "most": 50000}
    with pytest.raises(PolicyQueryError) as caught:
        engine.query("data.m.result", {"a": "x", "b": 2})
    assert caught.value.code == "policy.error"
    assert "1.rego:2" in caught.value.message


def test_the_same_policy_may_be_asked_from_many_threads() -> None:
    engine = policy(LIMITS)
    wrong: list[int] = []

    def ask(amount: int) -> None:
        for _ in range(30):
            if asked(engine, {"amount": amount}).allow is not (amount <= 1000):
                wrong.append(amount)

    threads = [threading.Thread(target=ask, args=(amount,)) for amount in (1, 2000, 3, 4000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_plugins_bring_their_own_rules_and_the_folder_comes_on_top(tmp_path: Any) -> None:
    plugin = Plugin(name="p2p", policies={"p2p/limits.rego": LIMITS, "p2p/limits.json": DATA})
    shipped = load_policy([plugin])
    assert asked(shipped, {"amount": 900}).allow
    (tmp_path / "own.json").write_text('{"limits": {"auto": 500}}')
    own = load_policy([plugin], str(tmp_path))
    assert not asked(own, {"amount": 900}).allow
    assert asked(own, {"amount": 500}).allow
    assert own.query("data.limits.most", {}) == 50000
    assert own.revision != shipped.revision
    assert isinstance(own, CompiledPolicy)
