"""What others may know about policy: files, rules, results, ports, errors.

The port that decides is `kernel.policy.PolicyEngine`; these are the ports that
build one and look inside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.policy import Decision, PolicyEngine, Question

DECISION = "data.squad.decision"
"""The rule every decision is read from; `rules/decision.rego` defines it."""


class PolicyFile(msgspec.Struct, frozen=True, kw_only=True):
    """One Rego module (`*.rego`) or JSON document (`*.json`).

    `layer` orders who may override whom: 0 ships with the product, 1 with
    plugins, 2 belongs to the user. `origin` tells people where it came from.
    """

    name: str
    text: str
    origin: str = ""
    layer: int = 2

    @property
    def is_rego(self) -> bool:
        """Whether it holds rules rather than data."""
        return self.name.endswith(".rego")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong in one file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class RuleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One rule as written: where, what kind, and the clauses it names.

    `kind` is value, set, object, function or default.
    """

    package: str
    name: str
    kind: str
    file: str
    line: int
    clauses: tuple[str, ...] = ()


class PackageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One package and which actions it governs.

    `actions` are names, or prefixes ending in `*`; None means every action, and
    is only possible without `allow`.
    """

    name: str
    actions: tuple[str, ...] | None
    parts: tuple[str, ...]


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one `test_` rule ended: passed, failed or error."""

    __test__ = False
    name: str
    file: str
    line: int
    outcome: str
    message: str = ""
    printed: tuple[str, ...] = ()


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of one file no test reached."""

    file: str
    covered: int
    missed: tuple[int, ...]


class TestReport(msgspec.Struct, frozen=True, kw_only=True):
    """All tests of a folder and what they covered, test files left out."""

    __test__ = False
    passed: int
    failed: int
    coverage_percent: float
    results: tuple[TestResult, ...]
    coverage: tuple[Coverage, ...]


@runtime_checkable
class CompiledPolicy(PolicyEngine, Protocol):
    """A policy engine that can also say what it is made of."""

    @property
    def files(self) -> tuple[PolicyFile, ...]:
        """Every file that takes part, in load order."""
        ...

    @property
    def rules(self) -> tuple[RuleInfo, ...]:
        """Every rule, in load order."""
        ...

    @property
    def packages(self) -> tuple[PackageInfo, ...]:
        """Every package that takes part in decisions."""
        ...


class PolicyCompiler(Protocol):
    """Turns files into a policy; the only door to the rule language."""

    def compile(self, files: Sequence[PolicyFile]) -> CompiledPolicy:
        """Return the policy; PolicyInvalidError holds every problem."""
        ...

    def test(self, files: Sequence[PolicyFile]) -> TestReport:
        """Run each `test_` rule against the other files."""
        ...


class PolicyFolder(Protocol):
    """Where a user's policy files lie."""

    def read(self, paths: Sequence[str], *, tests: bool) -> tuple[PolicyFile, ...]:
        """Return the files named, and of each folder all within it.

        `tests` says whether files ending in `_test.rego` or `_test.json` count.
        """
        ...

    def document(self, path: str) -> Any:
        """Return one JSON document."""
        ...


class PolicyInvalidError(InvalidError):
    """A policy file cannot be used."""

    code = "policy.syntax"

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(
            f"{first}{more}",
            hint=first.hint or None,
            details={"problems": [msgspec.to_builtins(problem) for problem in problems]},
        )
        self.problems = tuple(problems)


class PolicyDataError(InvalidError):
    """Policy data contradicts other data or a rule."""

    code = "policy.conflict"


class PolicyFileError(MissingError):
    """There is no such policy file."""

    code = "policy.file"


class PolicyQueryError(InvalidError):
    """A rule could not be evaluated on this input."""

    code = "policy.error"


class PolicyTestError(InvalidError):
    """A policy test failed."""

    code = "policy.test_failed"


def question_document(question: Question) -> Mapping[str, Any]:
    """Return what rules see as `input`."""
    return {
        "actor": question.actor,
        "roles": question.roles,
        "action": question.action,
        "effect": question.effect,
        "input": question.input,
        "facts": question.facts,
    }


__all__ = [
    "DECISION",
    "CompiledPolicy",
    "Coverage",
    "Decision",
    "PackageInfo",
    "PolicyCompiler",
    "PolicyDataError",
    "PolicyEngine",
    "PolicyFile",
    "PolicyFileError",
    "PolicyFolder",
    "PolicyInvalidError",
    "PolicyQueryError",
    "PolicyTestError",
    "Problem",
    "Question",
    "RuleInfo",
    "TestReport",
    "TestResult",
    "question_document",
]
