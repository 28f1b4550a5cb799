"""Actions of the engine: start, look at, answer and stop runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.money import Money
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine import links, runs
from agentsquad.runtime.engine.contract import (
    Engine,
    EngineBusyError,
    InboxItem,
    Manifests,
    Outcome,
)
from agentsquad.runtime.engine.door import Step, World
from agentsquad.runtime.engine.gate import STREAM
from agentsquad.runtime.engine.ids import keyed_id
from agentsquad.runtime.engine.inbound.contract import Beat, Pulses
from agentsquad.runtime.engine.resolving import resolution
from agentsquad.runtime.engine.state import ENDED
from agentsquad.runtime.engine.versions import Version, fits, pins, versions_of
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.resilience.budget import Limit
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper


def described(text: str, *examples: Any) -> Meta:
    """Return the description of a field, shown in help and documentation."""
    return Meta(description=text, examples=list(examples) or None)


class StartInput(msgspec.Struct, kw_only=True):
    """What to run."""

    workflow: Annotated[str, described("name of the workflow", "purchase-to-pay")]
    input: Annotated[
        str | None, described("a folder, a JSON file, or JSON text", "orders/", '{"n": 1}')
    ] = None
    key: Annotated[str | None, described("runs with the same key are the same run")] = None
    budget: Annotated[str | None, described("most it may cost, with its currency", "5.00USD")] = (
        None
    )
    wait: Annotated[bool, described("wait until the run has ended")] = True
    wait_for_people: Annotated[
        bool, described("wait for answers too; without a terminal it ends where people are asked")
    ] = True
    auto: Annotated[bool, described("answer approvals by rule instead of asking")] = False


@action(
    "runs.start",
    effect=Effect.WRITE,
    cli=("run",),
    positional=("workflow",),
    examples=("squad run purchase-to-pay --input orders/",),
    files={"input": "json"},
)
async def start(ctx: Context, value: StartInput) -> Outcome:
    """Start a workflow; the same input folder or key continues the run already
    there."""
    engine = ctx.port(Engine)  # type: ignore[type-abstract]
    name, version, manifest = await _workflow(ctx, value.workflow)
    body, key = runs.read_input(value.input, Any if manifest else version.workflow.input)
    await engine.recover(wait=False)
    if manifest is not None:
        body = {**manifest, "input": body}
    key = value.key or await _key(ctx, version, body) or key
    if value.budget is not None:
        key = key or ctx.token(16).hex()
        await _limit(ctx, keyed_id(name, key), value.budget)
    run = await engine.start(name, body, key=key, actor=str(ctx.actor))
    if not value.wait:
        return await engine.outcome(run)
    auto = _auto(version) if value.auto else None
    until = "ended" if value.wait_for_people else "asked"
    return await runs.watch(ctx, engine, run, until=until, auto=auto)


def _auto(version: Version) -> str:
    name, rule = version.workflow.name, version.workflow.auto
    if rule is None:
        raise InvalidError(
            f"{name} has no rule that answers for people",
            code="run.auto",
            hint="leave --auto out and answer with squad inbox, approve and reject",
        )
    return rule


async def _key(ctx: Context, version: Version, body: Any) -> str | None:
    """Return the key that a workflow gives to an input, if it gives one."""
    key_by = version.workflow.key_by
    if key_by is None:
        return None
    action = version.world.registry.action(key_by)
    return str(await version.home.path.run(Step(action, body, actor=ctx.actor)))


async def _limit(ctx: Context, run: str, text: str) -> None:
    """Set the budget of a run before it starts."""
    amount, currency = text[:-3].strip(), text[-3:].upper()
    if not amount or not currency.isalpha():
        raise InvalidError(
            f"{text!r} is not an amount with its currency",
            code="run.budget",
            hint="write --budget 5.00USD",
        )
    limit = Limit(
        scope=f"run:{run}", currency=currency, micros=Money.parse(amount, currency).micros
    )
    await ctx.port(BudgetKeeper).set(limit, actor=str(ctx.actor))


async def _workflow(ctx: Context, name: str) -> tuple[str, Version, dict[str, Any] | None]:
    """Return (workflow, the version of it that is newest, what a manifest adds)
    for a name."""
    versions = versions_of(ctx.port(World))
    await versions.refresh()
    if not versions.offers(name):
        found = await ctx.port(Manifests).wrap(name, None)  # type: ignore[type-abstract]
        if found is not None:
            return found[0], await versions.newest(found[0]), found[1]
    return name, await versions.newest(name), None


Standing = Literal[
    "running", "waiting", "incident", "completed", "failed", "cancelled", "continued"
]


class ListInput(msgspec.Struct, kw_only=True):
    """Which runs."""

    workflow: Annotated[str | None, described("only runs of this workflow")] = None
    status: Annotated[Standing | None, described("only runs that stand so")] = None
    all: Annotated[bool, described("child runs too")] = False
    limit: Annotated[int, Meta(description="how many, newest first", ge=1)] = 50
    since: Annotated[
        str | None, described("only runs that started then or later", "2026-11-23")
    ] = None
    until: Annotated[str | None, described("only runs that started before", "2026-11-24")] = None
    cursor: Annotated[
        str | None,
        described("go on after the page whose `next` this was", "2026-11-23T08:00:00Z/x"),
    ] = None


class RunLine(msgspec.Struct, kw_only=True):
    """One run in a list; `cost` maps currencies to decimal strings."""

    id: str
    workflow: str
    status: str
    started: str
    ended: str | None
    cost: dict[str, str]


class RunList(msgspec.Struct):
    """Runs, newest first; `next` is the cursor of the page that follows."""

    items: list[RunLine]
    next: str | None = None


@action("runs.list", effect=Effect.READ, cli=("runs", "list"))
async def list_runs(ctx: Context, value: ListInput) -> RunList:
    """List runs."""
    which = runs.Filter(
        workflow=value.workflow,
        status=value.status,
        roots=not value.all,
        since=value.since,
        until=value.until,
        below=_place(value.cursor),
    )
    chosen = await runs.listed(ctx.port(Ledger), which, limit=value.limit)
    full = len(chosen) == value.limit
    return RunList(
        next=f"{chosen[-1].started}/{chosen[-1].run}" if full else None,
        items=[
            RunLine(
                id=s.run,
                workflow=s.workflow,
                status=s.status,
                started=s.started,
                ended=s.ended,
                cost={c: runs.decimal(m) for c, m in sorted(s.cost.items())},
            )
            for s in chosen
        ],
    )


def _place(cursor: str | None) -> tuple[str, str] | None:
    """Return the place a cursor names: when a run started, and its id."""
    if cursor is None:
        return None
    started, slash, run = cursor.partition("/")
    if not slash:
        raise InvalidError(
            f"{cursor!r} is no cursor", code="runs.cursor", hint="give `next` of the page before"
        )
    return started, run


WAITING_SHOWN = 20  # runs that `squad resume` names although they only wait


class RunInput(msgspec.Struct, kw_only=True):
    """One run."""

    run: Annotated[str, described("id of the run, or an unambiguous beginning of it")]


class ShowInput(RunInput, kw_only=True):
    """One run, and how much of it."""

    limit: Annotated[int, Meta(description="how many events of it, the newest", ge=2)] = 5000


class RunView(msgspec.Struct, kw_only=True):
    """A run and its steps; `at_work` are those under way that show that they
    live, `earlier` counts events before those the steps were read from."""

    id: str
    workflow: str
    status: str
    started: str
    ended: str | None
    definition: str
    input: Any
    output: Any
    error: Any
    cost: dict[str, str]
    steps: list[runs.StepLine]
    children: list[str]
    chain: list[str] = []
    at_work: list[Beat] = []
    earlier: int = 0


@action("runs.show", effect=Effect.READ, cli=("runs", "show"), positional=("run",))
async def show(ctx: Context, value: ShowInput) -> RunView:
    """Show a run: its steps in order, which agent and model they used, and what
    they cost."""
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    run = await runs.find(store, value.run)
    events, earlier = await runs.journal(store, run, value.limit)
    tree = await (runs.tree(ctx.port(Ledger), run) if earlier else runs.summaries(store, run))
    summary = tree[0]
    children = [s.run for s in tree[1:] if s.parent == run]
    chain = await links.follow(store, links.origin(run))
    last = events[-1].payload or {}
    cost: dict[str, int] = {}
    for line in tree:
        for currency, micros in line.cost.items():
            cost[currency] = cost.get(currency, 0) + micros
    return RunView(
        id=run,
        workflow=events[0].payload["workflow"],
        status=summary.status,
        started=summary.started,
        ended=summary.ended,
        definition=events[0].payload["definition"],
        input=events[0].payload["input"],
        output=last.get("output") if summary.status in ENDED else None,
        error=last.get("error") if summary.status in ENDED else None,
        cost={c: runs.decimal(m) for c, m in sorted(cost.items())},
        steps=runs.steps(events),
        children=children,
        chain=chain if len(chain) > 1 else [],
        at_work=[] if summary.status in ENDED else _beats(ctx, run),
        earlier=earlier,
    )


def _beats(ctx: Context, run: str) -> list[Beat]:
    """Return the last signs of life of a run's steps under way."""
    ports = ctx.port(World).ports
    found: list[Beat] = ports.get(Pulses).of(run) if ports.has(Pulses) else []
    return found


class StopInput(msgspec.Struct, kw_only=True):
    """A run and why it is stopped."""

    run: Annotated[str, described("id of the run")]
    reason: Annotated[str, described("why; kept in the log")]


@action("runs.cancel", effect=Effect.WRITE, cli=("runs", "cancel"), positional=("run",))
async def cancel(ctx: Context, value: StopInput) -> Outcome:
    """Cancel a run; what it did is compensated where it can be."""
    engine = ctx.port(Engine)  # type: ignore[type-abstract]
    run = await runs.find(ctx.port(EventStore), value.run)  # type: ignore[type-abstract]
    await engine.cancel(run, actor=str(ctx.actor), reason=value.reason)
    return await engine.outcome(run)


class SignalInput(msgspec.Struct, kw_only=True):
    """A signal to a run."""

    run: Annotated[str, described("id of the run")]
    name: Annotated[str, described("name of the signal")]
    payload: Annotated[str, described("JSON", '{"ok": true}')] = "null"
    key: Annotated[str | None, described("the same key a second time changes nothing")] = None


@action(
    "runs.signal",
    effect=Effect.WRITE,
    cli=("runs", "signal"),
    positional=("run", "name"),
    examples=("squad runs signal kooa4lnr33 delivered --payload '{\"pallets\": 4}'",),
    files={"payload": "json"},
)
async def signal(ctx: Context, value: SignalInput) -> Outcome:
    """Send a signal to a waiting run."""
    engine = ctx.port(Engine)  # type: ignore[type-abstract]
    run = await runs.find(ctx.port(EventStore), value.run)  # type: ignore[type-abstract]
    payload = runs.parse_json(value.payload)
    await engine.signal(run, value.name, payload, actor=str(ctx.actor), key=value.key)
    return await engine.outcome(run)


class InboxInput(msgspec.Struct, kw_only=True):
    """Which questions."""

    run: Annotated[str, described("only of this run and its children")] = ""


class Inbox(msgspec.Struct):
    """Questions that wait for a person, oldest first."""

    items: list[InboxItem]


@action("runs.inbox", effect=Effect.READ, cli=("inbox",))
async def inbox(ctx: Context, value: InboxInput) -> Inbox:
    """List what waits for a person's approval."""
    return Inbox(await ctx.port(Engine).inbox(value.run or None))  # type: ignore[type-abstract]


class AnswerInput(msgspec.Struct, kw_only=True):
    """An answer to a question in the inbox."""

    item: Annotated[str, described("id of the question, from squad inbox")]
    reason: Annotated[str, described("why; kept in the log", "checked against the contract")]


class Answered(msgspec.Struct, kw_only=True):
    """What was answered."""

    item: str
    approved: bool
    approver: str


@action("approvals.approve", effect=Effect.WRITE, cli=("approve",), positional=("item",))
async def approve(ctx: Context, value: AnswerInput) -> Answered:
    """Approve exactly what the inbox shows; never what one has asked for
    oneself."""
    return await _answer(ctx, value, approve=True)


@action("approvals.reject", effect=Effect.WRITE, cli=("reject",), positional=("item",))
async def reject(ctx: Context, value: AnswerInput) -> Answered:
    """Refuse what the inbox shows."""
    return await _answer(ctx, value, approve=False)


async def _answer(ctx: Context, value: AnswerInput, *, approve: bool) -> Answered:
    await ctx.port(Engine).answer(  # type: ignore[type-abstract]
        value.item,
        approve=approve,
        approver=str(ctx.actor),
        reason=value.reason,
        roles=ctx.actor.roles,
    )
    return Answered(item=value.item, approved=approve, approver=str(ctx.actor))


class RecoverInput(msgspec.Struct):
    """Nothing to say."""


class Recovered(msgspec.Struct):
    """The runs that went on, the newest of those that wait, and how they
    stand."""

    items: list[Outcome]


@action("runs.resume", effect=Effect.WRITE, cli=("resume",))
async def recover(ctx: Context, value: RecoverInput) -> Recovered:
    """Continue every open run until it has ended or waits for a person, signal
    or time."""
    engine = ctx.port(Engine)  # type: ignore[type-abstract]
    opened = await engine.recover()
    if not getattr(engine, "driving", True):
        raise EngineBusyError("another process drives the runs of this store")
    roots = [run for run in opened if "/" not in run]
    for run in roots:
        await runs.watch(ctx, engine, run, until="waiting")
    # Those that only wait stay where they are, but it is said that they do.
    for status in ("waiting", "incident"):
        which = runs.Filter(status=status, roots=True)
        waiting = await runs.listed(ctx.port(Ledger), which, limit=WAITING_SHOWN)
        roots += [one.run for one in waiting if one.run not in roots]
    return Recovered([await engine.outcome(run) for run in roots])


@action("runs.adopt", effect=Effect.WRITE, cli=("runs", "adopt"), positional=("run",))
async def adopt(ctx: Context, value: StopInput) -> Outcome:
    """Continue a pinned run, and its children, under the newest versions of
    their workflows."""
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    versions = versions_of(ctx.port(World))
    await versions.refresh()
    run = await runs.find(store, value.run)
    for summary in await runs.summaries(store, run):
        if summary.status in ENDED:
            continue
        version = await versions.newest(summary.workflow)
        events = await store.read_stream(f"run/{summary.run}")
        pin = pins(events)[-1]
        body = {"definition": version.workflow.digest, "was": pin.definition}
        if pin.manifest is not None:
            body["manifest"] = pin.manifest
            pin = msgspec.structs.replace(pin, definition=version.workflow.digest)
            version = await versions.pinned(summary.run, pin)
        fits(summary.run, events, version)
        body["reason"] = value.reason
        await _note(store, summary.run, ("run.adopted", body), actor=str(ctx.actor))
    return await ctx.port(Engine).outcome(run)  # type: ignore[type-abstract]


class ResolveInput(msgspec.Struct, kw_only=True):
    """What a person found out about an effect whose outcome was unknown."""

    run: Annotated[str, described("id of the run")]
    position: Annotated[str, described("the step")]
    reason: Annotated[str, described("how it was found out")]
    confirmed: Annotated[str | None, described("it happened: its output as JSON")] = None
    failed: Annotated[bool, described("it certainly did not happen")] = False


@action(
    "effects.resolve",
    effect=Effect.WRITE,
    cli=("effects", "resolve"),
    positional=("run", "position"),
    examples=(
        "squad effects resolve kooa4lnr33 8 --failed --reason 'the bank never saw it'",
        "squad effects resolve kooa4lnr33 8 --confirmed '\"B-7\"' --reason 'the bank shows it'",
    ),
)
async def resolve(ctx: Context, value: ResolveInput) -> Outcome:
    """Say what became of an effect that was sent and never answered."""
    if (value.confirmed is None) != value.failed:
        raise InvalidError("say either --confirmed JSON or --failed", code="effect.resolve")
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    run = await runs.find(store, value.run)
    if value.failed:
        came: dict[str, Any] = {
            "error": {
                "class": "UnavailableError",
                "code": "effect.failed",
                "message": f"it did not happen: {value.reason}",
            }
        }
    else:
        came = {"output": runs.parse_json(value.confirmed or "null")}
    told = resolution(
        await store.read_stream(f"run/{run}"),
        value.position,
        by=str(ctx.actor),
        reason=value.reason,
        came=came,
    )
    await _note(store, run, *told, actor=str(ctx.actor))
    return await ctx.port(Engine).outcome(run)  # type: ignore[type-abstract]


class SwitchInput(msgspec.Struct, kw_only=True):
    """Why."""

    reason: Annotated[str, described("why; kept in the log")]


class Switch(msgspec.Struct):
    """How the kill switch stands."""

    halted: bool
    reason: str


@action("control.halt", effect=Effect.WRITE, cli=("halt",))
async def halt(ctx: Context, value: SwitchInput) -> Switch:
    """Turn the kill switch on: no effect leaves any process until it is
    lifted."""
    await _switch(ctx, "control.halted", value.reason)
    return Switch(True, value.reason)


@action("control.lift", effect=Effect.WRITE, cli=("lift",))
async def lift(ctx: Context, value: SwitchInput) -> Switch:
    """Turn the kill switch off."""
    await _switch(ctx, "control.resumed", value.reason)
    return Switch(False, value.reason)


async def _switch(ctx: Context, kind: str, reason: str) -> None:
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    await store.append(
        [NewEvent(stream=STREAM, type=kind, payload={"reason": reason}, actor=str(ctx.actor))]
    )


async def _note(store: EventStore, run: str, *told: tuple[str, dict[str, Any]], actor: str) -> None:
    events = await store.append(
        [
            NewEvent(
                stream=f"run/{run}",
                type=kind,
                payload=body,
                actor=actor,
                correlation=run.partition("/")[0],
            )
            for kind, body in told
        ]
    )
    if not events:
        raise MissingError(f"run {run!r} took no event", code="run.missing")
