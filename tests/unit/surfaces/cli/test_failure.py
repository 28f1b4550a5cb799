"""Errors for people: each problem once, on one line, with its way out."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.errors import InvalidError
from agentsquad.surfaces.cli.failure import PROBLEMS_MAX, problem, text


def manifest(**more: Any) -> dict[str, Any]:
    return {"file": "a.yaml", "line": 5, "path": "spec.typ", **more}


def test_a_problem_is_place_expectation_finding_and_fix() -> None:
    one = manifest(expected="a known property", found="'typ'", fix="did you mean 'type'?")
    told = "a.yaml:5 spec.typ — expected a known property — found 'typ' — did you mean 'type'?"
    assert problem(one) == told


def test_a_fix_that_repeats_the_expectation_is_left_out() -> None:
    one = manifest(expected="one of a, b", found="c", fix="choose one of a, b")
    assert problem(one) == "a.yaml:5 spec.typ — expected one of a, b — found c"


def test_what_the_problems_say_is_not_said_again_above_or_below_them() -> None:
    errors = [manifest(expected="a number", found="y", fix="write it!"), manifest(path="kind")]
    error = InvalidError(
        "a.yaml:5: spec.typ: expected a number, found y (and 1 more)",
        code="manifest.invalid",
        hint="write it!",
        details={"errors": errors},
    )
    assert text(error).splitlines() == [
        "error: 2 mistakes  [manifest.invalid]",
        "  a.yaml:5 spec.typ — expected a number — found y — write it!",
        "  a.yaml:5 kind",
    ]


def test_a_file_that_cannot_be_read_is_complained_of_once() -> None:
    one = manifest(line=2, path="", expected="YAML or JSON", found="neither", fix="quote it")
    error = InvalidError(
        "a.yaml:2: expected YAML or JSON, found neither", details={"errors": [one]}, hint="quote it"
    )
    assert text(error).splitlines() == [
        "error: 1 mistake  [invalid]",
        "  a.yaml:2 — expected YAML or JSON — found neither — quote it",
    ]


def test_an_error_alone_keeps_its_message_and_hint() -> None:
    error = InvalidError("not so", code="x.y", hint="like this")
    assert text(error) == "error: not so  [x.y]\nhint: like this"


def test_many_problems_are_counted_and_not_all_printed() -> None:
    error = InvalidError("many", details={"errors": [manifest(line=n) for n in range(50)]})
    lines = text(error).splitlines()
    assert len(lines) == PROBLEMS_MAX + 2
    assert lines[-1] == "  … and 30 more; -o json has them all"
