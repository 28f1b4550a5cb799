"""The actions of trials: try a workflow, and one part of that for a worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.operations.trials import report
from agentsquad.operations.trials.contract import (
    BatchInput,
    BatchOutput,
    Broken,
    Explorer,
    Failure,
    TestInput,
    TestOutput,
    TrialFiles,
    Workers,
)
from agentsquad.operations.trials.run import BATCH, Trials, ending, prepare
from agentsquad.operations.trials.scenario import unblob
from agentsquad.operations.trials.tale import Tale
from agentsquad.runtime.engine.door import World

ALONE_MAX = 500  # so many scenarios are not worth a second process
SHRINKS_MAX = 400
FAILURES_MAX = 8


@action(
    "trials.test",
    effect=Effect.WRITE,
    cli=("test",),
    positional=("workflow",),
    examples=(
        "squad test purchase-to-pay --scenarios 1000",
        "squad test purchase-to-pay --invariants laws.py --export tests/found",
    ),
    files={"invariants": "in", "plugin": "in", "export": "out"},
    local="it takes the processors for minutes and runs Python that it is given",
)
async def test(ctx: Context, value: TestInput) -> TestOutput:
    """Try a workflow on generated input in a world that goes wrong, and check
    laws after each.

    Nothing leaves: effects are taken by a simulated other side that loses
    answers, refuses and is late; the process dies; people say no, or nothing.
    What breaks a law is made as small as it can be, with one command that
    repeats it. Exit 1 when a law was broken. Needs the extra [trials].
    """
    began = ctx.now_ms()
    explorer = ctx.port(Explorer)  # type: ignore[type-abstract]
    files = ctx.port(TrialFiles)  # type: ignore[type-abstract]
    trials = await prepare(ctx.port(World), files, value)
    if value.repeat is not None:
        return await _repeated(ctx, trials, value, began)
    total = BatchOutput(scenarios=0, failed=0, invariants={}, broken=[], endings={})
    async for part in _parts(ctx, trials, explorer, value):
        _add(total, part)
        found = f", {total.failed} failed" if total.failed else ""
        ctx.progress(f"trying{found}", done=total.scenarios, total=value.scenarios)
    failures = []
    for number, broken in enumerate(_by_size(total)[:FAILURES_MAX], start=1):
        ctx.progress("making failures smaller", done=number, total=len(total.broken))
        choices, tale, reason = await trials.shrunk(explorer, broken, SHRINKS_MAX)
        failures.append(
            _kept(files, value, report.failure(value, broken, choices, (tale, reason)), tale)
        )
    return TestOutput(
        workflow=value.workflow,
        scenarios=total.scenarios,
        passed=total.scenarios - total.failed,
        failed=total.failed,
        invariants=total.invariants,
        failures=failures,
        seconds=round((ctx.now_ms() - began) / 1000, 1),
        seed=value.seed,
        endings=dict(sorted(total.endings.items())),
    )


async def _repeated(ctx: Context, trials: Trials, value: TestInput, began: int) -> TestOutput:
    """Play one case and say what came of it."""
    explorer = ctx.port(Explorer)  # type: ignore[type-abstract]
    files = ctx.port(TrialFiles)  # type: ignore[type-abstract]
    await trials.calibrate(explorer)
    choices = unblob(value.repeat or "")
    tale = await trials.play(trials.scenario(choices))
    found = trials.broken(tale)
    size = len(tale.events)
    told = [
        report.failure(
            value,
            Broken(invariant=name, found=1, choices=choices, events=size),
            choices,
            (tale, why),
        )
        for name, why in (found or {"": "every law was kept"}).items()
    ]
    return TestOutput(
        workflow=value.workflow,
        scenarios=1,
        passed=int(not found),
        failed=int(bool(found)),
        invariants={law.name: 1 for law in trials.laws},
        failures=[_kept(files, value, one, tale) for one in told] if found else [],
        seconds=round((ctx.now_ms() - began) / 1000, 1),
        seed=value.seed,
        endings={ending(tale): 1},
        smallest=None if found else told[0],
    )


async def _parts(
    ctx: Context, trials: Trials, explorer: Explorer, value: TestInput
) -> AsyncIterator[BatchOutput]:
    """Yield each part as it is done, here or by worker processes."""
    size = min(BATCH, max(1, value.scenarios))
    counts = [size] * (value.scenarios // size)
    if value.scenarios % size:
        counts.append(value.scenarios % size)
    workers = value.workers or (1 if value.scenarios <= ALONE_MAX else 2)
    if workers == 1:
        for number, count in enumerate(counts):
            before = sum(counts[:number])

            def tell(done: int, before: int = before) -> None:
                ctx.progress("trying", done=before + done, total=value.scenarios)

            yield await trials.batch(explorer, f"{value.seed}/{number}", count, tell)
        return
    plain = msgspec.to_builtins(value)
    inputs = [{"test": plain, "batch": n, "count": count} for n, count in enumerate(counts)]
    port = ctx.port(Workers)  # type: ignore[type-abstract]
    async for output in port.spread("trials.batch", inputs, min(workers, len(inputs))):
        yield msgspec.convert(output, BatchOutput)


def _add(total: BatchOutput, part: BatchOutput) -> None:
    total.scenarios += part.scenarios
    total.failed += part.failed
    total.invariants = dict(Counter(total.invariants) + Counter(part.invariants))
    total.endings = dict(Counter(total.endings) + Counter(part.endings))
    known = {one.invariant: one for one in total.broken}
    for one in part.broken:
        mine = known.get(one.invariant)
        if mine is None:
            total.broken.append(one)
            continue
        mine.found += one.found
        if (one.events, len(one.choices), one.choices) < (
            mine.events,
            len(mine.choices),
            mine.choices,
        ):
            mine.events, mine.choices = one.events, one.choices


def _by_size(total: BatchOutput) -> list[Broken]:
    return sorted(total.broken, key=lambda one: (one.events, one.invariant))


def _kept(files: TrialFiles, value: TestInput, found: Failure, tale: Tale) -> Failure:
    """Write a failure as a test, where that was asked for."""
    if value.export is not None:
        text = report.pytest_file(value, found, tale)
        found.file = files.write(value.export, report.file_name(value, found), text)
    return found


@action("trials.batch", effect=Effect.WRITE, cli=())
async def batch(ctx: Context, value: BatchInput) -> BatchOutput:
    """Try one part of the scenarios; what a worker process is asked."""
    explorer = ctx.port(Explorer)  # type: ignore[type-abstract]
    files = ctx.port(TrialFiles)  # type: ignore[type-abstract]
    trials = await prepare(ctx.port(World), files, value.test)
    seed = f"{value.test.seed}/{value.batch}"
    return await trials.batch(explorer, seed, value.count, lambda done: None)
