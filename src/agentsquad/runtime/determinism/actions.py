"""Actions of determinism: replay a run, fork a run, make a test of a run."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel import canonical
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.ports import BlobStore, EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.determinism import export
from agentsquad.runtime.determinism.contract import (
    Change,
    ChangeInvalidError,
    Exported,
    ExportedFiles,
    Fork,
    Replay,
)
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine import runs
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.versions import versions_of, world_of
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.policy.contract import PolicyCompiler
from agentsquad.runtime.policy.rulebook import files_of


class ReplayInput(msgspec.Struct, kw_only=True):
    """Which run."""

    run: Annotated[str, Meta(description="id of the run, or an unambiguous beginning of it")]


@action("runs.replay", effect=Effect.READ, cli=("replay",), positional=("run",))
async def replay_run(ctx: Context, value: ReplayInput) -> Replay:
    """Run the code again over the recorded journal and say whether anything
    differs.

    No model, connector or clock is reached. Exit 0: identical or compatible; 1:
    diverged at an event and field, or the recording is incomplete.
    """
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    run = await runs.find(store, value.run)
    blobs = ctx.port(BlobStore)  # type: ignore[type-abstract]
    return await replay(store, ctx.port(Registry), run, blobs, versions_of(ctx.port(World)))


class ForkInput(msgspec.Struct, kw_only=True):
    """What is different."""

    run: Annotated[str, Meta(description="id of the run, or an unambiguous beginning of it")]
    set: Annotated[
        list[str],
        Meta(
            description="PATH=VALUE; input/… or POSITION/… (a step's output), VALUE JSON or text",
            examples=["input/amount=900"],
        ),
    ] = []
    at: Annotated[str | None, Meta(description="position of a step: paths are in its output")] = (
        None
    )
    people: Annotated[
        str, Meta(description="what people say: same (as recorded), approve or reject")
    ] = "same"


@action(
    "runs.fork",
    effect=Effect.READ,
    cli=("fork",),
    positional=("run",),
    examples=("squad fork kooa4lnr33 --set input/amount=900",),
)
async def fork_run(ctx: Context, value: ForkInput) -> Fork:
    """Say what would have happened, had something been different; no effect can
    leave.

    Steps whose request is the same keep their recorded result; only changed
    reads and pure steps are done again. Without --set it must come out the
    same.
    """
    run = await runs.find(ctx.port(EventStore), value.run)  # type: ignore[type-abstract]
    forker = Forker(await world_of(ctx.port(World), run), people=value.people)
    return await forker.fork(run, [parse(text) for text in value.set], value.at)


def parse(text: str) -> Change:
    """Read PATH=VALUE; a value that is not JSON is text."""
    path, equals, raw = text.partition("=")
    if not equals or not path:
        raise ChangeInvalidError(f"{text!r} is not PATH=VALUE", hint="e.g. input/amount=900")
    try:
        value = canonical.loads(raw)
    except InvalidError:
        value = raw
    return Change(path=path, value=value, text=raw)


class ExportInput(msgspec.Struct, kw_only=True):
    """Which run, and where its test goes."""

    run: Annotated[str, Meta(description="id of the run, or an unambiguous beginning of it")]
    out: Annotated[
        str | None,
        Meta(description="file to write; without it the test is printed", examples=["test_run.py"]),
    ] = None
    include_personal: Annotated[
        bool, Meta(description="keep values about people instead of stand-ins")
    ] = False


@action(
    "runs.export_test",
    effect=Effect.WRITE,
    cli=("export-test",),
    positional=("run",),
    examples=(
        "squad export-test kooa4lnr33 > test_run.py",
        "squad export-test kooa4lnr33/4500210011 -o tests/test_case.py",
    ),
    files={"out": "out"},
)
async def export_test(ctx: Context, value: ExportInput) -> Exported:
    """Write a run as one pytest file that passes offline with this package
    alone.

    It replays the run and every run below it against the code installed where
    it is run, or against the deployed version it ran under, which the file then
    holds, and names the event and field when the behaviour has changed. A
    second test asks the installed rules again about every recorded decision; it
    is left out when rules of this installation, which are not in the file,
    decided. Values about people are replaced by stand-ins.
    """
    ledger, registry = ctx.port(Ledger), ctx.port(Registry)
    store = ledger.store
    run = await runs.find(store, value.run)
    blobs = ctx.port(BlobStore)  # type: ignore[type-abstract]
    versions = versions_of(ctx.port(World))
    await versions.refresh()
    personal = value.include_personal
    history = await export.collect(
        store, blobs, registry, run, personal=personal, versions=versions
    )
    decides = len(history.code) < 2  # one set of rules decided everything
    if decides:
        for digest in history.code:
            registry = (await versions.home(digest)).world.registry
        compiler = ctx.port(PolicyCompiler)  # type: ignore[type-abstract]
        shipped = compiler.compile(files_of(registry.plugins))
        decides = await export.decided_alike(history, registry, shipped)
    text = export.pytest_file(history, decides=decides)
    if value.out is not None:
        ctx.port(ExportedFiles).write(value.out, text)  # type: ignore[type-abstract]
    return Exported(
        run=run,
        workflow=history.workflow,
        events=history.count,
        verdict=history.verdict,
        personal=history.personal,
        decides=decides,
        text=text,
        out=value.out,
    )
