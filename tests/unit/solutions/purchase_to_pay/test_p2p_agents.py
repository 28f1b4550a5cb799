from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.schema import problems
from agentsquad.solutions.purchase_to_pay import check, letter, similarity
from agentsquad.solutions.purchase_to_pay.catalogue import SELLERS
from agentsquad.solutions.purchase_to_pay.generator import generate
from agentsquad.solutions.purchase_to_pay.plugin import agents
from agentsquad.solutions.purchase_to_pay.result import Found
from agentsquad.solutions.purchase_to_pay.rules import RULES
from agentsquad.solutions.purchase_to_pay.screening import Screener
from agentsquad.workforce.agents import prompt
from agentsquad.workforce.agents.contract import ModelRequest

Make = Callable[..., Any]
SPECS = {agent["metadata"]["name"]: agent["spec"] for agent in agents()}


def ask(name: str, value: Any) -> Any:
    """Let a rule answer as the turn asks it, and hold it to its schema."""
    messages = prompt.opening(SPECS[name], "the task", value)
    answer = RULES[name](ModelRequest(model=name, messages=messages))
    wrong = problems(SPECS[name]["outputSchema"], msgspec.to_builtins(answer))
    assert wrong == []
    return answer


def test_every_agent_has_a_rule_and_every_rule_an_agent() -> None:
    assert set(RULES) == {n for n, s in SPECS.items() if s["model"].startswith("rules/")}
    assert {s["model"].removeprefix("rules/") for s in SPECS.values()} - {"default"} == set(RULES)


def test_the_matcher_pairs_the_renamed_items_of_the_fixtures(line: Make) -> None:
    renamed = [i for s in SELLERS for i in s.items if i.renamed]
    lines = [(str(n), i.renamed[1]) for n, i in enumerate(renamed) if i.renamed]
    others = [(str(n), i.description) for n, i in enumerate(renamed)]
    answer = ask(
        "p2p-matcher",
        {"lines": [], "candidates": [], "similarity": similarity.table(lines, others)},
    )
    assert [(p["line"], p["order_line"]) for p in answer["pairs"]] == [("0", "0"), ("1", "1")]
    assert all(p["confidence"] >= check.CONFIDENT for p in answer["pairs"])


def test_the_matcher_is_unsure_when_two_lines_are_alike() -> None:
    scores = {"1": {"1": 0.9, "2": 0.88}}
    answer = ask("p2p-matcher", {"lines": [], "candidates": [], "similarity": scores})
    assert answer["pairs"][0]["confidence"] < check.CONFIDENT


def test_a_pairing_is_used_only_where_quantity_and_price_agree(line: Make) -> None:
    said = {"line": "1", "order_line": "1", "confidence": 0.99, "because": "sure"}
    same = check.checked_pairs({"pairs": [said]}, [line()], [line()])
    assert same[0].sure
    dear = check.checked_pairs({"pairs": [said]}, [line(price=Decimal(3))], [line()])
    more = check.checked_pairs({"pairs": [said]}, [line(quantity=Decimal(101))], [line()])
    unit = check.checked_pairs({"pairs": [said]}, [line(unit="CA")], [line()])
    assert not any(one.sure for one in (*dear, *more, *unit))


def test_invented_and_repeated_pairs_are_dropped(line: Make) -> None:
    def said(number: str, other: str) -> dict[str, Any]:
        return {"line": number, "order_line": other, "confidence": 2, "because": "x" * 999}

    answer = {"pairs": [said("7", "1"), said("1", "9"), said("2", "1"), said("3", "1")]}
    kept = check.checked_pairs(answer, [line("1"), line("2"), line("3")], [line("1")])
    assert [(p.pair.line, p.pair.order_line) for p in kept] == [("2", "1")]
    assert kept[0].confidence == 1.0 and len(kept[0].because) == 200


FACTS: dict[str, Any] = {
    "account_differs": False,
    "same_number": [],
    "same_goods": ["I-1"],
    "remit_name": "ACME",
    "vendor": "Acme",
}


def test_the_fraud_checker_names_what_the_facts_show() -> None:
    answer = ask("p2p-fraud-checker", FACTS)
    assert answer == {"reasons": ["same_goods"], "duplicate_of": "I-1"}
    assert check.checked_suspicion(answer, FACTS) == (20, ["same_goods"])


def test_suspicion_without_a_fact_counts_nothing() -> None:
    wild = {"reasons": ["account_differs", "same_number", "other_payee", "aliens"]}
    assert check.checked_suspicion(wild, FACTS) == (0, [])


def test_the_researcher_cites_only_documents_there_are() -> None:
    documents = [{"id": "f ISA 1", "type": "order", "number": "45"}]
    value = {
        "po": "45",
        "documents": documents,
        "exceptions": [
            {"kind": "price_drift", "document": "I-1", "because": "x", "disposition": "hold"}
        ],
    }
    answer = ask("p2p-researcher", value)
    assert answer["findings"][0]["recommend"] == "ask_vendor"
    wild = {"findings": [{**answer["findings"][0], "evidence": ["f ISA 1", "made up"]}]}
    kept = check.checked_findings(wild, {"price_drift"}, {"f ISA 1"})
    assert kept[0]["evidence"] == ["f ISA 1"]
    assert check.checked_findings(wild, {"over_delivery"}, {"f ISA 1"}) == []


@pytest.mark.parametrize(("score", "said"), [(92, "match"), (91, "possible"), (79, "clear")])
def test_the_screener_says_what_the_score_means(score: int, said: str) -> None:
    value = {"name": "A", "listed": "B", "score": score, "program": "", "hold": 92, "review": 80}
    assert ask("p2p-screener", value)["decision"] == said


def test_one_vendor_of_the_fixtures_is_listed_and_the_near_name_is_not() -> None:
    made = generate(25, 7).files
    files = {n.removeprefix("sanctions/"): d for n, d in made.items() if n.startswith("sanctions/")}
    screener = Screener(files)
    scores = {seller.key: screener.screen(seller.name).score for seller in SELLERS}
    assert scores["zeltara"] == 100
    assert all(score < 80 for key, score in scores.items() if key != "zeltara"), scores


POINTS = [Found(kind="price_drift", disposition="hold", because="", po="45", document="I-1")]


def test_a_letter_says_every_point_and_amount_and_nothing_else() -> None:
    facts = letter.letter_facts("ACME", "45", POINTS, {"not paid (USD)": "12.00 USD"})
    opening = ask("p2p-drafter", letter.brief(facts))
    assert letter.problems(opening) == []
    text = letter.compose(opening["opening"], facts)
    assert "invoice I-1: a price is above" in text and "Not paid (USD): 12.00 USD" in text


@pytest.mark.parametrize(
    "opening",
    [
        "",
        "Hello.",
        "We promise to pay your invoice in full within this very week.",
        "We have looked at your invoice of 12 March and found it wanting.",
        "Your invoice your invoice your invoice your invoice your invoice your invoice.",
        "A Pricing and Shipping Service for a Business of some kind.",
        "We have looked at your invoice and would like to",
        "This is a new delivery; please help us to settle our invoice.",
        "The invoice is below the agreed price, and we thank you for it.",
    ],
)
def test_an_opening_that_is_empty_promises_numbers_or_rambles_is_replaced(opening: str) -> None:
    assert letter.problems({"opening": opening})


def test_an_opening_of_courtesy_alone_is_sent() -> None:
    said = "We have received your invoice and kindly ask you to look at the points below."
    assert letter.problems({"opening": said}) == []


@pytest.mark.parametrize("kind", letter.SILENT)
def test_nobody_is_warned_of_a_suspicion(kind: str) -> None:
    secret = Found(kind=kind, disposition="hold", because="", po="45")
    assert letter.worth_writing([*POINTS, secret]) == []


def test_likeness_is_symmetric_and_one_only_for_the_same_words() -> None:
    one, other = "LAMP BEDSIDE E14 BRASS REV 2", "BEDSIDE LAMP BRASS E14"
    assert similarity.alike(one, other) == similarity.alike(other, one)
    assert similarity.alike(one, one) == 1.0 and similarity.alike("", "") == 0.0
    assert 0.6 < similarity.alike(one, other) < 1.0
