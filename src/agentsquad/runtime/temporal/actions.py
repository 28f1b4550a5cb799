"""Actions of the room: serve runs as a worker."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.runtime.temporal.contract import RunWorker, Served


class WorkInput(msgspec.Struct, kw_only=True):
    """How long to serve."""

    seconds: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="serve for so long; without it until Ctrl-C"),
    ] = None


@action(
    "worker.serve",
    effect=Effect.WRITE,
    cli=("worker",),
    examples=("squad worker", "squad worker --seconds 60"),
    local="it serves Temporal from this machine until told to end",
)
async def serve(ctx: Context, value: WorkInput) -> Served:
    """Drive runs that Temporal hands out; where SQUAD_ENGINE names a Temporal
    queue."""
    worker = ctx.port(RunWorker)  # type: ignore[type-abstract]
    return await worker.serve(seconds=value.seconds, tell=ctx.progress)
