from __future__ import annotations

from typing import Any

import pytest

from agentsquad.kernel.policy import Decision, Question
from agentsquad.runtime.policy.contract import CompiledPolicy

PAYMENT: dict[str, Any] = {
    "reference": "P1",
    "account": "30088127",
    "routing": "990000101",
    "buyer": "DANA WHITFIELD",
}
FACTS: dict[str, Any] = {
    "requester": "agent:p2p-drafter",
    "risk": "low",
    "filed_account": "30088127",
    "filed_routing": "990000101",
    "holds": [],
    "stage": "ask",
}


def ask(policy: CompiledPolicy, amount: int, currency: str = "USD", **facts: Any) -> Decision:
    given = {**PAYMENT, "amount": {"micros": amount * 10_000, "currency": currency}}
    given |= facts.pop("payment", {})
    return policy.decide(
        Question(
            actor="service:squad",
            action="payments.send",
            effect="irreversible",
            input=given,
            facts={**FACTS, **facts},
        )
    )


def roles(decision: Decision) -> list[str]:
    assert decision.allow, decision.reason
    return sorted(role for duty in decision.obligations for role in duty["approve"]["roles"])


@pytest.mark.parametrize(
    ("cents", "wanted"),
    [
        (250_000, []),
        (250_001, ["ap_clerk"]),
        (1_000_000, ["ap_clerk"]),
        (1_000_001, ["controller"]),
        (5_000_000, ["controller"]),
        (5_000_001, ["cfo", "controller"]),
    ],
)
def test_the_amount_decides_who_must_agree(
    policy: CompiledPolicy, cents: int, wanted: list[str]
) -> None:
    assert roles(ask(policy, cents)) == wanted


@pytest.mark.parametrize(
    ("risk", "wanted"), [("elevated", ["controller"]), ("high", ["cfo", "controller"])]
)
def test_risk_raises_the_rank_of_a_small_payment(
    policy: CompiledPolicy, risk: str, wanted: list[str]
) -> None:
    assert roles(ask(policy, 100, risk=risk)) == wanted


def test_a_currency_without_limits_cannot_be_paid(policy: CompiledPolicy) -> None:
    decision = ask(policy, 100, currency="JPY")
    assert not decision.allow and "p2p.payments.no_limit" in decision.clauses


@pytest.mark.parametrize("cents", [0, -1])
def test_nothing_and_less_are_no_payments(policy: CompiledPolicy, cents: int) -> None:
    assert not ask(policy, cents).allow


@pytest.mark.parametrize("payment", [{"account": "999"}, {"account": ""}, {"routing": "1"}])
def test_only_the_account_on_file_is_paid(policy: CompiledPolicy, payment: dict[str, str]) -> None:
    decision = ask(policy, 100, payment=payment)
    assert not decision.allow and "p2p.payments.account_not_on_file" in decision.clauses


def test_missing_facts_deny(policy: CompiledPolicy) -> None:
    question = Question(
        actor="service:squad",
        action="payments.send",
        effect="irreversible",
        input={**PAYMENT, "amount": {"micros": 1, "currency": "USD"}},
    )
    assert not policy.decide(question).allow


def test_a_held_case_is_not_paid_whoever_agrees(policy: CompiledPolicy) -> None:
    agreed = [{"approver": "person:chen"}]
    decision = ask(policy, 100, holds=["sanctioned_vendor"], approvals=agreed, stage="send")
    assert not decision.allow


@pytest.mark.parametrize(
    ("approvers", "clause"),
    [
        (["person:dana"], "p2p.payments.segregation.buyer"),
        (["agent:p2p-drafter"], "p2p.payments.segregation.requester"),
        (["agent:p2p-matcher"], "p2p.payments.segregation.person"),
        (["person:bruno", "person:bruno"], "p2p.payments.segregation.two_people"),
        (["person:bruno"], "p2p.payments.incomplete"),
    ],
)
def test_duties_are_segregated_at_the_door(
    policy: CompiledPolicy, approvers: list[str], clause: str
) -> None:
    agreed = [{"approver": name} for name in approvers]
    decision = ask(policy, 6_000_000, approvals=agreed, stage="send")
    assert not decision.allow and clause in decision.clauses


def test_two_people_of_the_right_kind_release_a_large_payment(policy: CompiledPolicy) -> None:
    agreed = [{"approver": "person:bruno"}, {"approver": "person:chen"}]
    assert ask(policy, 6_000_000, approvals=agreed, stage="send").allow


def give(policy: CompiledPolicy, who: str, roles: list[str], buyer: str = "") -> Decision:
    return policy.decide(
        Question(
            actor=who,
            action="approvals.give",
            effect="write",
            input={"action": "payments.send", "input": {"buyer": buyer}, "because": ""},
            facts={"roles": roles, "requester": "agent:p2p-drafter", "run": "r"},
        )
    )


def test_only_who_holds_the_role_may_answer(policy: CompiledPolicy) -> None:
    assert give(policy, "person:bruno", ["controller"]).allow
    assert not give(policy, "person:ada", ["controller"]).allow
    assert not give(policy, "person:mallory", ["controller"]).allow
    assert not give(policy, "agent:bruno", ["controller"]).allow


def test_who_placed_the_order_may_not_answer(policy: CompiledPolicy) -> None:
    decision = give(policy, "person:bruno", ["controller"], buyer="Bruno Keller")
    assert not decision.allow and "p2p.approvals.segregation.buyer" in decision.clauses


def auto(policy: CompiledPolicy, **more: Any) -> Any:
    question = {
        "action": "payments.send",
        "input": {"buyer": "BRUNO KELLER"},
        "roles": ["controller"],
        "requester": "agent:p2p-drafter",
        "evidence": {"risk": {"level": "low"}, "holds": [], "agreed": []},
    }
    return policy.query("data.p2p.auto.answer", {**question, **more})


def test_the_rule_answers_as_the_first_person_who_may(policy: CompiledPolicy) -> None:
    answer = auto(policy)
    assert answer["approve"] and answer["approver"] == "person:esther"
    assert auto(policy, input={"buyer": "X"})["approver"] == "person:bruno"


def test_the_rule_refuses_what_is_risky_and_leaves_what_nobody_may_answer(
    policy: CompiledPolicy,
) -> None:
    risky = {"risk": {"level": "high"}, "holds": [], "agreed": []}
    assert not auto(policy, evidence=risky)["approve"]
    assert auto(policy, roles=["astronaut"])["approver"] == ""


@pytest.mark.parametrize(
    ("given", "level"),
    [
        ({"exceptions": [], "suspicion": 0, "screening_score": 0}, "low"),
        ({"exceptions": ["split_shipment"], "suspicion": 0, "screening_score": 0}, "low"),
        ({"exceptions": ["item_renamed", "over_delivery"], "suspicion": 0, "screening_score": 0},
         "elevated"),
        ({"exceptions": [], "suspicion": 0, "screening_score": 85}, "elevated"),
        ({"exceptions": ["changed_bank_account"], "suspicion": 40, "screening_score": 0}, "high"),
        ({"exceptions": ["never_heard_of"], "suspicion": 10, "screening_score": 0}, "elevated"),
    ],
)  # fmt: skip
def test_risk_is_points_for_what_was_found(
    policy: CompiledPolicy, given: dict[str, Any], level: str
) -> None:
    assert policy.query("data.p2p.risk.result", given)["level"] == level
