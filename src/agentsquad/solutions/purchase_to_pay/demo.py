"""The first thing a newcomer runs: the shipped orders from envelope to payment,
checked against the known answer.

Thin: it starts the process through the engine, answers what waits (at the
prompt, or by the rule `p2p.auto` in the place of the demo's people) and
compares the totals with `truth.json`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel import canonical
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import ConflictError, DeadlineError, MissingError
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine.contract import Engine, InboxItem, Outcome
from agentsquad.runtime.engine.runs import answer_by_rule, question
from agentsquad.solutions.purchase_to_pay.contract import (
    Approver,
    FileSource,
    FixtureFolder,
    FolderError,
)
from agentsquad.solutions.purchase_to_pay.generator import generate
from agentsquad.solutions.purchase_to_pay.progress import (
    Orders,
    Standing,
    finished_cases,
    so_far,
    standing,
)
from agentsquad.solutions.purchase_to_pay.question import laid_out
from agentsquad.solutions.purchase_to_pay.result import RunResult
from agentsquad.solutions.purchase_to_pay.tally import Tally, compare, tally
from agentsquad.solutions.purchase_to_pay.workflow import NAME, FolderInput, purchase_to_pay

NO_TERMINAL = "there is no terminal to ask at: approvals are answered by rule, as with --auto"
TICK_MS = 200
TICK_MAX_MS = 3_000


class DemoInput(msgspec.Struct, kw_only=True):
    """What to run."""

    folder: Annotated[
        str | None,
        Meta(description="a folder with orders; the shipped ones if left out", examples=["orders"]),
    ] = None
    auto: Annotated[
        bool, Meta(description="answer approvals by rule instead of asking at the prompt")
    ] = False


class Left(msgspec.Struct, kw_only=True):
    """A question that was left to the inbox, and who may answer it."""

    id: str
    action: str
    because: str
    people: list[str]


class DemoResult(msgspec.Struct, kw_only=True):
    """What came of it. Money by currency as decimal strings.

    With questions left to the inbox it is `waiting`: what it says is of the
    orders that are done, and `ground_truth` is open.
    """

    orders: int
    runs: int
    matched: int
    exceptions: dict[str, int]
    paid: dict[str, str]
    held: dict[str, str]
    ground_truth: str
    differences: list[dict[str, Any]]
    cost: dict[str, str]
    events: int
    head: Any
    models: list[str]
    approvals: int
    auto: bool
    run: str
    outcomes: dict[str, int]
    note: str = ""
    status: str = "completed"
    left: list[Left] = []

    @property
    def exit_code(self) -> int:
        """0 only when every cent is as known beforehand, or people must answer
        before anybody can know."""
        return 0 if self.ground_truth in ("matches", "open") else 1


@action(
    "demo.run",
    effect=Effect.WRITE,
    cli=("demo",),
    examples=("squad demo --auto -o json", "squad demo --folder orders"),
    files={"folder": "in"},
    local="it asks at the prompt; from afar start purchase-to-pay and answer in the inbox",
)
async def run(ctx: Context, value: DemoInput) -> DemoResult:
    """Run purchase to pay over the shipped orders and check every cent."""
    source = ctx.port(FileSource)  # type: ignore[type-abstract]
    folder = value.folder or ctx.port(FixtureFolder).shipped()  # type: ignore[type-abstract]
    engine = ctx.port(Engine)  # type: ignore[type-abstract]
    key = await ctx.call("p2p.key", {"folder": folder})
    approver = ctx.port(Approver)  # type: ignore[type-abstract]
    auto = value.auto or not approver.present()
    note = NO_TERMINAL if auto and not value.auto else ""
    if note:
        ctx.progress(note)
    await engine.recover()
    started = await engine.start(NAME, FolderInput(folder=folder), key=key, actor=str(ctx.actor))
    outcome = await _drive(ctx, engine, started, None if auto else approver)
    if outcome.status == "waiting":
        return await _waiting(ctx, engine, started)
    if outcome.status != "completed":
        raise DemoFailedError(
            f"run {started} ended {outcome.status}",
            hint=f"squad runs show {started}",
            details=dict(outcome.error or {}),
        )
    result = msgspec.convert(outcome.output, RunResult, strict=False)
    differences = compare(result, _truth(source, folder))
    counted = await tally(ctx, started)
    return msgspec.structs.replace(
        _result(started, result, (differences, counted), auto=auto), note=note
    )


async def _waiting(ctx: Context, engine: Engine, run_id: str) -> DemoResult:
    """Return how far it came, and what people have to answer."""
    policy = ctx.port(PolicyEngine)  # type: ignore[type-abstract]
    left = [
        Left(
            id=item.id,
            action=item.action,
            because=item.because,
            people=list(policy.query("data.p2p.auto.eligible", question(item)) or []),
        )
        for item in await engine.inbox(run_id)
    ]
    cases = await finished_cases(ctx.port(EventStore), engine, run_id)  # type: ignore[type-abstract]
    counted = await tally(ctx, run_id)
    return msgspec.structs.replace(
        _result(run_id, so_far(cases), ([], counted), auto=False),
        ground_truth="open",
        status="waiting",
        left=left,
    )


def _result(
    run_id: str, result: RunResult, known: tuple[list[dict[str, Any]], Tally], *, auto: bool
) -> DemoResult:
    differences, counted = known
    return DemoResult(
        orders=result.orders,
        runs=counted.runs,
        matched=result.matched,
        exceptions=result.exceptions,
        paid=result.paid,
        held=result.held,
        ground_truth="differs" if differences else "matches",
        differences=differences,
        cost=counted.cost,
        events=counted.events,
        head=counted.head,
        models=counted.models,
        approvals=sum(len(case.approvals) for case in result.cases),
        auto=auto,
        run=run_id,
        outcomes=result.outcomes,
    )


async def _drive(ctx: Context, engine: Engine, run_id: str, approver: Approver | None) -> Outcome:
    """Wait for the end; answer what waits on the way.

    Where nothing is left but questions for the inbox, nobody is waited for.
    """
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    later: set[str] = set()
    seen: set[str] = set()
    met = 0
    stood: Standing | None = None
    orders = Orders(store, engine, run_id)
    tick = TICK_MS
    while True:
        try:
            return await engine.wait(run_id, timeout_ms=tick)
        except DeadlineError:
            waiting = [i for i in await engine.inbox(run_id) if i.id not in later]
        if later and not waiting:
            before, stood = stood, await standing(store, engine, run_id)
            if stood.only_people and stood == before:
                return Outcome(run=run_id, status="waiting")
        # looking through the log costs; look less often while nothing is asked
        tick = TICK_MS if waiting else min(2 * tick, TICK_MAX_MS)
        if approver is not None and {item.id for item in waiting} != seen:
            seen = {item.id for item in waiting}  # more may come: ask when all are known
            tick = TICK_MS
            continue
        for number, item in enumerate(waiting, met + 1):
            place = number, met + len(waiting)
            if approver is None:
                await _by_rule(ctx, engine, item)
            elif not await _at_prompt(ctx, engine, item, approver, place):
                later.add(item.id)
        met += len(waiting)
        open_now = f", {len(later)} left to the inbox" if later else ""
        ctx.progress(f"{await orders.told()}, {met} questions met{open_now}")


async def _by_rule(ctx: Context, engine: Engine, item: InboxItem) -> None:
    """Answer as the process's own rule says; a question nobody may answer ends
    the demo."""
    if not await answer_by_rule(ctx, engine, item, str(purchase_to_pay.auto)):
        raise NobodyError(
            f"nobody may answer {item.id}: {item.because}",
            hint="add people with the roles to the policy data, or answer in the inbox",
            details={"roles": list(item.roles)},
        )


async def _at_prompt(
    ctx: Context, engine: Engine, item: InboxItem, approver: Approver, place: tuple[int, int]
) -> bool:
    """Ask about one question; False leaves it to the inbox, where others may be
    quicker."""
    policy = ctx.port(PolicyEngine)  # type: ignore[type-abstract]
    people = policy.query("data.p2p.auto.eligible", question(item)) or []
    if not people:
        return False
    root = item.run.partition("/")[0]
    if item.id not in {one.id for one in await engine.inbox(root)}:
        return True
    verdict = await approver.ask(laid_out(item, people, place), people)
    if verdict is None:
        return False
    try:
        await engine.answer(
            item.id, approve=verdict.approve, approver=verdict.approver, reason=verdict.reason
        )
    except (ConflictError, MissingError) as late:
        if late.code not in ("approval.answered", "approval.missing"):
            raise
        ctx.progress(f"too late: {late}")
    return True


def _truth(source: FileSource, folder: str) -> dict[str, Any] | None:
    try:
        value = canonical.loads(source.read(folder, "truth.json"))
    except FolderError:
        return None
    return value if isinstance(value, dict) else None


class DataInput(msgspec.Struct, kw_only=True):
    """How many orders, from which seed, to where."""

    out: Annotated[str, Meta(description="a new folder for the files", examples=["orders"])]
    orders: Annotated[int, Meta(description="how many purchase orders", examples=[25])] = 25
    seed: Annotated[int, Meta(description="the same seed gives the same files")] = 7


class DataResult(msgspec.Struct, kw_only=True):
    """What was written."""

    folder: str
    orders: int
    files: int
    bytes: int
    paid: dict[str, str]
    held: dict[str, str]


@action(
    "demo.data",
    effect=Effect.WRITE,
    cli=("demo", "data"),
    files={"out": "out"},
    local="it makes files to try things with, the same ones everywhere",
)
def data(ctx: Context, value: DataInput) -> DataResult:
    """Write any number of orders of invented partners, with the known answer
    beside them."""
    made = generate(value.orders, value.seed)
    folder = ctx.port(FixtureFolder).write(value.out, made.files)  # type: ignore[type-abstract]
    truth = made.truth
    return DataResult(
        folder=folder,
        orders=value.orders,
        files=len(made.files),
        bytes=sum(map(len, made.files.values())),
        paid=msgspec.convert(truth["paid"], dict[str, str]),
        held=msgspec.convert(truth["held"], dict[str, str]),
    )


class DemoFailedError(ConflictError):
    """The run did not complete."""

    code = "demo.failed"


class NobodyError(MissingError):
    """Nobody has the role to answer."""

    code = "p2p.nobody"
