"""`--namespace` on every command: before its words, after them, or as -n."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Squad = Callable[..., Any]


def test_every_command_takes_the_namespace_before_or_after_its_words(squad: Squad) -> None:
    assert squad("namespaces", "create", "acme").code == 0
    for words in (
        ("-n", "acme", "runs", "list"),
        ("runs", "list", "--namespace", "acme"),
        ("runs", "-n", "acme", "list", "-o", "json"),
    ):
        shown = squad(*words)
        assert shown.code == 0 and "paid" not in shown.out
    assert len(squad("runs", "list", "-o", "json").json()["items"]) == 2


def test_a_namespace_that_is_not_there_is_said_plainly(squad: Squad) -> None:
    squad("namespaces", "create", "acme")
    said = squad("-n", "acne", "runs", "list")
    assert said.code == 5
    assert said.err.splitlines() == [
        "error: no namespace named 'acne'  [namespace.missing]",
        "hint: did you mean 'acme'?",
    ]


def test_what_concerns_everybody_is_the_same_from_every_namespace(squad: Squad) -> None:
    squad("namespaces", "create", "acme", "--description", "ACME Ltd.")
    one = squad("namespaces", "list", "-o", "json").json()
    assert squad("-n", "acme", "namespaces", "list", "-o", "json").json() == one
    assert [item["name"] for item in one["items"]] == ["default", "system", "acme"]
