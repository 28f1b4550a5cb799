"""Actions of analytics: cost."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agentsquad.insight.analytics.cost import Ledger, Report
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine import runs


class CostInput(msgspec.Struct, kw_only=True):
    """How to group, and of what."""

    by: Annotated[
        Literal["run", "agent", "step", "model"], Meta(description="what to add up by")
    ] = "run"
    run: Annotated[str | None, Meta(description="only this run and its children")] = None


@action("cost.show", effect=Effect.READ, cli=("cost",), examples=("squad cost --by model",))
async def show(ctx: Context, value: CostInput) -> Report:
    """Say what was spent, to the cent, by run, agent, step or model.

    Every figure is a sum over events; a call whose price is unknown is counted,
    not taken for free.
    """
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    run = await runs.find(store, value.run) if value.run else None
    ledger = Ledger(value.by)
    async for event in runs.events_of(store, run):
        ledger.add(event)
    return ledger.report()
