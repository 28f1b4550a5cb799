"""Actions of chaos: sweep a workflow, check a receipt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel import hashing
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.ports import EventStore
from agentsquad.operations.chaos import receipt, subject
from agentsquad.operations.chaos.contract import (
    REPORTED,
    Checked,
    Point,
    ReceiptError,
    Report,
    Workers,
)
from agentsquad.operations.chaos.point import chosen, every_point, sampled
from agentsquad.operations.chaos.stage import Stage
from agentsquad.operations.chaos.sweep import Swept, sweep
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.runs import parse_json
from agentsquad.runtime.engine.versions import versions_of, world_of
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.trust.attestation.contract import Files, Notary

NOT_KEPT = "memory:"


class ChaosInput(msgspec.Struct, kw_only=True):
    """What is disturbed, and where."""

    workflow: Annotated[str, Meta(description="name of the workflow", examples=["purchase-to-pay"])]
    every_event: Annotated[bool, Meta(description="at every event boundary, none left out")] = False
    points: Annotated[
        int, Meta(description="else at so many of them, chosen by the seed", ge=1)
    ] = 50
    only: Annotated[
        str | None, Meta(description="only at this one", examples=["crash-after@17"])
    ] = None
    run: Annotated[
        str | None, Meta(description="a recorded run to repeat; the last if left out")
    ] = None
    input: Annotated[
        str | None,
        Meta(description="a folder, a JSON file, or JSON text", examples=["orders/", '{"n": 1}']),
    ] = None
    signals: Annotated[
        list[str],
        Meta(description="NAME=JSON: what is sent when it waits for a signal", examples=["go=1"]),
    ] = []
    reads: Annotated[
        list[str],
        Meta(description="reads done for real, once, when nothing is recorded"),
    ] = []
    seed: Annotated[str, Meta(description="of everything that is drawn")] = "1"
    workers: Annotated[int, Meta(description="processes side by side; 0: one a processor")] = 0
    receipt: Annotated[str | None, Meta(description="file to write the signed report to")] = None


@action(
    "chaos.run",
    effect=Effect.WRITE,
    cli=("chaos",),
    positional=("workflow",),
    examples=("squad chaos purchase-to-pay --every-event",),
    files={"input": "in", "receipt": "out"},
    local="it takes the processors for minutes, in processes of its own",
)
async def run(ctx: Context, value: ChaosInput) -> Report:
    """Crash, time out and duplicate at the event boundaries of a workflow.

    The workflow is rehearsed in a scratch world: no effect leaves, a simulated
    counterparty counts what would have. After each fault the run must come to
    the same end, with each effect confirmed once. Exit 1 when one did not.
    """
    versions = versions_of(ctx.port(World))
    await versions.refresh()
    world = versions.installed.world
    if versions.offers(value.workflow):
        world = (await versions.newest(value.workflow)).world
    found = await subject.find(ctx, world, value.workflow, value.run, value.input)
    if found.past is not None:  # under the version that it ran under
        world = await world_of(world, found.past.run)
    found = msgspec.structs.replace(
        found, signals=_signals(value.signals), reads=tuple(value.reads)
    )
    ctx.progress(f"rehearsing {value.workflow} undisturbed")
    stage = await Stage.prepare(world, found, value.seed)
    points = _points(value, stage)
    side_by_side = ctx.port(Workers)  # type: ignore[type-abstract]
    swept = await sweep(
        stage,
        points,
        (side_by_side, value.workers or side_by_side.count()),
        _repeat(value, found.past.run if found.past else None),
        lambda done, total, wrong: ctx.progress(
            f"{wrong} not recovered" if wrong else "all recovered", done=done, total=total
        ),
    )
    report = _report(world, value, (stage, points), swept)
    return await _signed(ctx, report, value.receipt)


def _points(value: ChaosInput, stage: Stage) -> list[Point]:
    points = every_point(stage.calm)
    if value.only is not None:
        return chosen(points, value.only)
    return points if value.every_event else sampled(points, value.points, value.seed)


def _signals(given: Sequence[str]) -> dict[str, Any]:
    found = {}
    for text in given:
        name, equals, payload = text.partition("=")
        if not equals:
            raise InvalidError(f"{text!r} is not NAME=JSON", code="chaos.signals")
        found[name] = parse_json(payload)
    return found


def _repeat(value: ChaosInput, run: str | None) -> str:
    words = ["squad", "chaos", value.workflow]
    if run is not None:
        words += ["--run", run]
    elif value.input is not None:
        words += ["--input", f"'{value.input}'"]
    for name, given in (("signals", value.signals), ("reads", value.reads)):
        words += [part for one in given for part in (f"--{name}", f"'{one}'")]
    if value.seed != "1":
        words += ["--seed", value.seed]
    return " ".join(words)


def _report(
    world: World, value: ChaosInput, played: tuple[Stage, Sequence[Point]], swept: Swept
) -> Report:
    stage, points = played
    calm, about = stage.calm, stage.subject
    return Report(
        workflow=value.workflow,
        definition=world.registry.workflow(about.workflow).digest,
        input_digest=hashing.digest(about.value),
        run=about.past.run if about.past else None,
        status=calm.status,
        events=len(calm.events),
        effects=len(calm.effects),
        every_event=value.every_event and value.only is None,
        seed=value.seed,
        points=len(points),
        recovered=swept.recovered,
        repeated_effects=swept.repeated,
        kinds=swept.kinds,
        failures=swept.failures,
        made_up=list(calm.made_up),
        by_hand=swept.by_hand,
        policy=world.policy.revision,
        registry=world.registry.digest,
    )


async def _signed(ctx: Context, report: Report, path: str | None) -> Report:
    """Sign a report, record its digest where a log is kept, write it down."""
    made = receipt.make(report, ctx.port(Notary))  # type: ignore[type-abstract]
    if ctx.port(Ledger).url != NOT_KEPT:
        told = NewEvent(
            stream=f"chaos/{report.workflow}",
            type=REPORTED,
            payload={
                "workflow": report.workflow,
                "definition": report.definition,
                "points": report.points,
                "recovered": report.recovered,
                "repeated_effects": report.repeated_effects,
                "digest": made.digest,
                "note": made.note,
            },
            actor=str(ctx.actor),
        )
        (event,) = await ctx.port(EventStore).append([told])  # type: ignore[type-abstract]
        made = msgspec.structs.replace(made, event=event.seq)
    report = msgspec.structs.replace(report, receipt=made)
    if path is not None:
        data = msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
        ctx.port(Files).write(path, data)  # type: ignore[type-abstract]
    return report


class VerifyInput(msgspec.Struct, kw_only=True):
    """A report to check."""

    file: Annotated[str, Meta(description="the report as JSON", examples=["chaos.json"])]
    key: Annotated[
        str | None, Meta(description="key it must be signed by; else this log's own")
    ] = None


@action(
    "chaos.verify",
    effect=Effect.READ,
    cli=("receipt", "verify"),
    positional=("file",),
    examples=("squad receipt verify chaos.json",),
    files={"file": "in"},
)
async def verify(ctx: Context, value: VerifyInput) -> Checked:
    """Check the receipt of a report: its digest, its signature, its event.

    Exit 11 when any of them does not hold.
    """
    data = ctx.port(Files).read(value.file)  # type: ignore[type-abstract]
    if data is None:
        raise MissingError(f"there is no file {value.file}", code="input.file")
    notary = ctx.port(Notary)  # type: ignore[type-abstract]
    checked = receipt.check(data, notary, value.key)
    if checked.event is None and checked.key != (value.key or notary.key()):
        raise ReceiptError(
            "signed by a key that was replaced, and no log says when",
            hint="somebody may have the old key: run squad chaos again",
        )
    if checked.event is None or value.key is not None:
        return checked
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    events = await store.read(after=checked.event - 1, limit=1)
    body = events[0].payload if events and events[0].type == REPORTED else None
    if body is None or body.get("digest") != checked.digest:
        raise ReceiptError(
            f"event {checked.event} of this log does not record the report",
            hint="check it in the installation that made it, or give --key",
        )
    return msgspec.structs.replace(checked, recorded=True)
