"""The subject: which run, or which input, a person means.

A run they name; an input they give; else the run of the workflow that ended
last; else the example that the workflow brings along.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.operations.chaos.contract import NothingToDoError
from agentsquad.operations.chaos.stage import Subject
from agentsquad.runtime.determinism.past import Past, load_row
from agentsquad.runtime.determinism.rehearsal import ROW_MAX, resolve
from agentsquad.runtime.engine import runs
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.state import ENDED
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.trust.attestation.contract import Files


async def find(
    ctx: Context, world: World, workflow: str, run: str | None, given: str | None
) -> Subject:
    """Return what is to be rehearsed, in a world where the workflow is mounted;
    NothingToDoError when nothing fits."""
    name, wrapped = await resolve(world, workflow, None)
    if run is not None:
        found = await _named(ctx, workflow, name, wrapped, run)
        return _recorded(workflow, found)
    if given is not None:
        return Subject(
            name=workflow, workflow=name, value=_wrap(wrapped, _read(ctx, world, name, given))
        )
    last = await _last(ctx, workflow, name, wrapped)
    if last is not None:
        return _recorded(workflow, last)
    example = world.registry.workflow(name).example
    if example is None or example not in ctx.port(Registry).actions:
        raise NothingToDoError(
            f"there is no run of {workflow} that has ended, and no example of its input",
            hint=f"squad chaos {workflow} --input '{{…}}'",
        )
    value = msgspec.to_builtins(await ctx.call(example, {}))
    return Subject(name=workflow, workflow=name, value=_wrap(wrapped, value))


def _recorded(workflow: str, past: Past) -> Subject:
    return Subject(name=workflow, workflow=past.workflow, value=past.input, past=past)


def _wrap(wrapped: Any, value: Any) -> Any:
    """Return an input as the workflow takes it; a manifest's is put inside."""
    return {**wrapped, "input": value} if isinstance(wrapped, dict) else value


async def _named(ctx: Context, workflow: str, name: str, wrapped: Any, text: str) -> Past:
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    run = await runs.find(store, text)
    past = await load_row(store, run, ROW_MAX - 1)
    assert past is not None
    if not _is_of(past, name, wrapped):
        raise InvalidError(
            f"run {run} is one of {past.workflow}, not of {workflow}",
            code="chaos.run",
            hint=f"squad runs list --workflow {workflow}",
        )
    if past.status not in ENDED:
        raise InvalidError(f"run {run} has not ended yet", code="chaos.run")
    return past


def _is_of(past: Past, name: str, wrapped: Any) -> bool:
    if past.workflow != name:
        return False
    return not isinstance(wrapped, dict) or past.input.get("name") == wrapped.get("name")


async def _last(ctx: Context, workflow: str, name: str, wrapped: Any) -> Past | None:
    """Return the run of a workflow that started last of those that ended."""
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    async for summary in runs.each(ctx.port(Ledger), runs.Filter(workflow=name)):
        if summary.status in ENDED:
            past = await load_row(store, summary.run, ROW_MAX - 1)
            if past is not None and _is_of(past, name, wrapped):
                return past
    return None


def _read(ctx: Context, world: World, name: str, given: str) -> Any:
    """Return an input: JSON, the path of a JSON file, or that of a folder."""
    if not given.lstrip().startswith(("{", "[")) and given.endswith(".json"):
        data = ctx.port(Files).read(given)  # type: ignore[type-abstract]
        if data is None:
            raise InvalidError(f"there is no file {given}", code="input.file")
        return runs.parse_json(data.decode("utf-8", "replace"))
    value, _ = runs.read_input(given, world.registry.workflow(name).input)
    return value
