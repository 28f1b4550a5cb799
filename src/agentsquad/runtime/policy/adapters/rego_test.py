"""Runs the `test_` rules of a policy and measures what they cover.

A test passes when its rule is true; `todo_test_` rules are left alone. Lines of
test files and of the shipped rules do not count for coverage.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agentsquad.runtime.policy.adapters.rego_error import located
from agentsquad.runtime.policy.contract import Coverage, RuleInfo, TestReport, TestResult


def run_tests(engine: Any, rules: Sequence[RuleInfo]) -> TestReport:
    """Evaluate each test on an empty input and collect what was reached."""
    engine.set_enable_coverage(True)
    engine.clear_coverage_data()
    tests: dict[tuple[str, str], RuleInfo] = {}
    for rule in rules:
        if rule.name.startswith("test_"):
            tests.setdefault((rule.package, rule.name), rule)
    results = [_run(engine, rule) for _, rule in sorted(tests.items())]
    passed = sum(result.outcome == "passed" for result in results)
    coverage = _coverage(engine, {rule.file for rule in tests.values()})
    covered = sum(file.covered for file in coverage)
    lines = covered + sum(len(file.missed) for file in coverage)
    return TestReport(
        passed=passed,
        failed=len(results) - passed,
        coverage_percent=round(100 * covered / lines, 1) if lines else 100.0,
        results=tuple(results),
        coverage=coverage,
    )


def _run(engine: Any, rule: RuleInfo) -> TestResult:
    path = f"data.{rule.package}.{rule.name}"
    engine.set_input_json("{}")
    engine.take_prints()
    outcome, message = "error", ""
    try:
        value = json.loads(engine.eval_query_as_json(path))
        rows = value.get("result") or []
        answer = rows[0]["expressions"][0]["value"] if rows else None
        outcome = "passed" if answer is True else "failed"
        if answer is not True:
            message = "it is undefined" if not rows else f"it is {json.dumps(answer)}, not true"
    except RuntimeError as error:
        message = located(error)
    return TestResult(
        name=path,
        file=rule.file,
        line=rule.line,
        outcome=outcome,
        message=message,
        printed=tuple(engine.take_prints()),
    )


def _coverage(engine: Any, tests: set[str]) -> tuple[Coverage, ...]:
    report = json.loads(engine.get_coverage_report_as_json())
    return tuple(
        Coverage(file=file["path"], covered=len(file["covered"]), missed=tuple(file["not_covered"]))
        for file in sorted(report["files"], key=lambda file: str(file["path"]))
        if file["path"] not in tests and not file["path"].startswith("squad/")
    )
