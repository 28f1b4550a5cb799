"""Our own corpus for the part of Rego that rules rely on.

The engine is one maintainer's fork: an upgrade that changes an answer must
fail here first. Expected values come from the language's documentation, not
from what the engine happens to say; where they differ is `deviations.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentsquad.runtime.policy.contract import PolicyFile, PolicyQueryError
from agentsquad.runtime.policy.plugin import compiler

CORPUS = Path(__file__).parent / "rego"
CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted(CORPUS.glob("*.json"))
    for case in json.loads(path.read_text("utf-8"))["cases"]
]


def answer(case: dict[str, Any]) -> Any:
    files = [PolicyFile(name="case.rego", text="\n".join(case["policy"]) + "\n")]
    if "data" in case:
        files.append(PolicyFile(name="case.json", text=json.dumps(case["data"])))
    return compiler(None).compile(files).query(case["query"], case.get("input", {}))


def exactly(value: Any) -> Any:
    """Keep 1 and 1.0 and True apart, which Python's == does not."""
    if isinstance(value, dict):
        return {key: exactly(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [exactly(inner) for inner in value]
    return (type(value).__name__, value)


@pytest.mark.parametrize("case", CASES)
def test_rego_means_what_its_documentation_says(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(Exception) as caught:
            answer(case)
        assert getattr(caught.value, "code", "") in ("policy.error", "policy.syntax")
        assert case["error"] in str(caught.value)
        assert "backtrace" not in str(caught.value)
    elif case.get("undefined"):
        assert answer(case) is None
    else:
        assert exactly(answer(case)) == exactly(case["expected"])


def test_the_corpus_covers_what_the_reference_promises() -> None:
    assert len(CASES) >= 100
    assert {path.stem for path in CORPUS.glob("*.json")} >= {
        "rules", "iteration", "with", "numbers", "strings", "collections", "time",
    }  # fmt: skip


def test_a_query_that_is_no_rule_path_is_refused() -> None:
    policy = compiler(None).compile([])
    for path in ("input", "data", "1 + 1", "data.x; data.y", "data.a[0]", "http.send({})"):
        with pytest.raises(PolicyQueryError):
            policy.query(path, {})
