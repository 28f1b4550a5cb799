"""The actions of policy: check files, run their tests, ask, and show."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import UnsupportedError
from agentsquad.kernel.policy import PolicyEngine, Question
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.policy.contract import (
    CompiledPolicy,
    PackageInfo,
    PolicyCompiler,
    PolicyFolder,
    PolicyTestError,
    RuleInfo,
    TestReport,
)
from agentsquad.runtime.policy.rulebook import RESERVED


class CheckInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which files to check."""

    files: Annotated[
        list[str],
        msgspec.Meta(
            description="Rego and JSON files, or folders of them.", examples=[["policies/"]]
        ),
    ]


class CheckOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What the files hold."""

    files: int
    revision: str
    packages: tuple[PackageInfo, ...]
    rules: tuple[RuleInfo, ...]


@action(
    "policy.check",
    effect=Effect.READ,
    cli=("policy", "check"),
    positional=("files",),
    examples=("squad policy check policies/",),
    files={"files": "in"},
)
def check(ctx: Context, input: CheckInput) -> CheckOutput:
    """Check policy files and list their rules.

    Every problem is answered with file, line, column and how to fix it.
    """
    files = ctx.port(PolicyFolder).read(input.files, tests=True)  # type: ignore[type-abstract]
    policy = ctx.port(PolicyCompiler).compile(files)  # type: ignore[type-abstract]
    return CheckOutput(
        files=len(files),
        revision=policy.revision,
        packages=policy.packages,
        rules=tuple(rule for rule in policy.rules if rule.package.split(".")[0] != RESERVED),
    )


class TestInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which tests to run."""

    __test__ = False
    folder: Annotated[
        str,
        msgspec.Meta(
            description="Folder of rules, data and tests (rules named test_…).",
            examples=["policies/"],
        ),
    ]
    mounted: Annotated[
        bool,
        msgspec.Meta(description="Test against the policy now in force, the folder on top."),
    ] = False


@action(
    "policy.test",
    effect=Effect.READ,
    cli=("policy", "test"),
    positional=("folder",),
    examples=("squad policy test policies/",),
    files={"folder": "in"},
)
def test(ctx: Context, input: TestInput) -> TestReport:
    """Run the tests of a policy folder and show which lines they reach.

    A test is a rule whose name begins with `test_`; it passes when it is true.
    """
    files = ctx.port(PolicyFolder).read([input.folder], tests=True)  # type: ignore[type-abstract]
    if input.mounted:
        below = _compiled(ctx).files
        files = (*(file for file in below if file.layer == 1), *files)
    report = ctx.port(PolicyCompiler).test(files)  # type: ignore[type-abstract]
    if not report.results:
        raise PolicyTestError(
            f"no tests in {input.folder!r}", hint="write rules whose names begin with test_"
        )
    if report.failed:
        first = next(result for result in report.results if result.outcome != "passed")
        raise PolicyTestError(
            f"{report.failed} of {len(report.results)} tests failed: {first.name} "
            f"({first.file}:{first.line}): {first.message}",
            hint="details.results tells how each test ended",
            details=msgspec.to_builtins(report),
        )
    return report


class AskInput(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask."""

    action: Annotated[
        str, msgspec.Meta(description="Name of the action.", examples=["payments.send"])
    ]
    actor: Annotated[str, msgspec.Meta(description="Who asks, KIND:NAME.", examples=["person:ada"])]
    roles: Annotated[tuple[str, ...], msgspec.Meta(description="Roles of the actor.")] = ()
    input: Annotated[
        str | None,
        msgspec.Meta(
            description="File holding the action's input as JSON.", examples=["payment.json"]
        ),
    ] = None
    facts: Annotated[
        str | None,
        msgspec.Meta(description="File holding the facts as JSON.", examples=["facts.json"]),
    ] = None
    effect: Annotated[
        Effect | None,
        msgspec.Meta(description="Effect to assume; otherwise that of the action, else write."),
    ] = None


class AskOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What policy answered."""

    allow: bool
    reason: str
    clauses: tuple[str, ...]
    obligations: tuple[dict[str, Any], ...]
    effect: Effect
    revision: str
    rules: tuple[RuleInfo, ...]


@action(
    "policy.ask",
    effect=Effect.READ,
    cli=("policy", "ask"),
    examples=(
        "squad policy ask --action payments.send --actor agent:drafter --input payment.json",
    ),
    files={"input": "in", "facts": "in"},
)
def ask(ctx: Context, input: AskInput) -> AskOutput:
    """Ask policy without doing anything, and show the clauses that decide."""
    folder = ctx.port(PolicyFolder)  # type: ignore[type-abstract]
    effect = input.effect or _effect(ctx, input.action)
    engine = ctx.port(PolicyEngine)  # type: ignore[type-abstract]
    decision = engine.decide(
        Question(
            actor=str(Actor.parse(input.actor)),
            roles=input.roles,
            action=input.action,
            effect=effect.value,
            input=None if input.input is None else folder.document(input.input),
            facts={} if input.facts is None else folder.document(input.facts),
        )
    )
    rules = engine.rules if isinstance(engine, CompiledPolicy) else ()
    return AskOutput(
        allow=decision.allow,
        reason=decision.reason,
        clauses=decision.clauses,
        obligations=tuple(dict(one) for one in decision.obligations),
        effect=effect,
        revision=decision.revision,
        rules=tuple(rule for rule in rules if set(rule.clauses) & set(decision.clauses)),
    )


class ShowInput(msgspec.Struct, frozen=True, kw_only=True):
    """What to show."""

    rules: Annotated[bool, msgspec.Meta(description="List every rule too.")] = False


class ShownFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file in force."""

    name: str
    origin: str
    layer: int
    lines: int


class ShowOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The policy in force."""

    revision: str
    files: tuple[ShownFile, ...]
    packages: tuple[PackageInfo, ...]
    rules: tuple[RuleInfo, ...] = ()


@action(
    "policy.show",
    effect=Effect.READ,
    cli=("policy", "show"),
    examples=("squad policy show --rules",),
)
def show(ctx: Context, input: ShowInput) -> ShowOutput:
    """Show the policy in force: its revision, files and what each governs."""
    policy = _compiled(ctx)
    return ShowOutput(
        revision=policy.revision,
        files=tuple(
            ShownFile(
                name=file.name,
                origin=file.origin,
                layer=file.layer,
                lines=len(file.text.splitlines()),
            )
            for file in policy.files
        ),
        packages=policy.packages,
        rules=policy.rules if input.rules else (),
    )


def _compiled(ctx: Context) -> CompiledPolicy:
    engine = ctx.port(PolicyEngine)  # type: ignore[type-abstract]
    if not isinstance(engine, CompiledPolicy):
        raise UnsupportedError("this policy engine does not show its files", code="policy.opaque")
    return engine


def _effect(ctx: Context, name: str) -> Effect:
    """Return the effect of a mounted action; the gravest guess if unknown."""
    try:
        registry = ctx.port(Registry)
    except UnsupportedError:
        return Effect.WRITE
    return registry.action(name).spec.effect
