"""Actions of drift: compare a workflow with its baseline, and pin one."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.insight.drift import baseline as baselines
from agentsquad.insight.drift.baseline import ALARMED, BASELINED, Population, Question, stream
from agentsquad.insight.drift.comparison import compare, look
from agentsquad.insight.drift.contract import (
    Culprit,
    DriftPolicyError,
    DriftWindowError,
    Finding,
    Report,
    Window,
)
from agentsquad.insight.drift.feature import CLOCKED
from agentsquad.insight.drift.investigation import Case, Means, investigate
from agentsquad.insight.drift.report import answer, headline
from agentsquad.insight.drift.window import changes, enough, window
from agentsquad.kernel import canonical
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import BlobStore, EventStore
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.policy.contract import (
    CompiledPolicy,
    PolicyCompiler,
    PolicyFile,
    PolicyFolder,
)


class DriftInput(msgspec.Struct, kw_only=True):
    """What to compare with what."""

    workflow: Annotated[
        str,
        Meta(description="workflow or agent whose runs are compared", examples=["p2p-screener"]),
    ]
    since: Annotated[
        str | None,
        Meta(
            description="new runs are those from this time (2026-11-12, 7d) or run on",
            examples=["7d"],
        ),
    ] = None
    baseline: Annotated[
        str | None,
        Meta(
            description="old runs are those of FROM..TO; else the pinned ones, else all before",
            examples=["2026-10-01..2026-10-31"],
        ),
    ] = None
    window: Annotated[
        int | None,
        Meta(description="new runs are the last N; without --since, 200", examples=[100]),
    ] = None
    alpha: Annotated[
        float, Meta(description="chance of a false alarm", gt=0.0, lt=0.5, examples=[0.01])
    ] = 0.05
    once: Annotated[
        bool,
        Meta(description="compare all runs with all of alpha; holds if you look only this once"),
    ] = False
    re_run: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="old runs to drive again on alarm, paid models too; 0 none "
            "(default 40, free models only)",
            examples=[20],
        ),
    ] = None
    reads: Annotated[
        bool,
        Meta(description="when driving again, also read again what the workflow itself read"),
    ] = False
    old_policy: Annotated[
        str | None,
        Meta(
            description="folder that SQUAD_POLICY named at the time of the baseline",
            examples=["policy-before/"],
        ),
    ] = None
    record: Annotated[bool, Meta(description="write an alarm to the log")] = False


@action(
    "drift.show",
    effect=Effect.READ,
    cli=("drift",),
    positional=("workflow",),
    examples=("squad drift purchase-to-pay-case --since 7d",),
    files={"old_policy": "in"},
)
async def show(ctx: Context, value: DriftInput) -> Report:
    """Say whether a workflow or agent behaves otherwise than before, and which
    change is to blame.

    Outcomes, costs, times, decisions, tools and tokens of its runs are compared
    with those of its baseline; all tests and looks together alarm falsely with
    at most the chance alpha. On alarm old runs are driven again with model,
    prompt, tools and policy swapped one by one; no effect can leave. Exit 0: no
    alarm; 1: alarm.
    """
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    found = await baselines.census(store, value.workflow, ctx.progress)
    runs = list(found.found.values())
    question = Question(
        workflow=value.workflow, since=value.since, baseline=value.baseline, window=value.window
    )
    pin = await baselines.pinned(store, value.workflow)
    both = baselines.divide(question, runs, pin, ctx.now_ms())
    # A window that slides is another one each time: looks at one that grows do
    # not apply to it.
    looks_apply = not value.once and (value.since is not None or both.pinned is not None)
    enough(len(both.old), len(both.new), value.alpha, looks=looks_apply, names=found.names)
    if looks_apply:
        looks, findings = look(both.old, both.new, value.alpha, ctx.progress)
        seen = both.new[: looks[-1].runs]
    else:
        looks, findings, seen = [], compare(both.old, both.new, value.alpha), both.new
    inputs = compare(both.old, seen, value.alpha, ("input",))
    changed = changes(both.old, seen)
    case = Case(
        workflow=value.workflow,
        finding=headline(findings) or _nothing(),
        inputs=inputs,
        changes=changed,
        old=both.old,
        new=seen,
    )
    culprit, notes = await _culprit(ctx, value, findings, case, both)
    since = window(seen)
    report = Report(
        workflow=value.workflow,
        alarm=any(one.drifted for one in findings),
        answer=answer(value.workflow, findings, since, looks, culprit),
        alpha=value.alpha,
        method="looks" if looks_apply else "once",
        baseline=window(both.old),
        since=since,
        open_runs=both.open_runs,
        waiting_runs=len(both.new) - len(seen),
        findings=findings,
        inputs=inputs,
        changes=changed,
        looks=looks,
        culprit=culprit,
        notes=notes + _notes(both, findings, found.names),
    )
    if value.record and report.alarm:
        return await _record(ctx, store, report)
    return report


def _nothing() -> Finding:
    return Finding(
        kind="outcome", name="", test="", statistics={}, p=1.0, old=0.0, new=0.0,
        difference=0.0, low=0.0, high=0.0, old_count=0, new_count=0,
    )  # fmt: skip


def _notes(both: Population, findings: list[Finding], names: dict[str, int]) -> list[str]:
    notes = []
    if both.open_runs:
        notes.append(f"{both.open_runs} runs have not ended and are left out")
    roots = {one.root for one in both.old}, {one.root for one in both.new}
    timed = any(one.kind in CLOCKED for one in findings)
    if not timed and min(map(len, roots)) < 5 <= min(len(both.old), len(both.new)):
        notes.append(
            f"times are not compared: the runs come from {len(roots[0])} and {len(roots[1])} "
            "starts, and those of one start share a machine and an hour"
        )
    return notes


async def _culprit(
    ctx: Context, value: DriftInput, findings: list[Finding], case: Case, both: Population
) -> tuple[Culprit | None, list[str]]:
    """Return who is to blame for the first finding that can be driven again."""
    again = [one for one in findings if one.drifted and one.kind not in CLOCKED]
    if not any(one.drifted for one in findings) or value.re_run == 0:
        return None, []
    if not again:
        return None, ["times cannot be blamed on a version by driving runs again"]
    case.finding = headline(again) or case.finding
    world = ctx.port(World)
    then, exact = await _policy_then(ctx, value, both)
    means = Means(
        world=world,
        store=ctx.port(EventStore),  # type: ignore[type-abstract]
        sample=value.re_run,
        then=then,
        exact=exact,
        reads=value.reads,
        progress=ctx.progress,
    )
    culprit = await investigate(case, means)
    notes = []
    now = both.new[-1].versions.get(("policy", ""))
    if now != world.policy.revision:
        notes.append("policy has changed again since the last of these runs")
    return culprit, notes


async def _policy_then(
    ctx: Context, value: DriftInput, both: Population
) -> tuple[PolicyEngine, bool]:
    """Return who decides as policy did at the time of the baseline, and whether
    it surely does."""
    current = ctx.port(World).policy
    revision = both.old[-1].versions.get(("policy", ""))
    if value.old_policy is None and revision == current.revision:
        return current, True
    shipped: tuple[PolicyFile, ...] = ()
    if isinstance(current, CompiledPolicy):
        shipped = tuple(file for file in current.files if file.layer == 1)
    kept = both.pinned.payload["policy"] if both.pinned is not None else None
    files = shipped  # before there was a folder
    if value.old_policy is not None:
        folder = ctx.port(PolicyFolder)  # type: ignore[type-abstract]
        files = (*shipped, *folder.read([value.old_policy], tests=False))
    elif kept is not None:
        blobs = ctx.port(BlobStore)  # type: ignore[type-abstract]
        text = await blobs.get(kept["files"]["$blob"])
        files = msgspec.convert(canonical.loads(text), tuple[PolicyFile, ...])
    elif not shipped:
        return current, False
    then = ctx.port(PolicyCompiler).compile(files)  # type: ignore[type-abstract]
    if then.revision == revision:
        return then, True
    if value.old_policy is None:
        return current, False
    raise DriftPolicyError(
        f"the rules in {value.old_policy!r} are not those of the baseline: they make "
        f"{then.revision[:19]}…, the runs were under {str(revision)[:19]}…",
        hint="give the folder as it was; without it recorded answers stand in",
    )


async def _record(ctx: Context, store: EventStore, report: Report) -> Report:
    """Write an alarm to the log: which features moved and why, without their
    values, which may name people."""
    body: dict[str, Any] = {
        "workflow": report.workflow,
        "alpha": report.alpha,
        "method": report.method,
        "baseline": msgspec.to_builtins(report.baseline),
        "since": msgspec.to_builtins(report.since),
        "features": [
            {"kind": one.kind, "name": one.name, "corrected": one.corrected}
            for one in report.findings
            if one.drifted
        ],
        "changes": msgspec.to_builtins(report.changes),
        "culprit": None,
    }
    if report.culprit is not None:
        body["culprit"] = {
            "verdict": report.culprit.verdict,
            "sample": report.culprit.sample,
            "shares": {one.factor: one.share for one in report.culprit.shares},
        }
    written = await store.append(
        [NewEvent(stream=stream(report.workflow), type=ALARMED, payload=body, actor=str(ctx.actor))]
    )
    return msgspec.structs.replace(report, recorded=written[0].seq)


class BaselineInput(msgspec.Struct, kw_only=True):
    """Which runs count as normal."""

    workflow: Annotated[str, Meta(description="workflow or agent whose runs they are")]
    runs: Annotated[
        str | None,
        Meta(
            description="FROM..TO, times or runs; without it all that have ended",
            examples=["2026-10-01..2026-10-31"],
        ),
    ] = None


class Pinned(msgspec.Struct, frozen=True, kw_only=True):
    """A baseline as it was pinned."""

    workflow: str
    event: int
    baseline: Window
    policy: str
    keeps_policy: bool


@action(
    "drift.baseline",
    effect=Effect.WRITE,
    cli=("baseline",),
    positional=("workflow", "runs"),
    examples=("squad baseline purchase-to-pay-case 2026-10-01..2026-10-31",),
)
async def pin(ctx: Context, value: BaselineInput) -> Pinned:
    """Pin the runs that later ones are compared with, and keep the rules in
    force.

    Only their names and a digest are written; what is compared is read from the
    log again each time and must give the same digest.
    """
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    found = list((await baselines.census(store, value.workflow, ctx.progress)).found.values())
    question = Question(workflow=value.workflow, baseline=value.runs or "")
    old = [one for one in found if one.ended]
    if value.runs:
        old = baselines.divide(question, found, None, ctx.now_ms()).old
    if not old:
        raise DriftWindowError("no run has ended in that window", hint="squad runs list")
    enough(len(old), len(old), 0.05, looks=True, names={})
    policy = ctx.port(PolicyEngine)  # type: ignore[type-abstract]
    kept = None
    revision = old[-1].versions.get(("policy", ""), "")
    if isinstance(policy, CompiledPolicy) and policy.revision == revision:
        # What the product itself brings is added again when they are compiled.
        own = [file for file in policy.files if file.layer > 0]
        data = canonical.dumps(msgspec.to_builtins(own))
        blobs = ctx.port(BlobStore)  # type: ignore[type-abstract]
        kept = {
            "revision": policy.revision,
            "files": await blobs.put(data, "application/json"),
        }
    body = baselines.pin_body(value.workflow, found, old, kept)
    event = NewEvent(
        stream=stream(value.workflow), type=BASELINED, payload=body, actor=str(ctx.actor)
    )
    written = await store.append([event])
    return Pinned(
        workflow=value.workflow,
        event=written[0].seq,
        baseline=window(old),
        policy=revision,
        keeps_policy=kept is not None,
    )
