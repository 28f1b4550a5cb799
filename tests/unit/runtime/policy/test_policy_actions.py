"""The actions of policy, called with a context that offers only its ports."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from agentsquad.kernel.action import Effect
from agentsquad.kernel.errors import MissingError, UnsupportedError
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.policy.actions import (
    AskInput,
    CheckInput,
    ShowInput,
    TestInput,
    ask,
    check,
    show,
)
from agentsquad.runtime.policy.actions import test as run_tests
from agentsquad.runtime.policy.contract import (
    PolicyFileError,
    PolicyInvalidError,
    PolicyTestError,
)
from agentsquad.runtime.policy.plugin import load_policy, plugin

RULES = """package p2p.limits

actions := {"payments.*"}

allow contains {"clause": "p2p.limits.auto", "reason": "small"} if {
	input.input.amount <= data.limits.auto
}

deny contains {"clause": "p2p.limits.blocked"} if {
	input.facts.blocked
	input.actor != ""
}
"""
TESTS = """package p2p.limits_test

import data.p2p.limits

test_small_passes if {
	print("asking")
	count(limits.allow) == 1 with input as {"input": {"amount": 1}}
}
"""


class Ports:
    """A context of ports and nothing else."""

    def __init__(self, **_: Any) -> None:
        self.bound: dict[Any, Any] = {role: factory(None) for role, factory in plugin.ports.items()}

    def port(self, role: Any) -> Any:
        try:
            return self.bound[role]
        except KeyError:
            raise UnsupportedError(f"no {role}") from None


@pytest.fixture
def ctx() -> Ports:
    return Ports()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "limits.rego").write_text(RULES)
    (tmp_path / "limits_test.rego").write_text(TESTS)
    (tmp_path / "limits.json").write_text('{"limits": {"auto": 100}}')
    return tmp_path


def test_check_lists_rules_and_leaves_the_shipped_ones_out(ctx: Ports, folder: Path) -> None:
    found = check(ctx, CheckInput(files=[str(folder)]))
    assert found.files == 3
    assert [package.name for package in found.packages] == ["p2p.limits"]
    assert {rule.name for rule in found.rules} == {
        "actions", "allow", "deny", "test_small_passes",
    }  # fmt: skip


def test_check_of_a_broken_file_names_the_line(ctx: Ports, folder: Path) -> None:
    (folder / "broken.rego").write_text("package b\n\nallow {")
    with pytest.raises(PolicyInvalidError) as caught:
        check(ctx, CheckInput(files=[str(folder)]))
    assert caught.value.problems[0].file == "broken.rego"
    assert caught.value.problems[0].line == 3
    with pytest.raises(PolicyFileError):
        check(ctx, CheckInput(files=[str(folder / "nowhere")]))


def test_test_runs_the_tests_and_shows_lines_no_test_reached(ctx: Ports, folder: Path) -> None:
    report = run_tests(ctx, TestInput(folder=str(folder)))
    assert (report.passed, report.failed) == (1, 0)
    assert report.results[0].name == "data.p2p.limits_test.test_small_passes"
    assert any("asking" in line for line in report.results[0].printed)
    assert [(file.file, file.missed) for file in report.coverage] == [("limits.rego", (9, 11))]
    assert 0 < report.coverage_percent < 100


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("test_x if 1 == 2", "undefined"),
        ("test_x := 7", "it is 7, not true"),
        ("test_x if 1 / input.a == 1", "undefined"),
        ("test_x if to_number(`x`) == 1", "could not parse"),
    ],
)
def test_a_failing_test_fails_the_action_and_says_why(
    ctx: Ports, folder: Path, body: str, said: str
) -> None:
    (folder / "more_test.rego").write_text(f"package more_test\n{body}\n")
    with pytest.raises(PolicyTestError) as caught:
        run_tests(ctx, TestInput(folder=str(folder)))
    assert "1 of 2 tests failed" in caught.value.message
    assert said in caught.value.message
    assert caught.value.details["passed"] == 1


def test_a_folder_without_tests_is_not_a_success(ctx: Ports, folder: Path) -> None:
    (folder / "limits_test.rego").unlink()
    with pytest.raises(PolicyTestError):
        run_tests(ctx, TestInput(folder=str(folder)))


def test_tests_may_stand_on_the_mounted_policy(ctx: Ports, tmp_path: Path) -> None:
    mounted = Plugin(name="p", policies={"limits.rego": RULES, "l.json": '{"limits": {"auto": 9}}'})
    ctx.bound[PolicyEngine] = load_policy([mounted])
    (tmp_path / "limits_test.rego").write_text(TESTS)
    assert run_tests(ctx, TestInput(folder=str(tmp_path), mounted=True)).passed == 1


def test_ask_decides_without_doing_and_points_at_the_rule(ctx: Ports, folder: Path) -> None:
    ctx.bound[PolicyEngine] = load_policy([], str(folder))
    (folder / "pay.in").write_text('{"amount": 10}')
    (folder / "facts.in").write_text('{"blocked": true}')
    asked = AskInput(action="payments.send", actor="person:ada", input=str(folder / "pay.in"))
    answer = ask(ctx, asked)
    assert answer.allow
    assert answer.effect is Effect.WRITE
    assert answer.clauses == ("p2p.limits.auto",)
    assert [(rule.file, rule.line) for rule in answer.rules] == [("limits.rego", 5)]
    denied = ask(
        ctx,
        AskInput(
            action="payments.send",
            actor="person:ada",
            input=str(folder / "pay.in"),
            facts=str(folder / "facts.in"),
        ),
    )
    assert not denied.allow
    assert denied.clauses == ("p2p.limits.blocked",)


def test_ask_knows_the_effect_of_mounted_actions(ctx: Ports) -> None:
    ctx.bound[PolicyEngine] = load_policy([])
    ctx.bound[Registry] = Registry.of(plugin)
    answer = ask(ctx, AskInput(action="policy.check", actor="person:ada"))
    assert (answer.allow, answer.effect) == (True, Effect.READ)
    with pytest.raises(MissingError) as caught:
        ask(ctx, AskInput(action="policy.chek", actor="person:ada"))
    assert "policy.check" in (caught.value.hint or "")
    as_write = AskInput(action="policy.check", actor="person:ada", effect=Effect.WRITE)
    assert not ask(ctx, as_write).allow


def test_show_names_every_file_in_force(ctx: Ports, folder: Path) -> None:
    policy = load_policy([], str(folder))
    ctx.bound[PolicyEngine] = policy
    shown = show(ctx, ShowInput())
    assert shown.revision == policy.revision
    assert [(file.name, file.layer) for file in shown.files] == [
        ("squad/decision.rego", 0),
        ("limits.json", 2),
        ("limits.rego", 2),
    ]
    assert shown.rules == ()
    assert show(ctx, ShowInput(rules=True)).rules == policy.rules


def test_the_reference_page_shows_rules_that_work(ctx: Ports, tmp_path: Path) -> None:
    page = Path(__file__).parents[4] / "docs/reference/policy.md"
    rules, tests = re.findall(r"```rego\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    (tmp_path / "limits.rego").write_text(rules)
    (tmp_path / "limits_test.rego").write_text(tests)
    (tmp_path / "d.json").write_text('{"limits": {"auto_micros": 5, "most_micros": 9}}')
    assert run_tests(ctx, TestInput(folder=str(tmp_path))).passed == 2
