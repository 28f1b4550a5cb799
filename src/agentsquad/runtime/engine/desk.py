"""Actions of telling runs: ask them, update them, and do by hand what they
cannot do themselves."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel import canonical
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.pointer import put
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine import runs
from agentsquad.runtime.engine.contract import Engine, EngineBusyError, InboxItem
from agentsquad.runtime.engine.inbound.contract import InterventionError, Means, UpdateAnswer
from agentsquad.runtime.engine.intervening import Wish

RUN = "id of the run, or an unambiguous beginning of it"
STEP = "position of the step, from squad runs show or squad inbox"
WHY = "why; kept in the log"


def described(text: str, *examples: Any) -> Meta:
    """Return the description of a field, shown in help and documentation."""
    return Meta(description=text, examples=list(examples) or None)


class QueryInput(msgspec.Struct, kw_only=True):
    """What is asked of a run."""

    run: Annotated[str, described(RUN)]
    name: Annotated[str, described("status, waiting, stack, handlers, or one of its own")]
    input: Annotated[str, described("JSON", '"egg"')] = "null"


class Answer(msgspec.Struct, kw_only=True):
    """What a run answered."""

    run: str
    name: str
    answer: Any


@action(
    "runs.query",
    effect=Effect.READ,
    cli=("runs", "query"),
    positional=("run", "name"),
    examples=("squad runs query kooa4lnr33 waiting",),
    files={"input": "json"},
)
async def query(ctx: Context, value: QueryInput) -> Answer:
    """Ask a run something; nothing of it is written.

    Every run, parked or ended too, answers `status`, `waiting`, `stack` and
    `handlers`, and whatever its workflow offers.
    """
    run = await _find(ctx, value.run)
    asked = runs.parse_json(value.input)
    answer = await ctx.port(Engine).query(run, value.name, asked)  # type: ignore[type-abstract]
    return Answer(run=run, name=value.name, answer=answer)


class UpdateInput(msgspec.Struct, kw_only=True):
    """What a run is to take."""

    run: Annotated[str, described(RUN)]
    name: Annotated[str, described("one of the updates the run takes")]
    input: Annotated[str, described("JSON", '{"count": 2}')] = "null"
    key: Annotated[str | None, described("the same key gives the same answer")] = None
    wait: Annotated[bool, described("wait for the answer, not only until it is taken")] = True
    timeout_ms: Annotated[int | None, described("how long to wait for the answer")] = None


@action(
    "runs.update",
    effect=Effect.WRITE,
    cli=("runs", "update"),
    positional=("run", "name"),
    examples=('squad runs update kooa4lnr33 put --input \'{"name": "egg"}\' --key 4711',),
    files={"input": "json"},
)
async def update(ctx: Context, value: UpdateInput) -> UpdateAnswer:
    """Have a run take an update and return what came of it; one that is refused
    writes nothing."""
    engine = ctx.port(Engine)  # type: ignore[type-abstract]
    run = await _find(ctx, value.run)
    if value.wait:
        with contextlib.suppress(EngineBusyError):  # then the process that drives it answers
            await engine.own()
    return await engine.update(
        run,
        value.name,
        runs.parse_json(value.input),
        actor=str(ctx.actor),
        key=value.key,
        timeout_ms=value.timeout_ms if value.wait else 0,
    )


class StepInput(msgspec.Struct, kw_only=True):
    """A step that stands still."""

    run: Annotated[str, described(RUN)]
    step: Annotated[str, described(STEP)]
    reason: Annotated[str, described(WHY)]


class SkipInput(StepInput, kw_only=True):
    """A step, and what it would have given."""

    result: Annotated[str, described("JSON: what the step gives", '{"receipt": "R-7"}')] = "null"


class PatchInput(StepInput, kw_only=True):
    """A step, and what is otherwise in its input."""

    input: Annotated[
        list[str],
        described("PATH=VALUE in its input, VALUE JSON or text", "amount=900"),
    ] = []


class CompensateInput(msgspec.Struct, kw_only=True):
    """A run, and what of it is undone."""

    run: Annotated[str, described(RUN)]
    reason: Annotated[str, described(WHY)]
    only: Annotated[list[str], described("positions of steps; without, everything")] = []


class Asked(msgspec.Struct, kw_only=True):
    """What was asked for; nothing is done before another person approves
    `item`."""

    item: str
    run: str
    action: str
    step: str | None
    roles: tuple[str, ...]


@action(
    "runs.retry",
    effect=Effect.WRITE,
    cli=("runs", "retry"),
    positional=("run", "step"),
    examples=("squad runs retry kooa4lnr33 4 --reason 'the bank is back'",),
)
async def retry(ctx: Context, value: StepInput) -> Asked:
    """Ask for a step that failed for good to be tried again."""
    return await _ask(ctx, value.run, "retry", value.step, value.reason, {})


@action(
    "runs.skip",
    effect=Effect.WRITE,
    cli=("runs", "skip"),
    positional=("run", "step"),
    examples=("squad runs skip kooa4lnr33 4 --result '{\"n\": 1}' --reason 'done by phone'",),
)
async def skip(ctx: Context, value: SkipInput) -> Asked:
    """Ask for a step that failed for good, or waits for a time or a signal, to
    be passed over as if it had given this output."""
    given = {"output": runs.parse_json(value.result)}
    return await _ask(ctx, value.run, "skip", value.step, value.reason, given)


@action(
    "runs.patch",
    effect=Effect.WRITE,
    cli=("runs", "patch"),
    positional=("run", "step"),
    examples=("squad runs patch kooa4lnr33 4 --input amount=900 --reason 'a slip'",),
)
async def patch(ctx: Context, value: PatchInput) -> Asked:
    """Ask for a step that failed for good to be tried again with another
    input."""
    run = await _find(ctx, value.run)
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    failed = [
        event.payload
        for event in await store.read_stream(f"run/{run}")
        if event.type == "incident.opened" and event.payload["position"] == value.step
    ]
    if not failed:
        raise InterventionError(f"step {value.step} of run {run} has not failed for good")
    changed = failed[-1].get("input")
    if not value.input:
        raise InvalidError("say what is otherwise: --input PATH=VALUE", code="intervention.input")
    for text in value.input:
        path, equals, raw = text.partition("=")
        if not equals:
            raise InvalidError(
                f"{text!r} is not PATH=VALUE", code="intervention.input", hint="e.g. amount=900"
            )
        try:
            found = canonical.loads(raw)
        except InvalidError:
            found = raw
        changed = put(changed, f"/{path.lstrip('/')}" if path else "", found)
    return await _ask(ctx, run, "patch", value.step, value.reason, {"input": changed})


@action(
    "runs.fail",
    effect=Effect.WRITE,
    cli=("runs", "fail"),
    positional=("run", "step"),
    examples=("squad runs fail kooa4lnr33 4 --reason 'the vendor is gone'",),
)
async def fail(ctx: Context, value: StepInput) -> Asked:
    """Ask for a step that stands still to be given up: it fails, and the
    workflow goes on as after any failure."""
    return await _ask(ctx, value.run, "fail", value.step, value.reason, {})


@action(
    "runs.compensate",
    effect=Effect.WRITE,
    cli=("runs", "compensate"),
    positional=("run",),
    examples=("squad runs compensate kooa4lnr33 --only 4 --reason 'paid twice'",),
)
async def compensate(ctx: Context, value: CompensateInput) -> Asked:
    """Ask for a run to be stopped and what it did to be undone, all of it or
    only some steps."""
    given = {"only": value.only} if value.only else {}
    return await _ask(ctx, value.run, "compensate", None, value.reason, given)


async def _ask(
    ctx: Context,
    text: str,
    means: Means,
    step: str | None,
    reason: str,
    given: dict[str, Any],
) -> Asked:
    run = await _find(ctx, text)
    wish = Wish(run=run, means=means, position=step, reason=reason, given=given)
    item: InboxItem = await ctx.port(Engine).intervene(wish, actor=str(ctx.actor))  # type: ignore[type-abstract]
    return Asked(item=item.id, run=run, action=item.action, step=step, roles=item.roles)


async def _find(ctx: Context, text: str) -> str:
    return await runs.find(ctx.port(EventStore), text)  # type: ignore[type-abstract]


ACTIONS = (query, update, retry, skip, patch, fail, compensate)
